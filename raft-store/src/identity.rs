//! Who this data directory is.
//!
//! The first thing a node does is to lock its directory and to read `identity`: format version, node,
//! cluster, the directory's own id (`disk_id`) and the number of the node's present life
//! (`incarnation`). A node that lost its disk comes back with the right node id but another disk id;
//! the others know the old one from the membership and refuse it, since an empty log must not vote in
//! the place of a full one (Raft §5.4 would be void).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

const FORMAT_VERSION: u32 = 1;

/// What a data directory says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Version of the directory's format.
    pub format_version: u32,
    /// The cluster (a random UUID); `None` until the node was part of one.
    pub cluster_id: Option<String>,
    /// The node's id in the configuration.
    pub node_id: u64,
    /// The directory's id in the Raft group: never used twice, so that no log can be taken for another.
    pub raft_id: u64,
    /// The name when the directory was last opened.
    pub node_name: String,
    /// The directory itself (a random UUID).
    pub disk_id: String,
    /// The node's life: grows by one at each start and whenever the cluster had declared it down.
    pub incarnation: u64,
}

/// Why a data directory cannot be used. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Another process holds the lock.
    #[error(
        "the data directory {0} is in use by another raftmq: stop that one, or give this one a directory of its own"
    )]
    InUse(PathBuf),
    /// The directory was written by another version.
    #[error(
        "the data directory {path} has format version {found}, this program knows version {FORMAT_VERSION}: \
         use the program that wrote it"
    )]
    UnknownFormat {
        /// The directory.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// The directory belongs to another node.
    #[error(
        "the data directory {path} belongs to node {found}, this node is {configured}: start with that id, \
         or give this node a directory of its own"
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node id in it.
        found: u64,
        /// The node id of the configuration.
        configured: u64,
    },
    /// The file is there but not readable as an identity.
    #[error(
        "{path} is damaged ({reason}): restore it, or move the data directory away ; a member whose data is gone is refused, and is brought back from a copy of its directory"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no identity although the directory holds other files.
    #[error(
        "the directory {0} is not empty and is no data directory of raftmq: give an empty one or one of this node"
    )]
    Foreign(PathBuf),
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A locked data directory with its identity. The lock ends with the process or with this value.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    identity: Identity,
    lock: Option<File>,
}

impl DataDir {
    /// Creates or opens the directory, locks it and begins a new life of the node.
    pub(crate) fn open(path: &Path, node_id: u64, node_name: &str) -> Result<Self, IdentityError> {
        let io_error = |source| IdentityError::Io {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(io_error)?;
        let fresh = is_empty(path).map_err(io_error)?;
        let lock = lock(path)?;
        let identity = match read(path)? {
            Some(identity) => checked(path, identity, node_id)?,
            None if fresh => new_identity(node_id),
            None => new_identity_if_unused(path, node_id)?,
        };
        let mut dir = Self {
            path: path.to_owned(),
            identity,
            lock: Some(lock),
        };
        node_name.clone_into(&mut dir.identity.node_name);
        dir.begin_life(0).map_err(io_error)?;
        Ok(dir)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Begins a new life, later than `after`. It is on disk when this returns.
    pub(crate) fn begin_life(&mut self, after: u64) -> io::Result<u64> {
        let incarnation = self.identity.incarnation.max(after) + 1;
        self.update(|identity| identity.incarnation = incarnation)?;
        Ok(incarnation)
    }

    /// Makes the directory part of a cluster, for good.
    pub(crate) fn join_cluster(&mut self, cluster_id: &str) -> io::Result<()> {
        self.update(|identity| identity.cluster_id = Some(cluster_id.to_owned()))
    }

    /// Lets another process (or a later store of this one) have the directory.
    pub(crate) fn release(&mut self) {
        self.lock = None;
    }

    fn update(&mut self, change: impl FnOnce(&mut Identity)) -> io::Result<()> {
        if self.lock.is_none() {
            return Err(io::Error::other("the data directory has been released"));
        }
        let mut identity = self.identity.clone();
        change(&mut identity);
        write(&self.path, &identity)?;
        self.identity = identity;
        Ok(())
    }
}

fn is_empty(path: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(path)?.next().is_none())
}

fn lock(path: &Path) -> Result<File, IdentityError> {
    let io_error = |source| IdentityError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("lock"))
        .map_err(io_error)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(IdentityError::InUse(path.to_owned())),
        Err(error) => Err(io_error(error.into())),
    }
}

fn read(path: &Path) -> Result<Option<Identity>, IdentityError> {
    let file = path.join("identity");
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::Io { path: file, source }),
    };
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    let damaged = |error: serde_json::Error| IdentityError::Damaged {
        path: file.clone(),
        reason: error.to_string(),
    };
    let version: Version = serde_json::from_slice(&text).map_err(damaged)?;
    if version.format_version != FORMAT_VERSION {
        return Err(IdentityError::UnknownFormat {
            path: path.to_owned(),
            found: version.format_version,
        });
    }
    serde_json::from_slice(&text).map(Some).map_err(damaged)
}

