//! A disk that a test can fill: a tmpfs of a few MiB.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::statvfs;

/// A mounted disk; dropping it unmounts it.
pub struct SmallDisk {
    mount_point: PathBuf,
}

impl SmallDisk {
    /// Mounts one at `mount_point`, which is made. Absent when this user may not mount: only root may.
    ///
    /// # Panics
    /// When root may not, either.
    #[must_use]
    pub fn mount(mount_point: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(mount_point).expect("a folder to mount on");
        let options = format!("size={bytes},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "raftmq-test"])
            .arg(mount_point)
            .output()
            .expect("the program mount");
        if mounted.status.success() {
            return Some(Self {
                mount_point: mount_point.into(),
            });
        }
        let why = String::from_utf8_lossy(&mounted.stderr).into_owned();
        assert!(!rustix::process::geteuid().is_root(), "{why}");
        println!("skipped, for only root may mount a disk: {why}");
        None
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Fills it until at most `left` bytes are free.
    ///
    /// # Panics
    /// On an I/O error other than that there is no more room.
    pub fn fill(&self, left: u64) {
        let disk = statvfs(&self.mount_point).expect("a mounted disk");
        let free = disk.f_bavail * disk.f_frsize;
        let bytes = usize::try_from(free.saturating_sub(left)).expect("a small disk");
        let mut ballast = File::create(self.ballast()).expect("a file");
        ballast.write_all(&vec![0; bytes]).expect("room for it");
    }

    /// Makes room again.
    ///
    /// # Panics
    /// When it was not filled.
    pub fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("a disk that was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.mount_point.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that a failed test leaves behind must not keep it.
        let _ = Command::new("umount")
            .arg("-l")
            .arg(&self.mount_point)
            .status();
    }
}
