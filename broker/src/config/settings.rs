//! The description of every setting, once: group, name, type, default, range and meaning.
//!
//! The macro makes of it the structs that the program reads, and the table ([`SETTINGS`]) that
//! the parser, the printed configuration and the reference walk.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::listener::Listeners;
use super::types::{
    ByteCount, Durability, LogFilter, LogFormat, PartitionPolicy, Peer, ProxyProtocol, QueueDrop,
    Secret,
};
use super::value::Value;

/// The smallest and the largest value, both allowed, in the unit of the type: bytes,
/// milliseconds, or the number itself.
pub(super) type Range = (u64, u64);

/// One setting of the configuration.
pub struct Setting {
    /// `group.name`, as in the file.
    pub key: &'static str,
    /// What it means, in Markdown; begins with a space.
    doc: &'static str,
    pub(super) range: Option<Range>,
    pub(super) slot: for<'a> fn(&'a mut Config) -> &'a mut dyn Value,
}

impl Setting {
    /// The group: the name of the table in the file.
    pub fn group(&self) -> &'static str {
        self.key
            .split_once('.')
            .map_or(self.key, |(group, _)| group)
    }

    /// The name within its group.
    pub fn name(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, name)| name)
    }

    /// The environment variable: `RAFTMQ_`, the group, `_`, the name, all in capitals.
    pub fn variable(&self) -> String {
        format!("RAFTMQ_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// What it means, in Markdown, one paragraph.
    pub fn doc(&self) -> String {
        self.doc.trim().to_owned()
    }

    /// The setting of this key.
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

/// A table of the file.
pub(super) struct Group {
    pub name: &'static str,
    pub doc: &'static str,
}

macro_rules! settings {
    ($(
        $(#[doc = $group_doc:literal])+
        $group:ident: $Group:ident {$(
            $(#[doc = $doc:literal])+
            $field:ident: $type:ty = $default:expr $(, $low:expr => $high:expr)?;
        )+}
    )+) => {
        $(
            $(#[doc = $group_doc])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Group {$(
                $(#[doc = $doc])+
                pub $field: $type,
            )+}

            impl Default for $Group {
                fn default() -> Self {
                    Self { $($field: $default,)+ }
                }
            }
        )+

        /// The whole configuration of a node, checked.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Config {$(
            $(#[doc = $group_doc])+
            pub $group: $Group,
        )+
            /// Listeners beside `mqtt.addr`, by name.
            pub listeners: Listeners,
        }

        pub(super) static GROUPS: &[Group] = &[$(
            Group { name: stringify!($group), doc: concat!($($group_doc),+) },
        )+];

        /// Every setting, in the order of the reference.
        pub static SETTINGS: &[Setting] = &[$($(
            Setting {
                key: concat!(stringify!($group), ".", stringify!($field)),
                doc: concat!($($doc),+),
                range: settings!(@range $($low => $high)?),
                slot: |config| &mut config.$group.$field,
            },
        )+)+];
    };
    (@range) => { None };
    (@range $low:expr => $high:expr) => { Some(($low, $high)) };
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// The largest MQTT packet: remaining length 268,435,455 [MQTT-2.1.4] and a header of 5 bytes.
pub(super) const MAX_PACKET_SIZE: u64 = 268_435_455 + 5;
/// The largest session expiry interval below "never", in milliseconds.
const EXPIRY_MAX: u64 = u32::MAX as u64 * SECOND;

settings! {
    /// This node: who it is and where its files are.
    node: NodeConfig {
        /// Number of this node in the cluster. It must be given when `cluster.peers` names more than one node, and must be one of them.
        id: u64 = 1, 1 => 65_535;
        /// Name shown by the HTTP API; `<id>@<address>` when it is not given.
        name: Option<String> = None, 1 => 64;
        /// Directory of everything this node keeps on disk; made when it is missing. One node per directory.
        data_dir: PathBuf = PathBuf::from("./data");
        /// How long a node that stops may take to hand over and to flush before it ends anyway.
        stop_timeout: Duration = seconds(10), 100 => HOUR;
    }

    /// The MQTT listener and the limits of its clients.
    mqtt: MqttConfig {
        /// Address and port of MQTT over TCP.
        addr: SocketAddr = any(1883);
        /// Single-threaded runtimes that share the connections; `0` is one per core.
        shards: usize = 0, 0 => 1_024;
        /// Largest packet accepted from a client, header included. MQTT 5 clients are told (Maximum Packet Size); a client that sends more is disconnected.
        max_packet_size: ByteCount = ByteCount(MIB as usize), KIB => MAX_PACKET_SIZE;
        /// Connections at once. The limit of open files (`ulimit -n`) bounds it too, whichever is lower.
        max_connections: usize = 1_000_000, 1 => 100_000_000;
        /// How long a new connection may take to send its whole CONNECT (and the PROXY header before it).
        connect_timeout: Duration = seconds(10), 100 => 300 * SECOND;
        /// Shortest keep alive in force: a client that asks for less, but not for none, is told this one if it speaks MQTT 5, and is waited for that long in any case.
        min_keep_alive: Duration = seconds(0), 0 => 65_535 * SECOND;
        /// Longest keep alive. MQTT 5 clients that ask for more are told this one (Server Keep Alive).
        max_keep_alive: Duration = seconds(65_535), SECOND => 65_535 * SECOND;
        /// A client is gone when nothing has arrived from it for its keep alive times this. MQTT says 1.5; more is kinder to slow links.
        keep_alive_multiplier: f64 = 1.5, 1 => 10;
        /// Silence after which the kernel asks a TCP client whether it is still there (TCP keep-alive), and how long it has to answer; `0s`: never.
        tcp_keepalive: Duration = seconds(0), 0 => 7_200 * SECOND;
        /// PUBLISH packets per second from one client, as many at once; more are not read until there is room. `0` is no limit.
        max_messages_per_second: u32 = 0, 0 => 10_000_000;
        /// Bytes per second from one client, as many at once; more are not read until there is room. `0` is no limit.
        max_bytes_per_second: ByteCount = ByteCount(0), 0 => GIB;
        /// QoS 1 and 2 messages in flight to or from one client at once (the Receive Maximum that is announced).
        max_inflight: u16 = 1_000, 1 => 65_535;
        /// Messages that wait for one session beyond those in flight. When it is full, something is dropped and counted: QoS 0 first, then as `queue_drop` says.
        max_queued_messages: usize = 1_000, 0 => 10_000_000;
        /// Which QoS 1 or 2 message a full queue drops: `newest`, the one that arrives, or `oldest`, the one that has waited longest.
        queue_drop: QueueDrop = QueueDrop::Newest;
        /// Whether QoS 0 messages wait, too, for a session whose client is offline.
        queue_qos0: bool = false;
        /// Where what sessions that outlive their connection are owed is kept. `durable`: on disk; a QoS 1 or 2 PUBLISH is acknowledged when it is there. `memory`: lost when the node ends.
        sessions: Durability = Durability::Disk;
        /// Lifetime of the session of an MQTT 3.1.1 client that connects with clean session 0, after it has disconnected.
        session_expiry_default: Duration = seconds(7_200), SECOND => EXPIRY_MAX;
        /// Longest session expiry interval. MQTT 5 clients that ask for more are told this one. `4294967295s` is "never".
        max_session_expiry: Duration = seconds(7 * 86_400), SECOND => EXPIRY_MAX;
        /// Levels in a topic name or filter.
        max_topic_levels: usize = 128, 1 => 128;
        /// Subscriptions of one session; `0` is no limit.
        max_subscriptions: usize = 100_000, 0 => 10_000_000;
        /// Highest QoS granted and accepted.
        max_qos: u8 = 2, 0 => 2;
        /// Whether messages may be retained. MQTT 5 clients are told (Retain Available).
        retain_available: bool = true;
        /// Whether a message to `$delayed/<seconds>/<topic>` is published to `<topic>` later. Without it such a topic is one like any other.
        delayed_publish: bool = true;
        /// Messages in the cluster that wait to be published later; beyond it 0x97. `0`: none may.
        max_delayed_messages: u64 = 100_000, 0 => 10_000_000;
        /// Whether filters may have wildcards. MQTT 5 clients are told, and disconnected with 0xA2 when they subscribe to one all the same; older ones get 0x80.
        wildcard_subscription_available: bool = true;
        /// Whether there are shared subscriptions (`$share/<group>/<filter>`). MQTT 5 clients are told; 0x9E, or 0x80 for older ones.
        shared_subscription_available: bool = true;
        /// Whether subscriptions may have identifiers. MQTT 5 clients are told; 0xA1.
        subscription_identifier_available: bool = true;
        /// Topic aliases per connection and direction: how many a client may set (Topic Alias Maximum), and how many it is sent if it takes as many. `0`: none. They cost memory once they are used.
        topic_alias_max: u16 = 32, 0 => 65_535;
        /// Response Information for MQTT 5 clients that ask for it: the beginning of their response topics. `${clientid}` and `${username}` are filled in; a client where that gives no topic name is told none.
        response_information: Option<String> = None, 1 => 1_024;
        /// Whether the payload of a PUBLISH or a will that says it is UTF-8 (Payload Format Indicator) is checked. 0x99 when it is not; without the check it is passed on as it is.
        check_payload_format: bool = false;
        /// Longest client identifier of an MQTT 3.1 client, in characters. That standard says 23; more lets clients in that never kept to it.
        max_client_id_3_1: usize = 23, 23 => 65_535;
        /// A connection from a source in `proxy_trusted` may begin with a PROXY protocol header of this version (`any`: of either one), before TLS and WebSocket; its address is then the client's. Connections from elsewhere are taken as they are.
        proxy_protocol: ProxyProtocol = ProxyProtocol::Off;
        /// Networks of the load balancers that are believed. By default loopback and the private ranges.
        proxy_trusted: Vec<IpNet> = private_networks();
        /// Bytes that wait for one connection whose client reads slowly. Beyond it QoS 0 messages for that client are dropped and QoS 1 and 2 wait in its queue. At least `max_packet_size`.
        out_buffer: ByteCount = ByteCount(MIB as usize), 16 * KIB => GIB;
        /// How MQTT clients find this node, as `host:port`. A node that is draining names the other nodes' to its MQTT 5 clients (Server Reference); without it they are only told to go.
        server_reference: Option<String> = None, 1 => 1_024;
        /// Whether a client without a user name is let in.
        allow_anonymous: bool = true;
    }

    /// The HTTP API.
    http: HttpConfig {
        /// Address and port of the HTTP API.
        addr: SocketAddr = any(6060);
        /// When given, every `/api/v1` request must carry `Authorization: Bearer <token>`. Better in the environment or in a file than in a flag, which other users of the machine can see.
        bearer_token: Option<Secret> = None, 1 => 4_096;
        /// Most rows of one answer.
        max_row_limit: usize = 10_000, 1 => 1_000_000;
        /// How long another node may take to answer its part of a request.
        peer_timeout: Duration = seconds(5), 10 => 300 * SECOND;
        /// PEM file of the certificate, followed by those that lead to its root. Given together with `tls_key`, the API speaks TLS 1.2 and 1.3 and nothing else. A changed file is in force within seconds.
        tls_certificate: Option<PathBuf> = None;
        /// PEM file of the certificate's private key, not encrypted.
        tls_key: Option<PathBuf> = None;
        /// Requests per second from one client address (IPv6: one /64), twice as many at once; beyond it 429. `/live` and `/ready` are not counted. Behind a proxy that is not in `proxy_trusted` all clients have its address. `0` is no limit.
        max_requests_per_second_per_address: u32 = 1_000, 0 => 10_000_000;
        /// Requests per second from all clients together, twice as many at once; beyond it 429. `0` is no limit.
        max_requests_per_second: u32 = 0, 0 => 10_000_000;
        /// Requests without the right token from one client address in a minute; beyond it everything from there that needs the token is 429 for a while, so that nobody finds it out by trying. `0` is no limit.
        max_wrong_tokens_per_minute: u32 = 60, 0 => 1_000_000;
        /// Networks of the proxies that are believed when they name the client's address in `X-Forwarded-For`.
        proxy_trusted: Vec<IpNet> = Vec::new();
        /// Connections served at once; more wait to be accepted.
        max_connections: usize = 1_024, 1 => 1_000_000;
        /// How long a client may take for the header of a request, and be silent between two.
        header_timeout: Duration = seconds(30), 100 => 300 * SECOND;
        /// How long a client may take for the body of a request.
        request_timeout: Duration = seconds(30), 100 => 300 * SECOND;
    }

    /// The port on which the nodes of a cluster talk to each other.
    rpc: RpcConfig {
        /// Address and port for the other nodes. When it is not given and `cluster.peers` names more than one node, all addresses of the machine are listened on, with the port of this node's own entry there.
        addr: SocketAddr = loopback(5363);
    }

    /// The cluster: its members and its clock.
    cluster: ClusterConfig {
        /// The static list of 1, 3 or 5 members, as `id@host:port` of their RPC ports: a list of strings (or of tables with `id` and `address`) in the file, with commas between them elsewhere. The same on every node. Empty: a single node.
        peers: Vec<Peer> = Vec::new();
        /// Whether this node joins a cluster instead of forming one: it waits until an operator admits it (`raftmq ctl join`). `peers` then names this node and at least one member, in any number. Once it is a member, the membership in the log counts, whatever `peers` says.
        join: bool = false;
        /// How often the leader reports to the other nodes and renews their leases.
        heartbeat: Duration = millis(100), 10 => 10 * SECOND;
        /// Shortest silence of the leader after which a node stands for election. At least 3 heartbeats.
        election_min: Duration = millis(300), 50 => 60 * SECOND;
        /// Longest such silence; each node draws between the two. Greater than `election_min`.
        election_max: Duration = millis(600), 100 => 120 * SECOND;
        /// How long a node may serve clients after it last heard of the leader. At least 3 heartbeats. A node that is cut off holds up acknowledgements of the others at most this long.
        lease: Duration = millis(1_500), 100 => 60 * SECOND;
        /// What a node without a lease does. `pause`: it takes no CONNECT and no SUBSCRIBE, acknowledges no QoS 1 or 2 PUBLISH, and disconnects its clients after `partition_grace`.
        partition_policy: PartitionPolicy = PartitionPolicy::Pause;
        /// How long a node without a lease keeps its clients connected.
        partition_grace: Duration = seconds(10), 0 => HOUR;
        /// Bytes sent to another node and not yet acknowledged by it, before QoS 0 is dropped and QoS 1 and 2 push back on the publishers. At least `mqtt.max_packet_size`.
        link_window: ByteCount = ByteCount(8 * MIB as usize), 64 * KIB => GIB;
        /// Changes of the replicated table (connects, subscribes, ...) that wait on this node for the leader, before new ones wait at their clients.
        proposal_queue: usize = 16_384, 64 => 1_048_576;
    }

    /// Plugins: parts that can be switched and configured while the node runs.
    plugins: PluginsConfig {
        /// Directory of the plugins' files, `<name>.toml` each. A plugin without a file has its defaults.
        dir: PathBuf = PathBuf::from("./etc/plugins");
        /// Plugins that work from the start, beside those that always do (`rmqtt-cluster-raft`, `rmqtt-counter`, `rmqtt-http-api`).
        default_startups: Vec<String> = default_startups();
    }

    /// The log, on standard error.
    log: LogConfig {
        /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`, `off`), also for single modules: `info,raftmq=debug`.
        filter: LogFilter = LogFilter("info,openraft=off".to_owned());
        /// `text` or `json` (one object per line).
        format: LogFormat = LogFormat::Text;
        /// Whether each line begins with the time (UTC).
        timestamps: bool = true;
    }
}

const fn any(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn default_startups() -> Vec<String> {
    ["rmqtt-retainer", "rmqtt-shared-subscription"]
        .map(str::to_owned)
        .into()
}

/// Loopback (RFC 1122, RFC 4291), the private ranges (RFC 1918) and unique local addresses
/// (RFC 4193): where a load balancer of one's own usually is, and where nobody can come from
/// through the Internet.
fn private_networks() -> Vec<IpNet> {
    let network = |a, b, length| IpNet::new_assert(Ipv4Addr::new(a, b, 0, 0).into(), length);
    vec![
        network(127, 0, 8),
        network(10, 0, 8),
        network(172, 16, 12),
        network(192, 168, 16),
        IpNet::new_assert(std::net::Ipv6Addr::LOCALHOST.into(), 128),
        IpNet::new_assert(
            std::net::Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0).into(),
            7,
        ),
    ]
}

impl Config {
    /// The static list; a single node without one is its own only member, reached at `rpc.addr`.
    pub fn members(&self) -> Vec<Peer> {
        if self.cluster.peers.is_empty() {
            vec![Peer {
                id: self.node.id,
                address: self.rpc.addr.to_string(),
            }]
        } else {
            self.cluster.peers.clone()
        }
    }

    /// The address at which the other nodes reach this one.
    pub fn own_address(&self) -> String {
        let own = |peer: &&Peer| peer.id == self.node.id;
        match self.cluster.peers.iter().find(own) {
            Some(peer) => peer.address.clone(),
            None => self.rpc.addr.to_string(),
        }
    }

    /// Where to listen for the other nodes.
    pub fn rpc_listen_addr(&self) -> SocketAddr {
        self.rpc.addr
    }

    /// Whether any client's session may have to be on disk.
    pub fn keeps_sessions_on_disk(&self) -> bool {
        let listeners = self.listeners.values();
        let mut own = listeners.filter_map(|listener| listener.sessions);
        self.mqtt.sessions == Durability::Disk || own.any(|sessions| sessions == Durability::Disk)
    }

    /// `node.name`, or `<id>@<address>` without one.
    pub fn node_name(&self) -> String {
        let unnamed = || format!("{}@{}", self.node.id, self.own_address());
        self.node.name.clone().unwrap_or_else(unnamed)
    }
}
