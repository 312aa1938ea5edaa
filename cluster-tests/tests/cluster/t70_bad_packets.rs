//! What strangers send. Each gets the answer of the standard or is shut out; nobody else notices.

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, RawClient, SOON, Seed, Setup, packet};

/// The node serves as before.
async fn unharmed(cluster: &mut Cluster) {
    let mut client = cluster.connect(1, "honest").open().await;
    client.subscribed("honest", 1).await;
    client.publish("honest", 1, "x").await.unwrap();
    assert_eq!(client.next_message(SOON).await.topic, "honest");
    assert!(cluster.node_mut(1).is_running());
    let log = cluster.node(1).log_text();
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_shut_out() {
    let mut cluster = Cluster::start(1).await;
    let mut seed = Seed::new();
    for _ in 0..200 {
        let length = seed.below(300) + 2;
        let mut bytes: Vec<u8> = (0..length).map(|_| seed.below(256) as u8).collect();
        // Not the beginning of a CONNECT, and a length that the rest fulfils.
        bytes[0] |= 0x80;
        bytes[1] = 1;
        let mut client = RawClient::open(cluster.node(1).mqtt()).await;
        client.send(&bytes).await;
        client.frames_until_closed(SOON).await;
    }
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_packets_after_connect_end_the_connection_only() {
    let mut cluster = Cluster::start(1).await;
    let mut seed = Seed::new();
    for round in 0..300 {
        let level = if round % 2 == 0 { 4 } else { 5 };
        let (mut client, connack) = RawClient::connect(
            cluster.node(1).mqtt(),
            level,
            &format!("damaged-{round}"),
            true,
        )
        .await;
        assert_eq!(connack.connack_code(), 0);
        let mut bytes = match seed.below(4) {
            0 => packet::publish(level, "a/b", 1, 7, b"payload"),
            1 => packet::subscribe(level, 8, "a/+", 1),
            2 => packet::acknowledgement(0x62, 9),
            _ => packet::publish(level, "a", 2, 7, b""),
        };
        for _ in 0..=seed.below(3) {
            let index = seed.below(bytes.len());
            bytes[index] = seed.below(256) as u8;
        }
        client.send(&bytes).await;
        client.send(&packet::DISCONNECT).await;
        client.frame_within(Duration::from_millis(5)).await;
    }
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_packet_waits_and_its_connection_ends_with_the_timeout() {
    let mut cluster = Setup::nodes(1)
        .set("RAFTMQ_MQTT_CONNECT_TIMEOUT", "1s")
        .start()
        .await;
    let connect = packet::connect(5, "truncated", true, 30);
    for length in 0..connect.len() {
        let mut client = RawClient::open(cluster.node(1).mqtt()).await;
        client.send(&connect[..length]).await;
        if length % 7 == 0 {
            assert_eq!(
                client.frames_until_closed(SOON).await,
                [],
                "{length} bytes of CONNECT"
            );
        }
    }
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_connects_and_says_nothing_is_closed_after_the_connect_timeout() {
    let mut cluster = Setup::nodes(1)
        .set("RAFTMQ_MQTT_CONNECT_TIMEOUT", "1s")
        .start()
        .await;
    let mut client = RawClient::open(cluster.node(1).mqtt()).await;
    let opened = Instant::now();
    assert_eq!(client.frames_until_closed(SOON).await, []);
    let after = opened.elapsed();
    assert!(
        (Duration::from_millis(900)..Duration::from_secs(4)).contains(&after),
        "{after:?}"
    );
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_above_the_maximum_is_refused_before_it_is_read() {
    let mut cluster = Cluster::start(1).await;
    let (mut client, _) = RawClient::connect(cluster.node(1).mqtt(), 5, "oversized", true).await;
    let declared = [&[0x30][..], &packet::remaining_length(200 << 20)].concat();
    client.send(&declared).await;
    let frames = client.frames_until_closed(SOON).await;
    assert_eq!(
        frames
            .last()
            .map(raftmq_cluster_tests::Frame::disconnect_code),
        Some(0x95),
        "{frames:?}"
    );
    let mut early = RawClient::open(cluster.node(1).mqtt()).await;
    early
        .send(&[&[0x10][..], &packet::remaining_length(200 << 20)].concat())
        .await;
    early.frames_until_closed(SOON).await;
    assert!(
        cluster.node(1).resident_bytes() < 300 << 20,
        "nothing was kept for it"
    );
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_protocol_name_or_level_is_refused() {
    let mut cluster = Cluster::start(1).await;
    let (mut client, connack) =
        RawClient::connect(cluster.node(1).mqtt(), 9, "level-9", true).await;
    assert!(
        matches!(connack.connack_code(), 0x01 | 0x84),
        "[MQTT-3.1.2-2] {connack:?}"
    );
    assert_eq!(client.next_frame(SOON).await, None);
    let mut named = packet::connect(4, "name", true, 30);
    named[4..8].copy_from_slice(b"QMTT");
    let mut client = RawClient::open(cluster.node(1).mqtt()).await;
    client.send(&named).await;
    let frames = client.frames_until_closed(SOON).await;
    assert!(
        frames.iter().all(|frame| frame.connack_code() != 0),
        "[MQTT-3.1.2-1] {frames:?}"
    );
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_packet_must_be_connect() {
    let mut cluster = Cluster::start(1).await;
    let first = [
        packet::PINGREQ.to_vec(),
        packet::publish(4, "a", 0, 0, b"x"),
        packet::subscribe(4, 1, "a", 0),
        packet::DISCONNECT.to_vec(),
    ];
    for bytes in first {
        let mut client = RawClient::open(cluster.node(1).mqtt()).await;
        client.send(&bytes).await;
        assert_eq!(
            client.frames_until_closed(SOON).await,
            [],
            "[MQTT-3.1.0-1] {bytes:?}"
        );
    }
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connect_ends_the_connection() {
    let mut cluster = Cluster::start(1).await;
    for level in [4, 5] {
        let (mut client, connack) =
            RawClient::connect(cluster.node(1).mqtt(), level, "twice", true).await;
        assert_eq!(connack.connack_code(), 0);
        client
            .send(&packet::connect(level, "twice", true, 30))
            .await;
        let frames = client.frames_until_closed(SOON).await;
        let codes: Vec<_> = frames
            .iter()
            .map(raftmq_cluster_tests::Frame::disconnect_code)
            .collect();
        assert_eq!(
            codes,
            if level == 5 { vec![0x82] } else { vec![] },
            "[MQTT-3.1.0-2]"
        );
    }
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_that_only_a_server_sends_end_the_connection() {
    let mut cluster = Cluster::start(1).await;
    let served = [
        vec![0x20, 2, 0, 0],
        vec![0x90, 3, 0, 1, 0],
        vec![0xB0, 2, 0, 1],
        vec![0xD0, 0],
    ];
    for bytes in served {
        let (mut client, _) = RawClient::connect(cluster.node(1).mqtt(), 5, "server", true).await;
        client.send(&bytes).await;
        client.frames_until_closed(SOON).await;
    }
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_topics_and_filters_get_the_reason_of_the_standard() {
    let mut cluster = Cluster::start(1).await;
    let address = cluster.node(1).mqtt();
    for filter in ["a/#/b", "a#", "+a", ""] {
        let (mut client, _) = RawClient::connect(address, 5, "filter", true).await;
        client.send(&packet::subscribe(5, 7, filter, 1)).await;
        let answer = client.next_frame(SOON).await.expect("an answer");
        match answer.kind() {
            // Behind packet identifier and properties.
            9 => {
                let code = answer.body[3 + usize::from(answer.body[2])];
                assert_eq!(code, 0x8F, "SUBACK for {filter}");
            }
            _ => assert!(
                matches!(answer.disconnect_code(), 0x81 | 0x82 | 0x8F),
                "{filter}: {answer:?}"
            ),
        }
    }
    for topic in ["a/#", "+", ""] {
        let (mut client, _) = RawClient::connect(address, 5, "topic", true).await;
        client.send(&packet::publish(5, topic, 0, 0, b"x")).await;
        let frames = client.frames_until_closed(SOON).await;
        let code = frames
            .last()
            .map(raftmq_cluster_tests::Frame::disconnect_code);
        assert!(
            matches!(code, Some(0x81 | 0x82 | 0x90)),
            "{topic}: {frames:?}"
        );
    }
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_mqtt_3_1_1_client_without_identifier_needs_clean_session() {
    let mut cluster = Cluster::start(1).await;
    let (_, refused) = RawClient::connect(cluster.node(1).mqtt(), 4, "", false).await;
    assert_eq!(refused.connack_code(), 2, "3.1.1 [MQTT-3.1.3-8]");
    let (_client, accepted) = RawClient::connect(cluster.node(1).mqtt(), 4, "", true).await;
    assert_eq!(accepted.connack_code(), 0, "3.1.1 [MQTT-3.1.3-6]");
    unharmed(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_on_the_port_between_nodes_harm_nobody() {
    let mut cluster = Cluster::start(3).await;
    let mut seed = Seed::new();
    for _ in 0..50 {
        let bytes: Vec<u8> = (0..500).map(|_| seed.below(256) as u8).collect();
        let mut stranger = RawClient::open(cluster.node(1).rpc()).await;
        stranger.send(&bytes).await;
        stranger.frame_within(Duration::from_millis(5)).await;
    }
    unharmed(&mut cluster).await;
}
