//! Why a store cannot be opened, and why a proposal or a read fails.

use std::io;
use std::path::PathBuf;

use crate::identity::IdentityError;
use crate::log::LogOpenError;

/// Why a store cannot be opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration is impossible.
    #[error("the cluster configuration is impossible: {0}")]
    Config(String),
    /// The data directory is another node's, locked, or unreadable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There is no room to write.
    #[error("{0}; make room and start the node again")]
    DiskFull(String),
    /// The log cannot be used.
    #[error(
        "{0}; this node must not take part with it. Restore the data directory from a copy. \
         The rest of the cluster goes on without this node; an empty directory under the same id is refused"
    )]
    Log(#[from] LogOpenError),
    /// The last snapshot cannot be read although the log depends on it.
    #[error(
        "the snapshot {path} cannot be read: {reason}; this node must not take part without it. Restore the data \
         directory from a copy. The rest of the cluster goes on without this node; an empty directory under the same \
         id is refused"
    )]
    Snapshot {
        /// The snapshot file or its directory.
        path: PathBuf,
        /// What is wrong.
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
    /// Raft did not start.
    #[error("Raft cannot start: {0}")]
    Raft(String),
}

/// Why a proposal was not carried out, or why nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Too many proposals of this node are waiting. Nothing was done; try again later.
    #[error("too many commands are waiting on this node")]
    Overloaded,
    /// The command is larger than a log entry may be. Nothing was done.
    #[error("the command has {bytes} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
        /// [`Limits::op_bytes`](crate::Limits::op_bytes).
        limit: usize,
    },
    /// This node is not part of the running cluster (yet). Nothing was done.
    #[error("this node is not serving: {0}")]
    NotReady(String),
    /// No answer in time. The command may have taken effect or may still do so.
    #[error("no quorum confirmed the command in time")]
    TimedOut,
    /// The node was declared down while the command was under way, or lost track of it. It may have
    /// taken effect.
    #[error("the outcome of the command is not known")]
    Unknown,
    /// The store was shut down or its storage failed. The command may have taken effect.
    #[error("the store has stopped")]
    Stopped,
}

/// Why a linearizable read is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader confirmed in time.
    #[error("no leader confirmed the read in time")]
    TimedOut,
    /// The store was shut down or its storage failed.
    #[error("the store has stopped")]
    Stopped,
}
