//! The command line of `raftmq ctl`, as a [`Plan`].

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Environment, Refusal, bans};
use crate::ctl::{
    Command, DrainWish, Extent, Format, Frames, MemberWish, Parameters, Plan, Publication, Watch,
};
use raftmq_api::client::Client;

const DEFAULT_URL: &str = "http://127.0.0.1:6060";
/// The variables that stand for flags. They are no settings of a node.
const URL_VARIABLE: &str = crate::config::CTL_VARIABLES[0];
const TOKEN_VARIABLE: &str = crate::config::CTL_VARIABLES[1];
const CA_VARIABLE: &str = crate::config::CTL_VARIABLES[2];

/// Asks the HTTP API of any node.
#[derive(Args)]
pub(super) struct CtlArgs {
    /// HTTP API of any node; also RAFTMQ_URL [default: http://127.0.0.1:6060]
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// Bearer token; better RAFTMQ_TOKEN, which other users of the machine cannot see
    #[arg(long, value_name = "TOKEN", global = true)]
    token: Option<String>,
    /// PEM file of the certificates that an https server's must come from; also RAFTMQ_CA [default: those that this machine trusts]
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// Print the server's JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: CtlCommand,
}

#[derive(Subcommand)]
enum CtlCommand {
    /// Machine and load of each node
    Nodes,
    /// Leader, roles, logs and links
    Cluster,
    /// What is wrong with the cluster, and how to fix it
    Doctor,
    /// Plugins of each node
    Plugins,
    /// Clients and waiting sessions
    Clients(ClientsArgs),
    /// Disconnect a client and end its session
    Kick {
        /// Client identifier
        #[arg(value_name = "CLIENTID")]
        client_id: String,
    },
    /// Who is kept out
    Bans(ListArgs),
    /// Keep a client, a user, an address or a network out of the cluster
    Ban(bans::BanArgs),
    /// Let them in again
    Unban(bans::BannedArgs),
    /// Who subscribes to what
    Subs(SubsArgs),
    /// Which topic filters go to which nodes
    Routes {
        /// Topic name: only the filters that match it
        topic: Option<String>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Who would get a message on a topic, and why
    Explain {
        /// Topic name
        topic: String,
        /// As if published on this node
        #[arg(long, value_name = "NODE")]
        from_node: Option<u64>,
        /// As if published with this QoS
        #[arg(long, value_name = "QOS", value_parser = clap::value_parser!(u8).range(0..=2))]
        qos: Option<u8>,
        /// As if published by this client
        #[arg(long, value_name = "CLIENTID")]
        client: Option<String>,
        /// As if published by this user, when the client is not connected
        #[arg(long, value_name = "NAME")]
        username: Option<String>,
        /// As if published from this address, when the client is not connected
        #[arg(long, value_name = "IP")]
        ip: Option<IpAddr>,
    },
    /// Send a node's clients to the other nodes; shows what that means first
    Drain(DrainArgs),
    /// Let a draining node take clients again
    Undrain {
        /// The node's id
        node: u64,
    },
    /// Let a running node into the cluster; shows what that means first
    Join {
        /// The node's id
        node: u64,
        /// Where the other nodes reach its RPC port
        #[arg(value_name = "HOST:PORT")]
        address: String,
        /// Only tell what it would mean
        #[arg(long)]
        dry_run: bool,
    },
    /// Take a node out of the cluster, for good; shows what that means first
    Remove {
        /// The node's id
        node: u64,
        /// Only tell what it would mean
        #[arg(long)]
        dry_run: bool,
    },
    /// Publish a message
    Publish(PublishArgs),
    /// Follow what happens to clients, on all nodes
    Tail(TailArgs),
    /// Watch the rates of all nodes; q or Ctrl-C ends it
    Top {
        /// Show them once
        #[arg(long)]
        once: bool,
        /// Seconds between two looks, 1 to 3600
        #[arg(long, value_name = "SECONDS", default_value_t = 2,
              value_parser = clap::value_parser!(u64).range(1..=3600))]
        interval: u64,
    },
}

