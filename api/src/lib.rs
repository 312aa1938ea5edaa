//! The HTTP API of a node, which answers for the whole cluster.
//!
//! One module per resource ([`serve`] knows them all). Replicated state is read from the table of
//! this node; live state is asked from every node through one interface, [`node::Node`], which the
//! local node and the client of a peer implement alike. Peers are asked at the same time, each with
//! a deadline; one that does not answer never makes an answer silently shorter.
//!
//! This crate knows nothing of how a session works: it has no MQTT packet and no socket of a client.

mod api;
pub mod client;
mod cluster;
pub mod counters;
mod dashboard;
pub mod event;
mod http;
pub mod machine;
pub mod node;
mod openapi;
mod replicated;
mod resources;
mod router;
mod time;

pub use api::{Api, ApiConfig, ApiParts, Phase};
pub use http::server::serve;
pub use http::tls::{
    FileStamp, Tls, TlsError, TlsFiles, TlsIdentity, Validity, certificates, revocation_lists,
};
pub use node::{Identity, Node, NodeError, PeerNode, query_server};
pub use replicated::{
    BanRefusal, DrainOrder, DrainRefusal, KnownDrain, KnownNode, KnownRetained, KnownSession,
    KnownSubscription, PIECE_RETAINED, PIECE_ROWS, PIECE_SESSIONS, ReplicatedView,
    ReplicationError, RetainedPiece, Subscribing, SubscriptionPiece, SubscriptionPlace,
    SubscriptionScope,
};
