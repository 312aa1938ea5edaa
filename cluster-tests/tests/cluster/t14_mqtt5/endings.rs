//! How connections and sessions begin and end: DISCONNECT's reason and expiry, wills and their delay, what
//! the server decides for the client.

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, RawClient, SOON, Setup, eventually, packet};

use super::wire::{
    Property, asked, connect_with, find, of_connack, open, subscribed, text, time_passes,
};

fn expiry(seconds: u32) -> Property {
    (0x11, seconds.to_be_bytes().to_vec())
}

/// CONNECT with clean start, a Session Expiry Interval, and a will on this topic with this delay.
fn connect_with_will(id: &str, session_seconds: u32, topic: &str, delay_seconds: u32) -> Vec<u8> {
    let header = [&packet::string("MQTT")[..], &[5, 0b110, 0, 60]].concat();
    let session = super::wire::block(&[expiry(session_seconds)]);
    let delay = super::wire::block(&[(0x18, delay_seconds.to_be_bytes().to_vec())]);
    let will = [delay, packet::string(topic), packet::string("gone")].concat();
    packet::framed(0x10, &[header, session, packet::string(id), will].concat())
}

/// [MQTT-3.14.4-3], §3.14.2.1: 0x04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_says_whether_the_will_is_published() {
    let cluster = Cluster::start(3).await;
    let mut watcher = cluster.connect(2, "watcher").open().await;
    watcher.subscribed("will/+", 1).await;
    for (reason, topic) in [(0x00, "will/0"), (0x04, "will/4"), (0x80, "will/80")] {
        let mut client = RawClient::open(cluster.node(1).mqtt()).await;
        let request = connect_with_will("testator", 0, topic, 0);
        assert_eq!(asked(&mut client, &request, 2).await.connack_code(), 0);
        client.send(&packet::framed(0xE0, &[reason])).await;
        assert_eq!(client.frames_until_closed(SOON).await, []);
    }
    for topic in ["will/4", "will/80"] {
        assert_eq!(watcher.next_message(SOON).await.topic, topic);
    }
}

/// [MQTT-3.1.2-8]: the delay, or the end of the session, whichever comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_does_not_wait_longer_than_its_session() {
    let cluster = Cluster::start(3).await;
    let mut watcher = cluster.connect(2, "watcher").open().await;
    watcher.subscribed("will", 1).await;
    let mut client = RawClient::open(cluster.node(1).mqtt()).await;
    let request = connect_with_will("testator", 1, "will", 1_000);
    assert_eq!(asked(&mut client, &request, 2).await.connack_code(), 0);
    let lost = Instant::now();
    drop(client);
    watcher.next_message(Duration::from_secs(20)).await;
    assert!(lost.elapsed() >= Duration::from_millis(900));
}

/// Waits until the node's table shows that the client has left.
async fn released(cluster: &Cluster, node: u64, client_id: &str) {
    eventually("the client has left", SOON, async || {
        let path = format!("/api/v1/clients/{client_id}");
        let answer = cluster.node(node).http().try_get(&path).await?;
        match answer.status {
            404 => Ok(()),
            _ if answer.body.contains(r#""connected":false"#) => Ok(()),
            _ => Err(answer.body),
        }
    })
    .await;
}

/// §3.14.2.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_may_shorten_the_session_and_prolong_one_that_outlives_its_connection() {
    let cluster = Cluster::start(3).await;
    for (asked_seconds, told_seconds, present) in [(3_600, 0, 0), (3_600, 100, 1), (1, 3_600, 1)] {
        let (mut client, _) = open(&cluster, 1, "client", &[expiry(asked_seconds)]).await;
        subscribed(&mut client, "s", 1).await;
        let told = super::wire::block(&[expiry(told_seconds)]);
        client
            .send(&packet::framed(0xE0, &[vec![0], told].concat()))
            .await;
        assert_eq!(client.frames_until_closed(SOON).await, []);
        released(&cluster, 2, "client").await;
        if told_seconds > asked_seconds {
            // The time passes that the session would not have outlived.
            time_passes(&cluster, asked_seconds).await;
        }
        let mut client = RawClient::open(cluster.node(2).mqtt()).await;
        let connack = asked(&mut client, &connect_with("client", 0, &[]), 2).await;
        let what = format!("{asked_seconds}, then {told_seconds}");
        assert_eq!(connack.body[0], present, "[MQTT-3.2.2-3] {what}");
    }
}

