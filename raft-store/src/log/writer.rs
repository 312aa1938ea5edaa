//! The one thread that writes the log: votes and entries reach the disk in the order in which Raft
//! gave them, and no task of the runtime ever waits inside an fsync.
//!
//! The first error is the last thing the thread does with the disk: from then on every job is
//! answered with that error ([`Failure`]).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openraft::storage::LogFlushed;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::disk::Disk;
use super::flush_times::FlushTimes;
use crate::failure::Failure;
use crate::raft_types::{LogEntry, LogId, TypeConfig, Vote};
use crate::reserve::Reserve;

/// A committed index that no later write has carried to the disk is flushed after this time.
const COMMITTED_FLUSH: Duration = Duration::from_millis(500);

type Done = oneshot::Sender<io::Result<()>>;

/// What the thread can be asked for. Raft waits for each job but `Committed`, which is queued at most
/// once: so the queue holds a handful of jobs at the most.
pub(super) enum Job {
    Append {
        entries: Vec<LogEntry>,
        done: LogFlushed<TypeConfig>,
    },
    Vote {
        vote: Vote,
        done: Done,
    },
    Truncate {
        since: u64,
        before: Option<LogId>,
        done: Done,
    },
    Purge {
        upto: LogId,
        done: Done,
    },
    Committed,
    Stop,
}

/// The latest committed index that is not written yet; later ones replace earlier ones.
pub(super) type PendingCommitted = Arc<Mutex<Option<LogId>>>;

pub(super) fn spawn(
    disk: Disk,
    pending: PendingCommitted,
    flush_times: Arc<Mutex<FlushTimes>>,
    reserve: Reserve,
    failure: Failure,
) -> io::Result<(Sender<Job>, JoinHandle<()>)> {
    let (jobs, queue) = std::sync::mpsc::channel();
    let writer = Writer {
        disk,
        pending,
        flush_times,
        reserve,
        failure,
        committed_unflushed: false,
    };
    let thread = std::thread::Builder::new()
        .name("raft-log".into())
        .spawn(move || writer.run(&queue))?;
    Ok((jobs, thread))
}

struct Writer {
    disk: Disk,
    pending: PendingCommitted,
    flush_times: Arc<Mutex<FlushTimes>>,
    reserve: Reserve,
    failure: Failure,
    committed_unflushed: bool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Some(job) = self.next(queue) {
            if matches!(job, Job::Stop) {
                break;
            }
            self.work(job);
        }
        let _ = self.guarded(|writer| {
            writer.write_committed()?;
            writer.disk.flush()
        });
    }

    /// The next job; while there is none, removes purged keys and flushes the committed index.
    fn next(&mut self, queue: &Receiver<Job>) -> Option<Job> {
        loop {
            match queue.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            if self
                .guarded(|writer| writer.disk.purge_some())
                .unwrap_or(false)
            {
                continue;
            }
            if !self.committed_unflushed {
                return queue.recv().ok();
            }
            match queue.recv_timeout(COMMITTED_FLUSH) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.guarded(|writer| writer.disk.flush());
                    self.committed_unflushed = false;
                }
            }
        }
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Append { entries, done } => {
                let result = self.guarded(|writer| {
                    writer.reserve.check().map_err(io::Error::other)?;
                    writer.write_committed()?;
                    writer.append(entries)
                });
                self.committed_unflushed = false;
                done.log_io_completed(result);
            }
            Job::Vote { vote, done } => {
                answer(done, self.guarded(|writer| writer.disk.save_vote(vote)))
            }
            Job::Truncate {
                since,
                before,
                done,
            } => {
                answer(
                    done,
                    self.guarded(|writer| writer.disk.truncate(since, before)),
                );
            }
            Job::Purge { upto, done } => {
                answer(done, self.guarded(|writer| writer.disk.purge(upto)))
            }
            Job::Committed => {
                let _ = self.guarded(Self::write_committed);
            }
            Job::Stop => {}
        }
    }

    fn append(&mut self, entries: Vec<LogEntry>) -> io::Result<()> {
        let begun = Instant::now();
        self.disk.append(entries)?;
        let now = Instant::now();
        self.flush_times.lock().add(now, now - begun);
        Ok(())
    }

    fn write_committed(&mut self) -> io::Result<()> {
        let Some(committed) = self.pending.lock().take() else {
            return Ok(());
        };
        self.committed_unflushed = true;
        self.disk.save_committed(committed)
    }

    /// Runs one step on the disk, unless an earlier one failed. An error, and also a panic inside
    /// sled, is final.
    fn guarded<T>(&mut self, step: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        if let Some(reason) = self.failure.reason() {
            return Err(io::Error::other(&*reason));
        }
        let result = catch_unwind(AssertUnwindSafe(|| step(self)))
            .unwrap_or_else(|_| Err(io::Error::other("the database panicked")));
        if let Err(error) = &result {
            self.failure
                .set(&format!("the Raft log cannot be written: {error}"));
        }
        result
    }
}

fn answer(done: Done, result: io::Result<()>) {
    // The receiver is gone when Raft was stopped meanwhile.
    let _ = done.send(result);
}
