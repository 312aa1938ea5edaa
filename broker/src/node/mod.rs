//! One node of a cluster: builds the parts, wires them, and takes them down in order. No logic of
//! the parts is here.

mod bans;
mod drain;
mod explain;
mod history;
mod http;
mod insight;
mod learning;
mod listing;
mod local;
mod questions;
mod replicated;
mod retained;
mod sampling;
mod share_members;
mod start;
mod stop;
mod verdict;
mod vitals;

use crate::{engine::Engine, shard::ShardThreads};
use raftmq_api::Phase;
use std::{net::SocketAddr, sync::Arc};
use tokio::{sync::watch, task::JoinHandle};

pub use http::HttpFace;
pub use start::StartError;

/// A running node.
pub struct Node {
    engine: Arc<Engine>,
    shards: ShardThreads,
    addresses: Addresses,
    http: HttpFace,
    switches: Switches,
    servers: Vec<JoinHandle<()>>,
    /// Those of the HTTP API, and of what other nodes ask for it.
    questions: questions::QuestionThreads,
    stop_timeout: std::time::Duration,
}

/// Where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// MQTT over TCP.
    pub mqtt: SocketAddr,
    /// HTTP API.
    pub http: SocketAddr,
    /// Other nodes.
    pub rpc: SocketAddr,
}

/// What tells the parts in which phase of its life the node is.
struct Switches {
    stopping: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    phase: watch::Sender<Phase>,
}

impl Node {
    /// Where the node listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// How the HTTP API shows itself to the network.
    pub fn http(&self) -> HttpFace {
        self.http
    }

    /// Resolves, with the reason, when the node cannot go on.
    pub async fn failed(&self) -> String {
        match &self.engine.journal {
            None => self.engine.store.failed().await,
            Some(journal) => tokio::select! {
                reason = self.engine.store.failed() => reason,
                reason = journal.failed() => reason,
            },
        }
    }
}
