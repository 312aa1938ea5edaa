//! Clients that do not read, do not answer, or vanish without a word.

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, RawClient, SOON, Setup, Will, packet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_never_reads_neither_slows_the_others_nor_fills_the_memory() {
    const MESSAGES: u64 = 1_000;
    let payload = vec![b'x'; 64 << 10];
    let cluster = Cluster::start(3).await;
    let (mut lazy, connack) = RawClient::connect(cluster.node(2).mqtt(), 4, "lazy", true).await;
    assert_eq!(connack.connack_code(), 0);
    lazy.send(&packet::subscribe(4, 1, "flood", 0)).await;
    lazy.next_frame(SOON).await.expect("SUBACK");
    let mut eager = cluster.connect(2, "eager").open().await;
    eager.subscribed("probe", 1).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let before = cluster.node(2).resident_bytes();
    for number in 0..MESSAGES {
        publisher
            .publish("flood", 0, payload.clone())
            .await
            .unwrap();
        if number % 100 == 0 {
            let sent = Instant::now();
            publisher.publish("probe", 1, "x").await.unwrap();
            eager.next_message(SOON).await;
            assert!(
                sent.elapsed() < Duration::from_secs(2),
                "slowed to {:?}",
                sent.elapsed()
            );
        }
    }
    let grown = cluster.node(2).resident_bytes().saturating_sub(before);
    assert!(
        grown < 40 << 20,
        "{} MiB more for 64 MiB unread",
        grown >> 20
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_never_acknowledges_gets_no_more_than_its_window() {
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_MAX_INFLIGHT", "10")
        .start()
        .await;
    let (mut mute, _) = RawClient::connect(cluster.node(3).mqtt(), 4, "mute", true).await;
    mute.send(&packet::subscribe(4, 1, "window", 1)).await;
    mute.next_frame(SOON).await.expect("SUBACK");
    let publisher = cluster.connect(1, "publisher").open().await;
    for number in 0..50 {
        publisher
            .publish("window", 1, number.to_string())
            .await
            .unwrap();
    }
    for _ in 0..10 {
        assert_eq!(mute.next_frame(SOON).await.expect("PUBLISH").kind(), 3);
    }
    mute.send(&packet::PINGREQ).await;
    assert_eq!(
        mute.next_frame(SOON).await.expect("PINGRESP").kind(),
        13,
        "no eleventh PUBLISH"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_is_gone_after_one_and_a_half_keep_alives() {
    let cluster = Cluster::start(3).await;
    let mut silent = RawClient::open(cluster.node(1).mqtt()).await;
    silent.send(&packet::connect(5, "silent", true, 1)).await;
    assert_eq!(
        silent
            .next_frame(SOON)
            .await
            .expect("CONNACK")
            .connack_code(),
        0
    );
    let connected = Instant::now();
    let frames = silent.frames_until_closed(SOON).await;
    let after = connected.elapsed();
    assert_eq!(
        frames
            .last()
            .map(raftmq_cluster_tests::Frame::disconnect_code),
        Some(0x8D),
        "{frames:?}"
    );
    let expected = Duration::from_millis(1_400)..Duration::from_secs(4);
    assert!(expected.contains(&after), "[MQTT-3.1.2-22] {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_keep_a_client_alive() {
    let cluster = Cluster::start(1).await;
    let mut client = RawClient::open(cluster.node(1).mqtt()).await;
    client.send(&packet::connect(4, "pings", true, 1)).await;
    assert_eq!(
        client
            .next_frame(SOON)
            .await
            .expect("CONNACK")
            .connack_code(),
        0
    );
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        client.send(&packet::PINGREQ).await;
        assert_eq!(client.next_frame(SOON).await.expect("PINGRESP").kind(), 13);
        assert_eq!(client.frame_within(Duration::from_millis(700)).await, None);
    }
    client.send(&packet::PINGREQ).await;
    assert_eq!(client.next_frame(SOON).await.expect("PINGRESP").kind(), 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_ends_with_its_keep_alive_and_its_will_comes() {
    let cluster = Cluster::start(3).await;
    let mut watcher = cluster.connect(2, "watcher").open().await;
    watcher.subscribed("will/half", 1).await;
    // A proxy whose far side goes silent is what a lost network looks like to the broker.
    let through = cluster.address().port(25_000);
    let link = raftmq_cluster_tests::Link::start(through, cluster.node(1).mqtt());
    let connect = raftmq_cluster_tests::Connect::new(through, "half").keep_alive_seconds(5);
    let _half = raftmq_cluster_tests::eventually("connected through the link", SOON, async || {
        let connect = connect.clone().will(Will::new("will/half", "x"));
        connect
            .try_open()
            .await
            .map_err(|refused| format!("{refused:?}"))
    })
    .await;
    link.set(raftmq_cluster_tests::LinkState::BlackHole);
    let deadline = Duration::from_secs(20);
    assert_eq!(
        watcher.next_message(deadline).await.topic,
        "will/half",
        "[MQTT-3.1.2-22]"
    );
}
