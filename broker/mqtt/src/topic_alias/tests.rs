use super::*;
use crate::{
    codec::{Packet, QoS, Version, decode, frame},
    fanout::{Fanout, Scratch},
    publication::{Origin, Publication},
    session::{Delivery, Wire},
};

fn alias(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not zero")
}

/// [MQTT-3.3.2-12]
#[test]
fn an_alias_stands_for_the_name_that_came_with_it_until_another_comes() {
    let mut aliases = InboundAliases::default();
    for (topic, expected) in [("a/b", "a/b"), ("", "a/b"), ("c", "c"), ("", "c")] {
        let resolved = aliases.resolve(alias(2), topic, 2);
        assert_eq!(resolved.as_deref(), Ok(expected), "{topic:?}");
    }
}

/// [MQTT-3.3.2-9], [MQTT-3.2.2-17], [MQTT-3.2.2-18]
#[test]
fn an_alias_beyond_the_maximum_is_invalid_and_without_a_maximum_every_one_is() {
    let mut aliases = InboundAliases::default();
    for (number, maximum) in [(3, 2), (1, 0), (u16::MAX, u16::MAX - 1)] {
        let resolved = aliases.resolve(alias(number), "a", maximum);
        assert_eq!(resolved, Err(ReasonCode::TopicAliasInvalid), "{number}");
    }
    let resolved = aliases.resolve(alias(u16::MAX), "a", u16::MAX);
    assert_eq!(resolved.as_deref(), Ok("a"));
}

/// §3.3.2.3.4
#[test]
fn an_alias_that_stands_for_nothing_is_a_protocol_error() {
    let mut aliases = InboundAliases::default();
    let unset = aliases.resolve(alias(1), "", 4);
    assert_eq!(unset, Err(ReasonCode::ProtocolError));
    aliases.resolve(alias(4), "a", 4).expect("set");
    let between = aliases.resolve(alias(3), "", 4);
    assert_eq!(between, Err(ReasonCode::ProtocolError));
}

/// A client that reads what is sent to it as the standard says.
struct Reader {
    aliases: InboundAliases,
    outbound: OutboundAliases,
    scratch: Scratch,
    maximum: u16,
    max_packet_size: u32,
}

impl Reader {
    fn new(maximum: u16) -> Reader {
        Reader {
            aliases: InboundAliases::default(),
            outbound: OutboundAliases::new(maximum).expect("a maximum"),
            scratch: Scratch::default(),
            maximum,
            max_packet_size: u32::MAX,
        }
    }

    /// Sends one message; its length on the wire, and whether it named its topic. What is read from the
    /// wire is the topic that was sent.
    fn take(&mut self, topic: &str) -> (usize, bool) {
        let publication = Publication {
            topic,
            payload: b"payload",
            properties: b"\x01\x01",
            qos: QoS::AtMostOnce,
            retain: false,
            expiry: None,
            origin: Origin::Client,
            publisher: "",
            target: None,
        };
        let mut out = Vec::new();
        let mut wire = Wire {
            version: Version::V5,
            out: &mut out,
            window: 1,
            max_packet_size: self.max_packet_size,
            congested_bytes: 1 << 20,
            aliases: Some(&mut self.outbound),
        };
        let delivery = Delivery {
            qos: QoS::AtMostOnce,
            retain: false,
            subscription_ids: &[],
        };
        Fanout::new(publication, 0, &mut self.scratch).append_to(&mut wire, delivery, 0);
        let whole = frame(&out, u32::MAX).expect("a frame").expect("whole");
        let Ok(Packet::Publish(publish)) = decode(Version::V5, &whole) else {
            panic!("no PUBLISH: {out:?}");
        };
        assert_eq!(publish.payload, b"payload");
        let read = match publish.properties.topic_alias() {
            None => publish.topic.into(),
            // The client's own rule is the broker's: nothing beyond its maximum.
            Some(alias) => self
                .aliases
                .resolve(alias, publish.topic, self.maximum)
                .expect("an alias that the client has to accept"),
        };
        assert_eq!(*read, *topic);
        (out.len(), !publish.topic.is_empty())
    }
}

/// [MQTT-3.3.2-11]
#[test]
fn a_topic_that_repeats_gets_an_alias_and_then_loses_its_name() {
    let mut reader = Reader::new(4);
    let named: Vec<_> = (0..4).map(|_| reader.take("a/long/topic").1).collect();
    assert_eq!(named, [true, true, false, false]);
    let (first, _) = Reader::new(4).take("a/long/topic");
    let (later, _) = reader.take("a/long/topic");
    assert_eq!(first - later, "a/long/topic".len() - 3);
}

#[test]
fn a_topic_that_an_alias_would_not_shorten_gets_none() {
    let mut reader = Reader::new(4);
    assert!((0..4).all(|_| reader.take("abc").1));
    assert!(reader.outbound.by_topic.is_empty());
}

#[test]
fn topics_that_never_repeat_get_none() {
    let mut reader = Reader::new(4);
    for number in 0..1_000 {
        reader.take(&format!("topic/{number}"));
    }
    assert!(reader.outbound.by_topic.is_empty());
}

/// [MQTT-3.1.2-26]
#[test]
fn many_topics_share_few_aliases_and_every_message_keeps_its_topic() {
    let mut reader = Reader::new(3);
    // A fixed sequence without a pattern that the eviction could follow.
    let mut state = 1_u32;
    for _ in 0..5_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        reader.take(&format!("topic/{}", (state >> 24) % 9));
    }
    assert_eq!(reader.outbound.given.len(), 3);
    assert_eq!(reader.outbound.by_topic.len(), 3);
}

#[test]
fn a_topic_that_is_not_used_any_more_makes_room() {
    let mut reader = Reader::new(1);
    for topic in ["first/topic", "other/topic"] {
        let named: Vec<_> = (0..5).map(|_| reader.take(topic).1).collect();
        assert!(!named[4], "{topic}: {named:?}");
    }
}

/// [MQTT-3.1.2-24]
#[test]
fn a_packet_that_is_only_small_enough_without_an_alias_has_none() {
    let mut reader = Reader::new(4);
    let (plain, _) = reader.take("a/long/topic");
    reader.max_packet_size = plain as u32;
    for _ in 0..4 {
        let (len, named) = reader.take("a/long/topic");
        assert!(named && len <= plain);
    }
}

/// [MQTT-3.1.2-27]
#[test]
fn a_client_that_takes_no_alias_gets_none() {
    assert!(OutboundAliases::new(0).is_none());
}
