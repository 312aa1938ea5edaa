//! The Raft log of this node: in memory for reading, on disk (`disk`) for keeping.
//!
//! Raft §5.1 to §5.3: term, vote and entries are on stable storage before a node answers. openraft
//! waits for each append; reads (replication, apply) never touch the disk. What is in memory is
//! bounded by the snapshot trigger, which purges the log.
//!
//! This module knows nothing of what entries mean.

mod acked;
mod codec;
mod disk;
mod flush_times;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Instant;

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{AnyError, EntryPayload, OptionalSend, RaftLogReader, StorageIOError};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

pub use self::disk::LogOpenError;
pub use self::flush_times::FlushTimes;
use self::writer::{Job, PendingCommitted};
use crate::failure::Failure;
use crate::raft_types::{LogEntry, LogId, StorageError, TypeConfig, Vote};
use crate::reserve::Reserve;

/// Bytes of entries in one AppendEntries request: far below the 16 MiB that a receiver takes, and
/// sent well within a heartbeat.
const REPLICATION_BYTES_MAX: usize = 1 << 20;

/// Bytes counted for an entry beside its command.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// The log of one Raft group. Clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    memory: RwLock<Memory>,
    jobs: Sender<Job>,
    pending_committed: PendingCommitted,
    flush_times: Arc<Mutex<FlushTimes>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Memory {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, LogEntry>,
    bytes: u64,
}

