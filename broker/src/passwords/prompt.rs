//! Asking for a new password: it is never taken from the command line, which other users of the machine can see.

use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{self, BufRead, Write};

/// Bytes of a line that are read.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The two passwords that were typed differ.
    #[error("the passwords differ")]
    Differ,
    /// The terminal, or whatever standard input is.
    #[error("standard input: {0}")]
    Io(#[from] io::Error),
}

/// Asks twice at a terminal; takes one line from anything else.
///
/// # Errors
/// [`PromptError`]
pub fn password() -> Result<String, PromptError> {
    if !isatty(io::stdin()) {
        return read_line();
    }
    let _hidden = Hidden::begin();
    let first = asked("Password: ")?;
    match asked("The same again: ")? == first {
        true => Ok(first),
        false => Err(PromptError::Differ),
    }
}

fn asked(question: &str) -> Result<String, PromptError> {
    let mut stderr = io::stderr().lock();
    // Nobody sees a question that cannot be written; the answer counts all the same.
    let _ = stderr.write_all(question.as_bytes());
    let answer = read_line();
    let _ = stderr.write_all(b"\n");
    answer
}

fn read_line() -> Result<String, PromptError> {
    first_line(io::stdin().lock())
}

/// The line may be ended by the terminal or by the end of the file.
fn first_line(input: impl BufRead) -> Result<String, PromptError> {
    let mut line = String::new();
    input.take(LINE_BYTES_MAX).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that does not show what is typed, until it is dropped.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Hidden {
        let hide = || {
            let before = tcgetattr(io::stdin()).ok()?;
            let mut mode = before.clone();
            mode.local_modes.remove(LocalModes::ECHO);
            tcsetattr(io::stdin(), OptionalActions::Flush, &mode).ok()?;
            Some(before)
        };
        Hidden(hide())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_line;

    #[test]
    fn only_the_first_line_is_the_password() {
        for (input, password) in [
            ("secret\n", "secret"),
            ("secret\r\nmore\n", "secret"),
            ("secret", "secret"),
            (" spaces stay \n", " spaces stay "),
            ("", ""),
        ] {
            assert_eq!(first_line(input.as_bytes()).expect("text"), password);
        }
        assert!(first_line(&b"\xff\n"[..]).is_err());
    }
}
