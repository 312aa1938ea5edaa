//! One member: a child process, from its start to its end.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::output::{Terminal, copy_lines};
use super::plan::{Member, Plan};

/// How long a member may take to stop before it is killed; longer than its own deadline by
/// default (`node.stop_timeout`).
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// How long the last lines of a member that has ended may take to arrive. Only a process of its
/// own that it left behind could hold its output open longer.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(2);

/// What the members are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Go on.
    Run,
    /// Stop gracefully, within [`STOP_WITHIN`].
    Stop,
    /// End now.
    Kill,
}

/// A member that was started.
pub(super) struct Running {
    id: usize,
    child: Child,
    /// Held open, never written to: its end tells the child that this process is gone.
    lifeline: Option<ChildStdin>,
}

/// How a member ended.
#[derive(Debug)]
pub(super) struct End {
    id: usize,
    how: How,
}

#[derive(Debug)]
enum How {
    Exited(ExitStatus),
    /// It did not stop in time.
    Killed,
    /// The system did not say.
    Unknown(io::Error),
}

impl End {
    pub fn id(&self) -> usize {
        self.id
    }

    pub fn was_killed(&self) -> bool {
        matches!(self.how, How::Killed)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ", self.id)?;
        match &self.how {
            How::Exited(status) if status.success() => write!(f, "has ended"),
            How::Exited(status) => write!(f, "ended with {status}"),
            How::Killed => write!(f, "had not stopped and was killed"),
            How::Unknown(error) => write!(f, "is lost: {error}"),
        }
    }
}

/// Starts a member. It has a process group of its own, so that Ctrl-C reaches it only through
/// this process and stops it once.
pub(super) fn start(executable: &Path, plan: &Plan, member: &Member) -> io::Result<Running> {
    let mut child = Command::new(executable)
        .args(&plan.command_line(member)[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let lifeline = child.stdin.take();
    Ok(Running {
        id: member.id,
        child,
        lifeline,
    })
}

impl Running {
    /// The process id; 0 once it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Shows what the member writes until it ends, and does what `stopping` orders.
    pub async fn run(mut self, terminal: Terminal, stopping: watch::Receiver<Order>) -> End {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let id = self.id;
        let lines = tokio::spawn(async move {
            tokio::join!(
                copy_lines(stdout, id, terminal),
                copy_lines(stderr, id, terminal)
            )
        });
        let how = self.end(stopping).await;
        let stop_reading = lines.abort_handle();
        if timeout(LAST_LINES_WITHIN, lines).await.is_err() {
            stop_reading.abort();
        }
        End { id, how }
    }

    async fn end(&mut self, mut stopping: watch::Receiver<Order>) -> How {
        tokio::select! {
            ended = self.child.wait() => return how(ended),
            _ = stopping.wait_for(|order| *order != Order::Run) => {}
        }
        self.ask_to_stop();
        let patience = timeout(
            STOP_WITHIN,
            stopping.wait_for(|order| *order == Order::Kill),
        );
        tokio::select! {
            ended = self.child.wait() => return how(ended),
            _ = patience => {}
        }
        match self.child.kill().await {
            Ok(()) => How::Killed,
            Err(error) => How::Unknown(error),
        }
    }

    /// SIGTERM, and the end of standard input for a child that is not listening to signals yet.
    fn ask_to_stop(&mut self) {
        // `id` is `None` once the child has been waited for, so this is never somebody else's.
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // The one failure is that it has ended, which `wait` is about to say.
            let _ = kill_process(pid, Signal::TERM);
        }
        drop(self.lifeline.take());
    }
}

fn how(ended: io::Result<ExitStatus>) -> How {
    ended.map_or_else(How::Unknown, How::Exited)
}
