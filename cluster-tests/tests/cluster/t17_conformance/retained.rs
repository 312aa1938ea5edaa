//! Retained messages (§3.3.1.3, §3.8.3.1).

use super::{
    bytes::{Connect, Publish},
    talk::{LEVELS, Talk},
};
use raftmq_cluster_tests::Cluster;

async fn retained(publisher: &mut Talk, topic: &str, qos: u8, payload: &str) {
    let publish = Publish::new(publisher.level, topic, qos, 800, payload).retain();
    publisher.send(&publish.bytes()).await;
    match qos {
        0 => {
            publisher
                .published("retained/settled", "after it in the log")
                .await
        }
        1 => publisher.acknowledged(0x40, 800).await,
        _ => publisher.acknowledged(0x50, 800).await,
    }
}

/// [MQTT-3.3.1-5], 3.1.1 [MQTT-3.3.1-5], 3.1.1 [MQTT-3.3.1-6], 3.1.1 [MQTT-3.3.1-8]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_message_is_stored_with_its_qos_in_the_place_of_the_older_one() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let topic = format!("stored/{level}");
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        retained(&mut publisher, &topic, 1, "old").await;
        retained(&mut publisher, &topic, 2, "new").await;
        let mut subscriber = Talk::clean(&cluster, 1, level, "subscriber").await;
        subscriber.subscribed(&topic, 2).await;
        let message = subscriber.message().await;
        assert_eq!(
            (&*message.payload, message.qos, message.retain),
            ("new", 2, true)
        );
        subscriber.silent().await;
    }
}

/// 3.1.1 [MQTT-3.3.1-7]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_message_of_qos_0_replaces_the_older_one() {
    let cluster = Cluster::start(1).await;
    let mut publisher = Talk::clean(&cluster, 1, 4, "publisher").await;
    retained(&mut publisher, "zero", 1, "old").await;
    retained(&mut publisher, "zero", 0, "new").await;
    retained(&mut publisher, "other", 1, "later in the log").await;
    let mut subscriber = Talk::clean(&cluster, 1, 4, "subscriber").await;
    subscriber.subscribed("zero", 2).await;
    assert_eq!(subscriber.message().await.payload, "new");
}

/// [MQTT-3.3.1-6], [MQTT-3.3.1-7], 3.1.1 [MQTT-3.3.1-10], 3.1.1 [MQTT-3.3.1-11]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_retained_message_is_delivered_and_removes_the_stored_one() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        retained(&mut publisher, "emptied", 1, "full").await;
        let mut subscriber = Talk::clean(&cluster, 1, level, "subscriber").await;
        subscriber.subscribed("emptied", 1).await;
        let stored = subscriber.message().await;
        assert_eq!(stored.payload, "full");
        subscriber.puback(stored.packet_id).await;
        retained(&mut publisher, "emptied", 1, "").await;
        let empty = subscriber.message().await;
        assert_eq!((&*empty.payload, empty.retain), ("", false));
        let mut late = Talk::clean(&cluster, 2, level, "late").await;
        late.subscribed("emptied", 1).await;
        late.silent().await;
    }
}

/// [MQTT-3.3.1-8], [MQTT-3.3.1-12], 3.1.1 [MQTT-3.3.1-9], 3.1.1 [MQTT-3.3.1-12]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_retain_nothing_is_stored_or_removed_and_what_is_live_comes_without_it() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let topic = format!("plain/{level}");
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        let mut subscriber = Talk::clean(&cluster, 1, level, "subscriber").await;
        subscriber.subscribed(&topic, 0).await;
        retained(&mut publisher, &topic, 1, "stored").await;
        assert!(!subscriber.message().await.retain);
        publisher.published(&topic, "plain").await;
        publisher.published(&topic, "").await;
        let mut late = Talk::clean(&cluster, 2, level, "late").await;
        late.subscribed(&topic, 1).await;
        assert_eq!(late.message().await.payload, "stored");
        late.silent().await;
    }
}

/// 3.1.1 [MQTT-3.1.2-7]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_message_outlives_the_session_of_its_publisher() {
    let cluster = Cluster::start(1).await;
    let mut publisher = Talk::clean(&cluster, 1, 4, "publisher").await;
    retained(&mut publisher, "outlives", 1, "x").await;
    publisher.disconnect().await;
    let mut subscriber = Talk::clean(&cluster, 1, 4, "publisher").await;
    subscriber.subscribed("outlives", 1).await;
    assert_eq!(subscriber.message().await.payload, "x");
}

/// [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retain_handling_decides_whether_retained_messages_are_sent() {
    let cluster = Cluster::start(1).await;
    let mut publisher = Talk::clean(&cluster, 1, 5, "publisher").await;
    retained(&mut publisher, "handling", 1, "x").await;
    let (always, if_new, never) = (0x00, 0x10, 0x20);
    let mut subscriber = Talk::clean(&cluster, 1, 5, "subscriber").await;
    subscriber.subscribed("handling", never).await;
    subscriber.silent().await;
    subscriber.subscribed("handling", if_new).await;
    subscriber.silent().await;
    for _ in 0..2 {
        subscriber.subscribed("handling", always).await;
        assert_eq!(subscriber.message().await.payload, "x");
    }
    let mut new = Talk::clean(&cluster, 1, 5, "new").await;
    new.subscribed("handling", if_new).await;
    assert_eq!(new.message().await.payload, "x");
}

/// [MQTT-3.3.1-12], [MQTT-3.3.1-13]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retain_as_published_keeps_the_flag() {
    let cluster = Cluster::start(3).await;
    let mut publisher = Talk::clean(&cluster, 3, 5, "publisher").await;
    for (id, options, expected) in [("cleared", 0, false), ("kept", 0b1000, true)] {
        let mut subscriber = Talk::open(&cluster, 1, 5, Connect::new(5, id)).await;
        subscriber.subscribed(id, options).await;
        retained(&mut publisher, id, 1, "x").await;
        assert_eq!(subscriber.message().await.retain, expected);
        publisher.published(id, "y").await;
        assert!(!subscriber.message().await.retain);
    }
}