#[derive(Args)]
struct ListArgs {
    /// At most so many rows
    #[arg(long, value_name = "ROWS", conflicts_with = "all")]
    limit: Option<u32>,
    /// All rows, however many answers that takes
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
struct ClientsArgs {
    /// Only this client
    #[arg(long, value_name = "CLIENTID")]
    client: Option<String>,
    /// Client identifiers that contain this
    #[arg(long, value_name = "TEXT")]
    like: Option<String>,
    /// Only clients of this user
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// User names that contain this
    #[arg(long, value_name = "TEXT")]
    like_username: Option<String>,
    /// Only clients at this address
    #[arg(long, value_name = "IP")]
    ip: Option<String>,
    /// Only clients that came by this listener
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// Only connected clients, or only waiting sessions
    #[arg(long, value_name = "true|false")]
    connected: Option<bool>,
    /// Only sessions with at least so many messages in their queue
    #[arg(long, value_name = "MESSAGES")]
    min_queue: Option<u64>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Args)]
struct SubsArgs {
    /// Only those of this client
    #[arg(long, value_name = "CLIENTID")]
    client: Option<String>,
    /// Only those that match this topic name
    #[arg(long = "match", value_name = "TOPIC")]
    matching: Option<String>,
    /// Only those to exactly this topic filter
    #[arg(long, value_name = "FILTER")]
    topic: Option<String>,
    /// Only those of this share group
    #[arg(long, value_name = "GROUP")]
    share: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Args)]
struct DrainArgs {
    /// The node's id
    node: u64,
    /// Clients sent away per second, 0 lets them stay [default: 100]
    #[arg(long, value_name = "CLIENTS", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    clients_per_second: Option<u32>,
    /// Only tell what it would mean
    #[arg(long)]
    dry_run: bool,
    /// Only tell how far it is
    #[arg(long, conflicts_with_all = ["dry_run", "clients_per_second"])]
    status: bool,
}

#[derive(Args)]
struct PublishArgs {
    /// Topic name
    topic: String,
    /// Payload as text; "-" takes it from standard input
    payload: String,
    /// 0, 1 or 2
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Keep it as the topic's retained message
    #[arg(long)]
    retain: bool,
    /// Shown as the publisher
    #[arg(long, value_name = "CLIENTID")]
    client: Option<String>,
}

#[derive(Args)]
struct TailArgs {
    /// Only of this client
    #[arg(long, value_name = "CLIENTID")]
    client: Option<String>,
    /// Only with a topic that this filter matches
    #[arg(long, value_name = "FILTER")]
    topic: Option<String>,
    /// Only these kinds: connected,disconnected,taken_over,dropped,subscribed,unsubscribed
    #[arg(long, value_name = "KINDS")]
    event: Option<String>,
    /// Only of this node
    #[arg(long, value_name = "NODE")]
    node: Option<u64>,
}

impl CtlArgs {
    /// The plan; flags are stronger than the environment, where an empty variable counts as not given.
    ///
    /// # Errors
    ///
    /// An address, a token or a file that cannot be used.
    pub(super) fn plan(self, environment: &Environment) -> Result<Plan, Refusal> {
        let variable = |name: &str| {
            let found = environment.iter().find(|(own, _)| own == name);
            let text = found.and_then(|(_, value)| value.to_str().map(str::to_owned));
            text.filter(|text| !text.is_empty())
        };
        let url = self.url.or_else(|| variable(URL_VARIABLE));
        let token = self.token.or_else(|| variable(TOKEN_VARIABLE));
        let url = url.as_deref().unwrap_or(DEFAULT_URL);
        // The variable may stay set where some servers are asked without TLS.
        let authorities = self.ca.or_else(|| {
            let is_encrypted = url.starts_with("https://");
            variable(CA_VARIABLE)
                .filter(|_| is_encrypted)
                .map(PathBuf::from)
        });
        let client = Client::new(url, token.as_deref(), authorities.as_deref());
        Ok(Plan {
            client: client.map_err(|error| Refusal::Usage(error.to_string()))?,
            format: if self.json {
                Format::Json
            } else {
                Format::Table
            },
            command: self.command.command(),
        })
    }
}

