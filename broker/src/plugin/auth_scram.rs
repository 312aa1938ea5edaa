//! `raftmq-auth-scram`: clients prove who they are by SCRAM-SHA-256, in an enhanced authentication of MQTT 5.
//!
//! ```toml
//! superusers = ["admin"]
//!
//! [users]
//! admin = "SCRAM-SHA-256$4096:..."    # raftmq scram admin
//! ```
//!
//! The name is ours: RMQTT has no such plugin. A step of an exchange is a few hashes, so it is done where
//! the client is served; the many iterations are the client's.

use super::{
    AuthenticationMethod, Denial, Exchange, Extensions, Grant, Plugin, Prepared, Proven, Step, file,
};
use crate::scram::{self, Failure, ServerExchange, Users, Verifier};
use base64::{Engine, prelude::BASE64_STANDARD};
use rand::random;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Bytes of randomness in a nonce; RFC 5802 leaves the number open.
const NONCE_BYTES: usize = 24;

pub(super) struct AuthScram;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    superusers: BTreeSet<String>,
    /// Any value, so that a wrong one is not shown with the error.
    users: BTreeMap<String, toml::Value>,
}

struct PreparedScram {
    method: Arc<Scram>,
    config: Value,
    count: usize,
}

impl Plugin for AuthScram {
    fn name(&self) -> &'static str {
        "raftmq-auth-scram"
    }

    fn description(&self) -> &'static str {
        "Clients prove who they are by SCRAM-SHA-256, without sending a password"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings: File = file::parse(text)?;
        let users = users(&settings)?;
        if let Some(unknown) = unknown(&settings) {
            return Err(format!("superusers: {unknown:?} is none of the users"));
        }
        let names: Vec<_> = settings.users.keys().collect();
        Ok(Box::new(PreparedScram {
            config: json!({"superusers": settings.superusers, "users": names}),
            count: names.len(),
            method: Arc::new(Scram {
                users: Arc::new(users),
                superusers: Arc::new(settings.superusers),
            }),
        }))
    }
}

fn users(settings: &File) -> Result<Users, String> {
    let mut users = Users::new(random());
    for (name, verifier) in &settings.users {
        let wrong = |problem: &str| format!("users.{name}: {problem}");
        let prepared = scram::prepared(name).ok_or_else(|| wrong("no user name (RFC 4013)"))?;
        let text = verifier
            .as_str()
            .ok_or_else(|| wrong("it has to be a text"))?;
        let verifier = Verifier::parse(text).map_err(wrong)?;
        if !users.insert(prepared, verifier) {
            return Err(wrong("another user has the same name (RFC 4013)"));
        }
    }
    Ok(users)
}

/// A superuser that nobody can be.
fn unknown(settings: &File) -> Option<&String> {
    let mut names = settings.superusers.iter();
    names.find(|name| !settings.users.contains_key(*name))
}

impl Prepared for PreparedScram {
    fn config(&self) -> Value {
        self.config.clone()
    }

    fn attributes(&self) -> Value {
        json!({"users": self.count})
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.methods.push(self.method.clone());
    }
}

struct Scram {
    users: Arc<Users>,
    superusers: Arc<BTreeSet<String>>,
}

impl AuthenticationMethod for Scram {
    fn name(&self) -> &'static str {
        scram::NAME
    }

    fn begin(&self) -> Box<dyn Exchange> {
        let nonce = BASE64_STANDARD.encode(random::<[u8; NONCE_BYTES]>());
        Box::new(ScramExchange {
            server: ServerExchange::new(nonce),
            turn: Turn::First,
            users: self.users.clone(),
            superusers: self.superusers.clone(),
        })
    }
}

/// Which message of the client is awaited.
#[derive(Clone, Copy)]
enum Turn {
    First,
    Last,
}

struct ScramExchange {
    server: ServerExchange,
    turn: Turn,
    users: Arc<Users>,
    superusers: Arc<BTreeSet<String>>,
}

impl Exchange for ScramExchange {
    fn step(&mut self, data: Option<&[u8]>) -> Step {
        match (self.turn, data) {
            // The client speaks first, and may do so in AUTH in the place of CONNECT.
            (Turn::First, None) => Step::Continue(None),
            (Turn::First, Some(message)) => {
                self.turn = Turn::Last;
                match self.server.first(message, &self.users) {
                    Ok(challenge) => Step::Continue(Some(challenge)),
                    Err(failure) => Step::Failed(denial(failure)),
                }
            }
            (Turn::Last, message) => match self.server.last(message.unwrap_or_default()) {
                Ok((user_name, data)) => Step::Done(self.proven(user_name, data)),
                Err(failure) => Step::Failed(denial(failure)),
            },
        }
    }
}

impl ScramExchange {
    fn proven(&self, user_name: String, data: Vec<u8>) -> Proven {
        Proven {
            grant: Grant {
                superuser: self.superusers.contains(&user_name),
                ..Grant::default()
            },
            user_name,
            data,
        }
    }
}

fn denial(failure: Failure) -> Denial {
    match failure {
        Failure::Malformed => Denial::NotAuthorized,
        Failure::NotProved => Denial::BadCredentials,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier() -> String {
        let verifier = Verifier::of("pencil", b"salt", 4_096);
        verifier.expect("a password").to_string()
    }

    fn problem(text: &str) -> String {
        AuthScram.prepare(text).err().expect(text)
    }

    #[test]
    fn a_file_without_users_lets_nobody_in_and_is_good() {
        let prepared = AuthScram.prepare("").expect("good settings");
        assert_eq!(prepared.attributes(), json!({"users": 0}));
    }

    #[test]
    fn mistakes_are_told_without_keys() {
        let good = verifier();
        assert!(problem("[users]\na = 'c2VjcmV0'").starts_with("users.a: "));
        assert!(!problem("[users]\na = 'c2VjcmV0'").contains("c2VjcmV0"));
        assert!(problem("[users]\na = 1").contains("text"));
        assert!(problem(&format!("[users]\n'' = '{good}'")).contains("user name"));
        let twice = format!("[users]\nIX = '{good}'\n'\u{2168}' = '{good}'");
        assert!(problem(&twice).contains("another user"));
        let stranger = format!("superusers = ['b']\n[users]\na = '{good}'");
        assert!(problem(&stranger).contains("none of the users"));
    }

    #[test]
    fn keys_are_not_shown() {
        let text = format!("superusers = ['a']\n[users]\na = '{}'", verifier());
        let prepared = AuthScram.prepare(&text).expect("good settings");
        assert_eq!(
            prepared.config(),
            json!({"superusers": ["a"], "users": ["a"]})
        );
    }

    #[test]
    fn a_client_may_speak_first_in_auth_and_cannot_go_on_for_ever() {
        let mut extensions = Extensions::default();
        AuthScram.prepare("").expect("good").extend(&mut extensions);
        let mut exchange = extensions.methods[0].begin();
        assert!(matches!(exchange.step(None), Step::Continue(None)));
        let challenge = exchange.step(Some(b"n,,n=user,r=abc"));
        assert!(matches!(challenge, Step::Continue(Some(_))));
        assert!(matches!(exchange.step(None), Step::Failed(_)));
        let again = exchange.step(Some(b"n,,n=user,r=abc"));
        assert!(matches!(again, Step::Failed(_)));
    }
}
