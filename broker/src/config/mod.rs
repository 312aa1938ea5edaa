//! The static configuration: what a node is told once, before it opens a port.
//!
//! One path: the defaults, then the TOML file, then the environment (`RAFTMQ_<GROUP>_<NAME>`),
//! then the command line; the later one wins. A cluster member that starts with half of what its
//! operator meant is worse than one that does not start, so every layer is read to its end and
//! *all* problems are reported together, each with the file, line and column, the variable or the
//! flag that it comes from: unknown names, wrong types, values out of range, and settings that
//! contradict each other.
//!
//! Every setting is described once, in [`settings`](SETTINGS): its type, default, range and
//! meaning. The structs, the parser, `raftmq config`, the example file and the reference in the
//! README all come from that description.
//!
//! Nothing here touches the network, and no setting changes while the node runs.

mod agreement;
mod check;
mod check_listeners;
mod environment;
mod file;
mod limits;
mod listener;
mod load;
mod origin;
mod reference;
mod settings;
mod suggest;
mod types;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use check::why_not_members;
pub(crate) use environment::CTL_VARIABLES;
pub use ipnet::IpNet;
pub use limits::{OpenFiles, raise_open_files};
pub use listener::{ListenerConfig, Listeners};
pub use load::{FILE_VARIABLE, FlagValue, Loaded, Sources, load, read};
pub use origin::{Origin, Problem, Problems};
pub use reference::{default_toml, effective_toml, markdown};
pub use settings::{
    ClusterConfig, Config, HttpConfig, LogConfig, MqttConfig, NodeConfig, PluginsConfig, RpcConfig,
    SETTINGS, Setting,
};
pub use types::{
    ByteCount, CertificateName, CertificateUse, ClientCertificates, Durability, LogFilter,
    LogFormat, MQTT_LISTENER, PartitionPolicy, Peer, ProxyProtocol, QueueDrop, Secret,
    TransportKind,
};
