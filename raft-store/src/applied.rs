//! What happens when this node has applied a log entry: the observer hears of it, proposers get their
//! outcomes (through the fence), a life may have begun or ended, and the peers learn the new index.
//! In this order: an index is only told to the others when everything here shows its effect.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use raftmq_proto::v1::{Entry, Op, op::Kind};
use tokio::sync::watch;

use crate::batcher::in_flight::InFlight;
use crate::checkpoints::Checkpoints;
use crate::error::ProposeError;
use crate::fence::Fence;
use crate::lease::Lease;
use crate::lives::{Life, Lives, LivesView};
use crate::local::LocalNode;
use crate::progress::Progress;
use crate::table::{Applied, Counts, Drain, Outcome, SharedTable, TableEvent};

/// Whether events are news to the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The entry is from a time in which this life of the node was not part of the cluster: it had no
    /// clients, and what was due has been done by others.
    CatchingUp,
    /// The entry was applied while the node was up.
    Live,
}

/// Is told what the table does. Called on a thread of the store, one call at a time and in the order
/// of the log; the log waits meanwhile, so a call has to be short and must not block.
pub trait Observer: Send + 'static {
    /// An entry was applied; the table shows its effect. Not called for entries that are replayed from
    /// this node's own log at its start.
    fn applied(&mut self, index: u64, events: &[TableEvent], phase: Phase);
    /// How much there is, seen from this node, after the entry that [`Observer::applied`] told.
    fn measured(&mut self, _counts: Counts) {}
    /// The table as a whole is another one: after the start, and after a snapshot was received.
    fn table_replaced(&mut self);
    /// The cluster has declared this node down: its sessions are not its own any more. The node will
    /// come back with a new life.
    fn lost_life(&mut self);
}

/// The parts of the store that follow the table.
pub(crate) struct Followers {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) table: Arc<SharedTable>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) fence: Arc<Fence>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) lease: Lease,
    pub(crate) lives: LivesView,
    /// Whether this node's clients are to be sent away.
    pub(crate) own_drain: watch::Sender<Option<Drain>>,
    pub(crate) observer: Mutex<Box<dyn Observer>>,
    /// The own log is applied again; nobody outside hears of it.
    pub(crate) replaying: AtomicBool,
}

impl Followers {
    /// The table has applied an entry.
    pub(crate) fn entry_applied(&self, index: u64, entry: &Entry, applied: Applied) {
        if !self.replaying.load(Ordering::Acquire) {
            let phase = if self.local.is_up() {
                Phase::Live
            } else {
                Phase::CatchingUp
            };
            let counts = self.table.read().counts(self.local.node_id.into());
            let mut observer = self.observer.lock();
            observer.applied(index, &applied.events, phase);
            observer.measured(counts);
            drop(observer);
            self.take_checkpoint(&applied);
        }
        for (batch, outcomes) in entry.batches.iter().zip(applied.outcomes) {
            if batch.node_id == self.local.node_id {
                self.fence.hold(
                    index,
                    self.in_flight
                        .complete(batch.incarnation, batch.first_seq, outcomes),
                );
            }
        }
        let mut ops = entry.batches.iter().flat_map(|batch| &batch.ops);
        if ops.any(changes_nodes) {
            self.nodes_may_have_changed();
        }
    }

    /// The table stays as it is meanwhile: this is called by the one who applies.
    fn take_checkpoint(&self, applied: &Applied) {
        let mut outcomes = applied.outcomes.iter().flatten();
        if outcomes.any(|outcome| matches!(outcome, Outcome::Checkpoint { .. })) {
            self.checkpoints.take(self.table.freeze());
        }
    }

    /// The own log has been applied again; from now on the outside is told everything.
    pub(crate) fn replayed(&self) {
        self.replaying.store(false, Ordering::Release);
        self.table_replaced();
    }

    /// What was under way may be in the new table already; its outcome is not.
    pub(crate) fn table_replaced(&self) {
        self.in_flight.fail(&ProposeError::Unknown);
        self.observer.lock().table_replaced();
        self.nodes_may_have_changed();
    }

    /// Reads the nodes from the table and draws the conclusions.
    pub(crate) fn nodes_may_have_changed(&self) {
        // A directory that another one took the place of may still be sent the log for a while.
        if self.table.read().is_removed(self.local.raft_id) {
            self.local.set_removed();
        }
        let nodes = self.table.nodes();
        let own = nodes.iter().find(|node| node.node_id == self.local.node_id);
        let lives_elsewhere = own.is_some_and(|node| node.raft_id != self.local.raft_id);
        let drain = own.and_then(|node| node.drain);
        self.own_drain
            .send_if_modified(|known| std::mem::replace(known, drain) != drain);
        let lives: Lives = nodes
            .into_iter()
            .map(|node| {
                (
                    node.node_id,
                    Life {
                        incarnation: node.incarnation,
                        is_up: node.is_up,
                    },
                )
            })
            .collect();
        let own = lives.get(&self.local.node_id).copied();
        let own = own.filter(|_| !lives_elsewhere);
        let up: BTreeSet<u64> = lives
            .iter()
            .filter(|(_, life)| life.is_up)
            .map(|(id, _)| *id)
            .collect();
        if !self.lives.set(lives) {
            return;
        }
        self.follow_own_life(own);
        self.fence.set_up(
            up.into_iter()
                .filter(|id| *id != self.local.node_id)
                .collect(),
        );
    }

    fn follow_own_life(&self, own: Option<Life>) {
        let incarnation = self.local.incarnation();
        let is_up = own
            == Some(Life {
                incarnation,
                is_up: true,
            });
        let was_up = self.local.set_up(is_up);
        if is_up && !was_up && !self.local.is_leaving() {
            tracing::info!(incarnation, "this node is up");
            self.lease.open(incarnation);
        }
        if was_up && !is_up {
            self.lease.revoke();
            if !self.local.is_leaving() {
                tracing::warn!(incarnation, "the cluster has declared this node down");
                self.in_flight.fail(&ProposeError::Unknown);
                self.observer.lock().lost_life();
            }
        }
    }

    /// The table has now applied everything up to `index`.
    pub(crate) fn applied_up_to(&self, index: u64) {
        self.progress.set_own(index);
        self.fence.advance();
    }
}

fn changes_nodes(op: &Op) -> bool {
    use Kind::{NodeDown, NodeUp, SetDrain};
    matches!(op.kind, Some(NodeUp(_) | NodeDown(_) | SetDrain(_)))
}
