//! From single commands to log entries.
//!
//! One Raft entry costs an fsync on every node, whatever it holds. So a node packs what waits into one
//! batch (`sender`), has one batch under way at a time, and repeats it to whoever is leader until its
//! own table has applied it; the table skips what it has seen ((node, incarnation, sequence number)).
//! The leader merges the batches that wait with it into one entry (`merger`). Nobody waits on purpose
//! for more: while one batch is under way, the next one grows.
//!
//! The outcome of a command comes from the node's own apply (`InFlight`), then passes the `fence`.

pub(crate) mod in_flight;
pub(crate) mod merger;
pub(crate) mod sender;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use prost::Message;
use raftmq_proto::v1::Op;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::config::Limits;
use crate::error::ProposeError;
use crate::table::Outcome;

type Outcomes = Result<Outcome, ProposeError>;

/// The answer to one proposal: given once, or [`ProposeError::Stopped`] when it is dropped.
#[derive(Debug)]
pub(crate) struct Answer {
    reply: oneshot::Sender<Outcomes>,
    deadline: Instant,
    _place: OwnedSemaphorePermit,
}

impl Answer {
    pub(crate) fn give(self, outcome: Outcomes) {
        // Nobody waits any more when the proposer dropped its future.
        let _ = self.reply.send(outcome);
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }
}

/// A command on its way into a batch.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) op: Op,
    pub(crate) bytes: usize,
    /// The life of this node that proposed it.
    pub(crate) incarnation: u64,
    /// 0, or the term in which this node, as its leader, wants the command; then it is tried once.
    pub(crate) only_in_term: u64,
    pub(crate) answer: Answer,
}

/// A proposal under way. Resolves when every node that is up has applied the command; runs on any
/// executor. Dropping it does not withdraw the command.
#[derive(Debug)]
#[must_use = "the command is proposed either way, but its outcome is only known from this future"]
pub struct Proposal {
    outcome: oneshot::Receiver<Outcomes>,
}

impl Future for Proposal {
    type Output = Result<Outcome, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome)
            .poll(task)
            .map(|outcome| outcome.unwrap_or(Err(ProposeError::Stopped)))
    }
}

/// Takes commands from any thread. Full: refuses, never waits.
#[derive(Clone, Debug)]
pub(crate) struct ProposalQueue {
    queue: mpsc::Sender<Queued>,
    places: Arc<Semaphore>,
    op_bytes_max: usize,
    timeout: Duration,
}

impl ProposalQueue {
    /// The queue, and the end that the sender takes from.
    pub(crate) fn new(limits: &Limits, timeout: Duration) -> (Self, mpsc::Receiver<Queued>) {
        // A place covers a command until its answer, so the channel never has more than that.
        let (queue, receiver) = mpsc::channel(limits.proposals_waiting);
        let places = Arc::new(Semaphore::new(limits.proposals_waiting));
        (
            Self {
                queue,
                places,
                op_bytes_max: limits.op_bytes,
                timeout,
            },
            receiver,
        )
    }

    /// A command of a life of this node.
    pub(crate) fn propose(&self, op: Op, incarnation: u64) -> Proposal {
        self.propose_in_term(op, incarnation, 0)
    }

    /// A command that the leader of that term decided on: it takes effect in its term or not at all.
    pub(crate) fn propose_in_term(&self, op: Op, incarnation: u64, only_in_term: u64) -> Proposal {
        let (reply, outcome) = oneshot::channel();
        if let Err((reply, error)) = self.enqueue(op, incarnation, only_in_term, reply) {
            let _ = reply.send(Err(error));
        }
        Proposal { outcome }
    }

    fn enqueue(
        &self,
        op: Op,
        incarnation: u64,
        only_in_term: u64,
        reply: oneshot::Sender<Outcomes>,
    ) -> Result<(), (oneshot::Sender<Outcomes>, ProposeError)> {
        let bytes = op.encoded_len();
        if bytes > self.op_bytes_max {
            return Err((
                reply,
                ProposeError::TooLarge {
                    bytes,
                    limit: self.op_bytes_max,
                },
            ));
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err((reply, ProposeError::Overloaded));
        };
        let answer = Answer {
            reply,
            deadline: Instant::now() + self.timeout,
            _place: place,
        };
        self.queue
            .try_send(Queued {
                op,
                bytes,
                incarnation,
                only_in_term,
                answer,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(queued) => {
                    (queued.answer.reply, ProposeError::Overloaded)
                }
                mpsc::error::TrySendError::Closed(queued) => {
                    (queued.answer.reply, ProposeError::Stopped)
                }
            })
    }
}

/// A proposal that was refused before it got into the queue.
pub(crate) fn refused(error: ProposeError) -> Proposal {
    let (reply, outcome) = oneshot::channel();
    let _ = reply.send(Err(error));
    Proposal { outcome }
}

#[cfg(test)]
mod tests {
    use raftmq_proto::v1::{Message as MqttMessage, SetRetained, op::Kind};

    use super::*;

    fn op(payload_bytes: usize) -> Op {
        let message = MqttMessage {
            payload: vec![0; payload_bytes].into(),
            ..Default::default()
        };
        Op {
            kind: Some(Kind::SetRetained(SetRetained {
                message: Some(message),
            })),
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_an_answer_makes_room() {
        let limits = Limits {
            proposals_waiting: 2,
            ..Limits::default()
        };
        let (queue, mut receiver) = ProposalQueue::new(&limits, Duration::from_secs(1));
        let _first = queue.propose(op(1), 1);
        let _second = queue.propose(op(1), 1);
        assert_eq!(queue.propose(op(1), 1).await, Err(ProposeError::Overloaded));
        let taken = receiver.recv().await;
        assert_eq!(
            queue.propose(op(1), 1).await,
            Err(ProposeError::Overloaded),
            "taken is not answered"
        );
        drop(taken);
        let _third = queue.propose(op(1), 1);
        assert!(receiver.recv().await.is_some());
    }

    #[tokio::test]
    async fn a_command_beyond_the_limit_is_refused() {
        let (queue, _receiver) = ProposalQueue::new(&Limits::default(), Duration::from_secs(1));
        let refused = queue.propose(op(121 << 10), 1).await;
        assert!(matches!(refused, Err(ProposeError::TooLarge { .. })));
    }

    #[tokio::test]
    async fn a_dropped_command_is_answered_as_stopped() {
        let (queue, receiver) = ProposalQueue::new(&Limits::default(), Duration::from_secs(1));
        let proposal = queue.propose(op(1), 1);
        drop(receiver);
        assert_eq!(proposal.await, Err(ProposeError::Stopped));
    }
}
