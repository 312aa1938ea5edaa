//! One password and its hash.
//!
//! New ones are Argon2id with the parameters that RFC 9106 and OWASP call enough for a server (19 MiB, two
//! passes). What mosquitto wrote is understood, too: `$7$<iterations>$<salt>$<hash>`, which is PBKDF2 with
//! HMAC-SHA-512. The costs of a hash stand in the file, so they are held to bounds: whoever writes one line
//! of it must not be able to stop the node.

use argon2::{
    Argon2, Params,
    password_hash::{
        PasswordHash as Phc, PasswordHashString, PasswordHasher, PasswordVerifier, SaltString,
        rand_core::OsRng,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::Sha512;
use subtle::ConstantTimeEq;

/// Memory of one check of Argon2, KiB.
const ARGON2_MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Passes over it.
const ARGON2_PASSES_MAX: u32 = 32;
/// Iterations of PBKDF2; mosquitto's default is 1,000, OWASP asks for 210,000.
const PBKDF2_ITERATIONS_MAX: u32 = 5_000_000;
/// Bytes of a hash by PBKDF2: that of SHA-512.
const PBKDF2_HASH_BYTES: usize = 64;

/// A hashed password.
#[derive(Clone, Debug)]
pub(crate) enum PasswordHash {
    /// `$argon2id$...`, as the Password Hashing Competition writes it.
    Argon2id(PasswordHashString),
    /// `$7$...`
    Pbkdf2Sha512 {
        iterations: u32,
        salt: Box<[u8]>,
        hash: Box<[u8]>,
    },
}

impl PasswordHash {
    /// Hashes a password with a new salt, at the default cost.
    ///
    /// # Errors
    /// The machine has no random numbers.
    pub fn of(password: &[u8]) -> Result<PasswordHash, String> {
        let salt = SaltString::generate(&mut OsRng);
        let hashed = Argon2::default().hash_password(password, &salt);
        let hashed = hashed.map_err(|error| error.to_string())?;
        Ok(PasswordHash::Argon2id(hashed.serialize()))
    }

    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it; never the hash itself.
    pub fn parse(text: &str) -> Result<PasswordHash, String> {
        if text.starts_with("$argon2id$") {
            return argon2id(text);
        }
        match text.strip_prefix("$7$") {
            Some(rest) => pbkdf2_sha512(rest),
            None => Err(
                "the hash is neither Argon2id ($argon2id$) nor PBKDF2 ($7$); set the password anew \
                 with raftmq passwd"
                    .to_owned(),
            ),
        }
    }

    /// Whether it is the hash of this password. Takes its time: milliseconds to a second.
    pub fn is_of(&self, password: &[u8]) -> bool {
        match self {
            PasswordHash::Argon2id(hash) => Argon2::default()
                .verify_password(password, &hash.password_hash())
                .is_ok(),
            PasswordHash::Pbkdf2Sha512 {
                iterations,
                salt,
                hash,
            } => {
                let mut found = [0; PBKDF2_HASH_BYTES];
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, *iterations, &mut found);
                found.ct_eq(hash).into()
            }
        }
    }
}

impl std::fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PasswordHash::Argon2id(hash) => f.write_str(hash.as_str()),
            PasswordHash::Pbkdf2Sha512 {
                iterations,
                salt,
                hash,
            } => {
                let (salt, hash) = (STANDARD.encode(salt), STANDARD.encode(hash));
                write!(f, "$7${iterations}${salt}${hash}")
            }
        }
    }
}

fn argon2id(text: &str) -> Result<PasswordHash, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("the hash cannot be read: {error}");
    let parsed = Phc::new(text).map_err(|error| wrong(&error))?;
    let params = Params::try_from(&parsed).map_err(|error| wrong(&error))?;
    if parsed.salt.is_none() || parsed.hash.is_none() {
        return Err("the hash has no salt, or no result".to_owned());
    }
    if params.m_cost() > ARGON2_MEMORY_KIB_MAX || params.t_cost() > ARGON2_PASSES_MAX {
        return Err(format!(
            "the hash costs more than {ARGON2_MEMORY_KIB_MAX} KiB or {ARGON2_PASSES_MAX} passes"
        ));
    }
    Ok(PasswordHash::Argon2id(parsed.serialize()))
}

fn pbkdf2_sha512(rest: &str) -> Result<PasswordHash, String> {
    let wrong = || "the hash is not $7$<iterations>$<salt>$<hash>".to_owned();
    let mut parts = rest.split('$');
    let (Some(iterations), Some(salt), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    let iterations = iterations.parse().map_err(|_| wrong())?;
    let salt = STANDARD.decode(salt).map_err(|_| wrong())?;
    let hash = STANDARD.decode(hash).map_err(|_| wrong())?;
    if iterations == 0 || hash.len() != PBKDF2_HASH_BYTES {
        return Err(wrong());
    }
    if iterations > PBKDF2_ITERATIONS_MAX {
        return Err(format!(
            "the hash costs more than {PBKDF2_ITERATIONS_MAX} iterations"
        ));
    }
    Ok(PasswordHash::Pbkdf2Sha512 {
        iterations,
        salt: salt.into(),
        hash: hash.into(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A hash that costs next to nothing, in mosquitto's form.
    pub fn cheap(password: &str) -> String {
        let salt = b"a salt";
        let mut hash = [0; PBKDF2_HASH_BYTES];
        pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, 10, &mut hash);
        PasswordHash::Pbkdf2Sha512 {
            iterations: 10,
            salt: salt.to_vec().into(),
            hash: hash.to_vec().into(),
        }
        .to_string()
    }

    #[test]
    fn a_new_hash_is_of_its_password_and_no_other() {
        let hash = PasswordHash::of(b"secret").expect("a hash");
        let text = hash.to_string();
        assert!(
            text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{text}"
        );
        let read = PasswordHash::parse(&text).expect("our own");
        assert!(read.is_of(b"secret") && !read.is_of(b"Secret") && !read.is_of(b""));
        let another = PasswordHash::of(b"secret").expect("a hash").to_string();
        assert_ne!(another, text, "each has a salt of its own");
    }

    /// Computed apart from this code, with Python's `hashlib.pbkdf2_hmac`.
    #[test]
    fn what_mosquitto_wrote_is_understood() {
        let text = MOSQUITTO;
        let hash = PasswordHash::parse(text).expect("one of mosquitto's");
        assert!(hash.is_of(b"pa55word") && !hash.is_of(b"password"));
        assert_eq!(hash.to_string(), text);
    }

    const MOSQUITTO: &str = "$7$101$AQIDBAUGBwgJCgsM$leyf5YjiHPmXd3UqOcOn91VQesnr8GZDLX1bCisTgv1NPj3LdxWFV4a9OC8S08HOJELpnZcbzD714Wr010RUDg==";

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_refused() {
        for wrong in [
            "",
            "secret",
            "$6$c2FsdA==$aGFzaA==",
            "$7$101$c2FsdA==",
            "$7$0$c2FsdA==$aGFzaA==",
            "$7$101$c2FsdA==$aGFzaA==",
            "$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWQ",
            "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ",
            "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWQ",
            "$argon2id$v=19$m=64,t=2000,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWQ",
        ] {
            assert!(PasswordHash::parse(wrong).is_err(), "{wrong}");
        }
        let dear = cheap("x").replace("$7$10$", "$7$5000001$");
        assert!(PasswordHash::parse(&dear).is_err());
    }
}