fn checked(path: &Path, identity: Identity, node_id: u64) -> Result<Identity, IdentityError> {
    if identity.node_id == node_id {
        return Ok(identity);
    }
    Err(IdentityError::OtherNode {
        path: path.to_owned(),
        found: identity.node_id,
        configured: node_id,
    })
}

fn new_identity(node_id: u64) -> Identity {
    Identity {
        format_version: FORMAT_VERSION,
        cluster_id: None,
        node_id,
        raft_id: new_raft_id(node_id),
        node_name: String::new(),
        disk_id: uuid::Uuid::new_v4().to_string(),
        incarnation: 0,
    }
}

/// Random in its upper half; the lower half shows the node's id, for people who read logs.
fn new_raft_id(node_id: u64) -> u64 {
    (u64::from(rand::random::<u32>()) << 32) | (node_id & u64::from(u32::MAX))
}

/// A crash between creating the directory and writing the identity leaves the lock and perhaps the
/// temporary file; a volume may come with `lost+found`. Anything else is somebody else's.
fn new_identity_if_unused(path: &Path, node_id: u64) -> Result<Identity, IdentityError> {
    let io_error = |source| IdentityError::Io {
        path: path.to_owned(),
        source,
    };
    for entry in fs::read_dir(path).map_err(io_error)? {
        let name = entry.map_err(io_error)?.file_name();
        if !["lock", "identity.new", "lost+found"]
            .iter()
            .any(|ours| name == *ours)
        {
            return Err(IdentityError::Foreign(path.to_owned()));
        }
    }
    Ok(new_identity(node_id))
}

fn write(path: &Path, identity: &Identity) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(identity).map_err(io::Error::other)?;
    let new = path.join("identity.new");
    let mut file = File::create(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new, path.join("identity"))?;
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn each_start_is_a_new_life_of_the_same_directory() -> TestResult {
        let dir = tempfile::tempdir()?;
        let first = DataDir::open(dir.path(), 2, "two")?.identity().clone();
        let second = DataDir::open(dir.path(), 2, "zwei")?.identity().clone();
        assert_eq!((first.incarnation, second.incarnation), (1, 2));
        assert_eq!(first.disk_id, second.disk_id);
        assert_eq!(second.node_name, "zwei");
        Ok(())
    }

    #[test]
    fn a_life_is_later_than_the_one_the_cluster_knows() -> TestResult {
        let dir = tempfile::tempdir()?;
        let mut data = DataDir::open(dir.path(), 2, "two")?;
        assert_eq!(data.begin_life(40)?, 41);
        drop(data);
        assert_eq!(
            DataDir::open(dir.path(), 2, "two")?.identity().incarnation,
            42
        );
        Ok(())
    }

    #[test]
    fn a_directory_in_use_is_refused() -> TestResult {
        let dir = tempfile::tempdir()?;
        let _held = DataDir::open(dir.path(), 1, "one")?;
        assert!(matches!(
            DataDir::open(dir.path(), 1, "one"),
            Err(IdentityError::InUse(_))
        ));
        Ok(())
    }

    #[test]
    fn a_directory_of_another_node_is_refused() -> TestResult {
        let dir = tempfile::tempdir()?;
        drop(DataDir::open(dir.path(), 1, "one")?);
        let refused = DataDir::open(dir.path(), 2, "two");
        assert!(matches!(
            refused,
            Err(IdentityError::OtherNode {
                found: 1,
                configured: 2,
                ..
            })
        ));
        Ok(())
    }

    #[test]
    fn an_unknown_format_is_refused() -> TestResult {
        let dir = tempfile::tempdir()?;
        fs::write(
            dir.path().join("identity"),
            r#"{"format_version": 9, "new_field": true}"#,
        )?;
        let refused = DataDir::open(dir.path(), 1, "one");
        assert!(matches!(
            refused,
            Err(IdentityError::UnknownFormat { found: 9, .. })
        ));
        Ok(())
    }

    #[test]
    fn a_damaged_identity_and_a_foreign_directory_are_refused_and_left_alone() -> TestResult {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("identity"), "{")?;
        assert!(matches!(
            DataDir::open(dir.path(), 1, "one"),
            Err(IdentityError::Damaged { .. })
        ));
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("thesis.tex"), "precious")?;
        assert!(matches!(
            DataDir::open(dir.path(), 1, "one"),
            Err(IdentityError::Foreign(_))
        ));
        assert_eq!(
            fs::read_to_string(dir.path().join("thesis.tex"))?,
            "precious"
        );
        Ok(())
    }
}
