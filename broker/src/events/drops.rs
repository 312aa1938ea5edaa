//! Drops come in floods, so they are told in bulk: one event a second for each client, topic and
//! reason, with a count. Kept by each shard while somebody listens.

use raftmq_api::event::{Event, EventKind};
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

/// Different events of one second; drops beyond them are only counted.
const EVENTS_MAX: usize = 256;

/// What has been dropped since it was last told.
#[derive(Default)]
pub struct DropTally {
    /// By the hash of client, topic and reason. Two with the same hash would be told as one, which
    /// matters less than copying three texts for each drop.
    events: FxHashMap<u64, Event>,
    /// Drops that found no room.
    beyond: u64,
}

impl DropTally {
    /// Adds dropped messages. The event is made for the first of a second.
    pub fn add(
        &mut self,
        client_id: &str,
        topic: Option<&str>,
        reason: &str,
        count: u64,
        event: impl FnOnce() -> Event,
    ) {
        let mut hasher = FxHasher::default();
        (client_id, topic, reason).hash(&mut hasher);
        let key = hasher.finish();
        if let Some(known) = self.events.get_mut(&key) {
            if let EventKind::Dropped { count: sum, .. } = &mut known.kind {
                *sum += count;
            }
        } else if self.events.len() < EVENTS_MAX {
            self.events.insert(key, event());
        } else {
            self.beyond += count;
        }
    }

    /// What is to be told now, and how many drops are not among it.
    pub fn take(&mut self) -> (Vec<Event>, u64) {
        let events = std::mem::take(&mut self.events);
        (
            events.into_values().collect(),
            std::mem::take(&mut self.beyond),
        )
    }

    /// Whether nothing is to be told.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}
