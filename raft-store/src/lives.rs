//! Which lives of which nodes the table of this node shows as up, and what follows from that at once:
//! whom the fence waits for, and whether this node's own life goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::lease::grantor::LifeId;

/// The latest life of a node that the table knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) incarnation: u64,
    pub(crate) is_up: bool,
}

/// By node id.
pub(crate) type Lives = BTreeMap<u64, Life>;

/// What the table showed after the last applied entry. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LivesView {
    lives: Arc<watch::Sender<Arc<Lives>>>,
}

impl LivesView {
    pub(crate) fn new() -> Self {
        Self {
            lives: Arc::new(watch::Sender::new(Arc::default())),
        }
    }

    /// Returns whether anything is different.
    pub(crate) fn set(&self, lives: Lives) -> bool {
        self.lives.send_if_modified(|current| {
            let changed = **current != lives;
            if changed {
                *current = Arc::new(lives);
            }
            changed
        })
    }

    pub(crate) fn get(&self) -> Arc<Lives> {
        Arc::clone(&self.lives.borrow())
    }

    pub(crate) fn up(&self) -> Vec<LifeId> {
        self.get()
            .iter()
            .filter(|(_, life)| life.is_up)
            .map(|(id, life)| (*id, life.incarnation))
            .collect()
    }

    pub(crate) fn is_up(&self, (node_id, incarnation): LifeId) -> bool {
        self.get().get(&node_id)
            == Some(&Life {
                incarnation,
                is_up: true,
            })
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Lives>> {
        self.lives.subscribe()
    }
}
