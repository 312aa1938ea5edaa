//! Who runs an entry: the node that is connected with the entry's client of the cluster.
//!
//! The replicated table says where that client is, and whether it is connected, and it decides between two that
//! claim it at the same moment. So a node claims it only while nobody on a node that is up has it, and
//! one that has lost it looks again before it does anything. Nodes wait the longer the higher their
//! number is among those that are up, so that usually one claims it alone.

use super::settings::Entry;
use crate::engine::Engine;
use std::time::{Duration, Instant};

/// How often it is looked who has the client.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How much longer each node waits than the one before it.
const HEAD_START: Duration = Duration::from_millis(500);

/// What a node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is not in a state to run anything.
    NotServing,
    /// Another node runs the entry.
    Taken { by: u64 },
    /// Nobody does; this node is the n-th that may claim it.
    Free { rank: u32 },
}

/// Whether this node may run anything.
pub(super) fn serves(engine: &Engine) -> bool {
    let is_stopping = *engine.stopping.borrow();
    engine.lease.is_held() && !is_stopping && engine.draining.order().is_none()
}

/// Looks the client up.
pub(super) fn look(engine: &Engine, entry: &Entry) -> Claim {
    if !serves(engine) {
        return Claim::NotServing;
    }
    let table = engine.store.table().read();
    if let Some(session) = table.session(&entry.local_client_id()) {
        let node = u64::from(session.node);
        let is_elsewhere = node != engine.node_id && table.is_node_up(session.node);
        if session.connected && is_elsewhere {
            return Claim::Taken { by: node };
        }
    }
    let before = table
        .nodes()
        .filter(|(id, node)| node.is_up && u64::from(*id) < engine.node_id);
    let rank = u32::try_from(before.count()).unwrap_or(u32::MAX);
    Claim::Free { rank }
}

/// When it is this node's turn.
#[derive(Default)]
pub(super) struct Turn {
    free_since: Option<Instant>,
}

impl Turn {
    /// Whether to claim the client now.
    pub fn has_come(&mut self, claim: Claim, now: Instant) -> bool {
        let Claim::Free { rank } = claim else {
            self.free_since = None;
            return false;
        };
        let since = *self.free_since.get_or_insert(now);
        now.saturating_duration_since(since) >= HEAD_START.saturating_mul(rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_waits_for_those_before_it_and_begins_anew_when_one_has_claimed() {
        let (mut turn, start) = (Turn::default(), Instant::now());
        assert!(turn.has_come(Claim::Free { rank: 0 }, start));
        assert!(!turn.has_come(Claim::Taken { by: 1 }, start));
        let free = Claim::Free { rank: 2 };
        assert!(!turn.has_come(free, start));
        assert!(!turn.has_come(free, start + HEAD_START));
        assert!(turn.has_come(free, start + 2 * HEAD_START));
        assert!(!turn.has_come(Claim::NotServing, start + 3 * HEAD_START));
        assert!(!turn.has_come(free, start + 4 * HEAD_START));
    }
}
