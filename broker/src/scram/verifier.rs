//! What a server keeps of a password (RFC 5802 §3): salt and iterations, with which a client makes the
//! same keys, and two keys of which none lets anybody in who steals it.
//!
//! As text it is `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, with base64 for bytes: the
//! form that PostgreSQL writes, so entries can be carried over.

use super::NAME;
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// Iterations of a new verifier: the least that RFC 7677 §4 allows. A client repeats them at each login.
pub const ITERATIONS_DEFAULT: u32 = 4_096;
/// Iterations beyond this would keep a client's processor busy for minutes.
const ITERATIONS_MAX: u32 = 10_000_000;
/// Bytes of a salt.
const SALT_BYTES_MAX: usize = 256;

pub(super) type Key = [u8; 32];

/// The server's half of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

/// Keys are nobody's to read in a log.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({} iterations, hidden)", self.iterations)
    }
}

impl Verifier {
    /// Of a password; `None`: it has characters that no password may have (RFC 4013).
    pub fn of(password: &str, salt: &[u8], iterations: u32) -> Option<Verifier> {
        let password = stringprep::saslprep(password).ok()?;
        let mut salted = Key::default();
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
        Some(Verifier {
            iterations,
            salt: salt.to_vec(),
            stored_key: sha_256(&hmac(&salted, &[b"Client Key"])),
            server_key: hmac(&salted, &[b"Server Key"]),
        })
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// What is wrong with it; never the keys.
    pub fn parse(text: &str) -> Result<Verifier, &'static str> {
        let mut parts = text.trim().split('$');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(NAME), Some(salted), Some(keys), None) = parts else {
            return Err("expected SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>");
        };
        let (iterations, salt) = salted.split_once(':').ok_or("the salt is missing")?;
        let (stored_key, server_key) = keys.split_once(':').ok_or("the ServerKey is missing")?;
        let iterations = iterations.parse().ok();
        Ok(Verifier {
            iterations: iterations
                .filter(|count| (ITERATIONS_DEFAULT..=ITERATIONS_MAX).contains(count))
                .ok_or("the iterations are no number from 4096 to 10000000")?,
            salt: BASE64_STANDARD
                .decode(salt)
                .ok()
                .filter(|salt| (1..=SALT_BYTES_MAX).contains(&salt.len()))
                .ok_or("the salt is not base64")?,
            stored_key: key(stored_key).ok_or("the StoredKey is not base64 of 32 bytes")?,
            server_key: key(server_key).ok_or("the ServerKey is not base64 of 32 bytes")?,
        })
    }

    /// Of a user who does not exist: it looks like anybody's, the same each time, and nothing proves to
    /// it. `secret` is the server's own.
    pub(super) fn of_nobody(secret: &Key, user_name: &str) -> Verifier {
        let salt = hmac(secret, &[b"salt", user_name.as_bytes()]);
        Verifier {
            iterations: ITERATIONS_DEFAULT,
            salt: salt[..16].to_vec(),
            stored_key: hmac(secret, &[b"stored", user_name.as_bytes()]),
            server_key: hmac(secret, &[b"server", user_name.as_bytes()]),
        }
    }

    /// Whether the client has the password; takes the same time either way.
    pub(super) fn is_proved_by(&self, proof: &Key, auth_message: &[&[u8]]) -> Choice {
        let signature = hmac(&self.stored_key, auth_message);
        let mut client_key = *proof;
        for (byte, other) in client_key.iter_mut().zip(signature) {
            *byte ^= other;
        }
        sha_256(&client_key).ct_eq(&self.stored_key)
    }

    /// The server's own proof.
    pub(super) fn signature(&self, auth_message: &[&[u8]]) -> Key {
        hmac(&self.server_key, auth_message)
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] = [&self.salt[..], &self.stored_key, &self.server_key]
            .map(|bytes| BASE64_STANDARD.encode(bytes));
        write!(f, "{NAME}${}:{salt}${stored}:{server}", self.iterations)
    }
}

pub(super) fn key(base64: &str) -> Option<Key> {
    BASE64_STANDARD.decode(base64).ok()?.try_into().ok()
}

fn sha_256(bytes: &[u8]) -> Key {
    Sha256::digest(bytes).into()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_reads_back() {
        let verifier = Verifier::of("pencil", b"salt of the test", 4_096).expect("a password");
        let text = verifier.to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:"), "{text}");
        assert_eq!(Verifier::parse(&text), Ok(verifier));
    }

    /// A role's password as PostgreSQL keeps it has the same parts: RFC 7677's user in that form.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==");
        let verifier = Verifier::of("pencil", &salt.expect("base64"), 4_096).expect("a password");
        assert_eq!(
            verifier.to_string(),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn passwords_that_look_the_same_are_the_same() {
        // RFC 4013 §3: a soft hyphen is nothing, a Roman numeral is its letters.
        let of = |password| Verifier::of(password, b"salt", 4_096);
        assert_eq!(of("I\u{ad}X"), of("IX"));
        assert_eq!(of("\u{2168}"), of("IX"));
        assert_eq!(of("\u{7}"), None, "a control character");
    }

    #[test]
    fn what_is_no_verifier_is_refused_without_repeating_it() {
        let good = Verifier::of("pencil", b"salt", 4_096).expect("a password");
        let good = good.to_string();
        for wrong in [
            "",
            "pencil",
            "SCRAM-SHA-1$4096:c2FsdA==$a:b",
            "SCRAM-SHA-256$4095:c2FsdA==$a:b",
            "SCRAM-SHA-256$4096:$a:b",
            "SCRAM-SHA-256$4096:c2FsdA==$c2VjcmV0:c2VjcmV0",
            "SCRAM-SHA-256$4096:c2FsdA==$c2VjcmV0",
            &format!("{good}$"),
        ] {
            let problem = Verifier::parse(wrong).expect_err(wrong);
            assert!(!problem.contains("c2VjcmV0"), "{problem}");
        }
    }
}
