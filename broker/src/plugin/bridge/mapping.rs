//! What becomes of a message on its way: its topic, QoS and RETAIN, and the marks by which it does not run in
//! circles.
//!
//! A **mark** is a user property that names a broker in which the message has been: a cluster by its identifier,
//! which a bridge asks for in CONNECT, another broker by its address. A message is not sent to a broker that it
//! has a mark of. MQTT 3.1.1 has no user properties, so a broker that is spoken to in 3.1.1 forgets the marks;
//! `echoes` refuses the settings by which that would matter.

use super::settings::{Direction, Entry};
use crate::plugin::filled;
use raftmq_mqtt::{
    codec::{Property, Publish, QoS},
    topic,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// In the topic of an ingress entry: the one that the message had.
pub(super) const REMOTE_TOPIC: &str = "${remote.topic}";
/// In the topic of an egress entry.
pub(super) const LOCAL_TOPIC: &str = "${local.topic}";
/// Name of the user property that is a mark.
pub(super) const MARK: &str = "raftmq-via";
/// Marks beyond which a message goes no further.
pub(super) const HOPS_MAX: usize = 16;

/// What is done with RETAIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Retain {
    #[default]
    Never,
    Always,
    AsReceived,
}

/// Why a message is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unforwarded {
    /// It has been there, or in too many brokers.
    Loop,
    /// Larger than the other side takes.
    TooLarge,
    /// The other side says no, for good.
    Refused,
    /// Its time is over.
    Expired,
    /// Its topic here is none there.
    BadTopic,
    /// QoS 0, and nobody is there to take it.
    NotConnected,
}

/// The two ends of an entry, by what marks call them.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    /// Identifier of the own cluster.
    pub own: String,
    /// Address of the remote broker.
    pub remote_place: String,
    /// Its cluster, when it has told.
    pub remote_cluster: Option<String>,
}

/// A message, as it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    /// Those that go on, with one mark more.
    pub properties: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
    pub expiry_seconds: Option<u32>,
}

impl Ends {
    /// What stands for the side that a message comes from.
    fn source(&self, direction: Direction) -> &str {
        match (direction, &self.remote_cluster) {
            (Direction::Egress, _) => &self.own,
            (Direction::Ingress, Some(cluster)) => cluster,
            (Direction::Ingress, None) => &self.remote_place,
        }
    }

    fn is_target(&self, direction: Direction, mark: &str) -> bool {
        match direction {
            Direction::Ingress => mark == self.own,
            Direction::Egress => {
                mark == self.remote_place || Some(mark) == self.remote_cluster.as_deref()
            }
        }
    }
}

impl Entry {
    /// The message for the other side.
    ///
    /// # Errors
    /// Why there is none.
    pub fn forwarded(&self, publish: &Publish<'_>, ends: &Ends) -> Result<Message, Unforwarded> {
        let marks = publish.properties.user_properties();
        let marks = marks.iter().filter(|(name, _)| *name == MARK);
        let mut hops = 0;
        for (_, mark) in marks {
            hops += 1;
            if hops >= HOPS_MAX || ends.is_target(self.direction, mark) {
                return Err(Unforwarded::Loop);
            }
        }
        let topic = self.topic_of(publish.topic).ok_or(Unforwarded::BadTopic)?;
        let mut properties = Vec::new();
        publish.properties.append_forwardable(&mut properties);
        Property::UserProperty(MARK, ends.source(self.direction))
            .encode(&mut properties)
            .map_err(|_| Unforwarded::TooLarge)?;
        Ok(Message {
            topic,
            payload: publish.payload.to_vec(),
            properties,
            qos: self.qos.unwrap_or(publish.qos),
            retain: match self.retain {
                Retain::Never => false,
                Retain::Always => true,
                Retain::AsReceived => publish.retain,
            },
            expiry_seconds: publish
                .properties
                .message_expiry_interval()
                .or(self.expiry_seconds),
        })
    }

    /// The topic on the other side; `None`: it would be no topic name.
    pub fn topic_of(&self, received: &str) -> Option<String> {
        let rest = skipped(received, self.skip_levels)?;
        let values = [(self.placeholder(), Some(rest))];
        filled(&self.topic, &values).filter(|topic| topic::validate_name(topic).is_ok())
    }

    fn placeholder(&self) -> &'static str {
        match self.direction {
            Direction::Ingress => REMOTE_TOPIC,
            Direction::Egress => LOCAL_TOPIC,
        }
    }

    /// A filter that matches every topic which [`topic_of`](Self::topic_of) gives for what the entry's filter
    /// matches; it may match more.
    pub fn topics_there(&self) -> String {
        let Some((before, behind)) = self.topic.split_once(self.placeholder()) else {
            return self.topic.clone();
        };
        // The level that is skipped to may be anywhere below "#".
        let filter = skipped(self.plain_filter(), self.skip_levels).unwrap_or("#");
        if behind.is_empty() && (before.is_empty() || before.ends_with('/')) {
            return format!("{before}{filter}");
        }
        // The whole levels in front of it are known.
        let known = before.rfind('/').map_or("", |end| &before[..=end]);
        format!("{known}#")
    }
}

/// The topic without its first levels; `None`: it has no more.
fn skipped(topic: &str, levels: usize) -> Option<&str> {
    let mut rest = topic;
    for _ in 0..levels {
        rest = rest.split_once('/')?.1;
    }
    Some(rest)
}

impl<'de> Deserialize<'de> for Retain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl de::Visitor<'_> for Any {
            type Value = Retain;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or \"as_received\"")
            }

            fn visit_bool<E: de::Error>(self, retain: bool) -> Result<Retain, E> {
                Ok(match retain {
                    true => Retain::Always,
                    false => Retain::Never,
                })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Retain, E> {
                match text {
                    "as_received" => Ok(Retain::AsReceived),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Serialize for Retain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Retain::Never => serializer.serialize_bool(false),
            Retain::Always => serializer.serialize_bool(true),
            Retain::AsReceived => serializer.serialize_str("as_received"),
        }
    }
}
