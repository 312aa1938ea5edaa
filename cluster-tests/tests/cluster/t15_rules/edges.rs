//! The longest and the shortest of everything.

use raftmq_cluster_tests::{Cluster, Frame, RawClient, SOON, packet};

const LONGEST: usize = 65_535;

fn connect(level: u8, flags: u8, fields: &[&str]) -> Vec<u8> {
    let mut body = [&packet::string("MQTT")[..], &[level, flags, 0, 60]].concat();
    if level == 5 {
        body.push(0);
    }
    fields
        .iter()
        .for_each(|field| body.extend(packet::string(field)));
    packet::framed(0x10, &body)
}

async fn answered(cluster: &Cluster, node: u64, request: &[u8]) -> (RawClient, Frame) {
    let mut client = RawClient::open(cluster.node(node).mqtt()).await;
    client.send(request).await;
    let connack = client.next_frame(SOON).await.expect("CONNACK");
    (client, connack)
}

async fn asked(client: &mut RawClient, request: &[u8]) -> Frame {
    client.send(request).await;
    client.next_frame(SOON).await.expect("an answer")
}

/// §1.5.4: 65,535 bytes. The replicated log takes 120 KiB for one command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_names_work_or_are_refused_with_the_right_code() {
    let cluster = Cluster::start(3).await;
    let longest = "x".repeat(LONGEST);
    for level in [4, 5] {
        let (mut client, connack) = answered(&cluster, 1, &connect(level, 2, &[&longest])).await;
        assert_eq!(connack.connack_code(), 0, "a client identifier");
        let suback = asked(&mut client, &packet::subscribe(level, 1, "short", 1)).await;
        assert_eq!(suback.body.last(), Some(&1));
        // Its filter and its identifier together are no command of the log any more.
        let suback = asked(&mut client, &packet::subscribe(level, 2, &longest, 1)).await;
        let code = if level == 5 { 0x97 } else { 0x80 };
        assert_eq!((suback.kind(), suback.body.last()), (9, Some(&code)));
        let (mut other, connack) = answered(&cluster, 2, &connect(level, 2, &["other"])).await;
        assert_eq!(connack.connack_code(), 0);
        asked(&mut other, &packet::publish(level, "short", 1, 7, b"x")).await;
        assert_eq!(client.next_frame(SOON).await.expect("PUBLISH").kind(), 3);
    }
    let (_client, connack) = answered(&cluster, 3, &connect(5, 0x82, &["named", &longest])).await;
    assert_eq!(connack.connack_code(), 0, "a user name");
    let both = connect(5, 0x82, &[&longest, &longest]);
    let (_client, connack) = answered(&cluster, 3, &both).await;
    assert_eq!(connack.connack_code(), 0x97, "both together");
    let both = connect(4, 0x82, &[&longest, &longest]);
    let (_client, connack) = answered(&cluster, 3, &both).await;
    assert_eq!(connack.connack_code(), 3, "both together");
}

