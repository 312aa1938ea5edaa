//! What only the leader does for the table: lend serving time, declare silent nodes down, let time pass.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use raftmq_proto::v1::{self as proto, Op, op::Kind};

use crate::batcher::ProposalQueue;
use crate::clock::{Moment, unix_ms};
use crate::config::Timing;
use crate::fence::Fence;
use crate::leader::{LeaderLink, LeaderSeen};
use crate::lease::grantor::{Grantor, LifeId};
use crate::lease::quorum::QuorumContact;
use crate::lives::LivesView;
use crate::local::LocalNode;
use crate::progress::Progress;
use crate::table::SharedTable;

/// How often the leader looks at what is due.
const LOOK: Duration = Duration::from_millis(50);

/// The leader's duties. On a node that is not the leader they do nothing.
pub(crate) struct LeaderLeases {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) leader: LeaderLink,
    pub(crate) leader_seen: LeaderSeen,
    pub(crate) queue: ProposalQueue,
    pub(crate) contact: Arc<QuorumContact>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) fence: Arc<Fence>,
    pub(crate) table: Arc<SharedTable>,
    pub(crate) lives: LivesView,
    pub(crate) timing: Timing,
    pub(crate) started: Moment,
    pub(crate) grantor: Mutex<Option<Grantor>>,
}

impl LeaderLeases {
    /// Lends time to a life of a node. An error says why not.
    pub(crate) fn lend(&self, life: LifeId, applied: u64) -> Result<Duration, String> {
        let now = Moment::now();
        let leadership = self
            .leader
            .leadership()
            .ok_or("this node is not the leader")?;
        if !self.lives.is_up(life) {
            return Err("the table does not show this life of the node as up".into());
        }
        let quorum =
            self.contact
                .last(self.local.raft_id, leadership.term, &leadership.voters, now);
        let mut grantor = self.grantor.lock();
        // The duties' task notices a new term; before that nothing is lent.
        let grantor = grantor
            .as_mut()
            .filter(|grantor| grantor.term == leadership.term);
        let grantor = grantor.ok_or("the leader is new")?;
        let span = grantor.lend(
            life,
            applied,
            self.progress.own(),
            quorum,
            now,
            &self.timing,
        )?;
        Ok(span)
    }

    /// How long ago a leader, this node or another, was certainly at work.
    pub(crate) fn leader_seen_ago(&self) -> Option<Duration> {
        let now = Moment::now();
        let own = self.leader.leadership().and_then(|leadership| {
            let (own, voters) = (self.local.raft_id, &leadership.voters);
            self.contact.last(own, leadership.term, voters, now)
        });
        self.leader_seen.at().max(own).map(|at| now.since(at))
    }

    /// A node has said how far it is.
    pub(crate) fn heard(&self, node_id: u64, applied: u64) {
        if self.progress.set_peer(node_id, applied) {
            self.fence.advance();
        }
    }

    pub(crate) async fn run(self: Arc<Self>) {
        let mut metrics = self.leader.raft.server_metrics();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                changed = metrics.changed() => if changed.is_err() { return },
            }
            self.look();
        }
    }

    fn look(&self) {
        let now = Moment::now();
        let Some(leadership) = self.leader.leadership() else {
            *self.grantor.lock() = None;
            return;
        };
        let silent = {
            let mut slot = self.grantor.lock();
            if slot
                .as_ref()
                .is_none_or(|grantor| grantor.term != leadership.term)
            {
                tracing::info!(term = leadership.term, "this node is the leader");
                let index = leadership.last_log_index;
                *slot = Some(Grantor::new(
                    leadership.term,
                    self.started,
                    now,
                    index,
                    &self.timing,
                ));
            }
            let Some(grantor) = slot.as_mut() else { return };
            grantor.note_applied(now, self.progress.own(), &self.timing);
            grantor.give_up_silent(self.lives.up(), now, &self.timing)
        };
        for life in silent {
            tracing::warn!(
                node = life.0,
                incarnation = life.1,
                "a node is silent; declaring it down"
            );
            self.command(node_down(life), leadership.term);
        }
        self.let_time_pass(leadership.term);
    }

    fn let_time_pass(&self, term: u64) {
        let now_ms = unix_ms();
        if self.table.next_due_ms().is_some_and(|due| due <= now_ms) {
            self.command(
                Op {
                    kind: Some(Kind::Tick(proto::Tick { now_ms })),
                },
                term,
            );
        }
    }

    /// Proposes a command as the leader of `term`. It takes effect in that term or not at all, and is
    /// decided anew when it has none.
    fn command(&self, op: Op, term: u64) {
        drop(
            self.queue
                .propose_in_term(op, self.local.incarnation(), term),
        );
    }
}

fn node_down((node_id, incarnation): LifeId) -> Op {
    let reason = "its serving lease ended".to_owned();
    Op {
        kind: Some(Kind::NodeDown(proto::NodeDown {
            node_id,
            incarnation,
            reason,
            now_ms: unix_ms(),
        })),
    }
}
