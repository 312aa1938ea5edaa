//! The end of a turn: every buffer that was appended to is written or handed over once.

use super::{
    Shard, ShardId, ShardRef,
    connection::Written,
    mailbox::{Gate, Mail},
    slots::SlotKey,
};
use crate::{engine::Engine, link::Chunk};
use raftmq_api::counters::Metric;
use raftmq_mqtt::{codec::QoS, publication::Publication};
use std::task::{Poll, Waker};

/// What a turn has produced.
pub(super) struct Output {
    /// Connections with bytes to be written.
    dirty: Vec<SlotKey>,
    /// Publications for the other shards, by shard.
    shards: Vec<Staged>,
    /// Publications for the other nodes, by link.
    links: Vec<Staged>,
    has_staged: bool,
    /// Index of the log entry up to which all that is staged was routed.
    routed_at: u64,
    flusher: Option<Waker>,
}

#[derive(Default)]
struct Staged {
    frames: Vec<u8>,
    /// Number of the last publication staged for this link or shard, counted from 1.
    position: u64,
    /// A publish waits for the shard to have taken what is staged.
    is_awaited: bool,
}

impl Output {
    pub fn new(engine: &Engine) -> Output {
        Output {
            dirty: Vec::new(),
            shards: engine.mailboxes.iter().map(|_| Staged::default()).collect(),
            links: Vec::new(),
            has_staged: false,
            routed_at: 0,
            flusher: None,
        }
    }

    /// A connection whose `dirty` mark has just been set.
    pub fn add(&mut self, key: SlotKey) {
        self.dirty.push(key);
        self.wake();
    }

    /// There are so many links now.
    pub fn grow(&mut self, links: usize) {
        self.links.resize_with(links, Staged::default);
    }

    /// Something waits for the end of the turn.
    pub(super) fn wake(&mut self) {
        if let Some(flusher) = self.flusher.take() {
            flusher.wake();
        }
    }

    fn is_empty(&self) -> bool {
        self.dirty.is_empty() && !self.has_staged
    }
}

/// The shard's task that writes what a turn has produced, for ever. Woken by the first buffer of a
/// turn, it runs behind the tasks that are ready.
pub(super) async fn flusher(shard: ShardRef) {
    std::future::poll_fn::<(), _>(|cx| {
        let mut shard = shard.borrow_mut();
        if !shard.output.is_empty() || shard.ledger.has_staged() {
            shard.flush();
        }
        shard.hand_over_notices();
        // A buffer that was written whole is filled from its session's queue: that is for the next turn.
        if !shard.output.is_empty() {
            cx.waker().wake_by_ref();
        }
        shard.output.flusher = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

impl Shard {
    /// The connection has bytes to be written this turn.
    pub(super) fn mark_dirty(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Some(connection) = slot.connection.as_deref_mut() else {
            return;
        };
        if !connection.out.is_empty() && !std::mem::replace(&mut connection.dirty, true) {
            self.output.add(key);
        }
    }

    /// `waiting`: the deferred publish that this is a part of.
    pub(super) fn stage_for_shard(
        &mut self,
        shard: ShardId,
        publication: &Publication<'_>,
        waiting: Option<usize>,
    ) {
        let full = self.engine.mailboxes[shard.index()].is_full();
        if full && publication.qos == QoS::AtMostOnce {
            self.counters.add(Metric::MessagesDropped, 1);
            self.tell_drop_of(publication.publisher, publication, "shard_full");
            self.note_lost(None, publication, "shard_full");
            return;
        }
        self.begin_staging();
        let staged = &mut self.output.shards[shard.index()];
        publication.append_to(&mut staged.frames);
        staged.position += 1;
        if let Some(waiting) = waiting {
            staged.is_awaited = true;
            self.deferred.add_shard(waiting, shard, staged.position);
        }
        self.output.has_staged = true;
        self.output.wake();
    }

    /// `waiting`: the deferred publish that this is a part of.
    pub(super) fn stage_for_link(
        &mut self,
        link: usize,
        publication: &Publication<'_>,
        waiting: Option<usize>,
    ) {
        if publication.qos == QoS::AtMostOnce && self.links[link].is_full() {
            self.links[link].count_dropped();
            self.counters.add(Metric::MessagesDropped, 1);
            self.tell_drop_of(publication.publisher, publication, "link_full");
            self.note_lost(None, publication, "link_full");
            return;
        }
        self.begin_staging();
        let staged = &mut self.output.links[link];
        publication.append_to(&mut staged.frames);
        staged.position += 1;
        if let Some(waiting) = waiting {
            self.deferred.add_link(waiting, link, staged.position);
        }
        self.output.has_staged = true;
        self.output.wake();
    }

    /// What is handed over together was routed by the same table.
    fn begin_staging(&mut self) {
        let routed_at = self.cache.routed_at();
        if self.output.routed_at != routed_at {
            self.hand_over();
            self.output.routed_at = routed_at;
        }
    }

    pub(crate) fn flush(&mut self) {
        self.ledger.hand_over();
        self.hand_over();
        let mut dirty = std::mem::take(&mut self.output.dirty);
        for key in dirty.drain(..) {
            self.write(key);
        }
        // Mostly writing has made nothing dirty again, so the list is still empty: keep its memory.
        if self.output.dirty.is_empty() {
            self.output.dirty = dirty;
        }
        self.hand_over_notices();
    }

    fn hand_over(&mut self) {
        if !std::mem::take(&mut self.output.has_staged) {
            return;
        }
        let routed_at = self.output.routed_at;
        for (mailbox, staged) in self.engine.mailboxes.iter().zip(&mut self.output.shards) {
            if !staged.frames.is_empty() {
                let (from, upto) = (self.id, staged.position);
                let is_awaited = std::mem::take(&mut staged.is_awaited);
                mailbox.put(Mail::Publications {
                    frames: std::mem::take(&mut staged.frames),
                    routed_at,
                    gate: is_awaited.then_some(Gate::Shard { from, upto }),
                });
            }
        }
        for (link, staged) in self.links.iter().zip(&mut self.output.links) {
            if !staged.frames.is_empty() {
                link.send(Chunk {
                    shard: self.id,
                    upto: staged.position,
                    routed_at,
                    frames: std::mem::take(&mut staged.frames),
                });
            }
        }
    }

    /// Writes one connection's buffer; what the socket does not take waits for its task.
    pub(super) fn write(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Some(connection) = slot.connection.as_deref_mut() else {
            return;
        };
        connection.dirty = false;
        if connection.blocked {
            return;
        }
        match connection.write(self.ledger.durable()) {
            Ok(Written::Held) => self.ledger.hold(key),
            Ok(Written::All) => {
                if connection.out.capacity() > OUT_KEPT_BYTES {
                    connection.out = Vec::new();
                }
                // What had waited for a full buffer may go on.
                if slot.session.outbound.has_waiting() {
                    self.pump(key);
                }
            }
            Ok(Written::Blocked) => {
                connection.blocked = true;
                connection.wake();
            }
            Err(error) => {
                let why = format!("write: {error}");
                self.lost(key, &why);
            }
        }
    }
}

/// An emptied out-buffer larger than this gives its memory back at once, a smaller one when the
/// sweep finds it idle.
const OUT_KEPT_BYTES: usize = 16 * 1024;
