//! The one thread that writes the journal. It takes what all shards have handed over, writes it as one
//! batch, flushes once, says how far it is, and wakes the shards that wait: while a flush is under way the
//! next batch grows, so nobody waits on purpose.
//!
//! The first error is the last thing the thread does: nobody knows what is on the disk then, so nothing
//! is acknowledged any more and the node ends. That there is no more room is foreseen: below a reserve the
//! shards are told to take nothing new.

use super::{Journal, disk::Disk, shard_wake::Waker};
use crate::shard::ShardId;
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// What a shard has handed over.
pub(super) struct Chunk {
    pub shard: ShardId,
    /// Its number, as the shard counts.
    pub position: u64,
    pub records: Vec<u8>,
}

/// What the thread is asked for.
#[derive(Default)]
pub(super) struct Inbox {
    pub chunks: Vec<Chunk>,
    /// Shards whose part of the checkpoint under way is on the disk.
    pub checkpointed: usize,
    pub closing: bool,
}

/// How often the free room is looked at.
const ROOM_INTERVAL: Duration = Duration::from_millis(200);
/// Free bytes below which nothing new is taken. Behind it the Raft log has a reserve of its own.
const RESERVE_BYTES: u64 = 32 << 20;
/// The journal is rewritten when it is this long, or twice as long as it was after the last time.
const CHECKPOINT_BYTES: u64 = 64 << 20;

pub(super) struct Writer {
    journal: Arc<Journal>,
    disk: Disk,
    dir: PathBuf,
    shards: Vec<Arc<dyn Waker>>,
    /// First segment that a checkpoint under way does not make superfluous.
    checkpoint: Option<u64>,
    checkpoint_at_bytes: u64,
    looked_at: Option<Instant>,
}

impl Writer {
    pub fn new(
        journal: Arc<Journal>,
        disk: Disk,
        dir: &Path,
        shards: Vec<Arc<dyn Waker>>,
    ) -> Writer {
        Writer {
            journal,
            disk,
            dir: dir.to_owned(),
            shards,
            checkpoint: None,
            checkpoint_at_bytes: CHECKPOINT_BYTES,
            looked_at: None,
        }
    }

    /// Runs until the journal is closed or cannot be written. A panic counts as the latter: nothing may go on as
    /// if the thread were there.
    pub fn run_guarded(self) {
        let journal = self.journal.clone();
        if catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            let what = "the journal of sessions cannot be written: its thread panicked";
            journal.failure.send_replace(Some(what.to_owned()));
        }
    }

    fn run(mut self) {
        self.look_for_room();
        loop {
            let inbox = self.next();
            if let Err(error) = self.work(&inbox) {
                let what = format!("the journal of sessions cannot be written: {error}");
                tracing::error!(what, "this node stops serving and has to be restarted");
                self.journal.failure.send_replace(Some(what));
                return;
            }
            if inbox.closing {
                return;
            }
        }
    }

    /// Waits for something to do; nothing but the look for room when it took too long.
    fn next(&mut self) -> Inbox {
        let mut inbox = self.journal.inbox.lock();
        if inbox.chunks.is_empty() && inbox.checkpointed == 0 && !inbox.closing {
            self.journal.filled.wait_for(&mut inbox, ROOM_INTERVAL);
        }
        std::mem::take(&mut *inbox)
    }

    fn work(&mut self, inbox: &Inbox) -> io::Result<()> {
        if !inbox.chunks.is_empty() {
            let records = inbox.chunks.iter().map(|chunk| &chunk.records[..]);
            self.disk.append(records)?;
            self.publish(&inbox.chunks);
        }
        self.look_for_room();
        self.checkpoint(inbox.checkpointed)?;
        self.journal
            .bytes
            .store(self.disk.bytes(), Ordering::Relaxed);
        Ok(())
    }

    /// Says what is on the disk now, and wakes those who handed it over.
    fn publish(&self, chunks: &[Chunk]) {
        for (index, shard) in self.shards.iter().enumerate() {
            let own = chunks.iter().filter(|chunk| chunk.shard.index() == index);
            if let Some(position) = own.map(|chunk| chunk.position).max() {
                self.journal.durable[index].store(position, Ordering::Release);
                shard.journal_moved();
            }
        }
        let written: usize = chunks.iter().map(|chunk| chunk.records.len()).sum();
        self.journal
            .held_bytes
            .fetch_sub(written, Ordering::Relaxed);
    }

    fn look_for_room(&mut self) {
        if self
            .looked_at
            .is_some_and(|at| at.elapsed() < ROOM_INTERVAL)
        {
            return;
        }
        self.looked_at = Some(Instant::now());
        // A disk that does not say how full it is counts as one with room: the write itself will tell.
        let free = rustix::fs::statvfs(&self.dir)
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let is_full = free < RESERVE_BYTES;
        if self.journal.is_out_of_room.swap(is_full, Ordering::Relaxed) != is_full {
            let reserve = RESERVE_BYTES;
            match is_full {
                true => tracing::error!(
                    free,
                    reserve,
                    "the disk is nearly full: messages that sessions have to keep are refused"
                ),
                false => tracing::info!(free, "the disk has room again"),
            }
        }
    }

    /// Has the journal rewritten when it is long, and removes what that makes superfluous.
    fn checkpoint(&mut self, shards_done: usize) -> io::Result<()> {
        match self.checkpoint {
            None if self.disk.bytes() >= self.checkpoint_at_bytes => {
                self.checkpoint = Some(self.disk.begin_segment()?);
                self.journal
                    .checkpoints_left
                    .store(self.shards.len(), Ordering::Relaxed);
                self.shards.iter().for_each(|shard| shard.checkpoint());
            }
            Some(first) if shards_done > 0 => {
                let left = &self.journal.checkpoints_left;
                let before = left.fetch_sub(shards_done, Ordering::Relaxed);
                if before == shards_done {
                    self.disk.remove_before(first)?;
                    self.checkpoint = None;
                    self.checkpoint_at_bytes = CHECKPOINT_BYTES.max(2 * self.disk.bytes());
                    tracing::debug!(
                        bytes = self.disk.bytes(),
                        "the journal of sessions was rewritten"
                    );
                }
            }
            _ => {}
        }
        Ok(())
    }
}
