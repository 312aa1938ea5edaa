//! Snapshots (Raft §7) as files.
//!
//! A snapshot is written beside the running table from a frozen view of it, under a temporary name,
//! and becomes visible by a rename: a crash leaves the old one or the new one, never half of one. It
//! is never in memory as a whole, and it is sent as a stream (`network::snapshot_stream`).

mod file;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use self::file::{read, write};
use crate::raft_types::SnapshotMeta;

/// A snapshot on disk. The open descriptor keeps it readable when a newer one replaces it.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) length_bytes: u64,
}

impl SnapshotFile {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        let length_bytes = file.metadata()?.len();
        Ok(Self {
            path,
            file: Arc::new(file),
            length_bytes,
        })
    }

    /// An empty file that a snapshot can be received into.
    pub(crate) fn incoming(dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!("incoming-{}.tmp", uuid::Uuid::new_v4()));
        let file = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(&path)?;
        Ok(Self {
            path,
            file: Arc::new(file),
            length_bytes: 0,
        })
    }

    /// Gives the file its lasting name in `dir`.
    pub(crate) fn keep(&self, dir: &Path, group: u32, meta: &SnapshotMeta) -> io::Result<Self> {
        self.file.sync_all()?;
        let path = dir.join(name(group, meta));
        fs::rename(&self.path, &path)?;
        File::open(dir)?.sync_all()?;
        Self::open(path)
    }
}

/// Ordered by term and index, so that the greatest name is the latest snapshot.
fn name(group: u32, meta: &SnapshotMeta) -> String {
    let (term, index) = meta
        .last_log_id
        .map_or((0, 0), |id| (id.leader_id.term, id.index));
    format!("snapshot-{group:08x}-{term:016x}-{index:016x}")
}

/// The latest snapshot of the group in `dir`, if there is one.
pub(crate) fn latest(dir: &Path, group: u32) -> io::Result<Option<PathBuf>> {
    Ok(names(dir, group)?
        .into_iter()
        .next_back()
        .map(|name| dir.join(name)))
}

/// Removes the group's snapshots but `kept`, and what was left unfinished by an earlier process.
pub(crate) fn remove_others(dir: &Path, group: u32, kept: Option<&Path>) -> io::Result<()> {
    for name in names(dir, group)? {
        let path = dir.join(name);
        if Some(path.as_path()) != kept {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Removes files that an earlier process did not finish.
pub(crate) fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn names(dir: &Path, group: u32) -> io::Result<Vec<String>> {
    let prefix = format!("snapshot-{group:08x}-");
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        if name.starts_with(&prefix) && !name.ends_with(".tmp") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