/// [MQTT-3.2.2-21], [MQTT-3.2.2-16], [MQTT-3.1.3-7]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_decides_keep_alive_session_expiry_and_a_missing_identifier() {
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_MQTT_MAX_KEEP_ALIVE", "20s")
        .set("RAFTMQ_MQTT_SESSION_EXPIRY_DEFAULT", "1m")
        .set("RAFTMQ_MQTT_MAX_SESSION_EXPIRY", "1m")
        .start()
        .await;
    let (_first, connack) = open(&cluster, 1, "", &[expiry(61)]).await;
    let told = of_connack(&connack);
    assert_eq!(find(&told, 0x13), Some(&[0, 20][..]), "Server Keep Alive");
    assert_eq!(
        find(&told, 0x11),
        Some(&[0, 0, 0, 60][..]),
        "Session Expiry"
    );
    let assigned = text(&told, 0x12).expect("an identifier");
    let (_second, connack) = open(&cluster, 1, "", &[]).await;
    let told = of_connack(&connack);
    let another = text(&told, 0x12).expect("an identifier");
    assert_ne!(assigned, another);
    assert_eq!(find(&told, 0x11), None, "what was asked for");
    let row = cluster.node(1).http();
    let row = row.json(&format!("/api/v1/clients/{assigned}")).await;
    assert_eq!(row["connected"], true, "{row}");
}

/// [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retain_handling_says_when_retained_messages_are_sent() {
    let cluster = Cluster::start(3).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    publisher.publish_retained("r", 1, "x").await.unwrap();
    // Retain Handling, whether the subscription exists already, whether the message comes.
    for (handling, exists, comes) in [
        (0, false, true),
        (0, true, true),
        (1, false, true),
        (1, true, false),
        (2, false, false),
        (2, true, false),
    ] {
        let (mut client, _) = open(&cluster, 3, "client", &[]).await;
        if exists {
            // Without its retained message.
            asked(&mut client, &packet::subscribe(5, 1, "r", 2 << 4), 9).await;
        }
        let request = packet::subscribe(5, 2, "r", handling << 4);
        asked(&mut client, &request, 9).await;
        client.send(&packet::PINGREQ).await;
        let next = client.next_frame(SOON).await.expect("an answer");
        let expected = if comes { 3 } else { 13 };
        assert_eq!(next.kind(), expected, "{handling} {exists}");
    }
}

/// What a client says last on one node counts before its next connection to another one, however soon that
/// comes: a session that it ended is not found again, a will that it took back is not published.
/// [MQTT-3.14.4-3], §3.14.2.2.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_word_on_one_node_comes_before_the_first_on_another() {
    const ROUNDS: u64 = 60;
    let cluster = Cluster::start(3).await;
    let mut watcher = cluster.connect(2, "watcher").open().await;
    watcher.subscribed("will", 1).await;
    for round in 0..ROUNDS {
        let (from, to) = (1 + round % 3, 1 + (round + 1 + round / 3 % 2) % 3);
        let mut client = RawClient::open(cluster.node(from).mqtt()).await;
        let request = connect_with_will("hasty", 3_600, "will", 0);
        assert_eq!(asked(&mut client, &request, 2).await.connack_code(), 0);
        // The next connection is ready to send when the last word is said, and waits for nothing.
        let mut next = RawClient::open(cluster.node(to).mqtt()).await;
        let told = super::wire::block(&[expiry(0)]);
        client
            .send(&packet::framed(0xE0, &[vec![0], told].concat()))
            .await;
        let connect = connect_with("hasty", 0, &[expiry(3_600)]);
        let connack = asked(&mut next, &connect, 2).await;
        let session_present = connack.body[0];
        assert_eq!(
            (connack.connack_code(), session_present),
            (0, 0),
            "round {round}, {from} to {to}"
        );
    }
    let last = cluster.connect(1, "last").open().await;
    last.publish("will", 1, "no will before this")
        .await
        .expect("acknowledged");
    assert_eq!(
        watcher.next_message(SOON).await.payload,
        "no will before this"
    );
    last.disconnect().await;
}
