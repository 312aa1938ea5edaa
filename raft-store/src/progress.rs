//! Which node has applied the log how far.
//!
//! Each node tells the others its applied index when it grows (`Progress` streams), and once more
//! through the leader with each lease, so that a broken stream between two nodes holds nobody up for
//! long. Indexes only grow: a node that starts again repeats what it had applied before it serves.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Applied indexes of this node and of its peers.
#[derive(Debug)]
pub(crate) struct Progress {
    own: watch::Sender<u64>,
    peers: Mutex<BTreeMap<u64, u64>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            own: watch::Sender::new(0),
            peers: Mutex::default(),
        }
    }

    pub(crate) fn own(&self) -> u64 {
        *self.own.borrow()
    }

    pub(crate) fn set_own(&self, index: u64) {
        self.own.send_if_modified(|own| {
            let grown = index > *own;
            *own = index.max(*own);
            grown
        });
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.own.subscribe()
    }

    /// Returns whether the index of that node has grown.
    pub(crate) fn set_peer(&self, node_id: u64, index: u64) -> bool {
        let mut peers = self.peers.lock();
        let known = peers.entry(node_id).or_default();
        let grown = index > *known;
        *known = index.max(*known);
        grown
    }

    pub(crate) fn peers(&self) -> BTreeMap<u64, u64> {
        self.peers.lock().clone()
    }

    /// The applied index of a node; 0 if it is not known.
    pub(crate) fn of(&self, node_id: u64, is_self: bool) -> u64 {
        if is_self {
            self.own()
        } else {
            self.peers.lock().get(&node_id).copied().unwrap_or(0)
        }
    }

    /// The lowest applied index among this node and `nodes`.
    pub(crate) fn floor<'a>(&self, nodes: impl IntoIterator<Item = &'a u64>) -> u64 {
        let peers = self.peers.lock();
        nodes
            .into_iter()
            .map(|node| peers.get(node).copied().unwrap_or(0))
            .fold(self.own(), u64::min)
    }
}