/// [MQTT-4.7.3-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_topic_goes_from_node_to_node_and_is_retained() {
    let cluster = Cluster::start(3).await;
    let longest = "x".repeat(LONGEST);
    let (mut subscriber, _) = answered(&cluster, 2, &connect(5, 2, &["subscriber"])).await;
    let suback = asked(&mut subscriber, &packet::subscribe(5, 1, &longest, 1)).await;
    assert_eq!(suback.body[3..], [1]);
    let (mut publisher, _) = answered(&cluster, 1, &connect(5, 2, &["publisher"])).await;
    let mut retained = packet::publish(5, &longest, 1, 7, b"payload");
    retained[0] |= 1;
    let puback = asked(&mut publisher, &retained).await;
    assert_eq!((puback.kind(), puback.body.len()), (4, 2), "{puback:?}");
    let publish = subscriber.next_frame(SOON).await.expect("PUBLISH");
    assert!(publish.body[2..].starts_with(longest.as_bytes()));
    let (mut late, _) = answered(&cluster, 3, &connect(5, 2, &["late"])).await;
    asked(&mut late, &packet::subscribe(5, 1, &longest, 1)).await;
    let publish = late.next_frame(SOON).await.expect("the retained message");
    assert_eq!(publish.first & 1, 1);
    assert!(publish.body.ends_with(b"payload"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_empty_is_empty_and_not_absent() {
    let cluster = Cluster::start(3).await;
    let flags = 0b1100_0010;
    let (mut client, connack) = answered(&cluster, 1, &connect(5, flags, &["c", "", ""])).await;
    assert_eq!(connack.connack_code(), 0, "empty user name and password");
    asked(&mut client, &packet::subscribe(5, 1, "e", 1)).await;
    let (mut other, _) = answered(&cluster, 2, &connect(4, 2, &["d"])).await;
    asked(&mut other, &packet::publish(4, "e", 1, 7, b"")).await;
    let publish = client.next_frame(SOON).await.expect("PUBLISH");
    assert_eq!(publish.body[..], [0, 1, b'e', 0, 1, 0], "an empty payload");
    // Levels may be empty: "/" has two of them (§4.7.3).
    asked(&mut client, &packet::subscribe(5, 2, "+/+", 0)).await;
    other.send(&packet::publish(4, "/", 0, 0, b"x")).await;
    let publish = client.next_frame(SOON).await.expect("PUBLISH");
    assert_eq!(publish.body[..3], [0, 1, b'/']);
    for (level, code) in [(4, 0x80), (5, 0x8F)] {
        let id = format!("empty-{level}");
        let (mut client, _) = answered(&cluster, 3, &connect(level, 2, &[&id])).await;
        let suback = asked(&mut client, &packet::subscribe(level, 3, "", 0)).await;
        assert_eq!(suback.body.last(), Some(&code), "[MQTT-4.7.3-1]");
    }
}

/// [MQTT-1.5.4-3]; code points that are no characters are passed on, as §1.5.4 lets a server do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusual_characters_pass_unaltered() {
    let cluster = Cluster::start(3).await;
    let (mut subscriber, _) = answered(&cluster, 2, &connect(5, 2, &["subscriber"])).await;
    asked(&mut subscriber, &packet::subscribe(5, 1, "u/+", 0)).await;
    let (mut publisher, _) = answered(&cluster, 1, &connect(5, 2, &["publisher"])).await;
    for name in [
        "\u{FEFF}a",
        "a\u{FEFF}",
        "\u{1}",
        "\u{7F}",
        "\u{FFFF}",
        "\u{FDD0}",
        "\u{10FFFF}",
        "e\u{301}",
        "é",
    ] {
        let topic = format!("u/{name}");
        publisher
            .send(&packet::publish(5, &topic, 0, 0, b"x"))
            .await;
        let publish = subscriber.next_frame(SOON).await.expect("PUBLISH");
        let expected = [&packet::string(&topic)[..], b"\0x"].concat();
        assert_eq!(publish.body[..], expected, "[MQTT-4.7.3-4] {name:?}");
    }
}

/// [MQTT-4.7.2-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leading_wildcard_does_not_match_a_dollar() {
    let cluster = Cluster::start(3).await;
    let (mut wild, _) = answered(&cluster, 2, &connect(5, 2, &["wild"])).await;
    for (packet_id, filter) in (1..).zip(["#", "+/x", "+/#"]) {
        asked(&mut wild, &packet::subscribe(5, packet_id, filter, 0)).await;
    }
    let (mut exact, _) = answered(&cluster, 3, &connect(5, 2, &["exact"])).await;
    asked(&mut exact, &packet::subscribe(5, 1, "$own/+", 0)).await;
    let (mut publisher, _) = answered(&cluster, 1, &connect(5, 2, &["publisher"])).await;
    publisher
        .send(&packet::publish(5, "$own/x", 0, 0, b"1"))
        .await;
    publisher
        .send(&packet::publish(5, "own/x", 0, 0, b"2"))
        .await;
    let first = exact.next_frame(SOON).await.expect("PUBLISH");
    assert!(first.body.ends_with(b"1"));
    let first = wild.next_frame(SOON).await.expect("PUBLISH");
    assert!(first.body.ends_with(b"2"), "{first:?}");
}

/// [MQTT-3.3.4-7], [MQTT-4.4.0-1]: a client that comes back, on another node, repeats as many QoS 2
/// publishes as it may have under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_receive_maximum_can_be_repeated_after_a_move() {
    let cluster = raftmq_cluster_tests::Setup::nodes(3)
        .set("RAFTMQ_MQTT_MAX_INFLIGHT", "3")
        .start()
        .await;
    let mut watcher = cluster.connect(3, "watcher").open().await;
    watcher.subscribed("twice", 2).await;
    let (mut client, _) = RawClient::connect(cluster.node(1).mqtt(), 5, "client", false).await;
    for packet_id in 1..=3 {
        let pubrec = asked(
            &mut client,
            &packet::publish(5, "twice", 2, packet_id, b"x"),
        )
        .await;
        assert_eq!(pubrec.kind(), 5);
    }
    drop(client);
    let mut client = RawClient::open(cluster.node(2).mqtt()).await;
    let mut again = packet::connect(5, "client", false, 30);
    again[9] = 0;
    let connack = asked(&mut client, &again).await;
    assert_eq!((connack.connack_code(), connack.body[0]), (0, 1));
    for packet_id in 1..=3 {
        let mut repeated = packet::publish(5, "twice", 2, packet_id, b"x");
        repeated[0] |= 8;
        assert_eq!(asked(&mut client, &repeated).await.kind(), 5, "{packet_id}");
    }
    client.send(&packet::publish(5, "twice", 2, 4, b"x")).await;
    let frames = client.frames_until_closed(SOON).await;
    let codes: Vec<_> = frames.iter().map(Frame::disconnect_code).collect();
    assert_eq!(codes, [0x93], "a fourth one is too many");
    for _ in 0..3 {
        assert_eq!(watcher.next_message(SOON).await.topic, "twice");
    }
    let publisher = cluster.connect(1, "publisher").open().await;
    watcher.subscribed("fence", 1).await;
    watcher.expect_no_more(&publisher, "fence").await;
}
