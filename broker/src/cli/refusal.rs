//! Why a command line is not carried out.

use std::process::ExitCode;

use crate::config::Problems;

/// The exit status of wrong usage and of a wrong configuration.
const WRONG: u8 = 2;

/// Why a command line is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// clap's own: unknown flags and the like; also `--help` and `--version`.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// A wrong use that clap does not see.
    #[error("{0}")]
    Usage(String),
    /// The configuration.
    #[error("{0}")]
    Configuration(#[from] Problems),
}

impl Refusal {
    /// Prints it, to standard output when it was asked for (`--help`, `--version`) and to standard
    /// error otherwise, and gives the exit status: 0 or 2.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::CommandLine(error) => {
                // Nobody is left to be told when the stream itself is closed.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG))
            }
            Self::Usage(message) => {
                eprintln!("raftmq: {message}\nTry 'raftmq --help'.");
                ExitCode::from(WRONG)
            }
            Self::Configuration(problems) => {
                eprintln!("raftmq: {problems}");
                ExitCode::from(WRONG)
            }
        }
    }
}
