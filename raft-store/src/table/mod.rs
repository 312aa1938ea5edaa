//! The replicated table: a pure state machine. Applying is a function of (table, log entry); it reads
//! no clock, no random numbers, and no order of a hash map shows in a result.
//!
//! | room | concern |
//! | --- | --- |
//! | [`apply`](self) | commands, one function each |
//! | `sessions`, `subscribers`, `retained`, `bans`, `delayed` | the state, each with its indexes |
//! | `query`, `listing` | routing and single rows; long lists in pieces |
//! | `snapshot` | the state as a file |
//! | `hash` | the state as a number |
//! | `shared` | the table beside its readers: locks and generations |
//!
//! It knows nothing of Raft, sockets or disks.

mod apply;
mod bans;
mod counts;
mod delayed;
mod hash;
mod ids;
mod listing;
mod outcome;
mod query;
mod retained;
mod sessions;
mod shared;
mod snapshot;
mod subscribers;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use bans::{BANS_MAX, Ban, BanOf, Suspect};
pub use counts::Counts;
pub use delayed::DelayedMessage;
pub use ids::{Epoch, Incarnation, NodeId};
pub use listing::{Listed, Piece, Place, Scope};
pub use outcome::{Applied, Countable, EndReason, Ended, Outcome, Previous, Refusal, TableEvent};
pub use query::{ShareMember, Subscriber, Visitor};
pub use sessions::{Session, Subscription};
pub use shared::{Newest, NodeLife, Overflowed, SharedTable, TableGuard};
pub use snapshot::{Frozen, RestoreError};

/// A node as the table knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// Its current or last life.
    pub incarnation: u64,
    /// Whether that life goes on.
    pub is_up: bool,
    /// Name for humans.
    pub name: Arc<str>,
    /// "host:port" for the other nodes.
    pub rpc_address: Arc<str>,
    /// Version of the program.
    pub version: Arc<str>,
    /// Since when it is up or down, Unix milliseconds.
    pub since_ms: u64,
    /// Sequence number of its last command that was looked at.
    pub last_seq: u64,
    /// Set while an operator has its clients sent away, over all its lives.
    pub drain: Option<Drain>,
    /// Server Reference that leads MQTT clients to it (MQTT 5 §4.13); empty: it has none.
    pub server_reference: Arc<str>,
    /// Its data directory's id in the Raft group; 0: an earlier version did not tell.
    pub raft_id: u64,
}

/// An operator's order to send the clients of a node away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How many at most; 0: they stay, and only new ones are sent elsewhere.
    pub clients_per_second: u32,
    /// When it was ordered, Unix milliseconds.
    pub since_ms: u64,
}

impl NodeEntry {
    /// Whether clients may be sent to it.
    pub fn takes_clients(&self) -> bool {
        self.is_up && self.drain.is_none()
    }
}

/// The replicated table.
#[derive(Clone, Default)]
pub struct Table {
    applied_index: u64,
    nodes: BTreeMap<NodeId, NodeEntry>,
    /// Raft ids of data directories that are out of the cluster for good: one for each node that ever
    /// left or lost its disk.
    removed: BTreeSet<u64>,
    sessions: sessions::Sessions,
    subscribers: subscribers::Subscribers,
    retained: retained::Retained,
    /// Shared with frozen tables until it is changed.
    bans: Arc<bans::Bans>,
    delayed: delayed::Delayed,
}

impl Table {
    /// An empty table.
    pub fn new() -> Table {
        Table::default()
    }

    /// Whether the data directory with this Raft id is out of the cluster for good.
    pub fn is_removed(&self, raft_id: u64) -> bool {
        self.removed.contains(&raft_id)
    }

    /// Index of the last log entry that was applied.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }
}
