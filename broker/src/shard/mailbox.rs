//! How other threads reach a shard.
//!
//! Publications are handed over in bulk; the shard's task is woken only when its mailbox was empty.
//! Bounded by bytes: [`Mailbox::is_full`] makes publishers of QoS 1 and 2 wait, and QoS 0 is dropped.
//! Control mail (connections, table events, questions) is not bounded here: each kind is bounded
//! where it comes from (accepted sockets, proposals under way, API requests).

use super::{
    Shard, ShardId, ShardRef,
    events::SessionEvent,
    handshake::{self, Adopted, Arrival},
};
use crate::link::{BatchGate, Returned};
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

/// Bytes of publications that may wait in one mailbox.
const MAILBOX_BYTES_MAX: usize = 64 << 20;

/// What may lie in a mailbox.
pub(crate) enum Mail {
    /// Publications back to back, for this shard's own subscribers.
    Publications {
        frames: Vec<u8>,
        /// Index of the log entry up to which they were routed.
        routed_at: u64,
        /// Told when they are taken, if somebody waits for that.
        gate: Option<Gate>,
    },
    /// A connection that was accepted elsewhere.
    Arrived(Box<dyn FnOnce() -> std::io::Result<Arrival> + Send>),
    /// Another shard has taken what this one gave it, up to this publication.
    Taken { by: ShardId, upto: u64 },
    /// Publications that this shard had sent to a node which is down now.
    Returned(Box<Returned>),
    /// More of what was handed over to the journal is on the disk.
    JournalMoved,
    /// The states of all sessions are to be written to the journal once more.
    Checkpoint,
    /// A connection whose client identifier belongs to this shard.
    Adopt(Box<Adopted>),
    /// Something happened to a session in the replicated table.
    Session(SessionEvent),
    /// The node's life in the cluster ended: all connections end.
    LostLife,
    /// Links have acknowledged publications.
    LinksMoved,
    /// The node stops: say good-bye to everybody.
    Stop,
    /// Runs on the shard's thread.
    Run(Box<dyn FnOnce(&ShardRef) + Send>),
}

/// Who waits until publications are taken: by sessions that last, on disk.
pub(crate) enum Gate {
    /// Another node, for a batch of its link.
    Link(Arc<BatchGate>),
    /// Another shard, for its publications up to this number.
    Shard { from: ShardId, upto: u64 },
}

/// Entrance of one shard.
#[derive(Default)]
pub struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    waiting_bytes: AtomicUsize,
    waker: AtomicWaker,
}

impl Mailbox {
    /// Puts mail in; wakes the shard when it was empty.
    pub(crate) fn put(&self, mail: Mail) {
        if let Mail::Publications { frames, .. } = &mail {
            self.waiting_bytes
                .fetch_add(frames.len(), Ordering::Relaxed);
        }
        let was_empty = {
            let mut waiting = self.mail.lock();
            waiting.push(mail);
            waiting.len() == 1
        };
        if was_empty {
            self.waker.wake();
        }
    }

    /// Whether no more publications should be put in for now.
    pub fn is_full(&self) -> bool {
        self.waiting_bytes.load(Ordering::Relaxed) > MAILBOX_BYTES_MAX
    }

    /// Runs `question` on the shard's thread and returns its answer; `None` when the shard is gone.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Shard) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, receiver) = tokio::sync::oneshot::channel();
        self.put(Mail::Run(Box::new(move |shard: &ShardRef| {
            let _ = answer.send(question(&mut shard.borrow_mut()));
        })));
        receiver.await.ok()
    }
}

/// The shard's task that empties its mailbox, for ever.
pub(super) async fn receive(shard: ShardRef, mailbox: Arc<Mailbox>) {
    let mut batch = Vec::new();
    loop {
        std::future::poll_fn(|cx| {
            mailbox.waker.register(cx.waker());
            std::mem::swap(&mut *mailbox.mail.lock(), &mut batch);
            if batch.is_empty() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        shard.borrow_mut().begin_turn();
        for mail in batch.drain(..) {
            if let Mail::Publications { frames, .. } = &mail {
                mailbox
                    .waiting_bytes
                    .fetch_sub(frames.len(), Ordering::Relaxed);
            }
            open(&shard, mail);
        }
        // Connections of this shard get their turn between two batches.
        tokio::task::yield_now().await;
    }
}

fn open(shard: &ShardRef, mail: Mail) {
    match mail {
        Mail::Publications {
            frames,
            routed_at,
            gate,
        } => {
            let mut shard = shard.borrow_mut();
            let kept_before = shard.ledger.kept();
            shard.deliver_frames(&frames, routed_at);
            if let Some(gate) = gate {
                shard.taken(gate, kept_before);
            }
        }
        Mail::Arrived(arrive) => match arrive() {
            Ok(arrival) => {
                tokio::task::spawn_local(handshake::handshake(shard.clone(), arrival));
            }
            Err(error) => tracing::debug!(%error, "connection lost on its way to a shard"),
        },
        Mail::Taken { by, upto } => shard.borrow_mut().shard_took(by, upto),
        Mail::Returned(returned) => shard.borrow_mut().returned(&returned),
        Mail::JournalMoved => shard.borrow_mut().journal_moved(),
        Mail::Checkpoint => {
            tokio::task::spawn_local(super::journaling::checkpoint(shard.clone()));
        }
        Mail::Adopt(adopted) => super::admit::adopt(shard, *adopted),
        Mail::Session(event) => shard.borrow_mut().session_event(event),
        Mail::LostLife => shard.borrow_mut().lost_life(),
        Mail::LinksMoved => shard.borrow_mut().links_moved(),
        Mail::Stop => shard.borrow_mut().stop(),
        Mail::Run(run) => run(shard),
    }
}
