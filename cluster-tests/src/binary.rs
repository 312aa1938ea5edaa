//! Where the program under test is.
//!
//! Tests must never run against yesterday's binary. Cargo alone knows whether a binary is up to
//! date, so it is asked, once for all tests of a run: nextest runs each test in a process of its
//! own, and even a build with nothing to do costs half a second.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};

/// The `raftmq` binary: `RAFTMQ_BIN`, or what cargo builds into the target folder and with the
/// profile of the running test.
///
/// # Panics
/// When it cannot be built or is not where it should be.
pub fn raftmq_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("RAFTMQ_BIN") {
        Some(path) => PathBuf::from(path),
        None => build_once_per_run(&profile_folder()),
    })
}

/// `target/<profile>`: tests are in its `deps`, programs in itself.
fn profile_folder() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let folder = own.parent().expect("a folder around this program");
    let is_test = folder.ends_with("deps");
    if is_test {
        folder.parent().expect("the profile's folder").into()
    } else {
        folder.into()
    }
}

fn build_once_per_run(profile_folder: &Path) -> PathBuf {
    let stamp = profile_folder.join("raftmq-cluster-tests.run");
    let lock = File::create(profile_folder.join("raftmq-cluster-tests.lock")).expect("a lock file");
    flock(&lock, FlockOperation::LockExclusive).expect("the lock");
    let binary = profile_folder.join("raftmq");
    let run = std::env::var("NEXTEST_RUN_ID").ok();
    let built_in = std::fs::read_to_string(&stamp).ok();
    if run.is_none() || run != built_in || !binary.exists() {
        build(profile_folder);
        assert!(binary.exists(), "cargo built no {}", binary.display());
        let mut file = File::create(&stamp).expect("a stamp file");
        file.write_all(run.unwrap_or_default().as_bytes())
            .expect("the stamp");
    }
    binary
}

fn build(profile_folder: &Path) {
    let folder = profile_folder
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a profile");
    let profile = if folder == "debug" { "dev" } else { folder };
    let target = profile_folder.parent().expect("the target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--package",
            "raftmq",
            "--bin",
            "raftmq",
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "cargo could not build raftmq");
}
