//! Mosquitto: a broker that is not ours, to be bridged with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::SOON;
use crate::wait::eventually;

/// A process of it with a folder of its own, which keeps sessions. Ends when dropped.
pub struct Mosquitto {
    address: SocketAddr,
    folder: TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts it and waits until it takes connections.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn start(address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = format!(
            "listener {} {}\nallow_anonymous true\nuser root\nmax_queued_messages 0\n\
             persistence true\npersistence_location {}/\n",
            address.port(),
            address.ip(),
            folder.path().display()
        );
        std::fs::write(folder.path().join("mosquitto.conf"), text).expect("a file");
        let mut mosquitto = Self {
            address,
            folder,
            child: None,
        };
        mosquitto.run().await;
        mosquitto
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it again with what it has kept.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn run(&mut self) {
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("mosquitto starts"));
        let address = self.address;
        eventually("mosquitto listens", SOON, async || {
            let connected = tokio::net::TcpStream::connect(address).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }

    /// Makes it write what it keeps to its disk, which it does not do by itself at each message.
    ///
    /// # Panics
    /// When it does not.
    pub async fn save(&self) {
        let before = self.saved_at();
        let child = self.child.as_ref().expect("a process");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a process number");
        kill_process(pid, Signal::USR1).expect("the signal is sent");
        eventually("mosquitto has saved", SOON, async || {
            let saved = self.saved_at();
            (saved > before).then_some(()).ok_or(format!("{saved:?}"))
        })
        .await;
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// When the process cannot be killed.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("SIGKILL");
            child.wait().expect("the process ends");
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("mosquitto.db")
    }

    fn saved_at(&self) -> Option<SystemTime> {
        std::fs::metadata(self.file()).ok()?.modified().ok()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill9();
    }
}
