//! A whole file of passwords, read at once: one mistake, and none of it counts.

use super::hash::PasswordHash;
use rustc_hash::{FxHashMap, FxHasher};
use std::{
    hash::{Hash, Hasher},
    io,
    path::Path,
};

/// A file beyond this is none of passwords, bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a user name in CONNECT (MQTT 5 §1.5.4).
pub(super) const NAME_BYTES_MAX: usize = 65_535;

/// Users with their passwords.
#[derive(Debug, Default)]
pub(crate) struct Passwords {
    /// In the order of the file.
    hashes: Vec<PasswordHash>,
    users: FxHashMap<Box<str>, usize>,
}

/// What a password is held against.
#[derive(Debug)]
pub(crate) enum Candidate<'p> {
    /// The user's own hash.
    Own(&'p PasswordHash),
    /// There is no such user; this hash is another one's, and checking it takes as long.
    Decoy(&'p PasswordHash),
    /// There are no users at all.
    Nobody,
}

/// One line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'t> {
    /// Empty, or a comment.
    Blank,
    /// User name and hash.
    User(&'t str, &'t str),
}

/// The parts of a line.
///
/// # Errors
/// What is wrong with it.
pub(super) fn line(text: &str) -> Result<Line<'_>, &'static str> {
    let text = text.trim_end_matches('\r');
    if text.trim().is_empty() || text.starts_with('#') {
        return Ok(Line::Blank);
    }
    match text.split_once(':') {
        Some((name, hash)) if !name.is_empty() => Ok(Line::User(name, hash.trim_end())),
        _ => Err("it is not user:hash"),
    }
}

/// The text of a file.
///
/// # Errors
/// It is not there or cannot be read.
pub(super) fn text(path: &Path) -> io::Result<String> {
    let bytes = std::fs::metadata(path)?.len();
    if bytes > FILE_BYTES_MAX {
        let why = format!("it has {bytes} bytes, at most {FILE_BYTES_MAX} are read");
        return Err(io::Error::other(why));
    }
    std::fs::read_to_string(path)
}

impl Passwords {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong, with the line.
    pub fn read(path: &Path) -> Result<Passwords, String> {
        let shown = path.display();
        let text = text(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
        Passwords::parse(&text).map_err(|problem| format!("{shown}: {problem}"))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong, with the line.
    pub fn parse(text: &str) -> Result<Passwords, String> {
        let mut passwords = Passwords::default();
        for (number, text) in text.lines().enumerate() {
            let wrong = |problem: &str| format!("line {}: {problem}", number + 1);
            match line(text).map_err(wrong)? {
                Line::Blank => {}
                Line::User(name, hash) => passwords.add(name, hash).map_err(|p| wrong(&p))?,
            }
        }
        Ok(passwords)
    }

    fn add(&mut self, name: &str, hash: &str) -> Result<(), String> {
        let hash = PasswordHash::parse(hash)?;
        if self.users.contains_key(name) {
            return Err("the user stands there twice".to_owned());
        }
        self.users.insert(name.into(), self.hashes.len());
        self.hashes.push(hash);
        Ok(())
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// What a user's password is held against. Somebody who is not there is given the hash of one who is,
    /// always the same: how long the answer takes then says nothing about who is in the file.
    pub fn candidate(&self, user_name: &str) -> Candidate<'_> {
        if let Some(at) = self.users.get(user_name) {
            return Candidate::Own(&self.hashes[*at]);
        }
        if self.hashes.is_empty() {
            return Candidate::Nobody;
        }
        let mut hasher = FxHasher::default();
        user_name.hash(&mut hasher);
        let at = (hasher.finish() >> 32) as usize % self.hashes.len();
        Candidate::Decoy(&self.hashes[at])
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::tests::cheap;
    use super::*;

    #[test]
    fn users_are_found_between_comments_and_empty_lines() {
        let text = format!("# ours\r\n\nann:{}\r\nbob:{}\n", cheap("a"), cheap("b"));
        let passwords = Passwords::parse(&text).expect("a good file");
        assert_eq!(passwords.len(), 2);
        let own = |name, password: &str| match passwords.candidate(name) {
            Candidate::Own(hash) => hash.is_of(password.as_bytes()),
            other => panic!("{other:?}"),
        };
        assert!(own("ann", "a") && own("bob", "b") && !own("ann", "b"));
    }

    #[test]
    fn somebody_unknown_is_always_held_against_the_same_hash() {
        let passwords = Passwords::parse(&format!("ann:{}", cheap("a"))).expect("a good file");
        for name in ["eve", "", "Ann"] {
            assert!(
                matches!(passwords.candidate(name), Candidate::Decoy(_)),
                "{name}"
            );
        }
        let nobody = Passwords::parse("# nobody yet\n").expect("a good file");
        assert!(matches!(nobody.candidate("ann"), Candidate::Nobody));
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_without_the_hash() {
        let good = format!("ann:{}\n", cheap("a"));
        for (wrong, word) in [
            ("bob", "user:hash"),
            (":hash", "user:hash"),
            ("bob:s3cret", "neither"),
            (good.trim_end(), "twice"),
        ] {
            let problem = Passwords::parse(&format!("{good}{wrong}\n")).expect_err(wrong);
            assert!(problem.starts_with("line 2: "), "{problem}");
            assert!(problem.contains(word), "{problem}");
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }
}
