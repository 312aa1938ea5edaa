//! `raftmq scram NAME`: makes a user's line for the plugin raftmq-auth-scram.

use super::{Job, Refusal};
use crate::{
    passwords::prompt,
    scram::{ITERATIONS_DEFAULT, Verifier, prepared},
};
use clap::Args;
use rand::random;

/// Bytes of a new salt.
const SALT_BYTES: usize = 16;

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
    /// Asks for the password at a terminal, or reads a line of standard input.
    pub fn job(self) -> Result<Job, Refusal> {
        let password = prompt::password().map_err(|error| Refusal::Usage(error.to_string()))?;
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
}
