//! A draining node: an operator wants its clients on other nodes.
//!
//! The order stands in the replicated table, so every node knows it, and a node that starts again finds
//! it. While it stands, the node takes no new clients, does not lead when another node can, and sends its
//! clients away at the pace of the order. It stays a full member meanwhile: it votes, holds its lease,
//! serves those who are still there, and keeps the queues of sessions until they are taken over.
//!
//! * here: the order, how far it has got, and where clients are sent.
//! * [`run`]: the task that carries it out.

mod run;

pub use run::run;

use parking_lot::Mutex;
use raftmq_store::{
    Store,
    table::{Drain, NodeId},
};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use tokio::sync::watch;

/// What a draining node is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is not draining.
    #[default]
    Serving,
    /// It leads and finds a successor.
    HandingOver,
    /// Its clients are told to go, a few at a time.
    SendingAway,
    /// Clients stay as long as they like; only new ones are sent elsewhere.
    Holding,
    /// It cannot go on now; why.
    Waiting(&'static str),
    /// Nobody is left.
    Drained,
}

/// The drain of this node.
pub struct Draining {
    order: watch::Receiver<Option<Drain>>,
    step: Mutex<Step>,
    sent_away: AtomicU64,
    /// Whose turn it is to be named to a client.
    turn: AtomicUsize,
}

impl Draining {
    /// Follows the order in the table of `store`.
    pub fn new(store: &Store) -> Draining {
        Draining {
            order: store.own_drain(),
            step: Mutex::default(),
            sent_away: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        }
    }

    /// The order that stands; `None`: the node takes clients.
    pub fn order(&self) -> Option<Drain> {
        *self.order.borrow()
    }

    /// What the node is doing about it.
    pub fn step(&self) -> Step {
        *self.step.lock()
    }

    /// Clients sent away under this order, in this life of the process.
    pub fn sent_away(&self) -> u64 {
        self.sent_away.load(Relaxed)
    }

    fn set_step(&self, step: Step) {
        *self.step.lock() = step;
    }

    /// The Server Reference of another node, each in its turn (MQTT 5 §4.13). `None`: no node that
    /// takes clients has one.
    pub fn next_server(&self, store: &Store, own: NodeId) -> Option<String> {
        let table = store.table().read();
        let others: Vec<_> = table
            .nodes()
            .filter(|(id, node)| *id != own && node.takes_clients())
            .filter(|(_, node)| !node.server_reference.is_empty())
            .map(|(_, node)| &node.server_reference)
            .collect();
        let turn = self.turn.fetch_add(1, Relaxed);
        let named = others.get(turn.checked_rem(others.len())?)?;
        Some(named.to_string())
    }
}
