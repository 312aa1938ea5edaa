//! The replicated table: who is connected where, who subscribes to what, which topics go to which
//! nodes, what is retained. One Raft group keeps it the same on every node.
//!
//! The public face is small: [`Store::propose`] changes the table, [`Store::table`] reads it,
//! [`Store::lease`] says whether this node may serve. openraft and sled stay inside.
//! This crate knows nothing of sockets of clients, MQTT packets or HTTP; of MQTT it uses the topic
//! rules alone (`raftmq_mqtt::topic`).

// openraft's own errors are that large, and its traits want them by value.
#![allow(clippy::result_large_err)]

mod applied;
mod batcher;
mod campaigning;
mod checkpoints;
mod clock;
mod compaction;
mod config;
mod error;
mod failure;
mod fence;
#[cfg(test)]
mod fixtures;
mod formation;
mod hand_over;
mod identity;
mod leader;
mod lease;
mod leases;
mod life;
mod lives;
mod local;
mod log;
mod membership;
mod network;
mod progress;
mod progress_links;
mod raft_types;
mod read_index;
mod reserve;
mod snapshot;
mod state_machine;
mod status;
mod store;
pub mod table;
mod wire;

pub use applied::{Observer, Phase};
pub use batcher::Proposal;
pub use checkpoints::NoTableHash;
pub use config::{Limits, Peer, StoreConfig, Timing};
pub use error::{OpenError, ProposeError, ReadError};
pub use identity::{Identity, IdentityError};
pub use lease::Lease;
pub use log::{FlushTimes, LogOpenError};
pub use membership::{MembershipChange, MembershipError, Mode};
pub use network::service::RaftService;
pub use status::{ClusterStatus, MemberStatus, Readiness, Role};
pub use store::Store;
