//! Who can prove itself: user names with their verifiers.

use super::verifier::{Key, Verifier};
use std::collections::HashMap;

/// Users with their verifiers.
#[derive(Debug)]
pub struct Users {
    by_name: HashMap<String, Verifier>,
    /// What users who do not exist are made of.
    secret: Key,
}

impl Users {
    /// None yet. `secret` is not to be guessed, and stays the same while challenges may be compared.
    pub fn new(secret: Key) -> Users {
        Users {
            by_name: HashMap::new(),
            secret,
        }
    }

    /// Adds a user, whose name is [`prepared`]; `false`: there is one of that name.
    #[must_use]
    pub fn insert(&mut self, name: String, verifier: Verifier) -> bool {
        self.by_name.insert(name, verifier).is_none()
    }

    /// The verifier of a user, whose name is [`prepared`].
    pub(super) fn get(&self, name: &str) -> Option<&Verifier> {
        self.by_name.get(name)
    }

    /// What is shown to somebody who asks for a user that there is not.
    pub(super) fn nobody(&self, name: &str) -> Verifier {
        Verifier::of_nobody(&self.secret, name)
    }
}

/// A user name as it is kept and compared (RFC 4013); `None`: no client could prove that it has it.
pub fn prepared(name: &str) -> Option<String> {
    let prepared = stringprep::saslprep(name).ok()?;
    (!prepared.is_empty()).then(|| prepared.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_the_same_are_the_same() {
        assert_eq!(prepared("I\u{ad}X").as_deref(), Some("IX"));
        assert_eq!(prepared("\u{2168}").as_deref(), Some("IX"));
        assert_eq!(prepared("\u{ad}"), None);
        assert_eq!(prepared("bell\u{7}"), None);
    }

    #[test]
    fn a_user_is_there_once() {
        let verifier = Verifier::of("pencil", b"salt", 4_096).expect("a password");
        let mut users = Users::new([0; 32]);
        assert!(users.insert("user".into(), verifier.clone()));
        assert!(!users.insert("user".into(), verifier));
    }
}
