//! What outlives a connection (§3.1.2.4, §4.1, §4.4).

use super::{
    bytes::{Connect, Publish},
    talk::{LEVELS, Talk},
};
use raftmq_cluster_tests::{Cluster, SOON, eventually, packet};

/// [MQTT-3.1.2-6], [MQTT-3.2.2-3], 3.1.1 [MQTT-3.2.2-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_session_there_is_a_new_one_and_none_is_present() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let connect = Connect::new(level, "new").kept();
        let (mut client, connack) = Talk::try_open(&cluster, 1, level, connect).await;
        assert_eq!(connack.body[..2], [0, 0]);
        client.subscribed("t", 1).await;
        let clean = Talk::clean(&cluster, 1, level, "new").await;
        clean.disconnect().await;
    }
}

/// [MQTT-3.1.2-5], [MQTT-3.1.2-23], [MQTT-3.1.3-2], [MQTT-3.2.0-1], [MQTT-3.2.2-3], [MQTT-4.5.0-1],
/// 3.1.1 [MQTT-3.1.2-4], 3.1.1 [MQTT-3.1.2-5], 3.1.1 [MQTT-3.1.3-2], 3.1.1 [MQTT-3.2.0-1],
/// 3.1.1 [MQTT-3.2.2-2], 3.1.1 [MQTT-4.1.0-1], 3.1.1 [MQTT-4.5.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_kept_goes_on_with_its_subscriptions_and_messages() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let (topic, id) = (format!("kept/{level}"), format!("kept-{level}"));
        let connect = || Connect::new(level, &id).kept();
        let mut subscriber = Talk::open(&cluster, 1, level, connect()).await;
        subscriber.subscribed(&topic, 2).await;
        subscriber.disconnect().await;
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        publisher.published(&topic, "one").await;
        publisher
            .send(&Publish::new(level, &topic, 2, 5, "two").bytes())
            .await;
        publisher.acknowledged(0x50, 5).await;
        publisher
            .send(&Publish::new(level, &topic, 0, 0, "never").bytes())
            .await;
        publisher.silent().await;
        let (mut subscriber, connack) = Talk::try_open(&cluster, 1, level, connect()).await;
        assert_eq!((connack.first, &connack.body[..2]), (0x20, &[1, 0][..]));
        for (payload, qos) in [("one", 1), ("two", 2)] {
            let message = subscriber.message().await;
            assert_eq!((&*message.payload, message.qos), (payload, qos));
        }
        subscriber.silent().await;
    }
}

/// [MQTT-3.1.2-4], [MQTT-3.1.4-4], [MQTT-3.2.2-2], 3.1.1 [MQTT-3.1.2-6], 3.1.1 [MQTT-3.1.4-3],
/// 3.1.1 [MQTT-3.2.2-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_start_discards_the_session_that_was_there() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let kept = || Connect::new(level, "discarded").kept();
        let mut subscriber = Talk::open(&cluster, 1, level, kept()).await;
        subscriber.subscribed("discarded", 1).await;
        subscriber.disconnect().await;
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        publisher.published("discarded", "queued").await;
        let clean = Connect::new(level, "discarded");
        let (mut subscriber, connack) = Talk::try_open(&cluster, 1, level, clean).await;
        assert_eq!(connack.body[..2], [0, 0]);
        subscriber.subscribed("fence", 1).await;
        publisher.published("discarded", "live").await;
        subscriber.nothing_before_fence(&mut publisher).await;
        subscriber.disconnect().await;
        let (client, connack) = Talk::try_open(&cluster, 1, level, kept()).await;
        assert_eq!(
            connack.body[..2],
            [0, 0],
            "a clean session is not used again"
        );
        client.disconnect().await;
        Talk::clean(&cluster, 1, level, "discarded")
            .await
            .disconnect()
            .await;
    }
}

/// [MQTT-4.1.0-1], 3.1.1 [MQTT-4.1.0-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_expiry_lasts_as_long_as_its_connection() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        let mut subscriber = Talk::clean(&cluster, 1, level, "short").await;
        subscriber.subscribed("short", 1).await;
        publisher.published("short", "x").await;
        let message = subscriber.message().await;
        subscriber.puback(message.packet_id).await;
        subscriber.disconnect().await;
        let again = Connect::new(level, "short").not_clean();
        let (client, connack) = Talk::try_open(&cluster, 1, level, again).await;
        assert_eq!(connack.body[0], 0);
        client.disconnect().await;
        Talk::clean(&cluster, 1, level, "short")
            .await
            .disconnect()
            .await;
    }
}

/// [MQTT-4.1.0-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_discarded_when_its_expiry_has_passed() {
    let cluster = Cluster::start(1).await;
    let connect = || {
        Connect::new(5, "expires")
            .not_clean()
            .property(&[0x11, 0, 0, 0, 1])
    };
    let client = Talk::open(&cluster, 1, 5, connect()).await;
    client.disconnect().await;
    eventually("the session is gone", SOON, async || {
        let answer = cluster
            .node(1)
            .http()
            .try_get("/api/v1/clients/expires")
            .await?;
        if answer.status == 404 {
            Ok(())
        } else {
            Err(answer.body)
        }
    })
    .await;
    let (_client, connack) = Talk::try_open(&cluster, 1, 5, connect()).await;
    assert_eq!(connack.body[..2], [0, 0]);
}

/// [MQTT-3.3.1-1], [MQTT-4.3.2-3], [MQTT-4.3.3-3], [MQTT-4.3.3-5], [MQTT-4.3.3-6], [MQTT-4.4.0-1],
/// 3.1.1 [MQTT-3.3.1-1], 3.1.1 [MQTT-4.4.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unacknowledged_is_repeated_with_its_identifier_and_only_after_a_reconnect() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let connect = || Connect::new(level, "repeats").kept();
        let mut subscriber = Talk::open(&cluster, 1, level, connect()).await;
        subscriber.subscribed("repeats", 2).await;
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        publisher.published("repeats", "qos 1").await;
        for (id, payload) in [(1, "received"), (2, "sent")] {
            publisher
                .send(&Publish::new(level, "repeats", 2, id, payload).bytes())
                .await;
            publisher.acknowledged(0x50, id).await;
        }
        let first = [
            subscriber.message().await,
            subscriber.message().await,
            subscriber.message().await,
        ];
        assert!(first.iter().all(|message| !message.dup));
        subscriber
            .send(&packet::acknowledgement(0x50, first[1].packet_id))
            .await;
        subscriber.acknowledged(0x62, first[1].packet_id).await;
        subscriber.silent().await;
        drop(subscriber);
        let mut subscriber = Talk::open(&cluster, 1, level, connect()).await;
        let qos_1 = subscriber.message().await;
        assert_eq!(
            (qos_1.dup, qos_1.packet_id, &*qos_1.payload),
            (true, first[0].packet_id, "qos 1")
        );
        subscriber.acknowledged(0x62, first[1].packet_id).await;
        let sent = subscriber.message().await;
        assert_eq!(
            (sent.dup, sent.packet_id, &*sent.payload),
            (true, first[2].packet_id, "sent")
        );
        subscriber.silent().await;
        Talk::clean(&cluster, 1, level, "repeats")
            .await
            .disconnect()
            .await;
    }
}
