//! Free space of the disk that is never used: sled does not recover well from a write that found no
//! room, so the node stops before that, with everything it has acknowledged on the disk.

use std::path::{Path, PathBuf};

/// The disk of one data directory, and how much of it has to stay free.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    data_dir: PathBuf,
    bytes: u64,
}

impl Reserve {
    pub(crate) fn new(data_dir: &Path, bytes: u64) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            bytes,
        }
    }

    /// Whether the reserve is whole; else what to tell the operator. A disk that does not say how full
    /// it is counts as one with room: the write itself will tell.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Ok(disk) = rustix::fs::statvfs(&self.data_dir) else {
            return Ok(());
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= self.bytes {
            return Ok(());
        }
        Err(format!(
            "the disk of {} is full: {free} bytes are free, {} are kept in reserve",
            self.data_dir.display(),
            self.bytes
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_when_less_than_the_reserve_is_free() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(Reserve::new(dir.path(), 0).check(), Ok(()));
        let full = Reserve::new(dir.path(), u64::MAX).check();
        assert!(full.is_err_and(|reason| reason.contains("is full")));
    }
}
