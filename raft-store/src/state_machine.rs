//! The table as Raft sees it: entries are applied to it, snapshots are made of it and replace it.
//!
//! The table lives in memory. What survives a restart is the last snapshot and the log after it;
//! openraft applies the committed part of the log again before it starts (`save_committed`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::{
    AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, RaftTypeConfig, StorageIOError,
};
use parking_lot::Mutex;
use prost::Message;
use raftmq_proto::v1::Entry;

use crate::applied::Followers;
use crate::error::OpenError;
use crate::failure::Failure;
use crate::raft_types::{
    Command, LogEntry, LogId, Member, Snapshot, SnapshotMeta, StorageError, StoredMembership,
    TypeConfig,
};
use crate::snapshot::{self, SnapshotFile};
use crate::table::Frozen;

type CurrentSnapshot = Arc<Mutex<Option<(SnapshotMeta, SnapshotFile)>>>;

/// See the module's documentation.
pub(crate) struct StateMachine {
    group: u32,
    dir: PathBuf,
    followers: Arc<Followers>,
    failure: Failure,
    applied: Option<LogId>,
    membership: StoredMembership,
    current: CurrentSnapshot,
}

impl StateMachine {
    /// Loads the latest snapshot in `dir` into the table, if there is one.
    pub(crate) fn open(
        dir: PathBuf,
        group: u32,
        followers: Arc<Followers>,
        failure: Failure,
    ) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::Io {
            path: dir.clone(),
            source,
        };
        std::fs::create_dir_all(&dir).map_err(io_error)?;
        snapshot::remove_unfinished(&dir).map_err(io_error)?;
        let mut this = Self {
            group,
            dir: dir.clone(),
            followers,
            failure,
            applied: None,
            membership: StoredMembership::default(),
            current: CurrentSnapshot::default(),
        };
        if let Some(path) = snapshot::latest(&dir, group).map_err(io_error)? {
            let unreadable = |reason: String| OpenError::Snapshot {
                path: path.clone(),
                reason,
            };
            let (meta, table) =
                snapshot::read(&path).map_err(|error| unreadable(error.to_string()))?;
            let file =
                SnapshotFile::open(path.clone()).map_err(|error| unreadable(error.to_string()))?;
            this.followers.table.replace(table);
            this.applied = meta.last_log_id;
            this.membership = meta.last_membership.clone();
            *this.current.lock() = Some((meta, file));
        }
        Ok(this)
    }

    /// The last index that the loaded snapshot contains.
    pub(crate) fn applied_index(&self) -> Option<u64> {
        self.applied.map(|id| id.index)
    }

    fn apply_entry(&mut self, entry: LogEntry) -> Result<(), StorageError> {
        let log_id = entry.log_id;
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(command) => self.apply_command(log_id, &command)?,
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(log_id), membership);
            }
        }
        self.applied = Some(log_id);
        Ok(())
    }

    fn apply_command(&self, log_id: LogId, command: &Command) -> Result<(), StorageError> {
        if command.only_in_term != 0 && command.only_in_term != log_id.leader_id.term {
            return Ok(());
        }
        let entry = Entry::decode(command.entry.clone())
            .map_err(|error| self.fatal_apply(log_id, &error))?;
        let applied = self.followers.table.apply(log_id.index, &entry);
        self.followers.entry_applied(log_id.index, &entry, applied);
        Ok(())
    }

    /// An entry that this version cannot read. To skip it would make this table another one than the
    /// others'.
    fn fatal_apply(
        &self,
        log_id: LogId,
        error: &(impl std::error::Error + 'static),
    ) -> StorageError {
        self.failure
            .set(&format!("log entry {log_id} cannot be applied: {error}"));
        StorageIOError::apply(log_id, AnyError::new(error)).into()
    }

    fn fatal_snapshot(
        &self,
        what: &str,
        error: &(impl std::error::Error + 'static),
    ) -> StorageError {
        self.failure.set(&format!("{what}: {error}"));
        StorageIOError::write_snapshot(None, AnyError::new(error)).into()
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(
        &mut self,
        entries: I,
    ) -> Result<Vec<<TypeConfig as RaftTypeConfig>::R>, StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut answers = Vec::new();
        for entry in entries {
            self.apply_entry(entry)?;
            answers.push(());
        }
        if let Some(applied) = self.applied {
            self.followers.applied_up_to(applied.index);
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            group: self.group,
            dir: self.dir.clone(),
            applied: self.applied,
            membership: self.membership.clone(),
            frozen: Some(self.followers.table.freeze()),
            current: Arc::clone(&self.current),
            failure: self.failure.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotFile>, StorageError> {
        let file = SnapshotFile::incoming(&self.dir);
        file.map(Box::new)
            .map_err(|error| self.fatal_snapshot("a snapshot cannot be received", &error))
    }

    async fn install_snapshot(
        &mut self,
        meta: &openraft::SnapshotMeta<u64, Member>,
        snapshot: Box<SnapshotFile>,
    ) -> Result<(), StorageError> {
        let path = snapshot.path.clone();
        let read = tokio::task::spawn_blocking(move || snapshot::read(&path)).await;
        let (_, table) = read
            .map_err(|error| self.fatal_snapshot("a received snapshot cannot be read", &error))?
            .map_err(|error| self.fatal_snapshot("a received snapshot cannot be read", &error))?;
        let kept = keep_latest(&self.current, &self.dir, self.group, meta, &snapshot);
        kept.map_err(|error| self.fatal_snapshot("a received snapshot cannot be kept", &error))?;
        self.followers.table.replace(table);
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.followers.table_replaced();
        if let Some(applied) = self.applied {
            self.followers.applied_up_to(applied.index);
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let current = self.current.lock().clone();
        Ok(current.map(|(meta, file)| Snapshot {
            meta,
            snapshot: Box::new(file),
        }))
    }
}

/// Writes a frozen table to a file, beside the running one.
pub(crate) struct SnapshotBuilder {
    group: u32,
    dir: PathBuf,
    applied: Option<LogId>,
    membership: StoredMembership,
    frozen: Option<Frozen>,
    current: CurrentSnapshot,
    failure: Failure,
}

impl SnapshotBuilder {
    fn fatal(&self, error: &(impl std::error::Error + 'static)) -> StorageError {
        self.failure
            .set(&format!("a snapshot cannot be written: {error}"));
        StorageIOError::write_snapshot(None, AnyError::new(error)).into()
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: self
                .applied
                .map_or_else(|| "empty".into(), |id| id.to_string()),
        };
        let used = std::io::Error::other("this builder has built its snapshot");
        let frozen = self.frozen.take().ok_or_else(|| self.fatal(&used))?;
        let (dir, described) = (self.dir.clone(), meta.clone());
        let write = move || snapshot::write(&dir, &described, &frozen);
        let written = tokio::task::spawn_blocking(write).await;
        let file = written
            .map_err(|error| self.fatal(&error))?
            .map_err(|error| self.fatal(&error))?;
        let kept = keep_latest(&self.current, &self.dir, self.group, &meta, &file);
        kept.map_err(|error| self.fatal(&error))?;
        Ok(Snapshot {
            meta,
            snapshot: Box::new(file),
        })
    }
}

/// Makes a finished file the current snapshot, unless a later one has become that meanwhile: one may
/// be received while another is built.
fn keep_latest(
    current: &CurrentSnapshot,
    dir: &Path,
    group: u32,
    meta: &SnapshotMeta,
    file: &SnapshotFile,
) -> io::Result<()> {
    let mut current = current.lock();
    if current
        .as_ref()
        .is_some_and(|(known, _)| known.last_log_id > meta.last_log_id)
    {
        return std::fs::remove_file(&file.path);
    }
    let kept = file.keep(dir, group, meta)?;
    snapshot::remove_others(dir, group, Some(&kept.path))?;
    *current = Some((meta.clone(), kept));
    Ok(())
}
