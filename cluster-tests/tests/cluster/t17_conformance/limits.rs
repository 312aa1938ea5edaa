//! What a client or the broker has said that it can take (§3.1.2.11, §4.9).

use super::{
    bytes::{Connect, Publish, WillRetain},
    talk::{LEVELS, Talk},
};
use raftmq_cluster_tests::{Cluster, RawClient, SOON, Setup, packet};

/// [MQTT-3.3.4-9], [MQTT-3.3.4-10], [MQTT-4.9.0-1], [MQTT-4.9.0-2], [MQTT-4.9.0-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_receive_maximum_holds_back_publishes_of_qos_1_and_2_and_nothing_else() {
    let cluster = Cluster::start(3).await;
    let connect = Connect::new(5, "narrow").property(&[0x21, 0, 2]);
    let mut subscriber = Talk::open(&cluster, 1, 5, connect).await;
    subscriber.subscribed("narrow/+", 2).await;
    let mut publisher = Talk::clean(&cluster, 3, 5, "publisher").await;
    for payload in ["1", "2", "3", "4"] {
        publisher.published("narrow/1", payload).await;
    }
    let first = subscriber.message().await;
    assert_eq!(first.payload, "1");
    assert_eq!(subscriber.message().await.payload, "2");
    subscriber.subscribed("other", 0).await;
    publisher
        .send(&Publish::new(5, "narrow/0", 0, 0, "0").bytes())
        .await;
    assert_eq!(subscriber.message().await.payload, "0");
    subscriber.silent().await;
    subscriber.puback(first.packet_id).await;
    assert_eq!(subscriber.message().await.payload, "3");
    subscriber.silent().await;
}

/// [MQTT-3.3.4-9], [MQTT-4.4.0-1], [MQTT-4.9.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_keep_to_the_receive_maximum_of_the_new_connection() {
    let cluster = Cluster::start(3).await;
    let connect = |receive_maximum| {
        Connect::new(5, "narrower")
            .kept()
            .property(&[0x21, 0, receive_maximum])
    };
    let mut subscriber = Talk::open(&cluster, 1, 5, connect(3)).await;
    subscriber.subscribed("narrower", 1).await;
    let mut publisher = Talk::clean(&cluster, 3, 5, "publisher").await;
    for payload in ["1", "2", "3", "4"] {
        publisher.published("narrower", payload).await;
    }
    for payload in ["1", "2", "3"] {
        assert_eq!(subscriber.message().await.payload, payload);
    }
    drop(subscriber);
    let mut subscriber = Talk::open(&cluster, 1, 5, connect(1)).await;
    for (payload, dup) in [("1", true), ("2", true), ("3", true), ("4", false)] {
        let message = subscriber.message().await;
        assert_eq!((&*message.payload, message.dup), (payload, dup));
        subscriber.silent().await;
        subscriber.puback(message.packet_id).await;
    }
}

/// [MQTT-4.3.3-10], [MQTT-4.4.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_repeats_all_that_it_may_have_under_way_exceeds_nothing() {
    let setup = Setup::nodes(1).set("RAFTMQ_MQTT_MAX_INFLIGHT", "2");
    let cluster = setup.start().await;
    let mut client = Talk::open(&cluster, 1, 5, Connect::new(5, "repeats").kept()).await;
    for id in [1, 2] {
        client.send(&Publish::new(5, "t", 2, id, "x").bytes()).await;
        client.acknowledged(0x50, id).await;
    }
    drop(client);
    let mut client = Talk::open(&cluster, 1, 5, Connect::new(5, "repeats").kept()).await;
    for id in [1, 2] {
        client
            .send(&Publish::new(5, "t", 2, id, "x").dup().bytes())
            .await;
        client.acknowledged(0x50, id).await;
    }
    client.send(&Publish::new(5, "t", 2, 3, "x").bytes()).await;
    client.closed_with(&[0x93]).await;
}

/// [MQTT-3.1.2-24], [MQTT-3.1.2-25]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_larger_than_the_client_takes_is_left_out() {
    let cluster = Cluster::start(3).await;
    let connect = Connect::new(5, "small").property(&[0x27, 0, 0, 0, 40]);
    let mut subscriber = Talk::open(&cluster, 1, 5, connect).await;
    subscriber.subscribed("size", 1).await;
    let mut publisher = Talk::clean(&cluster, 3, 5, "publisher").await;
    // Fixed header 2, topic 6, identifier 2, properties 1: 29 bytes of payload are 40.
    for payload in ["x".repeat(30), "y".repeat(29), "z".repeat(200)] {
        publisher.published("size", &payload).await;
    }
    assert_eq!(subscriber.message().await.payload, "y".repeat(29));
    publisher.published("size", "last").await;
    assert_eq!(subscriber.message().await.payload, "last");
}

/// [MQTT-3.2.2-9], [MQTT-3.2.2-10], [MQTT-3.2.2-12]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_maximum_qos_is_announced_and_kept_and_does_not_refuse_subscriptions() {
    let setup = Setup::nodes(1).set("RAFTMQ_MQTT_MAX_QOS", "1");
    let cluster = setup.start().await;
    let (mut client, connack) = Talk::try_open(&cluster, 1, 5, Connect::new(5, "client")).await;
    assert!(
        connack.body.windows(2).any(|pair| pair == [0x24, 1]),
        "{connack:?}"
    );
    for qos in 0..=2 {
        client.subscribed("t", qos).await;
    }
    client.send(&Publish::new(5, "t", 1, 1, "x").bytes()).await;
    assert_eq!(client.message().await.qos, 1);
    client.acknowledged(0x40, 1).await;
    client.send(&Publish::new(5, "t", 2, 1, "x").bytes()).await;
    client.closed_with(&[0x9B]).await;
    let will = Connect::new(5, "mortal").will("t", 2, WillRetain::No, &[]);
    let (mut refused, connack) = Talk::try_open(&cluster, 1, 5, will).await;
    assert_eq!(connack.connack_code(), 0x9B);
    assert_eq!(refused.until_closed().await, []);
}

/// [MQTT-3.2.2-13]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_retained_a_retained_will_is_refused() {
    let setup = Setup::nodes(1).set("RAFTMQ_MQTT_RETAIN_AVAILABLE", "false");
    let cluster = setup.start().await;
    let will = Connect::new(5, "mortal").will("t", 0, WillRetain::Yes, &[]);
    let (mut refused, connack) = Talk::try_open(&cluster, 1, 5, will).await;
    assert_eq!(connack.connack_code(), 0x9A);
    assert_eq!(refused.until_closed().await, []);
}

/// [MQTT-3.1.2-22], [MQTT-3.2.2-22], 3.1.1 [MQTT-3.1.2-24]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_for_one_and_a_half_keep_alives_ends_the_connection() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let mut client = RawClient::open(cluster.node(1).mqtt()).await;
        let begin = std::time::Instant::now();
        client
            .send(&packet::connect(level, "silent", true, 1))
            .await;
        let frames = client.frames_until_closed(SOON).await;
        assert!(begin.elapsed() >= std::time::Duration::from_millis(1500));
        assert_eq!(frames[0].connack_code(), 0);
        let said: Vec<_> = frames[1..]
            .iter()
            .map(|frame| frame.disconnect_code())
            .collect();
        assert_eq!(said, if level == 5 { vec![0x8D] } else { vec![] });
    }
}
