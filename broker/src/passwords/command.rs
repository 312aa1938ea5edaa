//! `raftmq passwd FILE USER`: sets or deletes the password of one user. It is never taken from the command
//! line, which other users of the machine can see.

use super::{
    edit::{self, Before},
    file::NAME_BYTES_MAX,
    hash::PasswordHash,
    prompt::{self, PromptError},
};
use std::{io, path::PathBuf};

/// What is to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The file of passwords.
    pub file: PathBuf,
    /// Whose password.
    pub user: String,
    /// What becomes of it.
    pub wish: Wish,
}

/// What becomes of a user's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It is asked for at the terminal, or read as one line from standard input.
    Set,
    /// The user is deleted.
    Delete,
}

/// Why it was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PasswdError {
    /// A name that no line can hold.
    #[error(
        "a user name has 1 to 65535 bytes, no ':', no control characters, and does not begin with '#'"
    )]
    UserName,
    /// The user to be deleted is not there.
    #[error("there is no user {0:?} in it")]
    UnknownUser(String),
    /// No password was given.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// An empty password would let everybody in who leaves it out.
    #[error("the password is empty")]
    Empty,
    /// It could not be hashed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
    /// The file.
    #[error("{0}: {1}")]
    Io(String, io::Error),
}

/// Does it.
///
/// # Errors
/// [`PasswdError`]; the file is as it was then.
pub fn change(change: &Change) -> Result<(), PasswdError> {
    check(&change.user)?;
    let shown = change.file.display().to_string();
    let failed = |error| PasswdError::Io(shown.clone(), error);
    let hash = match change.wish {
        Wish::Set => Some(hashed(&prompt::password()?)?),
        Wish::Delete => None,
    };
    let text = edit::text_or_nothing(&change.file).map_err(failed)?;
    let (text, before) = edit::edited(&text, &change.user, hash.as_deref());
    if change.wish == Wish::Delete && before == Before::Unknown {
        return Err(PasswdError::UnknownUser(change.user.clone()));
    }
    edit::replace(&change.file, &text).map_err(failed)
}

fn check(user: &str) -> Result<(), PasswdError> {
    let is_wrong = user.is_empty()
        || user.len() > NAME_BYTES_MAX
        || user.starts_with('#')
        || user.contains(|c: char| c == ':' || c.is_control());
    match is_wrong {
        true => Err(PasswdError::UserName),
        false => Ok(()),
    }
}

fn hashed(password: &str) -> Result<String, PasswdError> {
    if password.is_empty() {
        return Err(PasswdError::Empty);
    }
    let hash = PasswordHash::of(password.as_bytes()).map_err(PasswdError::Hash)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_line_can_hold_are_refused() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "a:b", "a\nb", "#a", &long] {
            assert!(check(name).is_err(), "{name}");
        }
        for name in ["a", "a b", "ä", "a#b"] {
            assert!(check(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn an_unknown_user_is_not_deleted_and_nothing_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let delete = Change {
            file: folder.path().join("passwords"),
            user: "ann".into(),
            wish: Wish::Delete,
        };
        let refused = change(&delete);
        assert!(
            matches!(refused, Err(PasswdError::UnknownUser(_))),
            "{refused:?}"
        );
        assert!(!delete.file.exists());
    }
}
