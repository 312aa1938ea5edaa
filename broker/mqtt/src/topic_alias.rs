//! Topic aliases (MQTT 5 §3.3.2.3.4): two bytes that stand for a topic name on one connection.
//!
//! Each direction has numbers of its own, and neither outlives the connection [MQTT-3.3.2-7]. What a
//! client sets is [`InboundAliases`]. What the broker sets is [`OutboundAliases`]: a topic gets a
//! number when it comes for the second time within a short while, so that topics that never repeat
//! cost neither bytes nor memory. When all numbers are given, topics that have not been used lately
//! make room; the search for one is bounded, so a crowd of topics cannot make a delivery slow.

use crate::codec::ReasonCode;
use rustc_hash::{FxHashMap, FxHasher};
use std::{
    hash::{Hash, Hasher},
    num::NonZeroU16,
    rc::Rc,
};

/// The aliases that a client has set. Empty, it holds no memory on the heap; at most it holds as many
/// topic names as the Topic Alias Maximum that was announced.
#[derive(Debug, Default)]
pub struct InboundAliases {
    /// By alias - 1.
    topics: Vec<Option<Rc<str>>>,
}

impl InboundAliases {
    /// The topic name of a PUBLISH with an alias; a name that comes along is what the alias stands for
    /// from now on [MQTT-3.3.2-12]. `maximum` is the Topic Alias Maximum of CONNACK.
    ///
    /// # Errors
    ///
    /// [`ReasonCode::TopicAliasInvalid`] beyond the maximum [MQTT-3.3.2-9], [MQTT-3.2.2-17];
    /// [`ReasonCode::ProtocolError`] when there is neither a name nor one that was set before.
    pub fn resolve(
        &mut self,
        alias: NonZeroU16,
        topic: &str,
        maximum: u16,
    ) -> Result<Rc<str>, ReasonCode> {
        if alias.get() > maximum {
            return Err(ReasonCode::TopicAliasInvalid);
        }
        let index = usize::from(alias.get() - 1);
        let known = self.topics.get(index).and_then(Option::as_ref);
        match known {
            None if topic.is_empty() => Err(ReasonCode::ProtocolError),
            Some(known) if topic.is_empty() || **known == *topic => Ok(known.clone()),
            _ => Ok(self.set(index, topic)),
        }
    }

    /// The topic name that an alias stands for.
    pub fn get(&self, alias: NonZeroU16) -> Option<&str> {
        let index = usize::from(alias.get() - 1);
        self.topics.get(index)?.as_deref()
    }

    fn set(&mut self, index: usize, topic: &str) -> Rc<str> {
        let topic: Rc<str> = topic.into();
        if self.topics.len() <= index {
            self.topics.resize(index + 1, None);
        }
        self.topics[index] = Some(topic.clone());
        topic
    }
}

/// Bytes that an alias adds to a packet: its property, and one each where the length of the properties
/// or of the packet then takes one more byte.
pub(crate) const ALIAS_BYTES_MAX: usize = 3 + 1 + 1;

/// Topic names up to this length, in bytes, are not shorter as an alias.
const TOPIC_BYTES_MIN: usize = 3;

/// Topics that are remembered after they have been seen once. More would give aliases to topics that
/// come rarely, fewer would forget topics that take turns.
const SEEN: usize = 64;

/// Topics that are looked at when one has to make room.
const EVICTION_LOOKS_MAX: usize = 8;

/// The aliases that the broker has set towards one client.
#[derive(Debug)]
pub struct OutboundAliases {
    maximum: NonZeroU16,
    by_topic: FxHashMap<Rc<str>, NonZeroU16>,
    /// By alias - 1.
    given: Vec<Given>,
    /// Where the search for room goes on.
    hand: usize,
    /// Fingerprints of topics that have been seen once, by a part of their hash.
    seen: [u32; SEEN],
}

#[derive(Debug)]
struct Given {
    topic: Rc<str>,
    /// Used since the search for room came by.
    used: bool,
}

impl OutboundAliases {
    /// Of a client that takes aliases up to `maximum`: the lower of its Topic Alias Maximum and our
    /// limit [MQTT-3.1.2-26], [MQTT-3.3.2-11]. `None`: it takes none [MQTT-3.1.2-27].
    pub fn new(maximum: u16) -> Option<OutboundAliases> {
        Some(OutboundAliases {
            maximum: NonZeroU16::new(maximum)?,
            by_topic: FxHashMap::default(),
            given: Vec::new(),
            hand: 0,
            seen: [0; SEEN],
        })
    }

    /// Whether an alias can make a packet with this topic shorter.
    pub(crate) fn shortens(topic: &str) -> bool {
        topic.len() > TOPIC_BYTES_MIN
    }

    /// The alias that stands for the topic already: the packet needs no name.
    pub(crate) fn known(&mut self, topic: &str) -> Option<NonZeroU16> {
        let alias = *self.by_topic.get(topic)?;
        self.given[usize::from(alias.get() - 1)].used = true;
        Some(alias)
    }

    /// A new alias for a topic that is not [`known`](Self::known), if it is worth one: the packet has to
    /// name both.
    pub(crate) fn assign(&mut self, topic: &str) -> Option<NonZeroU16> {
        if !self.has_been_seen(topic) {
            return None;
        }
        let index = self.room()?;
        let alias = u16::try_from(index + 1).ok().and_then(NonZeroU16::new)?;
        let topic: Rc<str> = topic.into();
        let given = Given {
            topic: topic.clone(),
            used: false,
        };
        if index < self.given.len() {
            let previous = std::mem::replace(&mut self.given[index], given);
            self.by_topic.remove(&previous.topic);
        } else {
            self.given.push(given);
        }
        self.by_topic.insert(topic, alias);
        Some(alias)
    }

    /// Whether the topic was seen lately; from now on it has been.
    fn has_been_seen(&mut self, topic: &str) -> bool {
        let mut hasher = FxHasher::default();
        topic.hash(&mut hasher);
        let hash = hasher.finish();
        // Zero is an empty place.
        let fingerprint = (hash >> 32) as u32 | 1;
        let place = &mut self.seen[hash as usize % SEEN];
        std::mem::replace(place, fingerprint) == fingerprint
    }

    /// A place that is free, or one whose topic has not been used since it was looked at last.
    fn room(&mut self) -> Option<usize> {
        if self.given.len() < usize::from(self.maximum.get()) {
            return Some(self.given.len());
        }
        for _ in 0..EVICTION_LOOKS_MAX {
            let index = self.hand;
            self.hand = (self.hand + 1) % self.given.len();
            if !std::mem::replace(&mut self.given[index].used, false) {
                return Some(index);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
