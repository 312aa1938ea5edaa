//! The program as a command that runs to its end.

use std::process::{Command, Output, Stdio};

use crate::node::clean_command;

/// What a command wrote, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit status.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// `raftmq` with arguments and more environment variables, its output in pipes, ready to be started.
#[must_use]
pub fn program(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = clean_command();
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs `raftmq` with these arguments and waits for its end.
///
/// # Panics
/// When it cannot be started.
pub async fn run_program(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = program(arguments, environment);
    let ended = tokio::task::spawn_blocking(move || command.output());
    let output: Output = ended.await.expect("no panic").expect("raftmq starts");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
