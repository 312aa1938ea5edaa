//! A node's side: commands become batches, and a batch is repeated until this node has applied it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use raftmq_proto::v1::{Batch, Op};
use tokio::sync::{mpsc, oneshot};

use super::in_flight::InFlight;
use super::merger::SubmitError;
use super::{Answer, Queued};
use crate::config::Limits;
use crate::error::ProposeError;
use crate::leader::LeaderLink;
use crate::local::LocalNode;

/// After the leader has committed a batch, this node applies it within about a heartbeat; a batch
/// whose commit was lost in a change of leaders is repeated after this time.
const APPLY_WAIT: Duration = Duration::from_millis(500);
/// Between two attempts while there is no leader.
const RETRY: Duration = Duration::from_millis(20);

pub(crate) struct Sender {
    local: Arc<LocalNode>,
    queue: mpsc::Receiver<Queued>,
    in_flight: Arc<InFlight>,
    leader: LeaderLink,
    limits: Limits,
    /// Taken from the queue but too large for the last batch.
    waiting: Option<Queued>,
    /// The life that `next_seq` counts for.
    incarnation: u64,
    next_seq: u64,
}

impl Sender {
    pub(crate) fn new(
        local: Arc<LocalNode>,
        queue: mpsc::Receiver<Queued>,
        in_flight: Arc<InFlight>,
        leader: LeaderLink,
        limits: Limits,
    ) -> Self {
        Self {
            local,
            queue,
            in_flight,
            leader,
            limits,
            waiting: None,
            incarnation: 0,
            next_seq: 1,
        }
    }

    pub(crate) async fn run(mut self) {
        while let Some(first) = self.first().await {
            let only_in_term = first.only_in_term;
            let (ops, answers) = self.gather(first);
            if !ops.is_empty() {
                self.carry_out(ops, answers, only_in_term).await;
            }
        }
    }

    async fn first(&mut self) -> Option<Queued> {
        match self.waiting.take() {
            Some(queued) => Some(queued),
            None => self.queue.recv().await,
        }
    }

    /// What waits by now and fits; a command that is bound to a term stays alone. Commands of an
    /// earlier life and late ones are answered here.
    fn gather(&mut self, first: Queued) -> (Vec<Op>, Vec<Answer>) {
        let incarnation = self.local.incarnation();
        if incarnation != self.incarnation {
            (self.incarnation, self.next_seq) = (incarnation, 1);
        }
        let (mut ops, mut answers, mut bytes) = (Vec::new(), Vec::new(), 0);
        let (now, term) = (Instant::now(), first.only_in_term);
        let mut next = Some(first);
        while let Some(queued) = next {
            if let Some(queued) = current(queued, incarnation, now) {
                let fits = bytes + queued.bytes <= self.limits.batch_bytes
                    && queued.only_in_term == 0
                    && term == 0;
                if !ops.is_empty() && !fits {
                    self.waiting = Some(queued);
                    break;
                }
                bytes += queued.bytes;
                ops.push(queued.op);
                answers.push(queued.answer);
            }
            next = if ops.len() < self.limits.batch_ops {
                self.queue.try_recv().ok()
            } else {
                None
            };
        }
        (ops, answers)
    }

    async fn carry_out(&mut self, ops: Vec<Op>, answers: Vec<Answer>, only_in_term: u64) {
        let first_seq = self.next_seq;
        self.next_seq += ops.len() as u64;
        let deadline = answers
            .iter()
            .map(Answer::deadline)
            .max()
            .unwrap_or_else(Instant::now);
        let batch = Batch {
            node_id: self.local.node_id,
            incarnation: self.incarnation,
            first_seq,
            ops,
        };
        let mut left = self.in_flight.begin(self.incarnation, first_seq, answers);
        tokio::select! {
            () = done(&mut left) => {}
            () = self.bring_through(batch, only_in_term) => self.in_flight.fail(&ProposeError::Unknown),
            () = tokio::time::sleep_until(deadline.into()) => self.in_flight.fail(&ProposeError::TimedOut),
        }
    }

    /// Sends the batch again and again. One that is bound to a term is written once, by this node.
    async fn bring_through(&self, batch: Batch, only_in_term: u64) {
        if only_in_term != 0 {
            if let Err(error) = self.leader.merger.submit(batch, only_in_term).await {
                tracing::debug!(?error, "a command of the leader was not committed");
            }
            return;
        }
        loop {
            // A leader that has fallen silent does not answer; its successor will.
            let submitted = tokio::select! {
                submitted = self.leader.submit(batch.clone(), 0) => submitted,
                () = self.leader.changed_within(Duration::MAX) => continue,
            };
            match submitted {
                Ok(_) => tokio::time::sleep(APPLY_WAIT).await,
                Err(SubmitError::NotLeader(_) | SubmitError::Busy) => {
                    self.leader.changed_within(RETRY).await
                }
            }
        }
    }
}

async fn done(left: &mut oneshot::Receiver<()>) {
    let _ = left.await;
}

/// The command, if it still counts.
fn current(queued: Queued, incarnation: u64, now: Instant) -> Option<Queued> {
    if queued.incarnation != incarnation {
        queued.answer.give(Err(ProposeError::NotReady(
            "the node was declared down meanwhile".into(),
        )));
        return None;
    }
    if queued.answer.deadline() <= now {
        queued.answer.give(Err(ProposeError::TimedOut));
        return None;
    }
    Some(queued)
}
