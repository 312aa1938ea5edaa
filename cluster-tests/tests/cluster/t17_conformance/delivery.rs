//! What a subscriber gets of a PUBLISH (§3.3.2), and what a PUBLISH may not say.

use super::{
    bytes::Publish,
    talk::{LEVELS, Talk},
};
use raftmq_cluster_tests::{Cluster, packet};

/// [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18], [MQTT-3.3.2-20]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_of_a_message_are_passed_on_as_they_are() {
    let cluster = Cluster::start(3).await;
    let mut subscriber = Talk::clean(&cluster, 1, 5, "subscriber").await;
    subscriber.subscribed("properties", 1).await;
    let mut publisher = Talk::clean(&cluster, 3, 5, "publisher").await;
    let pair = |name, value| [0x26, 0, 1, name, 0, 1, value];
    let parts = [
        &[0x01, 1][..],
        &[0x03, 0, 3, b't', b'/', b'x'],
        &[0x08, 0, 3, b'r', b'/', b'x'],
        &[0x09, 0, 3, 0, 0xFF, 7],
        &pair(b'z', b'1'),
        &pair(b'a', b'2'),
        &pair(b'z', b'1'),
    ];
    let properties = parts.concat();
    let publish = Publish::new(5, "properties", 1, 1, "x").properties(&properties);
    publisher.sent(publish, 1).await;
    let received = subscriber.message().await.properties;
    assert_eq!(received.len(), properties.len());
    for part in &parts[..4] {
        let is_there = received.windows(part.len()).any(|window| window == *part);
        assert!(is_there, "{part:02x?} in {received:02x?}");
    }
    let pairs = parts[4..].concat();
    assert!(
        received.windows(pairs.len()).any(|window| window == pairs),
        "{received:02x?}"
    );
}

/// [MQTT-1.5.4-3], 3.1.1 [MQTT-1.5.3-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_order_mark_in_a_topic_is_a_character_like_others() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut subscriber = Talk::clean(&cluster, 1, level, "subscriber").await;
        subscriber.subscribed("\u{feff}mark", 0).await;
        subscriber.subscribed("fence", 0).await;
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        publisher.published("mark", "no").await;
        publisher.published("\u{feff}mark", "yes").await;
        assert_eq!(subscriber.message().await.topic, "\u{feff}mark");
        subscriber.nothing_before_fence(&mut publisher).await;
    }
}

/// [MQTT-3.3.2-2], [MQTT-4.7.0-1], [MQTT-4.7.3-1], 3.1.1 [MQTT-3.3.2-2], 3.1.1 [MQTT-4.7.1-1],
/// 3.1.1 [MQTT-4.7.3-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_name_with_wildcards_or_without_characters_ends_the_connection() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        for topic in ["a/#", "+/a", "#", "a+", ""] {
            let mut client = Talk::clean(&cluster, 1, level, "client").await;
            client
                .send(&Publish::new(level, topic, 1, 1, "x").bytes())
                .await;
            client.closed_with(&[0x82, 0x90]).await;
        }
    }
}

/// [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-3.3.1-2], [MQTT-3.3.1-4], [MQTT-3.3.2-1], [MQTT-4.7.3-2],
/// 3.1.1 [MQTT-1.5.3-1], 3.1.1 [MQTT-1.5.3-2], 3.1.1 [MQTT-2.3.1-1], 3.1.1 [MQTT-3.3.1-2],
/// 3.1.1 [MQTT-3.3.1-4], 3.1.1 [MQTT-3.3.2-1], 3.1.1 [MQTT-4.7.3-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_is_malformed_ends_the_connection() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let with_topic = |topic: &[u8]| {
            let length = (topic.len() as u16).to_be_bytes();
            let end: &[u8] = if level == 5 { &[0, b'x'] } else { b"x" };
            packet::framed(0x30, &[&length, topic, end].concat())
        };
        let wrong = [
            with_topic(b"\xC0\x80"),
            with_topic(b"\xED\xA0\x80"),
            with_topic(b"a\0b"),
            packet::framed(0x30, &[0, 9, b'a']),
            packet::framed(0x36, &[0, 1, b'a', 0, 1, 0]),
            Publish::new(level, "a", 0, 0, "x").dup().bytes(),
            Publish::new(level, "a", 1, 0, "x").bytes(),
        ];
        for bytes in wrong {
            let mut client = Talk::clean(&cluster, 1, level, "client").await;
            client.send(&bytes).await;
            client.closed_with(&[0x81, 0x82]).await;
        }
    }
}

/// [MQTT-3.3.2-8], [MQTT-3.3.2-14], [MQTT-3.3.4-6]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_with_properties_that_a_client_may_not_send_ends_the_connection() {
    let cluster = Cluster::start(1).await;
    let wrong = [
        (&[0x0B, 1][..], 0x82),
        (&[0x23, 0, 0], 0x94),
        (&[0x08, 0, 1, b'#'], 0x82),
    ];
    for (properties, code) in wrong {
        let mut client = Talk::clean(&cluster, 1, 5, "client").await;
        let publish = Publish::new(5, "a", 0, 0, "x").properties(properties);
        client.send(&publish.bytes()).await;
        client.closed_with(&[code]).await;
    }
}
