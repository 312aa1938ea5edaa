//! `raftmq scram NAME`: makes a user's line for the plugin raftmq-auth-scram.

use super::{Job, Refusal};
use crate::scram::{ITERATIONS_DEFAULT, Verifier, prepared};
use clap::Args;
use rand::random;
use std::io::{self, IsTerminal, Read};

/// Bytes of a new salt.
const SALT_BYTES: usize = 16;
/// Bytes of a password that are read.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

#[derive(Args)]
pub(super) struct ScramArgs {
    /// The user's name
    name: String,
    /// How often a client hashes its password at each login: 4096 to 10000000
    #[arg(long, value_name = "N", default_value_t = ITERATIONS_DEFAULT,
        value_parser = clap::value_parser!(u32).range(4_096..=10_000_000))]
    iterations: u32,
}

impl ScramArgs {
    /// Reads the password from standard input: its first line.
    pub fn job(self) -> Result<Job, Refusal> {
        let input = io::stdin();
        if input.is_terminal() {
            eprintln!("Password of {} (it is shown as you type):", self.name);
        }
        let password = first_line(input.lock()).map_err(Refusal::Usage)?;
        self.line(&password, &random::<[u8; SALT_BYTES]>())
            .map(Job::Print)
            .map_err(|problem| Refusal::Usage(problem.to_owned()))
    }

    fn line(&self, password: &str, salt: &[u8]) -> Result<String, &'static str> {
        let name = prepared(&self.name).ok_or("the name is empty or has forbidden characters")?;
        if password.is_empty() {
            return Err("the password is empty");
        }
        let verifier = Verifier::of(password, salt, self.iterations)
            .ok_or("the password has characters that no password may have (RFC 4013)")?;
        Ok(format!("{} = \"{verifier}\"\n", key_of_toml(&name)))
    }
}

/// The line may be ended by the terminal or by the end of the file.
fn first_line(input: impl Read) -> Result<String, String> {
    let mut text = String::new();
    input
        .take(PASSWORD_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    let line = text.lines().next().unwrap_or_default();
    Ok(line.to_owned())
}

/// A key in quotation marks, unless it needs none.
fn key_of_toml(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match name.chars().all(is_bare) {
        true => name.to_owned(),
        false => serde_json::Value::from(name).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, password: &str) -> Result<String, &'static str> {
        let args = ScramArgs {
            name: name.into(),
            iterations: 4_096,
        };
        args.line(password, b"salt of the test")
    }

    #[test]
    fn the_line_is_one_of_toml_with_a_verifier() {
        for name in ["alice", "a b\"c", "Ümit"] {
            let line = line(name, "pencil").expect(name);
            let table: toml::Table = line.parse().expect(&line);
            let verifier = table[name].as_str().expect("a text");
            assert_eq!(
                Verifier::parse(verifier).ok(),
                Verifier::of("pencil", b"salt of the test", 4_096)
            );
        }
    }

    #[test]
    fn what_could_never_log_in_is_refused() {
        assert!(line("", "pencil").is_err());
        assert!(line("alice", "").is_err());
        assert!(line("alice", "bell\u{7}").is_err());
    }

    #[test]
    fn only_the_first_line_is_the_password() {
        for text in ["pencil", "pencil\n", "pencil\r\nmore\n"] {
            assert_eq!(first_line(text.as_bytes()).as_deref(), Ok("pencil"));
        }
    }
}
