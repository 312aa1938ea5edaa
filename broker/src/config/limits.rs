//! The limit of open files, which bounds the number of connections whatever the configuration
//! says.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a node keeps open besides the connections of its clients: the log, snapshots,
/// listeners, links to peers, HTTP requests.
const RESERVED: u64 = 256;

/// How many files this process may have open at once (`RLIMIT_NOFILE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    limit: u64,
}

impl OpenFiles {
    /// The limit in force.
    pub fn limit(self) -> u64 {
        self.limit
    }

    /// The connections that can be held at once: `configured` (`mqtt.max_connections`), or what
    /// the limit leaves after the files the node itself needs; at least 1.
    pub fn connections_max(self, configured: usize) -> usize {
        let left = self.limit.saturating_sub(RESERVED).max(1);
        configured.min(usize::try_from(left).unwrap_or(usize::MAX))
    }
}

/// Raises the soft limit of open files to the hard one, which needs no privilege, and returns what
/// is then in force. A refusal leaves the limit as it was.
pub fn raise_open_files() -> OpenFiles {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let raised = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    OpenFiles { limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_bounds_the_connections() {
        let files = OpenFiles { limit: 1_024 };
        assert_eq!(files.connections_max(1_000_000), 768);
        assert_eq!(files.connections_max(100), 100);
        assert_eq!(OpenFiles { limit: 10 }.connections_max(100), 1);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_limit() {
        let files = raise_open_files();
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(files.limit(), hard);
    }
}
