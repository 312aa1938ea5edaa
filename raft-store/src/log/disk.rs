//! The Raft log, the vote and the committed index on sled.
//!
//! sled 0.34 alone does not survive a power cut: its `flush` ends in `sync_file_range`, and values
//! beyond a quarter of a segment go to files of their own that nobody flushes. Therefore: segments are
//! large, entries small (one key per Raft entry), `blobs/` has to stay empty, and each acknowledged
//! write ends with an fdatasync of the database file on a descriptor of our own.
//!
//! All methods block; only the writer's thread calls them once the log is open.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prost::Message;
use raftmq_proto::v1 as proto;

use super::acked::{Acked, AckedFile};
use super::codec;
use crate::raft_types::{LogEntry, LogId, Vote};
use crate::wire::{ToRaft, ToWire};

/// Leaf pages hold up to 16 values and move to unflushed files beyond a quarter of a segment: with
/// these segments that is at 128 KiB per value.
const SEGMENT_BYTES: usize = 8 << 20;
/// The largest value that is written. See [`SEGMENT_BYTES`].
const VALUE_BYTES_MAX: usize = 126 << 10;
const CACHE_BYTES: u64 = 64 << 20;
/// Keys removed in one go; more at once holds up the entries that wait behind.
const PURGE_KEYS: usize = 1000;

/// How long a database that was closed a moment ago may stay locked, and how often that is looked at.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(5);

