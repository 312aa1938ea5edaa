//! A headless Chromium that a test drives: what a person would see on the dashboard, and what the
//! browser had to complain about.
//!
//! It speaks the DevTools protocol over a pair of pipes (`--remote-debugging-pipe`: JSON, each message
//! ended by a NUL), so there is no port that another test could take, and the browser ends when the
//! pipes do. Its profile is a temporary folder. Dropping the [`Browser`] kills it.

mod page;
mod wire;

use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

pub use page::Page;
use wire::Wire;

/// Names under which distributions install it.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Descriptors 3 and 4 are where Chromium reads and writes the protocol; a shell puts the pipes there
/// that a process gets as its input and output.
const PIPES_TO_3_AND_4: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// Nothing but the page that is asked for: no sandbox (tests may run as root), no service of its maker.
const FLAGS: [&str; 12] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
];

/// A running browser.
pub struct Browser {
    wire: Wire,
    // Before `profile`: the process ends before its files go.
    child: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts the browser. None, with a printed reason, when there is none on this machine.
    ///
    /// # Panics
    /// When there is none although the variable `CI` is set: there, a test that is skipped would be
    /// a test that nobody runs. Also when it cannot be started.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "no Chromium on this machine, and CI is set"
            );
            println!("skipped: no Chromium here (apt-get install chromium)");
            return None;
        };
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut command = Command::new("sh");
        command
            .args(["-c", PIPES_TO_3_AND_4, "sh", program])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the browser starts");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let wire = Wire::new(input.expect("its input"), output.expect("its output"));
        Some(Self {
            wire,
            child,
            _profile: profile,
        })
    }

    /// Opens an empty page that records what happens on it.
    ///
    /// # Panics
    /// When the browser does not answer.
    pub async fn page(&self) -> Page {
        Page::open(self.wire.clone()).await
    }
}

impl Drop for Browser {
    /// Its own children end with it: their pipes to it close.
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        while matches!(self.child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
    }
}

fn program() -> Option<&'static str> {
    let path = std::env::var_os("PATH")?;
    let is_installed =
        |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    PROGRAMS.into_iter().find(is_installed)
}
