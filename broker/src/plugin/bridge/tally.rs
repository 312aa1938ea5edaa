//! What is told about an entry: who runs it, how its connections are, what went and what did not.

use super::{mapping::Unforwarded, settings::Entry};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// Who runs an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// This node starts, drains, or does not serve.
    #[default]
    Idle,
    /// Another node does.
    Standby { runner: u64 },
    /// This node does.
    Running,
}

/// One entry's state and counters; they begin with the plugin's work.
#[derive(Default)]
pub(super) struct Tally {
    role: Mutex<Role>,
    remote_is_up: Mutex<bool>,
    last_error: Mutex<Option<String>>,
    pending: AtomicUsize,
    forwarded: AtomicU64,
    looping: AtomicU64,
    too_large: AtomicU64,
    refused: AtomicU64,
    expired: AtomicU64,
    bad_topic: AtomicU64,
    not_connected: AtomicU64,
}

impl Tally {
    pub fn forwarded(&self) {
        self.forwarded.fetch_add(1, Relaxed);
    }

    pub fn dropped(&self, why: Unforwarded) {
        let counter = match why {
            Unforwarded::Loop => &self.looping,
            Unforwarded::TooLarge => &self.too_large,
            Unforwarded::Refused => &self.refused,
            Unforwarded::Expired => &self.expired,
            Unforwarded::BadTopic => &self.bad_topic,
            Unforwarded::NotConnected => &self.not_connected,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub fn set_role(&self, role: Role) {
        *self.role.lock() = role;
        if role != Role::Running {
            self.set_remote(false);
            self.set_pending(0);
        }
    }

    pub fn set_remote(&self, is_up: bool) {
        *self.remote_is_up.lock() = is_up;
    }

    pub fn set_pending(&self, messages: usize) {
        self.pending.store(messages, Relaxed);
    }

    /// Logs a problem when it is not the one that was there last.
    pub fn failed(&self, entry: &Entry, problem: &str) {
        let mut last = self.last_error.lock();
        if last.as_deref() != Some(problem) {
            tracing::warn!(entry = entry.id, problem, "bridge");
            *last = Some(problem.to_owned());
        }
    }

    /// For the plugin's attributes.
    pub fn shown(&self, entry: &Arc<Entry>) -> Value {
        let role = *self.role.lock();
        let (role, runner) = match role {
            Role::Idle => ("idle", None),
            Role::Standby { runner } => ("standby", Some(runner)),
            Role::Running => ("running", None),
        };
        json!({
            "bridge": entry.bridge,
            "entry": entry.filter,
            "clientid": entry.local_client_id(),
            "server": entry.remote.place(),
            "role": role,
            "runner": runner,
            "remote_connected": *self.remote_is_up.lock(),
            "under_way": self.pending.load(Relaxed),
            "forwarded": self.forwarded.load(Relaxed),
            "dropped": {
                "loop": self.looping.load(Relaxed),
                "too_large": self.too_large.load(Relaxed),
                "refused": self.refused.load(Relaxed),
                "expired": self.expired.load(Relaxed),
                "bad_topic": self.bad_topic.load(Relaxed),
                "not_connected": self.not_connected.load(Relaxed),
            },
            "last_error": *self.last_error.lock(),
        })
    }
}
