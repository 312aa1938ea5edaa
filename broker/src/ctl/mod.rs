//! `raftmq ctl`: the HTTP API of any node, for people at a terminal.
//!
//! Everything shown comes from the API, and everything the API says is shown: an answer that misses
//! a node is followed by a warning on standard error. With `--json` the server's own JSON is printed
//! instead of tables.

mod answer;
mod bans;
mod clients;
mod cluster;
mod generic;
mod members;
mod publish;
mod request;
mod routes;
mod screen;
mod table;
mod tail;
mod top;

#[cfg(test)]
mod tests;

use raftmq_api::client::{Client, ClientError};
use request::Server;
use std::{io, time::Duration};

/// What is asked, of whom, and how it is shown.
#[derive(Debug)]
pub struct Plan {
    /// The node's API.
    pub client: Client,
    /// How answers are shown.
    pub format: Format,
    /// What is asked.
    pub command: Command,
}

/// How answers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// The server's JSON.
    Json,
}

/// How much of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One answer: as many rows as the server gives at once.
    OnePage,
    /// Page after page to the end.
    All,
}

/// The parameters of a query string, in order.
pub type Parameters = Vec<(&'static str, String)>;

/// What is asked.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Machine and load of each node.
    Nodes,
    /// Leader, roles, logs and links.
    Cluster,
    /// What is wrong, and how to fix it.
    Doctor,
    /// Plugins of each node.
    Plugins,
    /// Clients and waiting sessions.
    Clients(Parameters, Extent),
    /// Disconnects a client and ends its session.
    Kick {
        /// Client identifier.
        client_id: String,
    },
    /// Who is kept out.
    Bans(Parameters, Extent),
    /// Keeps somebody out.
    Ban(Ban),
    /// Lets somebody in again.
    Unban(Banned),
    /// Who subscribes to what.
    Subscriptions(Parameters, Extent),
    /// Which filters go to which nodes; with a topic, where that goes.
    Routes {
        /// Topic name.
        topic: Option<String>,
        /// At most so many rows.
        limit: Option<u32>,
        /// How many answers.
        extent: Extent,
    },
    /// Who would get a message, and why.
    Explain(Parameters),
    /// Sends a node's clients to the others, or tells what that would mean, or how far it is.
    Drain {
        /// The node.
        node: u64,
        /// Pace, when it is given.
        parameters: Parameters,
        /// What is wanted.
        wish: DrainWish,
    },
    /// Lets a node take clients again.
    Undrain {
        /// The node.
        node: u64,
    },
    /// Lets a running node into the cluster.
    Join {
        /// The node.
        node: u64,
        /// "host:port" of its RPC service.
        address: String,
        /// What is wanted.
        wish: MemberWish,
    },
    /// Takes a node out of the cluster, for good.
    Remove {
        /// The node.
        node: u64,
        /// What is wanted.
        wish: MemberWish,
    },
    /// Publishes a message.
    Publish(Publication),
    /// Follows events.
    Tail(Parameters),
    /// Rates of each node.
    Top(Watch),
}

/// Who is banned: as the API names it, and whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banned {
    /// `clientid`, `username`, `peerhost` or `peerhost_net`.
    pub named_as: &'static str,
    /// Whom.
    pub who: String,
}

/// A ban to be ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Whom.
    pub banned: Banned,
    /// For how long; `None`: for good.
    pub time: Option<Duration>,
    /// Why, for people.
    pub reason: Option<String>,
    /// Who orders it, for people.
    pub by: String,
}

/// What is wanted of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainWish {
    /// The forecast, then the order.
    Order,
    /// The forecast alone.
    Forecast,
    /// How far it is.
    Progress,
}

/// What is wanted of a change of the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberWish {
    /// The forecast, then the change.
    Change,
    /// The forecast alone.
    Forecast,
}

/// A message to be published.
#[derive(Debug, PartialEq, Eq)]
pub struct Publication {
    /// Topic name.
    pub topic: String,
    /// Payload as text; `-`: what standard input holds.
    pub payload: String,
    /// 0 to 2.
    pub qos: u8,
    /// Whether it is kept as the topic's retained message.
    pub retain: bool,
    /// Shown as the publisher.
    pub client_id: Option<String>,
}

/// How rates are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Time between two looks.
    pub interval: Duration,
    /// How often they are shown.
    pub frames: Frames,
}

/// How often rates are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// Once.
    One,
    /// Until the user has had enough.
    UntilEnd,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server answered with an error; its own words.
    #[error("{0}")]
    Refused(String),
    /// The server's answer makes no sense.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
    /// Standard input, standard output or the terminal.
    #[error("{0}")]
    Terminal(#[from] io::Error),
}

/// Does what is asked and prints the answer.
///
/// # Errors
/// [`Failure`]; nothing has been printed to standard output then, except by `tail` and `top`.
pub fn run(plan: Plan) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let server = Server::new(plan.client, plan.format);
    let ended = runtime.block_on(perform(&server, plan.command));
    // A thread may wait for a key that nobody will press.
    runtime.shutdown_background();
    ended.or_else(unless_reader_left)
}

/// A reader that has had enough (`raftmq ctl clients | head`) is no failure.
fn unless_reader_left(failure: Failure) -> Result<(), Failure> {
    match failure {
        Failure::Terminal(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Err(other),
    }
}

async fn perform(server: &Server, command: Command) -> Result<(), Failure> {
    match command {
        Command::Nodes => cluster::nodes(server).await,
        Command::Cluster => cluster::shown(server, "/cluster").await,
        Command::Doctor => cluster::shown(server, "/cluster/doctor").await,
        Command::Plugins => cluster::plugins(server).await,
        Command::Clients(parameters, extent) => clients::list(server, &parameters, extent).await,
        Command::Kick { client_id } => clients::kick(server, &client_id).await,
        Command::Bans(parameters, extent) => bans::list(server, &parameters, extent).await,
        Command::Ban(ban) => bans::ban(server, &ban).await,
        Command::Unban(banned) => bans::unban(server, &banned).await,
        Command::Subscriptions(parameters, extent) => {
            routes::subscriptions(server, &parameters, extent).await
        }
        Command::Routes {
            topic,
            limit,
            extent,
        } => routes::list(server, topic.as_deref(), limit, extent).await,
        Command::Explain(parameters) => routes::explain(server, &parameters).await,
        Command::Drain {
            node,
            parameters,
            wish,
        } => members::drain(server, node, &parameters, wish).await,
        Command::Undrain { node } => members::undrain(server, node).await,
        Command::Join {
            node,
            address,
            wish,
        } => members::join(server, node, &address, wish).await,
        Command::Remove { node, wish } => members::remove(server, node, wish).await,
        Command::Publish(publication) => publish::publish(server, publication).await,
        Command::Tail(parameters) => tail::follow(server, &parameters).await,
        Command::Top(watch) => top::watch(server, watch).await,
    }
}
