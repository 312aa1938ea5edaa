use std::io;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::testing::{StoreBuilder, Suite};
use openraft::{CommittedLeaderId, EntryPayload, RaftLogReader};
use tempfile::TempDir;

use super::{LogOpenError, LogStore};
use crate::failure::Failure;
use crate::fixtures;
use crate::raft_types::{Command, LogEntry, LogId, StorageError, TypeConfig, Vote};
use crate::reserve::Reserve;
use crate::state_machine::StateMachine;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

fn entry(term: u64, index: u64, bytes: usize) -> LogEntry {
    let command = Command {
        only_in_term: 0,
        entry: vec![index as u8; bytes].into(),
    };
    LogEntry {
        log_id: id(term, index),
        payload: EntryPayload::Normal(command),
    }
}

fn open(dir: &Path) -> Result<LogStore, LogOpenError> {
    LogStore::open(dir, 0, Reserve::new(dir, 0), Failure::new())
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError> {
        let broken = |error: &dyn std::error::Error| {
            openraft::StorageIOError::read(openraft::AnyError::error(error.to_string()))
        };
        let dir = tempfile::tempdir().map_err(|error| broken(&error))?;
        let log = open(dir.path()).map_err(|error| broken(&error))?;
        let state_machine = fixtures::state_machine(dir.path()).map_err(|error| broken(&*error))?;
        Ok((dir, log, state_machine))
    }
}

