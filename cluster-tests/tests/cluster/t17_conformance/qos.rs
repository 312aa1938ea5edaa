//! The delivery protocols (§4.3), the broker receiving.

use super::{
    bytes::Publish,
    talk::{LEVELS, Talk},
};
use raftmq_cluster_tests::{Cluster, packet};

/// [MQTT-2.2.1-5], [MQTT-3.3.4-1], [MQTT-4.3.2-4], [MQTT-4.3.3-8], [MQTT-4.3.3-11], 3.1.1 [MQTT-2.3.1-6],
/// 3.1.1 [MQTT-3.3.4-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_is_answered_as_its_qos_asks() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut subscriber = Talk::clean(&cluster, 1, level, "subscriber").await;
        subscriber.subscribed("answered", 0).await;
        let mut client = Talk::clean(&cluster, 3, level, "client").await;
        client
            .send(&Publish::new(level, "answered", 0, 0, "0").bytes())
            .await;
        client.silent().await;
        client
            .send(&Publish::new(level, "answered", 1, 0x1234, "1").bytes())
            .await;
        client.acknowledged(0x40, 0x1234).await;
        client
            .send(&Publish::new(level, "answered", 2, 0x2345, "2").bytes())
            .await;
        client.acknowledged(0x50, 0x2345).await;
        client.send(&packet::acknowledgement(0x62, 0x2345)).await;
        client.acknowledged(0x70, 0x2345).await;
        for payload in ["0", "1", "2"] {
            assert_eq!(subscriber.message().await.payload, payload);
        }
    }
}

/// [MQTT-4.3.2-5], [MQTT-3.3.1-3], 3.1.1 [MQTT-4.3.2-2], 3.1.1 [MQTT-3.3.1-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_puback_the_same_identifier_is_a_new_message_with_dup_or_without() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut subscriber = Talk::clean(&cluster, 1, level, "subscriber").await;
        subscriber.subscribed("again", 1).await;
        let mut client = Talk::clean(&cluster, 3, level, "client").await;
        let publish = |payload| Publish::new(level, "again", 1, 7, payload);
        client.sent(publish("first"), 7).await;
        client.sent(publish("second").dup(), 7).await;
        for payload in ["first", "second"] {
            let message = subscriber.message().await;
            assert_eq!((&*message.payload, message.dup), (payload, false));
        }
    }
}

/// [MQTT-4.3.3-10], [MQTT-4.3.3-12], 3.1.1 [MQTT-4.3.3-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_qos_2_publish_is_new_once_until_it_is_completed() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut subscriber = Talk::clean(&cluster, 1, level, "subscriber").await;
        subscriber.subscribed("once", 0).await;
        subscriber.subscribed("fence", 0).await;
        let mut client = Talk::clean(&cluster, 3, level, "client").await;
        let publish = |payload| Publish::new(level, "once", 2, 7, payload);
        for publish in [
            publish("first"),
            publish("first").dup(),
            publish("first").dup(),
        ] {
            client.send(&publish.bytes()).await;
            client.acknowledged(0x50, 7).await;
        }
        client.send(&packet::acknowledgement(0x62, 7)).await;
        client.acknowledged(0x70, 7).await;
        client.send(&publish("second").bytes()).await;
        client.acknowledged(0x50, 7).await;
        for payload in ["first", "second"] {
            assert_eq!(subscriber.message().await.payload, payload);
        }
        subscriber.nothing_before_fence(&mut client).await;
    }
}

/// [MQTT-4.3.2-2], [MQTT-4.3.3-2], [MQTT-4.3.1-1], [MQTT-3.3.1-2], 3.1.1 [MQTT-4.3.1-1],
/// 3.1.1 [MQTT-4.3.2-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_message_is_sent_with_its_qos_without_dup_and_with_an_identifier_of_its_own() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut subscriber = Talk::clean(&cluster, 1, level, "subscriber").await;
        subscriber.subscribed("new/+", 2).await;
        let mut client = Talk::clean(&cluster, 3, level, "client").await;
        let mut ids = Vec::new();
        for qos in [0, 1, 2, 1, 2] {
            client
                .send(&Publish::new(level, "new/x", qos, 70, "x").bytes())
                .await;
            match qos {
                1 => client.acknowledged(0x40, 70).await,
                2 => {
                    client.acknowledged(0x50, 70).await;
                    client.send(&packet::acknowledgement(0x62, 70)).await;
                    client.acknowledged(0x70, 70).await;
                }
                _ => client.silent().await,
            }
            let message = subscriber.message().await;
            assert_eq!((message.qos, message.dup), (qos, false));
            assert_eq!(message.packet_id == 0, qos == 0);
            assert!(qos == 0 || !ids.contains(&message.packet_id), "{ids:?}");
            ids.push(message.packet_id);
        }
    }
}

/// [MQTT-4.3.3-4], [MQTT-4.3.3-6], 3.1.1 [MQTT-4.3.3-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pubrec_is_answered_with_pubrel_until_pubcomp_ends_the_exchange() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut subscriber = Talk::clean(&cluster, 1, level, "subscriber").await;
        subscriber.subscribed("exchange", 2).await;
        let mut client = Talk::clean(&cluster, 3, level, "client").await;
        client
            .send(&Publish::new(level, "exchange", 2, 1, "x").bytes())
            .await;
        client.acknowledged(0x50, 1).await;
        let message = subscriber.message().await;
        for _ in 0..2 {
            subscriber
                .send(&packet::acknowledgement(0x50, message.packet_id))
                .await;
            subscriber.acknowledged(0x62, message.packet_id).await;
        }
        subscriber
            .send(&packet::acknowledgement(0x70, message.packet_id))
            .await;
        subscriber.silent().await;
    }
}