impl CtlCommand {
    fn command(self) -> Command {
        match self {
            Self::Nodes => Command::Nodes,
            Self::Cluster => Command::Cluster,
            Self::Doctor => Command::Doctor,
            Self::Plugins => Command::Plugins,
            Self::Clients(args) => args.command(),
            Self::Kick { client_id } => Command::Kick { client_id },
            Self::Bans(list) => {
                let extent = list.extent();
                Command::Bans(given([("_limit", text(list.limit))]), extent)
            }
            Self::Ban(args) => args.command(),
            Self::Unban(args) => args.command(),
            Self::Subs(args) => args.command(),
            Self::Routes { topic, list } => Command::Routes {
                topic,
                limit: list.limit,
                extent: list.extent(),
            },
            Self::Explain {
                topic,
                from_node,
                qos,
                client,
                username,
                ip,
            } => Command::Explain(given([
                ("topic", Some(topic)),
                ("from_node", text(from_node)),
                ("qos", text(qos)),
                ("clientid", client),
                ("username", username),
                ("ip", text(ip)),
            ])),
            Self::Drain(args) => args.command(),
            Self::Undrain { node } => Command::Undrain { node },
            Self::Join {
                node,
                address,
                dry_run,
            } => Command::Join {
                node,
                address,
                wish: member_wish(dry_run),
            },
            Self::Remove { node, dry_run } => Command::Remove {
                node,
                wish: member_wish(dry_run),
            },
            Self::Publish(args) => args.command(),
            Self::Tail(args) => args.command(),
            Self::Top { once, interval } => Command::Top(Watch {
                interval: Duration::from_secs(interval),
                frames: if once { Frames::One } else { Frames::UntilEnd },
            }),
        }
    }
}

impl ListArgs {
    fn extent(&self) -> Extent {
        if self.all {
            Extent::All
        } else {
            Extent::OnePage
        }
    }
}

impl ClientsArgs {
    fn command(self) -> Command {
        let extent = self.list.extent();
        let parameters = given([
            ("clientid", self.client),
            ("_like_clientid", self.like),
            ("username", self.username),
            ("_like_username", self.like_username),
            ("ip_address", self.ip),
            ("listener", self.listener),
            ("connected", text(self.connected)),
            ("_gte_mqueue_len", text(self.min_queue)),
            ("_limit", text(self.list.limit)),
        ]);
        Command::Clients(parameters, extent)
    }
}

impl SubsArgs {
    fn command(self) -> Command {
        let extent = self.list.extent();
        let parameters = given([
            ("clientid", self.client),
            ("_match_topic", self.matching),
            ("topic", self.topic),
            ("share", self.share),
            ("_limit", text(self.list.limit)),
        ]);
        Command::Subscriptions(parameters, extent)
    }
}

impl DrainArgs {
    fn command(self) -> Command {
        Command::Drain {
            node: self.node,
            parameters: given([("clients_per_second", text(self.clients_per_second))]),
            wish: match (self.status, self.dry_run) {
                (true, _) => DrainWish::Progress,
                (false, true) => DrainWish::Forecast,
                (false, false) => DrainWish::Order,
            },
        }
    }
}

impl PublishArgs {
    fn command(self) -> Command {
        Command::Publish(Publication {
            topic: self.topic,
            payload: self.payload,
            qos: self.qos,
            retain: self.retain,
            client_id: self.client,
        })
    }
}

impl TailArgs {
    fn command(self) -> Command {
        Command::Tail(given([
            ("clientid", self.client),
            ("topic", self.topic),
            ("event", self.event),
            ("node", text(self.node)),
        ]))
    }
}