#[test]
fn the_store_passes_the_suite_of_openraft() -> TestResult {
    Suite::test_all(Builder)?;
    Ok(())
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() -> TestResult {
    let dir = tempfile::tempdir()?;
    let mut log = open(dir.path())?;
    assert!(log.is_pristine());
    log.save_vote(&Vote::new_committed(2, 1)).await?;
    log.blocking_append((0..50).map(|index| entry(2, index, 300)))
        .await?;
    log.truncate(id(2, 40)).await?;
    log.purge(id(2, 9)).await?;
    log.save_committed(Some(id(2, 39))).await?;
    log.close();
    drop(log);
    let mut log = open(dir.path())?;
    assert_eq!(log.read_vote().await?, Some(Vote::new_committed(2, 1)));
    assert_eq!(log.read_committed().await?, Some(id(2, 39)));
    let state = log.get_log_state().await?;
    assert_eq!(
        (state.last_purged_log_id, state.last_log_id),
        (Some(id(2, 9)), Some(id(2, 39)))
    );
    let entries = log.try_get_log_entries(..).await?;
    assert_eq!(
        entries,
        (10..40)
            .map(|index| entry(2, index, 300))
            .collect::<Vec<_>>()
    );
    assert_eq!(log.bytes(), 30 * 364);
    Ok(())
}

#[tokio::test]
async fn large_entries_leave_no_unflushed_files() -> TestResult {
    let dir = tempfile::tempdir()?;
    let mut log = open(dir.path())?;
    for index in 0..200 {
        log.blocking_append([entry(1, index, 120 << 10)]).await?;
    }
    log.close();
    let blobs = dir.path().join("log").join("blobs");
    assert_eq!(std::fs::read_dir(blobs).map_or(0, Iterator::count), 0);
    Ok(())
}

#[tokio::test]
async fn an_entry_beyond_the_limit_fails_the_store_for_good() -> TestResult {
    let dir = tempfile::tempdir()?;
    let failure = Failure::new();
    let mut log = LogStore::open(dir.path(), 0, Reserve::new(dir.path(), 0), failure.clone())?;
    assert!(log.blocking_append([entry(1, 0, 130 << 10)]).await.is_err());
    assert!(failure.reason().is_some());
    assert!(
        log.save_vote(&Vote::new(5, 1)).await.is_err(),
        "nothing is written after a failure"
    );
    Ok(())
}

#[tokio::test]
async fn nothing_is_written_when_the_reserve_of_the_disk_is_gone() -> TestResult {
    let dir = tempfile::tempdir()?;
    let failure = Failure::new();
    let full = Reserve::new(dir.path(), u64::MAX);
    let mut log = LogStore::open(dir.path(), 0, full, failure.clone())?;
    assert!(log.blocking_append([entry(1, 0, 10)]).await.is_err());
    let reason = failure.reason();
    assert!(
        reason.is_some_and(|reason| reason.contains("is full")),
        "the reason is told"
    );
    log.close();
    drop(log);
    assert!(open(dir.path())?.is_pristine(), "nothing was written");
    Ok(())
}

#[tokio::test]
async fn purged_entries_leave_the_disk_in_steps_and_the_log_stays_continuous() -> TestResult {
    let dir = tempfile::tempdir()?;
    let mut log = open(dir.path())?;
    log.blocking_append((0..5000).map(|index| entry(1, index, 10)))
        .await?;
    log.purge(id(1, 4500)).await?;
    log.blocking_append([entry(1, 5000, 10)]).await?;
    log.close();
    drop(log);
    let mut log = open(dir.path())?;
    let entries = log.try_get_log_entries(..).await?;
    assert_eq!(entries.len(), 500);
    assert_eq!(entries.first().map(|e| e.log_id), Some(id(1, 4501)));
    Ok(())
}

/// sled lets go of its lock some time after the last user has let go of the database.
#[test]
fn a_log_that_is_still_being_closed_is_waited_for() -> TestResult {
    let dir = tempfile::tempdir()?;
    let log = open(dir.path())?;
    log.close();
    drop(log);
    let database = std::fs::File::open(dir.path().join("log").join("db"))?;
    // Blocking, because sled's own may be there for a moment.
    rustix::fs::flock(&database, rustix::fs::FlockOperation::LockExclusive)?;
    let (begins, begun) = std::sync::mpsc::channel();
    let path = dir.path().to_owned();
    let opening = std::thread::spawn(move || begins.send(()).is_ok() && open(&path).is_ok());
    begun.recv()?;
    drop(database);
    assert!(opening.join().is_ok_and(|opened| opened));
    Ok(())
}

#[tokio::test]
async fn one_request_takes_a_bounded_part_of_the_log() -> TestResult {
    let dir = tempfile::tempdir()?;
    let mut log = open(dir.path())?;
    log.blocking_append((0..40).map(|index| entry(1, index, 100 << 10)))
        .await?;
    let taken = log.limited_get_log_entries(0, 40).await?;
    assert_eq!(taken.len(), 10, "1 MiB");
    assert_eq!(log.limited_get_log_entries(39, 40).await?.len(), 1);
    Ok(())
}

/// The `acked` file knows more than the log: what a damaged tail looks like after sled's own recovery.
#[tokio::test]
async fn a_log_that_lost_acknowledged_entries_or_its_vote_is_refused() -> TestResult {
    let dir = tempfile::tempdir()?;
    let mut log = open(dir.path())?;
    log.save_vote(&Vote::new_committed(2, 1)).await?;
    log.blocking_append((0..10).map(|index| entry(2, index, 10)))
        .await?;
    log.close();
    drop(log);
    let kept = dir.path().join("kept");
    std::fs::rename(dir.path().join("log"), &kept)?;
    assert!(
        matches!(open(dir.path()), Err(LogOpenError::Lost { .. })),
        "an empty log in its place"
    );
    std::fs::remove_dir_all(dir.path().join("log"))?;
    std::fs::rename(kept, dir.path().join("log"))?;
    assert!(open(dir.path()).is_ok());
    Ok(())
}

#[tokio::test]
async fn a_damaged_database_is_refused_without_a_panic_and_left_alone() -> TestResult {
    let dir = tempfile::tempdir()?;
    let mut log = open(dir.path())?;
    log.blocking_append((0..300).map(|index| entry(1, index, 2000)))
        .await?;
    log.close();
    drop(log);
    let file = dir.path().join("log").join("db");
    let whole = std::fs::read(&file)?;
    let damages: [(&str, Vec<u8>); 3] = [
        ("cut in the middle", whole[..whole.len() / 3].to_vec()),
        ("overwritten in the middle", {
            let mut damaged = whole.clone();
            let used = whole.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            damaged[used / 3..used / 3 + 4096].fill(0xa5);
            damaged
        }),
        ("another file", b"this is no database".repeat(1000)),
    ];
    for (what, damaged) in damages {
        std::fs::write(&file, &damaged)?;
        let refused = open(dir.path());
        assert!(refused.is_err(), "{what}");
        assert!(
            file.exists(),
            "{what}: the file is left for people to look at"
        );
    }
    Ok(())
}

/// The victim of `acknowledged_entries_survive_kill_9`: appends and prints what is acknowledged.
#[tokio::test]
#[ignore = "it is started by another test, which kills it"]
async fn append_until_killed() -> TestResult {
    let Some(dir) = std::env::var_os("RAFTMQ_TEST_DIR") else {
        return Ok(());
    };
    let mut log = open(Path::new(&dir))?;
    let mut next = log
        .get_log_state()
        .await?
        .last_log_id
        .map_or(0, |last| last.index + 1);
    loop {
        let count = 1 + next % 7;
        log.blocking_append((next..next + count).map(|index| entry(1, index, 500)))
            .await?;
        next += count;
        println!("acked {}", next - 1);
        if next % 64 < 7 && next > 1000 {
            log.purge(id(1, next - 500)).await?;
        }
    }
}

#[test]
fn acknowledged_entries_survive_kill_9() -> TestResult {
    let dir = tempfile::tempdir()?;
    for round in 0..8 {
        let acked = run_and_kill(dir.path(), Duration::from_millis(80 + 70 * (round % 4)))?;
        let log = open(dir.path()).map_err(|error| format!("round {round}: {error}"))?;
        let last = log.shared.memory.read().entries.keys().next_back().copied();
        assert!(
            last >= acked,
            "round {round}: acknowledged {acked:?}, found {last:?}"
        );
        log.close();
    }
    Ok(())
}

fn run_and_kill(dir: &Path, after: Duration) -> io::Result<Option<u64>> {
    let mut child = Process::new(std::env::current_exe()?)
        .args([
            "--exact",
            "log::tests::append_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env("RAFTMQ_TEST_DIR", dir)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("no output"))?;
    let reader = std::thread::spawn(move || io::read_to_string(output));
    let end = Instant::now() + after;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    let output = reader
        .join()
        .map_err(|_| io::Error::other("the reader panicked"))??;
    let mut acked = output
        .lines()
        .filter_map(|line| line.split("acked ").nth(1)?.parse().ok());
    Ok(acked.next_back())
}
