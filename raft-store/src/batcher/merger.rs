//! The leader's side: the batches that wait together become one log entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError};
use prost::Message;
use raftmq_proto::v1::{Batch, Entry};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::config::Limits;
use crate::raft_types::{Command, Raft};

/// Batches that wait to be merged. A node has one under way, and may have repeated it.
const WAITING_MAX: usize = 64;
/// Entries that are written and not committed yet. The second one is written to the leader's disk
/// while the first one travels.
const ENTRIES_UNDER_WAY: usize = 2;
/// Raft may leave a write unanswered when leadership changes at the wrong moment.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the leader did not commit a batch. It may commit all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubmitError {
    /// Another node is leader; its Raft id, if it is known.
    NotLeader(Option<u64>),
    /// Too much is waiting, or the answer takes too long.
    Busy,
}

type Committed = Result<u64, SubmitError>;

#[derive(Debug)]
struct Submission {
    batch: Batch,
    only_in_term: u64,
    bytes: usize,
    reply: oneshot::Sender<Committed>,
}

/// Hands batches to this node's Raft, which has to be the leader. Clones share the queue.
#[derive(Clone, Debug)]
pub(crate) struct Merger {
    queue: mpsc::Sender<Submission>,
    closed: Arc<AtomicBool>,
}

impl Merger {
    /// Starts the task that merges.
    pub(crate) fn start(raft: Raft, limits: &Limits) -> Self {
        let (queue, receiver) = mpsc::channel(WAITING_MAX);
        let worker = Worker {
            raft,
            receiver,
            waiting: None,
            under_way: Arc::new(Semaphore::new(ENTRIES_UNDER_WAY)),
            entry_ops: limits.entry_ops,
            entry_bytes: limits.batch_bytes,
        };
        tokio::spawn(worker.run());
        Self {
            queue,
            closed: Arc::default(),
        }
    }

    /// Takes no more batches: the leader is leaving.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Takes batches again: the leader stays, in this role or another.
    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::Release);
    }

    /// Returns the index at which the batch is committed and applied by the leader.
    pub(crate) async fn submit(&self, batch: Batch, only_in_term: u64) -> Committed {
        if self.closed.load(Ordering::Acquire) {
            return Err(SubmitError::NotLeader(None));
        }
        let bytes = batch.encoded_len();
        let (reply, committed) = oneshot::channel();
        self.queue
            .try_send(Submission {
                batch,
                only_in_term,
                bytes,
                reply,
            })
            .map_err(|_| SubmitError::Busy)?;
        committed.await.unwrap_or(Err(SubmitError::Busy))
    }
}

struct Worker {
    raft: Raft,
    receiver: mpsc::Receiver<Submission>,
    /// Taken from the queue but too large for the last entry.
    waiting: Option<Submission>,
    under_way: Arc<Semaphore>,
    entry_ops: usize,
    entry_bytes: usize,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let first = match self.waiting.take() {
                Some(first) => first,
                None => match self.receiver.recv().await {
                    Some(first) => first,
                    None => return,
                },
            };
            let Ok(permit) = Arc::clone(&self.under_way).acquire_owned().await else {
                return;
            };
            let merged = self.gather(first);
            let raft = self.raft.clone();
            tokio::spawn(async move {
                write(raft, merged).await;
                drop(permit);
            });
        }
    }

    /// What waits by now and fits. A batch that is bound to a term gets an entry of its own.
    fn gather(&mut self, first: Submission) -> Vec<Submission> {
        let (mut ops, mut bytes) = (first.batch.ops.len(), first.bytes);
        let bound = first.only_in_term != 0;
        let mut merged = vec![first];
        if bound {
            return merged;
        }
        while let Ok(next) = self.receiver.try_recv() {
            ops += next.batch.ops.len();
            bytes += next.bytes;
            if next.only_in_term != 0 || ops > self.entry_ops || bytes > self.entry_bytes {
                self.waiting = Some(next);
                break;
            }
            merged.push(next);
        }
        merged
    }
}

async fn write(raft: Raft, merged: Vec<Submission>) {
    let only_in_term = merged
        .first()
        .map_or(0, |submission| submission.only_in_term);
    let (batches, replies): (Vec<_>, Vec<_>) =
        merged.into_iter().map(|s| (s.batch, s.reply)).unzip();
    let entry = Entry { batches }.encode_to_vec().into();
    let committed = write_entry(
        &raft,
        Command {
            only_in_term,
            entry,
        },
    )
    .await;
    for reply in replies {
        let _ = reply.send(committed);
    }
}

async fn write_entry(raft: &Raft, command: Command) -> Committed {
    match tokio::time::timeout(WRITE_TIMEOUT, raft.client_write(command)).await {
        Ok(Ok(response)) => Ok(response.log_id.index),
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
            Err(SubmitError::NotLeader(forward.leader_id))
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "Raft refused a write");
            Err(SubmitError::Busy)
        }
        Err(_) => Err(SubmitError::Busy),
    }
}