fn member_wish(dry_run: bool) -> MemberWish {
    match dry_run {
        true => MemberWish::Forecast,
        false => MemberWish::Change,
    }
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// The parameters that have a value.
fn given<const N: usize>(parameters: [(&'static str, Option<String>); N]) -> Parameters {
    let given = parameters.into_iter();
    given
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Job, parse};
    use super::*;
    use std::ffi::OsString;

    fn plan(arguments: &str, environment: &[(&str, &str)]) -> Result<Plan, Refusal> {
        let words = ["raftmq", "ctl"]
            .into_iter()
            .chain(arguments.split_whitespace());
        let variables = environment.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        match parse(words.map(OsString::from), variables.collect())? {
            Job::Control(plan) => Ok(*plan),
            other => panic!("{other:?}"),
        }
    }

    fn command(arguments: &str) -> Command {
        plan(arguments, &[]).expect(arguments).command
    }

    #[test]
    fn the_url_is_a_flag_or_a_variable_or_this_machine() {
        let url = |arguments: &str, environment: &[(&str, &str)]| {
            plan(arguments, environment)
                .expect("a plan")
                .client
                .url()
                .to_owned()
        };
        let variable = [("RAFTMQ_URL", "http://b:1"), ("RAFTMQ_TOKEN", "t")];
        assert_eq!(url("nodes --url http://a:1", &variable), "http://a:1");
        assert_eq!(url("--url http://a:1 nodes", &variable), "http://a:1");
        assert_eq!(url("nodes", &variable), "http://b:1");
        assert_eq!(url("nodes", &[("RAFTMQ_URL", "")]), DEFAULT_URL);
    }

    #[test]
    fn the_variables_do_not_disturb_a_node() {
        let variables = [
            ("RAFTMQ_URL", "http://b:1"),
            ("RAFTMQ_TOKEN", "t"),
            ("RAFTMQ_CA", "ca.pem"),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let line = ["raftmq", "check"].map(OsString::from);
        assert!(parse(line, variables.to_vec()).is_ok());
    }

    #[test]
    fn json_is_asked_for_anywhere() {
        for arguments in ["--json nodes", "nodes --json"] {
            assert_eq!(plan(arguments, &[]).expect("a plan").format, Format::Json);
        }
    }

    #[test]
    fn filters_become_parameters() {
        assert_eq!(
            command("clients --like a --listener tls --connected false --limit 5"),
            Command::Clients(
                vec![
                    ("_like_clientid", "a".to_owned()),
                    ("listener", "tls".to_owned()),
                    ("connected", "false".to_owned()),
                    ("_limit", "5".to_owned()),
                ],
                Extent::OnePage
            )
        );
        assert_eq!(
            command("subs --match a/b --all"),
            Command::Subscriptions(vec![("_match_topic", "a/b".to_owned())], Extent::All)
        );
        assert_eq!(
            command("tail --event connected --node 2"),
            Command::Tail(vec![
                ("event", "connected".to_owned()),
                ("node", "2".to_owned())
            ])
        );
    }

    #[test]
    fn a_drain_is_ordered_or_only_looked_at() {
        let drain = |parameters, wish| Command::Drain {
            node: 2,
            parameters,
            wish,
        };
        let pace = vec![("clients_per_second", "5".to_owned())];
        assert_eq!(command("drain 2"), drain(vec![], DrainWish::Order));
        assert_eq!(
            command("drain 2 --dry-run --clients-per-second 5"),
            drain(pace, DrainWish::Forecast)
        );
        assert_eq!(
            command("drain 2 --status"),
            drain(vec![], DrainWish::Progress)
        );
        assert_eq!(command("undrain 2"), Command::Undrain { node: 2 });
    }

    #[test]
    fn members_come_and_go() {
        let join = Command::Join {
            node: 4,
            address: "n4:5363".to_owned(),
            wish: MemberWish::Change,
        };
        assert_eq!(command("join 4 n4:5363"), join);
        let remove = |wish| Command::Remove { node: 4, wish };
        assert_eq!(command("remove 4"), remove(MemberWish::Change));
        assert_eq!(command("remove 4 --dry-run"), remove(MemberWish::Forecast));
    }

    #[test]
    fn a_message_is_described() {
        let expected = Publication {
            topic: "a/b".to_owned(),
            payload: "hi".to_owned(),
            qos: 1,
            retain: true,
            client_id: None,
        };
        assert_eq!(
            command("publish a/b hi --qos 1 --retain"),
            Command::Publish(expected)
        );
    }

    #[test]
    fn wrong_usage_is_refused() {
        for arguments in [
            "",
            "explode",
            "kick",
            "join 4",
            "remove",
            "publish a hi --qos 3",
            "top --interval 0",
            "clients --limit 1 --all",
            "clients --connected maybe",
        ] {
            let refused = plan(arguments, &[]);
            assert!(
                matches!(refused, Err(Refusal::CommandLine(_))),
                "{arguments}"
            );
        }
        for arguments in [
            "nodes --url ftp://a",
            "nodes --url https://a --ca /nowhere/ca.pem",
            "nodes --ca /nowhere/ca.pem",
        ] {
            let refused = plan(arguments, &[]);
            assert!(matches!(refused, Err(Refusal::Usage(_))), "{arguments}");
        }
        let variable = [("RAFTMQ_CA", "/nowhere/ca.pem")];
        assert!(plan("nodes", &variable).is_ok());
        assert!(plan("nodes --url https://a", &variable).is_err());
    }
}