const VOTE: &[u8] = b"vote";
const COMMITTED: &[u8] = b"committed";
const PURGED: &[u8] = b"purged";

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogOpenError {
    /// The database itself cannot be opened.
    #[error("the database {path} cannot be opened: {reason}")]
    Database {
        /// The database's directory.
        path: PathBuf,
        /// What sled said.
        reason: String,
    },
    /// An entry in the log is damaged.
    #[error("entry {index} of the Raft log in {path} is damaged: {reason}")]
    Entry {
        /// The database's directory.
        path: PathBuf,
        /// Log index of the entry.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The log ends before what this node has acknowledged, or lacks its vote.
    #[error("the Raft log in {path} has lost what this node had promised: {reason}")]
    Lost {
        /// The database's directory.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What an opened log holds.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    pub(super) entries: BTreeMap<u64, LogEntry>,
}

#[derive(Debug)]
pub(super) struct Disk {
    group: u32,
    db: sled::Db,
    log: sled::Tree,
    state: sled::Tree,
    /// The database's file, opened a second time for fdatasync.
    file: File,
    acked_file: AckedFile,
    acked: Acked,
    /// Entries below this index are purged but their keys may still be there.
    purge_below: u64,
}

impl Disk {
    /// Opens `<dir>/log` and `<dir>/acked`, creating them when they are missing.
    pub(super) fn open(dir: &Path, group: u32) -> Result<(Self, Loaded), LogOpenError> {
        let path = dir.join("log");
        let io_error = |source| LogOpenError::Io {
            path: path.clone(),
            source,
        };
        let (db, log, state) = open_database(&path)?;
        let file = File::open(path.join("db")).map_err(io_error)?;
        for dir in [path.as_path(), dir] {
            File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(io_error)?;
        }
        let (acked_file, known) = AckedFile::open(&dir.join("acked")).map_err(io_error)?;
        let mut disk = Self {
            group,
            db,
            log,
            state,
            file,
            acked_file,
            acked: Acked::default(),
            purge_below: 0,
        };
        let loaded = disk.load(&path)?;
        disk.acked = acked_of(&loaded);
        if let Some(known) = known {
            check_nothing_lost(&path, known, &loaded)?;
        }
        Ok((disk, loaded))
    }

    fn load(&mut self, path: &Path) -> Result<Loaded, LogOpenError> {
        let mut loaded = Loaded {
            vote: self
                .read_state::<proto::RaftVote>(path, VOTE)?
                .map(ToRaft::to_raft),
            committed: self
                .read_state::<proto::RaftLogId>(path, COMMITTED)?
                .map(ToRaft::to_raft),
            purged: self
                .read_state::<proto::RaftLogId>(path, PURGED)?
                .map(ToRaft::to_raft),
            entries: BTreeMap::new(),
        };
        self.purge_below = loaded.purged.map_or(0, |id| id.index + 1);
        let from = codec::key(self.group, self.purge_below);
        let to = codec::key(self.group, u64::MAX);
        for item in self.log.range(from..=to) {
            let (key, value) = item.map_err(|error| database_error(path, &error))?;
            let index = codec::index_of(self.group, &key).unwrap_or(u64::MAX);
            let entry = codec::decode(index, &value).map_err(|damage| LogOpenError::Entry {
                path: path.to_owned(),
                index,
                reason: damage.to_string(),
            })?;
            loaded.entries.insert(index, entry);
        }
        check_continuous(path, &loaded)?;
        Ok(loaded)
    }

    fn read_state<M: Message + Default>(
        &self,
        path: &Path,
        name: &[u8],
    ) -> Result<Option<M>, LogOpenError> {
        let Some(value) = self
            .state
            .get(self.state_key(name))
            .map_err(|error| database_error(path, &error))?
        else {
            return Ok(None);
        };
        let damaged = || LogOpenError::Database {
            path: path.to_owned(),
            reason: format!(
                "the value of {:?} is damaged",
                String::from_utf8_lossy(name)
            ),
        };
        let (crc, body) = value.split_first_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
            return Err(damaged());
        }
        M::decode(body).map(Some).map_err(|_| damaged())
    }

    fn state_key(&self, name: &[u8]) -> Vec<u8> {
        [&self.group.to_be_bytes(), name].concat()
    }

    fn write_state<M: Message>(&self, name: &[u8], message: &M) -> io::Result<()> {
        let body = message.encode_to_vec();
        let value = [&crc32fast::hash(&body).to_be_bytes()[..], &body].concat();
        self.state.insert(self.state_key(name), value)?;
        Ok(())
    }

    /// Writes entries; they are durable when this returns.
    pub(super) fn append(&mut self, entries: Vec<LogEntry>) -> io::Result<()> {
        let Some(last) = entries.last().map(|entry| entry.log_id) else {
            return Ok(());
        };
        let mut batch = sled::Batch::default();
        for entry in entries {
            let index = entry.log_id.index;
            let value = codec::encode(entry);
            if value.len() > VALUE_BYTES_MAX {
                return Err(io::Error::other(format!(
                    "entry {index} has {} bytes",
                    value.len()
                )));
            }
            batch.insert(&codec::key(self.group, index), value);
        }
        self.log.apply_batch(batch)?;
        self.flush()?;
        self.acked.next_index = last.index + 1;
        self.acked.term = last.leader_id.term;
        self.acked_file.write(self.acked)
    }

    /// Writes the vote; it is durable when this returns.
    pub(super) fn save_vote(&mut self, vote: Vote) -> io::Result<()> {
        self.write_state(VOTE, &vote.to_wire())?;
        self.flush()?;
        self.acked.vote = Some(vote);
        self.acked_file.write(self.acked)
    }

    /// Writes the committed index. It becomes durable with whatever is flushed next: losing it costs
    /// only that the leader has to repeat it.
    pub(super) fn save_committed(&self, committed: LogId) -> io::Result<()> {
        self.write_state(COMMITTED, &committed.to_wire())
    }

    /// Removes the entries from `since` on. `before` is the entry that is then the last.
    pub(super) fn truncate(&mut self, since: u64, before: Option<LogId>) -> io::Result<()> {
        self.acked.next_index = since.min(self.acked.next_index);
        self.acked.term = before.map_or(0, |id| id.leader_id.term);
        self.acked_file.write_durably(self.acked)?;
        self.remove_keys(since, u64::MAX, usize::MAX)?;
        self.flush()
    }

    /// Notes that entries up to `upto` are purged; their keys go away with [`Disk::purge_some`].
    pub(super) fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.write_state(PURGED, &upto.to_wire())?;
        self.flush()?;
        self.purge_below = upto.index + 1;
        if self.acked.next_index < self.purge_below {
            self.acked.next_index = self.purge_below;
            self.acked.term = upto.leader_id.term;
            self.acked_file.write(self.acked)?;
        }
        Ok(())
    }

    /// Removes a bounded number of purged keys. Returns false when none were left.
    pub(super) fn purge_some(&mut self) -> io::Result<bool> {
        let Some(last) = self.purge_below.checked_sub(1) else {
            return Ok(false);
        };
        Ok(self.remove_keys(0, last, PURGE_KEYS)? > 0)
    }

    fn remove_keys(&self, from: u64, to: u64, at_most: usize) -> io::Result<usize> {
        let range = codec::key(self.group, from)..=codec::key(self.group, to);
        let mut batch = sled::Batch::default();
        let mut removed = 0;
        for key in self.log.range(range).keys().take(at_most) {
            batch.remove(key?);
            removed += 1;
        }
        if removed > 0 {
            self.log.apply_batch(batch)?;
        }
        Ok(removed)
    }

    /// Makes everything written so far survive a power cut.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.db.flush()?;
        self.file.sync_data()
    }
}

