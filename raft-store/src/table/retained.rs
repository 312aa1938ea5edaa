//! Retained messages by topic name.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use raftmq_mqtt::topic::{NameTree, TopicError};
use raftmq_proto::v1::Message;
use rustc_hash::FxHashMap;

use super::sessions::{SHARDS, shard_of};

type Shard = FxHashMap<Arc<str>, Arc<Message>>;

#[derive(Clone)]
pub(super) struct Retained {
    shards: Vec<Arc<Shard>>,
    tree: NameTree<Arc<Message>>,
    order: BTreeSet<Arc<str>>,
    expiring: BTreeSet<(u64, Arc<str>)>,
}

impl Default for Retained {
    fn default() -> Self {
        Self {
            shards: vec![Arc::default(); SHARDS],
            tree: NameTree::default(),
            order: BTreeSet::new(),
            expiring: BTreeSet::new(),
        }
    }
}

/// When a message expires, Unix milliseconds.
fn expires_at_ms(message: &Message) -> Option<u64> {
    let seconds = message.expiry_seconds?;
    Some(
        message
            .received_at_ms
            .saturating_add(u64::from(seconds) * 1000),
    )
}

impl Retained {
    /// Sets the message of its topic; an empty payload deletes it [MQTT-3.3.1-6], [MQTT-3.3.1-7]. It
    /// belongs to no session: 3.1.1 [MQTT-3.1.2-7].
    pub fn set(&mut self, message: Arc<Message>) -> Result<(), TopicError> {
        raftmq_mqtt::topic::validate_name(&message.topic)?;
        self.delete(&message.topic);
        if message.payload.is_empty() {
            return Ok(());
        }
        let key: Arc<str> = message.topic.as_str().into();
        self.tree.insert(&key, message.clone())?;
        if let Some(at) = expires_at_ms(&message) {
            self.expiring.insert((at, key.clone()));
        }
        self.order.insert(key.clone());
        Arc::make_mut(&mut self.shards[shard_of(&key)]).insert(key, message);
        Ok(())
    }

    fn delete(&mut self, topic: &str) {
        let Some(old) = self.tree.remove(topic) else {
            return;
        };
        if let Some(at) = expires_at_ms(&old) {
            self.expiring.remove(&(at, topic.into()));
        }
        self.order.remove(topic);
        Arc::make_mut(&mut self.shards[shard_of(topic)]).remove(topic);
    }

    /// Deletes what has expired at `now_ms`.
    pub fn expire(&mut self, now_ms: u64) {
        while let Some((at, topic)) = self.expiring.first().cloned() {
            if at > now_ms {
                return;
            }
            self.delete(&topic);
        }
    }

    pub fn first_due_ms(&self) -> Option<u64> {
        self.expiring.first().map(|(at, _)| *at)
    }

    pub fn get(&self, topic: &str) -> Option<&Arc<Message>> {
        self.tree.get(topic)
    }

    pub fn for_each_match<'a>(&'a self, filter: &str, visit: impl FnMut(&'a Arc<Message>)) {
        self.tree.for_each_match(filter, visit);
    }

    /// In order of topic, behind `after`.
    pub fn behind<'a>(&'a self, after: Option<&'a str>) -> impl Iterator<Item = &'a Arc<Message>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.order
            .range::<str, _>((from, Bound::Unbounded))
            .filter_map(|topic| self.tree.get(topic))
    }

    pub fn len(&self) -> usize {
        self.tree.len()
    }

    pub fn shards(&self) -> Vec<Arc<Shard>> {
        self.shards.clone()
    }
}
