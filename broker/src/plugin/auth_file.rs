//! `rmqtt-auth-file`: clients are let in by a file of users and hashed passwords, as `raftmq passwd` and
//! mosquitto_passwd write it.
//!
//! ```toml
//! password_file = "/etc/raftmq/passwords"
//! superusers = ["admin"]         # no access rules hold for them
//! unknown_users = "deny"         # or "ignore": the next plugin is asked
//! workers = 1                    # passwords checked at once
//! max_waiting = 256              # clients that wait for that; more are told that the server is busy
//! ```
//!
//! Checking a password is made to be slow, so it never happens on a shard's thread, only so many are checked
//! at once, and only so many wait. A user who is not in the file takes as long as one who is. A client without
//! a user name is none of its business.

use super::{
    Credentials, Decision, Denial, Extensions, Grant, Plugin, Prepared,
    authentication::Authenticator, file,
};
use crate::passwords::file::{Candidate, Passwords};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{runtime::Handle, sync::Semaphore};

const WORKERS_MAX: usize = 64;
const WAITING_MAX: usize = 100_000;

pub(super) struct AuthFile;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    password_file: PathBuf,
    superusers: BTreeSet<String>,
    unknown_users: UnknownUsers,
    workers: usize,
    max_waiting: usize,
}

impl Default for File {
    fn default() -> Self {
        Self {
            password_file: PathBuf::new(),
            superusers: BTreeSet::new(),
            unknown_users: UnknownUsers::Deny,
            workers: 1,
            max_waiting: 256,
        }
    }
}

impl File {
    fn check(&self) -> Result<(), String> {
        if self.password_file.as_os_str().is_empty() {
            return Err("password_file is missing".into());
        }
        if !(1..=WORKERS_MAX).contains(&self.workers) {
            return Err(format!("workers is out of range: 1 to {WORKERS_MAX}"));
        }
        if !(1..=WAITING_MAX).contains(&self.max_waiting) {
            return Err(format!("max_waiting is out of range: 1 to {WAITING_MAX}"));
        }
        Ok(())
    }
}

/// What becomes of somebody who is not in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UnknownUsers {
    Deny,
    Ignore,
}

struct PreparedFile {
    desk: Arc<Desk>,
    config: Value,
}

impl Plugin for AuthFile {
    fn name(&self) -> &'static str {
        "rmqtt-auth-file"
    }

    fn description(&self) -> &'static str {
        "Clients are let in by a file of users and hashed passwords"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings: File = file::parse(text)?;
        settings.check()?;
        let passwords = Passwords::read(&settings.password_file)?;
        let config = json!(settings);
        // Plugins are prepared on the node's main runtime, at the start and by the HTTP API alike.
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        let desk = Desk {
            book: Arc::new(Book {
                passwords,
                superusers: settings.superusers,
                unknown_users: settings.unknown_users,
            }),
            runtime,
            turns: Arc::new(Semaphore::new(settings.workers)),
            waiting: Arc::default(),
            waiting_max: settings.max_waiting,
            turned_away: AtomicU64::new(0),
        };
        Ok(Box::new(PreparedFile {
            desk: Arc::new(desk),
            config,
        }))
    }
}

impl Prepared for PreparedFile {
    fn config(&self) -> Value {
        self.config.clone()
    }

    fn attributes(&self) -> Value {
        json!({
            "users": self.desk.book.passwords.len(),
            "waiting": self.desk.waiting.load(Relaxed),
            "turned_away": self.desk.turned_away.load(Relaxed),
        })
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.authenticators.push(self.desk.clone());
    }
}

/// Who is in the file.
struct Book {
    passwords: Passwords,
    superusers: BTreeSet<String>,
    unknown_users: UnknownUsers,
}

impl Book {
    /// Takes its time.
    fn look_up(&self, user_name: &str, password: &[u8]) -> Decision {
        match self.passwords.candidate(user_name) {
            Candidate::Own(hash) if hash.is_of(password) => Decision::Admit(Grant {
                superuser: self.superusers.contains(user_name),
                ..Grant::default()
            }),
            Candidate::Own(_) => Decision::Deny(Denial::BadCredentials),
            Candidate::Decoy(hash) => {
                // Whether it is the other one's password makes no difference to anything.
                std::hint::black_box(hash.is_of(password));
                self.without_user()
            }
            Candidate::Nobody => self.without_user(),
        }
    }

    fn without_user(&self) -> Decision {
        match self.unknown_users {
            UnknownUsers::Deny => Decision::Deny(Denial::BadCredentials),
            UnknownUsers::Ignore => Decision::Pass,
        }
    }
}

/// Where shards leave their questions.
struct Desk {
    book: Arc<Book>,
    runtime: Handle,
    /// As many as there are workers. A check that nobody waits for any more keeps its turn to its end.
    turns: Arc<Semaphore>,
    /// Clients that wait, those whose passwords are being checked included.
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
    turned_away: AtomicU64,
}

/// A client's place among those that wait.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Desk {
    fn place(&self) -> Option<Place> {
        let waiting = self.waiting.fetch_add(1, Relaxed);
        let place = Place(self.waiting.clone());
        if waiting < self.waiting_max {
            return Some(place);
        }
        self.turned_away.fetch_add(1, Relaxed);
        None
    }
}