/// sled's own threads hold its lock for a moment after a database is closed. That no other process has
/// the directory has been seen to before (`DataDir`).
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// sled may panic on a damaged database instead of returning an error.
fn open_database(path: &Path) -> Result<(sled::Db, sled::Tree, sled::Tree), LogOpenError> {
    let open = || -> sled::Result<_> {
        let config = sled::Config::new()
            .path(path)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        let begun = Instant::now();
        let db = loop {
            match config.open() {
                Err(error) if is_locked(&error) && begun.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(LOCK_POLL);
                }
                opened => break opened?,
            }
        };
        let (log, state) = (db.open_tree("log")?, db.open_tree("state")?);
        Ok((db, log, state))
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) => Err(database_error(path, &error)),
        Err(_) => Err(LogOpenError::Database {
            path: path.to_owned(),
            reason: "its content is damaged".into(),
        }),
    }
}

fn database_error(path: &Path, error: &sled::Error) -> LogOpenError {
    LogOpenError::Database {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn acked_of(loaded: &Loaded) -> Acked {
    let last = last_log_id(loaded);
    Acked {
        next_index: last.map_or(0, |id| id.index + 1),
        term: last.map_or(0, |id| id.leader_id.term),
        vote: loaded.vote,
    }
}

fn last_log_id(loaded: &Loaded) -> Option<LogId> {
    loaded
        .entries
        .values()
        .next_back()
        .map(|entry| entry.log_id)
        .or(loaded.purged)
}

fn check_continuous(path: &Path, loaded: &Loaded) -> Result<(), LogOpenError> {
    let first = loaded.purged.map_or(0, |id| id.index + 1);
    for (expected, index) in (first..).zip(loaded.entries.keys()) {
        if *index != expected {
            let reason = format!("entry {expected} is missing, {index} follows");
            return Err(LogOpenError::Lost {
                path: path.to_owned(),
                reason,
            });
        }
    }
    Ok(())
}

fn check_nothing_lost(path: &Path, known: Acked, loaded: &Loaded) -> Result<(), LogOpenError> {
    let lost = |reason: String| {
        Err(LogOpenError::Lost {
            path: path.to_owned(),
            reason,
        })
    };
    let next_index = last_log_id(loaded).map_or(0, |id| id.index + 1);
    if next_index < known.next_index {
        return lost(format!(
            "it ends before index {next_index}, acknowledged was index {}",
            known.next_index - 1
        ));
    }
    let last_known = known
        .next_index
        .checked_sub(1)
        .and_then(|index| loaded.entries.get(&index));
    if last_known.is_some_and(|entry| entry.log_id.leader_id.term < known.term) {
        return lost(format!(
            "entry {} is of an older term than the acknowledged one",
            known.next_index - 1
        ));
    }
    match (known.vote, loaded.vote) {
        (Some(known), None) => lost(format!("the vote {known} is gone")),
        (Some(known), Some(vote)) if vote.leader_id < known.leader_id => {
            lost(format!("the vote is {vote}, given was {known}"))
        }
        _ => Ok(()),
    }
}
