//! `raftmq dev`: a whole cluster on this machine, as child processes of one command.
//!
//! The members are ordinary nodes, started with the flags that anybody could type; nothing in a
//! node knows of this module except one thing: a node that is told to lives no longer than its
//! parent ([`parent_gone`]), so that a `raftmq dev` that is killed leaves nothing behind.
//!
//! It restarts nobody: a member that ends is reported and the others go on, which is the point of
//! trying it.

mod member;
mod output;
mod parent;
mod plan;
mod ready;

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use member::{End, Order};
use output::Terminal;
pub use parent::parent_gone;
pub use plan::{Member, Plan};

/// How long the members may take to answer their first readiness check before that is said.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Why the cluster did not run to the end that the user asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The machine refused something at the start.
    #[error("{doing}: {source}")]
    Start {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// No member is left although nobody asked them to stop.
    #[error("every node has ended by itself; the last lines of each say why")]
    AllEnded,
    /// Members that did not stop in time, or before the user lost patience, and were killed.
    #[error("{0} had not stopped and had to be killed")]
    Killed(String),
}

/// Starts the members of a checked plan, shows what they write, and stops them when this process
/// gets SIGINT, SIGTERM or SIGHUP. Blocks until all of them have ended.
///
/// # Errors
///
/// When nothing could be started, when all members ended by themselves, and when one had to be
/// killed.
pub fn run(plan: &Plan) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| failed("starting the runtime", source))?
        .block_on(supervise(plan))
}

fn failed(doing: impl Into<String>, source: io::Error) -> Failure {
    let doing = doing.into();
    Failure::Start { doing, source }
}

async fn supervise(plan: &Plan) -> Result<(), Failure> {
    // Before the first child: a signal between the two must not leave it behind.
    let mut asked =
        StopSignals::listen().map_err(|source| failed("listening to signals", source))?;
    let executable = std::env::current_exe()
        .map_err(|source| failed("finding the program of this process", source))?;
    let terminal = Terminal::detect();
    let (stop, stopping) = watch::channel(Order::Run);
    let mut running = JoinSet::new();
    for member in plan.members() {
        let directory = member.data_dir.display().to_string();
        std::fs::create_dir_all(&member.data_dir)
            .map_err(|source| failed(format!("making {directory}"), source))?;
        let child = member::start(&executable, plan, &member)
            .map_err(|source| failed(format!("starting node {}", member.id), source))?;
        terminal.say(&format!(
            "node {} started: process {}",
            member.id,
            child.pid()
        ));
        running.spawn(child.run(terminal, stopping.clone()));
    }
    tokio::select! {
        () = asked.next() => {}
        () = all_ended(&mut running, terminal) => return Err(Failure::AllEnded),
        never = introduce(plan, terminal) => match never {},
    }
    terminal.say("stopping the nodes; Ctrl-C again kills them");
    stop.send_replace(Order::Stop);
    let insist = async {
        asked.next().await;
        stop.send_replace(Order::Kill);
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        stopped = collect(&mut running, terminal) => stopped,
        never = insist => match never {},
    }
}

/// Says what to try once the cluster is ready, then waits for ever.
async fn introduce(plan: &Plan, terminal: Terminal) -> std::convert::Infallible {
    match tokio::time::timeout(READY_WITHIN, ready::all(plan)).await {
        Ok(()) => terminal.say(&plan.introduction()),
        Err(_) => terminal.say(&format!(
            "not every node is ready after {} s; `{}://127.0.0.1:{}/ready` says why",
            READY_WITHIN.as_secs(),
            plan.curl("-i"),
            plan.http_port
        )),
    }
    std::future::pending().await
}

/// Reports members that end by themselves, until none is left.
async fn all_ended(running: &mut JoinSet<End>, terminal: Terminal) {
    while let Some(end) = running.join_next().await {
        if let Ok(end) = end {
            let left = match running.len() {
                0 => "no node is left".to_owned(),
                1 => "1 node goes on".to_owned(),
                count => format!("{count} nodes go on"),
            };
            terminal.say(&format!("{end}; {left}"));
        }
    }
}

/// Waits for the members that were told to stop.
async fn collect(running: &mut JoinSet<End>, terminal: Terminal) -> Result<(), Failure> {
    let mut killed = Vec::new();
    while let Some(end) = running.join_next().await {
        let Ok(end) = end else { continue };
        terminal.say(&end.to_string());
        if end.was_killed() {
            killed.push(format!("node {}", end.id()));
        }
    }
    if killed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Killed(killed.join(", ")))
    }
}

/// The signals that mean "stop".
struct StopSignals([Signal; 3]);

impl StopSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