impl LogStore {
    /// Opens the log below `dir`, creating it when there is none.
    pub(crate) fn open(
        dir: &Path,
        group: u32,
        reserve: Reserve,
        failure: Failure,
    ) -> Result<Self, LogOpenError> {
        let (disk, loaded) = disk::Disk::open(dir, group)?;
        let bytes = loaded
            .entries
            .values()
            .map(|entry| entry_bytes(entry) as u64)
            .sum();
        let memory = Memory {
            vote: loaded.vote,
            committed: loaded.committed,
            purged: loaded.purged,
            entries: loaded.entries,
            bytes,
        };
        let pending_committed = PendingCommitted::default();
        let flush_times = Arc::new(Mutex::new(FlushTimes::new(Instant::now())));
        let (jobs, thread) = writer::spawn(
            disk,
            pending_committed.clone(),
            flush_times.clone(),
            reserve,
            failure,
        )
        .map_err(|source| LogOpenError::Io {
            path: dir.to_owned(),
            source,
        })?;
        let shared = Shared {
            memory: RwLock::new(memory),
            jobs,
            pending_committed,
            flush_times,
            thread: Mutex::new(Some(thread)),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Whether it never held an entry or a vote.
    pub(crate) fn is_pristine(&self) -> bool {
        let memory = self.shared.memory.read();
        memory.vote.is_none() && memory.entries.is_empty() && memory.purged.is_none()
    }

    /// The last purged index.
    pub(crate) fn purged_index(&self) -> Option<u64> {
        self.shared.memory.read().purged.map(|id| id.index)
    }

    /// Bytes of the entries in the log.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.memory.read().bytes
    }

    /// How long writing takes.
    pub(crate) fn flush_times(&self) -> FlushTimes {
        *self.shared.flush_times.lock()
    }

    /// The last index known to be committed, as of the last start or of what Raft said since.
    pub(crate) fn committed_index(&self) -> Option<u64> {
        self.shared.memory.read().committed.map(|id| id.index)
    }

    /// Bytes of the entries after `index`.
    pub(crate) fn bytes_after(&self, index: Option<u64>) -> u64 {
        let memory = self.shared.memory.read();
        let from = index.map_or(0, |index| index.saturating_add(1));
        memory
            .entries
            .range(from..)
            .map(|(_, entry)| entry_bytes(entry) as u64)
            .sum()
    }

    /// The last index up to which entries may go so that the younger ones still have `keep` bytes.
    pub(crate) fn purgeable_index(&self, snapshot: u64, keep: u64) -> Option<u64> {
        let memory = self.shared.memory.read();
        let mut kept = 0;
        for (index, entry) in memory.entries.range(..=snapshot).rev() {
            kept += entry_bytes(entry) as u64;
            if kept > keep {
                return Some(*index);
            }
        }
        None
    }

    /// Writes what is still pending and waits until the thread has ended. Later writes fail.
    pub(crate) fn close(&self) {
        let _ = self.shared.jobs.send(Job::Stop);
        if let Some(thread) = self.shared.thread.lock().take() {
            let _ = thread.join();
        }
    }

    async fn run(
        &self,
        job: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Job,
    ) -> io::Result<()> {
        let (done, result) = oneshot::channel();
        self.send(job(done))?;
        result.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn send(&self, job: Job) -> io::Result<()> {
        self.shared.jobs.send(job).map_err(|_| stopped())
    }
}

fn stopped() -> io::Error {
    io::Error::other("the log's writer has stopped")
}

fn entry_bytes(entry: &LogEntry) -> usize {
    ENTRY_OVERHEAD_BYTES
        + match &entry.payload {
            EntryPayload::Normal(command) => command.entry.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, StorageError> {
        let memory = self.shared.memory.read();
        Ok(memory
            .entries
            .range((range.start_bound().cloned(), range.end_bound().cloned()))
            .map(|(_, e)| e.clone())
            .collect())
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<LogEntry>, StorageError> {
        let memory = self.shared.memory.read();
        let mut bytes = 0;
        let within = |(_, entry): &(&u64, &LogEntry)| {
            let first = bytes == 0;
            bytes += entry_bytes(entry);
            first || bytes <= REPLICATION_BYTES_MAX
        };
        Ok(memory
            .entries
            .range(start..end)
            .take_while(within)
            .map(|(_, entry)| entry.clone())
            .collect())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let memory = self.shared.memory.read();
        let last = memory
            .entries
            .values()
            .next_back()
            .map(|entry| entry.log_id);
        Ok(LogState {
            last_purged_log_id: memory.purged,
            last_log_id: last.or(memory.purged),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        self.run(|done| Job::Vote { vote, done })
            .await
            .map_err(|e| StorageIOError::write_vote(&e))?;
        self.shared.memory.write().vote = Some(vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.shared.memory.read().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let Some(committed) = committed else {
            return Ok(());
        };
        self.shared.memory.write().committed = Some(committed);
        let queued = self
            .shared
            .pending_committed
            .lock()
            .replace(committed)
            .is_some();
        if queued {
            return Ok(());
        }
        self.send(Job::Committed)
            .map_err(|e| StorageIOError::write(&e).into())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.shared.memory.read().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<LogEntry> = entries.into_iter().collect();
        {
            let mut memory = self.shared.memory.write();
            for entry in &entries {
                memory.insert(entry.clone());
            }
        }
        self.send(Job::Append {
            entries,
            done: callback,
        })
        .map_err(|e| StorageIOError::write_logs(AnyError::new(&e)).into())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let before = {
            let mut memory = self.shared.memory.write();
            memory.remove_since(log_id.index);
            memory
                .entries
                .values()
                .next_back()
                .map(|entry| entry.log_id)
                .or(memory.purged)
        };
        let since = log_id.index;
        self.run(|done| Job::Truncate {
            since,
            before,
            done,
        })
        .await
        .map_err(|e| StorageIOError::write_logs(&e).into())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.shared.memory.write().purge(log_id);
        self.run(|done| Job::Purge { upto: log_id, done })
            .await
            .map_err(|e| StorageIOError::write_logs(&e).into())
    }
}

impl Memory {
    fn insert(&mut self, entry: LogEntry) {
        self.bytes += entry_bytes(&entry) as u64;
        if let Some(old) = self.entries.insert(entry.log_id.index, entry) {
            self.bytes -= entry_bytes(&old) as u64;
        }
    }

    fn remove_since(&mut self, index: u64) {
        for entry in self.entries.split_off(&index).into_values() {
            self.bytes -= entry_bytes(&entry) as u64;
        }
    }

    fn purge(&mut self, upto: LogId) {
        let kept = self.entries.split_off(&(upto.index + 1));
        for entry in std::mem::replace(&mut self.entries, kept).into_values() {
            self.bytes -= entry_bytes(&entry) as u64;
        }
        if self.purged < Some(upto) {
            self.purged = Some(upto);
        }
    }
}