impl Authenticator for Desk {
    fn decide(&self, credentials: Arc<Credentials>) -> BoxFuture<'static, Decision> {
        if credentials.user_name.is_none() {
            return Box::pin(std::future::ready(Decision::Pass));
        }
        let Some(place) = self.place() else {
            return Box::pin(std::future::ready(Decision::Deny(Denial::Busy)));
        };
        let (book, turns, runtime) = (self.book.clone(), self.turns.clone(), self.runtime.clone());
        Box::pin(async move {
            let _place = place;
            let Ok(turn) = turns.acquire_owned().await else {
                return Decision::Deny(Denial::Unavailable);
            };
            let checked = runtime.spawn_blocking(move || {
                let _turn = turn;
                let user_name = credentials.user_name.as_deref().unwrap_or_default();
                book.look_up(
                    user_name,
                    credentials.password.as_deref().unwrap_or_default(),
                )
            });
            // It only fails when the node stops.
            checked.await.unwrap_or(Decision::Deny(Denial::Unavailable))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passwords::hash::tests::cheap;

    struct Fixture {
        _folder: tempfile::TempDir,
        desk: Arc<dyn Authenticator>,
        prepared: Box<dyn Prepared>,
    }

    fn prepare(passwords: &str, settings: &str) -> Result<Fixture, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("passwords");
        std::fs::write(&path, passwords).expect("a file");
        let text = format!("password_file = {path:?}\n{settings}");
        let prepared = AuthFile.prepare(&text)?;
        let mut extensions = Extensions::default();
        prepared.extend(&mut extensions);
        Ok(Fixture {
            _folder: folder,
            desk: extensions.authenticators.remove(0),
            prepared,
        })
    }

    fn credentials(user_name: Option<&str>, password: Option<&str>) -> Arc<Credentials> {
        Arc::new(Credentials {
            client_id: "c".into(),
            user_name: user_name.map(str::to_owned),
            password: password.map(|password| password.as_bytes().to_vec()),
            peer: ([10, 0, 0, 1], 5).into(),
            protocol_version: 5,
        })
    }

    impl Fixture {
        async fn told(&self, user_name: Option<&str>, password: Option<&str>) -> &'static str {
            match self.desk.decide(credentials(user_name, password)).await {
                Decision::Pass => "pass",
                Decision::Admit(grant) if grant.superuser => "superuser",
                Decision::Admit(_) => "admit",
                Decision::Deny(Denial::BadCredentials) => "bad credentials",
                Decision::Deny(Denial::Busy) => "busy",
                Decision::Deny(_) => "deny",
            }
        }
    }

    fn two_users() -> String {
        format!("ann:{}\nroot:{}\n", cheap("a"), cheap("r"))
    }

    #[tokio::test]
    async fn users_are_let_in_by_their_own_passwords() {
        let f = prepare(&two_users(), "superusers = ['root']").expect("good files");
        for (user_name, password, expected) in [
            (Some("ann"), Some("a"), "admit"),
            (Some("root"), Some("r"), "superuser"),
            (Some("ann"), Some("r"), "bad credentials"),
            (Some("ann"), Some(""), "bad credentials"),
            (Some("ann"), None, "bad credentials"),
            // Also with the password of the one whose hash stands in for it.
            (Some("eve"), Some("a"), "bad credentials"),
            (Some("eve"), Some("r"), "bad credentials"),
            (None, Some("a"), "pass"),
            (None, None, "pass"),
        ] {
            let told = f.told(user_name, password).await;
            assert_eq!(told, expected, "{user_name:?} {password:?}");
        }
        let attributes = f.prepared.attributes();
        assert_eq!(
            (&attributes["users"], &attributes["waiting"]),
            (&json!(2), &json!(0))
        );
    }

    #[tokio::test]
    async fn whom_it_does_not_know_may_be_left_to_the_next_plugin() {
        let f = prepare(&two_users(), "unknown_users = 'ignore'").expect("good files");
        assert_eq!(f.told(Some("eve"), Some("a")).await, "pass");
        assert_eq!(f.told(Some("ann"), Some("r")).await, "bad credentials");
        let empty = prepare("", "").expect("good files");
        assert_eq!(empty.told(Some("eve"), Some("a")).await, "bad credentials");
    }

    #[tokio::test]
    async fn who_finds_no_place_is_told_that_the_server_is_busy() {
        let f = prepare(&two_users(), "max_waiting = 2").expect("good files");
        let waiting = [(); 2].map(|()| f.desk.decide(credentials(Some("ann"), Some("a"))));
        assert_eq!(f.told(Some("ann"), Some("a")).await, "busy");
        // Those who never had a user name do not wait.
        assert_eq!(f.told(None, None).await, "pass");
        assert_eq!(f.prepared.attributes()["turned_away"], 1);
        drop(waiting);
        assert_eq!(f.told(Some("ann"), Some("a")).await, "admit");
    }

    #[tokio::test]
    async fn a_mistake_in_either_file_is_told() {
        for (passwords, settings, word) in [
            ("ann", "", "line 1: it is not user:hash"),
            ("", "workers = 0", "workers"),
            ("", "max_waiting = 0", "max_waiting"),
            ("", "unknown_users = 'admit'", "unknown_users"),
            ("", "superuser = ['x']", "superuser"),
        ] {
            let problem = prepare(passwords, settings).err().expect(settings);
            let is_told = problem.contains(word) || problem.starts_with("line 2");
            assert!(is_told, "{problem}");
        }
        let problem = AuthFile.prepare("").err().expect("no file");
        assert!(problem.contains("password_file"), "{problem}");
        let absent = AuthFile.prepare("password_file = '/nowhere/at/all'");
        assert!(absent.is_err());
    }
}
