//! The journal of a node's sessions: what they are owed, on disk (guarantee G3).
//!
//! Shards own the sessions and keep them in memory; the journal is only what rebuilds them after the
//! process has died. So it is written and never read, but for the start: one log for all shards, appended by
//! one thread with one flush for all that happened meanwhile. A shard stages records while it works,
//! hands them over once a turn under one lock, and holds back what must not be said before they are on the
//! disk: acknowledgements, and packets that give or release a packet identifier of QoS 2.
//!
//! There is no index from messages to segments. When the log has doubled, each shard writes the states of
//! its sessions once more, in slices, behind everything else (a checkpoint), and all older segments are
//! removed. So a message costs nothing while it lives, and the disk holds at most about twice
//! what the sessions hold, and 64 MiB.
//!
//! | room | concern |
//! | --- | --- |
//! | [`record`], [`bytes`] | what can happen to a session |
//! | [`batch`], [`segment`] | what lies on the disk |
//! | [`disk`], [`writer`] | the thread that writes |
//! | [`recovery`], [`image`] | from the disk to sessions |

mod batch;
mod bytes;
mod disk;
mod image;
pub mod record;
mod recovery;
mod segment;
mod shard_wake;
#[cfg(test)]
mod tests;
mod writer;

use crate::shard::ShardId;
use parking_lot::{Condvar, Mutex};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};
use tokio::sync::watch;

pub use image::{Image, ImageDelivery, Message};
pub use recovery::JournalError;
pub use segment::Owner;
pub use shard_wake::Waker;

/// Bytes handed over and not written, beyond which publishers wait.
const HELD_BYTES_MAX: usize = 64 << 20;

/// The journal, as shards see it.
pub struct Journal {
    inbox: Mutex<writer::Inbox>,
    filled: Condvar,
    /// Per shard: number of its last chunk that is on the disk.
    durable: Vec<AtomicU64>,
    /// Bytes handed over and not written.
    held_bytes: AtomicUsize,
    last_session: AtomicU64,
    last_frame: AtomicU64,
    is_out_of_room: AtomicBool,
    checkpoints_left: AtomicUsize,
    /// Bytes of all segments.
    bytes: AtomicU64,
    failure: watch::Sender<Option<String>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Reads the journal in `dir`, which is made, and goes on writing it. `shards` are woken when what
    /// they handed over is on the disk. Returns the sessions that it holds, in no order.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(
        dir: &Path,
        owner: Owner,
        shards: Vec<Arc<dyn Waker>>,
    ) -> Result<(Arc<Journal>, Vec<Image>), JournalError> {
        let recovered = recovery::recover(dir, &owner)?;
        let io_error = |error| JournalError::Io {
            path: dir.to_owned(),
            error,
        };
        let disk = disk::Disk::open(dir, owner, recovered.segments, recovered.last_batch);
        let disk = disk.map_err(io_error)?;
        let journal = Arc::new(Journal {
            inbox: Mutex::default(),
            filled: Condvar::new(),
            durable: shards.iter().map(|_| AtomicU64::new(0)).collect(),
            held_bytes: AtomicUsize::new(0),
            last_session: AtomicU64::new(recovered.last_session),
            last_frame: AtomicU64::new(0),
            is_out_of_room: AtomicBool::new(false),
            checkpoints_left: AtomicUsize::new(0),
            bytes: AtomicU64::new(disk.bytes()),
            failure: watch::Sender::new(None),
            thread: Mutex::default(),
        });
        let writer = writer::Writer::new(journal.clone(), disk, dir, shards);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run_guarded());
        *journal.thread.lock() = Some(thread.map_err(io_error)?);
        Ok((journal, recovered.sessions))
    }

    /// Takes what a shard has staged as its chunk number `position`.
    pub fn put(&self, shard: ShardId, position: u64, records: Vec<u8>) {
        self.held_bytes.fetch_add(records.len(), Ordering::Relaxed);
        let chunk = writer::Chunk {
            shard,
            position,
            records,
        };
        self.inbox.lock().chunks.push(chunk);
        self.filled.notify_one();
    }

    /// Number of the shard's last chunk that is on the disk.
    pub fn durable(&self, shard: ShardId) -> u64 {
        self.durable[shard.index()].load(Ordering::Acquire)
    }

    /// The shard's part of the checkpoint is on the disk.
    pub fn checkpointed(&self) {
        self.inbox.lock().checkpointed += 1;
        self.filled.notify_one();
    }

    /// A number for a session that begins to be written.
    pub fn next_session(&self) -> u64 {
        self.last_session.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A name for a frame that states refer to.
    pub fn next_frame(&self) -> u64 {
        self.last_frame.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether publishers have to wait.
    pub fn is_full(&self) -> bool {
        self.held_bytes.load(Ordering::Relaxed) > HELD_BYTES_MAX
    }

    /// Whether the disk has no room for anything new.
    pub fn is_out_of_room(&self) -> bool {
        self.is_out_of_room.load(Ordering::Relaxed)
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Resolves, with the reason, when it cannot be written any more.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await;
        match failed.ok().and_then(|reason| reason.clone()) {
            Some(reason) => reason,
            // Not possible while `self` holds the sender.
            None => std::future::pending().await,
        }
    }

    /// Writes what has been handed over, and ends. Blocks.
    pub fn close(&self) {
        self.inbox.lock().closing = true;
        self.filled.notify_one();
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal of sessions ended with a panic");
        }
    }
}
