//! The log: where events of the program go, in which form, and which of them.
//!
//! Everything goes to standard error, one event per line; keeping and rotating it is the work of
//! whoever runs the process (systemd, docker, a shell). Panics are events too, so that a log
//! collector sees them in the same form as everything else.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The filter is not one; cannot happen with a checked configuration.
    #[error("log.filter: {0}")]
    Filter(String),
    /// The process has a log already.
    #[error("the log is already started")]
    Started,
}

/// Starts the log of the process and sends panics there. Once per process.
///
/// # Errors
///
/// When the process has one already, or when the filter was not checked before.
pub fn start(config: &LogConfig) -> Result<(), StartError> {
    let filter = EnvFilter::try_new(config.filter.as_str())
        .map_err(|error| StartError::Filter(error.to_string()))?;
    tracing_subscriber::registry()
        .with(lines(config).with_filter(filter))
        .try_init()
        .map_err(|_| StartError::Started)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

fn lines(config: &LogConfig) -> Lines {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours_wanted());
    match (config.format, config.timestamps) {
        (LogFormat::Text, true) => layer.boxed(),
        (LogFormat::Text, false) => layer.without_time().boxed(),
        (LogFormat::Json, true) => layer.json().flatten_event(true).boxed(),
        (LogFormat::Json, false) => layer.json().flatten_event(true).without_time().boxed(),
    }
}

/// Colours are for people: on a terminal, and not against their wish (<https://no-color.org>).
fn colours_wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::io::stderr().is_terminal()
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    let location = panic.location().map(ToString::to_string);
    let backtrace = std::backtrace::Backtrace::capture();
    let backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured)
        .then(|| backtrace.to_string());
    tracing::error!(
        panic = message,
        location = location.as_deref().unwrap_or("unknown"),
        thread = std::thread::current().name().unwrap_or("unnamed"),
        backtrace = backtrace.as_deref(),
        "this thread panicked: a bug in raftmq"
    );
}

/// Checks the directives of a filter: `level` or `target=level`, separated by commas.
///
/// The filter's own parser takes a bare word that is no level for the name of a module, so that
/// `inof` would silently log nothing at all; here it is refused.
///
/// # Errors
///
/// What is wrong, and how it is written.
pub fn check_filter(directives: &str) -> Result<(), String> {
    for directive in directives.split(',').map(str::trim) {
        let level = directive
            .rsplit_once('=')
            .map_or(directive, |(_, level)| level);
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(format!(
                "expected a level (error, warn, info, debug, trace, off) or module=level, found {directive:?}"
            ));
        }
    }
    EnvFilter::try_new(directives)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_levels_of_modules_are_filters() {
        for good in [
            "info",
            "off",
            "info,raftmq=debug",
            "raftmq::router=trace, warn",
        ] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for bad in ["inof", "", "info,", "raftmq", "raftmq=loud", "info,raftmq="] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_form_of_lines_can_be_built() {
        for format in [LogFormat::Text, LogFormat::Json] {
            for timestamps in [true, false] {
                let _ = lines(&LogConfig {
                    format,
                    timestamps,
                    ..LogConfig::default()
                });
            }
        }
    }
}
