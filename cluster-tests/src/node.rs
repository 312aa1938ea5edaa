//! One member of the cluster: a real process.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::binary::raftmq_binary;
use crate::http::Http;
use crate::wait::eventually;

/// How much of a log is shown when a test fails, lines.
const LOG_LINES_SHOWN: usize = 80;
/// How long the threads of a process may take to stand still.
const STOP: Duration = Duration::from_secs(10);

/// How a process ended.
#[derive(Debug)]
pub struct Exit {
    /// Exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// Everything the process wrote, over all its lives.
    pub log: String,
}

/// A member's addresses, settings and, while it runs, its process. Dropping it kills the process.
pub struct Node {
    id: u64,
    mqtt: SocketAddr,
    http: SocketAddr,
    rpc: SocketAddr,
    peers: String,
    data_dir: PathBuf,
    log: PathBuf,
    settings: Vec<(String, String)>,
    client: Http,
    child: Option<Child>,
}

/// Where a node listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) mqtt: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) rpc: SocketAddr,
}

impl Node {
    pub(crate) fn new(id: u64, at: Addresses, peers: String, folder: &Path) -> Self {
        Self {
            id,
            mqtt: at.mqtt,
            http: at.http,
            rpc: at.rpc,
            peers,
            data_dir: folder.join(format!("node-{id}")),
            log: folder.join(format!("node-{id}.log")),
            settings: Vec::new(),
            client: Http::new(at.http),
            child: None,
        }
    }

    /// The node's number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where clients connect.
    #[must_use]
    pub fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Where the HTTP API listens.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// The address for the other nodes.
    #[must_use]
    pub fn rpc(&self) -> SocketAddr {
        self.rpc
    }

    /// The HTTP API.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.client
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The value of `--peers`.
    #[must_use]
    pub fn peers(&self) -> &str {
        &self.peers
    }

    /// Gives the next start another list of peers.
    pub fn set_peers(&mut self, peers: &str) {
        self.peers = peers.into();
    }

    /// Gives the next start another address for the other nodes.
    pub fn set_rpc(&mut self, address: SocketAddr) {
        self.rpc = address;
    }

    /// Gives the next start another data directory.
    pub fn set_data_dir(&mut self, folder: &Path) {
        self.data_dir = folder.into();
    }

    /// Sets an environment variable for the next start, for example `RAFTMQ_MQTT_SHARDS`.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.settings.retain(|(name, _)| name != variable);
        self.settings.push((variable.into(), value.into()));
    }

    /// Starts the process. It is not awaited that it serves.
    ///
    /// # Panics
    /// When it runs already or cannot be started.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "node {} runs already", self.id);
        let (id, peers) = (self.id.to_string(), self.peers.clone());
        let (mqtt, http, rpc) = (
            self.mqtt.to_string(),
            self.http.to_string(),
            self.rpc.to_string(),
        );
        let data_dir = self.data_dir.display().to_string();
        let arguments = [
            "run",
            "--id",
            &id,
            "--data-dir",
            &data_dir,
            "--mqtt-addr",
            &mqtt,
            "--http-addr",
            &http,
            "--rpc-addr",
            &rpc,
            "--peers",
            &peers,
        ];
        self.start_with(&arguments);
    }

    /// Starts the program with other arguments than a member's.
    ///
    /// # Panics
    /// As [`Node::start`].
    pub fn start_with(&mut self, arguments: &[&str]) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("a log file");
        let mut command = clean_command();
        command.args(arguments).envs(self.settings.iter().cloned());
        command
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .stdin(Stdio::null());
        command.current_dir(self.log.parent().expect("a folder around the log"));
        self.child = Some(command.spawn().expect("raftmq starts"));
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| child.try_wait().expect("a child to wait for").is_none())
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("SIGKILL");
            child.wait().expect("the process ends");
        }
    }

    /// SIGSTOP: the process stands still, its connections stay open. Waits until every thread does:
    /// on a busy machine some go on for a while after the signal.
    ///
    /// # Panics
    /// When they still run at the deadline.
    pub async fn sigstop(&self) {
        self.signal(Signal::STOP);
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        eventually("the process stands still", STOP, async || {
            match waitid(WaitId::Pid(self.raw_pid()), stopped) {
                Ok(Some(_)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// SIGCONT: the process goes on.
    pub fn sigcont(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM, without waiting.
    pub fn sigterm(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGINT, without waiting.
    pub fn sigint(&self) {
        self.signal(Signal::INT);
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Panics
    /// When it has not ended before the deadline.
    pub async fn sigterm_and_wait(&mut self, deadline: Duration) -> Exit {
        self.sigterm();
        self.wait_exit(deadline).await
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When it has not ended before the deadline.
    pub async fn wait_exit(&mut self, deadline: Duration) -> Exit {
        let child = self.child.as_mut().expect("a process");
        let status: ExitStatus = eventually(
            &format!("the end of node {}", self.id),
            deadline,
            async || {
                let status = child.try_wait().expect("a child to wait for");
                status.ok_or_else(|| "still running".to_string())
            },
        )
        .await;
        self.child = None;
        Exit {
            code: status.code(),
            log: self.log_text(),
        }
    }

    /// SIGKILL and start with the same data.
    pub fn restart(&mut self) {
        self.kill9();
        self.start();
    }

    /// Removes the data directory.
    ///
    /// # Panics
    /// When the process runs, or on an I/O error.
    pub fn wipe(&mut self) {
        assert!(self.child.is_none(), "node {} runs", self.id);
        if self.data_dir.exists() {
            std::fs::remove_dir_all(&self.data_dir).expect("the data directory goes");
        }
    }

    /// Everything the process wrote, over all its lives.
    #[must_use]
    pub fn log_text(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Resident memory of the process, bytes.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The largest resident memory that the process has had, bytes.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn peak_resident_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let mut lines = status.lines();
        let line = lines.find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        let kib = number.and_then(|number| number.parse::<u64>().ok());
        kib.expect("a number of KiB") * 1_024
    }

    /// The process's number.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a process").id()
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.raw_pid(), signal).expect("the signal is sent");
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed()).expect("a process number")
    }

    fn show_log(&self) {
        let text = self.log_text();
        let lines: Vec<_> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        println!(
            "---- node {}: last {} lines of {}",
            self.id,
            shown.len(),
            self.log.display()
        );
        println!("{}", shown.join("\n"));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            self.show_log();
        }
    }
}

/// The program with nothing of this process's environment that could change its settings: a
/// `RAFTMQ_` variable meant for the tests is an unknown setting to it.
pub(crate) fn clean_command() -> Command {
    let mut command = Command::new(raftmq_binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RAFTMQ_") {
            command.env_remove(name);
        }
    }
    command
}
