//! SUBSCRIBE and UNSUBSCRIBE (§3.8 to §3.11).

use super::{
    bytes::{Connect, Publish, subscribe, unsubscribe},
    talk::{LEVELS, Talk},
};
use raftmq_cluster_tests::{Cluster, packet};

/// [MQTT-2.2.1-6], [MQTT-2.2.2-1], [MQTT-3.8.4-1], [MQTT-3.8.4-2], [MQTT-3.8.4-5], [MQTT-3.8.4-6], [MQTT-3.8.4-7],
/// [MQTT-3.9.3-1], [MQTT-3.9.3-2], 3.1.1 [MQTT-2.3.1-7], 3.1.1 [MQTT-3.8.4-1], 3.1.1 [MQTT-3.8.4-2],
/// 3.1.1 [MQTT-3.8.4-4], 3.1.1 [MQTT-3.8.4-5], 3.1.1 [MQTT-3.9.3-1], 3.1.1 [MQTT-3.9.3-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribe_is_answered_with_one_suback_with_a_code_for_each_filter_in_their_order() {
    let cluster = Cluster::start(1).await;
    for (level, failed) in [(4, 0x80), (5, 0x8F)] {
        let mut client = Talk::clean(&cluster, 1, level, "client").await;
        let filters = [("a", 2), ("b/#/c", 1), ("c", 1), ("d+", 0), ("e", 0)];
        client.send(&subscribe(level, 0x1234, &filters)).await;
        let suback = client.frame().await;
        assert_eq!((suback.first, &suback.body[..2]), (0x90, &[0x12, 0x34][..]));
        let codes_at = match level {
            5 => 3 + usize::from(suback.body[2]),
            _ => 2,
        };
        assert_eq!(suback.body[codes_at..], [2, failed, 1, failed, 0]);
        client.silent().await;
        for topic in ["a", "c", "e"] {
            client
                .send(&Publish::new(level, topic, 0, 0, "x").bytes())
                .await;
            assert_eq!(client.message().await.topic, topic);
        }
    }
}

/// [MQTT-3.8.4-3], [MQTT-3.8.4-4], [MQTT-3.8.4-8], 3.1.1 [MQTT-3.8.4-3], 3.1.1 [MQTT-3.8.4-6]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_filter_again_replaces_the_subscription_and_sends_retained_messages_again() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        let publish = Publish::new(level, "replaced", 1, 3, "retained").retain();
        publisher.sent(publish, 3).await;
        let mut client = Talk::clean(&cluster, 1, level, "client").await;
        client.subscribed("fence", 0).await;
        for qos in [2, 0, 1] {
            client.subscribed("replaced", qos).await;
            let retained = client.message().await;
            assert_eq!((retained.qos, retained.retain), (qos.min(1), true));
            client.puback(retained.packet_id).await;
            publisher.published("replaced", "live").await;
            let live = client.message().await;
            assert_eq!((live.qos, &*live.payload), (qos.min(1), "live"));
            client.puback(live.packet_id).await;
            client.nothing_before_fence(&mut publisher).await;
        }
    }
}

/// [MQTT-3.10.4-1], [MQTT-3.10.4-2], [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-3.10.4-6], [MQTT-3.11.3-1],
/// [MQTT-3.11.3-2], [MQTT-4.7.3-4], 3.1.1 [MQTT-3.10.4-1], 3.1.1 [MQTT-3.10.4-2], 3.1.1 [MQTT-3.10.4-4],
/// 3.1.1 [MQTT-3.10.4-5], 3.1.1 [MQTT-3.10.4-6], 3.1.1 [MQTT-4.7.3-4]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsubscribe_deletes_exactly_the_filters_it_names_and_is_always_answered() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        let mut client = Talk::clean(&cluster, 1, level, "client").await;
        for filter in ["exact/+", "exact/b", "exact/B", "fence"] {
            client.subscribed(filter, 0).await;
        }
        let filters = ["exact/#", "exact/+", "exact/B", "exact//b"];
        client.send(&unsubscribe(level, 0x2345, &filters)).await;
        let unsuback = client.frame().await;
        let expected = if level == 5 {
            &[0x23, 0x45, 0, 0x11, 0, 0, 0x11][..]
        } else {
            &[0x23, 0x45]
        };
        assert_eq!((unsuback.first, &unsuback.body[..]), (0xB0, expected));
        for topic in ["exact/a", "exact/B", "exact/b"] {
            publisher.published(topic, "x").await;
        }
        assert_eq!(client.message().await.topic, "exact/b");
        client.nothing_before_fence(&mut publisher).await;
        client.send(&unsubscribe(level, 7, &["never/there"])).await;
        client.acknowledged(0xB0, 7).await;
    }
}

/// [MQTT-3.10.4-3], 3.1.1 [MQTT-3.10.4-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_have_begun_are_completed_after_unsubscribe() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let connect = || Connect::new(level, "client").kept();
        let mut client = Talk::open(&cluster, 1, level, connect()).await;
        client.subscribed("begun", 2).await;
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        publisher
            .send(&Publish::new(level, "begun", 2, 4, "x").bytes())
            .await;
        publisher.acknowledged(0x50, 4).await;
        let begun = client.message().await;
        client.send(&unsubscribe(level, 9, &["begun"])).await;
        client.acknowledged(0xB0, 9).await;
        drop(client);
        let mut client = Talk::open(&cluster, 1, level, connect()).await;
        let repeated = client.message().await;
        assert_eq!((repeated.packet_id, repeated.dup), (begun.packet_id, true));
        client
            .send(&packet::acknowledgement(0x50, begun.packet_id))
            .await;
        client.acknowledged(0x62, begun.packet_id).await;
        Talk::clean(&cluster, 1, level, "client")
            .await
            .disconnect()
            .await;
    }
}

/// [MQTT-3.3.4-2], [MQTT-3.3.2-3], 3.1.1 [MQTT-3.3.5-1], 3.1.1 [MQTT-3.3.2-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_subscriptions_get_the_topic_name_and_the_highest_of_their_qos() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut client = Talk::clean(&cluster, 1, level, "client").await;
        for (filter, qos) in [("over/+/x", 0), ("over/#", 2), ("over/a/x", 1)] {
            client.subscribed(filter, qos).await;
        }
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        publisher
            .send(&Publish::new(level, "over/a/x", 2, 1, "x").bytes())
            .await;
        publisher.acknowledged(0x50, 1).await;
        let message = client.message().await;
        assert_eq!((&*message.topic, message.qos), ("over/a/x", 2));
    }
}

/// [MQTT-3.3.4-3], [MQTT-3.3.4-4]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_copy_carries_all_subscription_identifiers_that_match() {
    let cluster = Cluster::start(3).await;
    let mut client = Talk::clean(&cluster, 1, 5, "client").await;
    for (number, filter) in [(7, "ids/#"), (9, "ids/+"), (11, "other")] {
        let filter = packet::string(filter);
        let body = [&[0, number, 2, 0x0B, number][..], &filter, &[0]].concat();
        client.send(&packet::framed(0x82, &body)).await;
        client.acknowledged(0x90, u16::from(number)).await;
    }
    client.subscribed("ids/a", 0).await;
    client.subscribed("fence", 0).await;
    let mut publisher = Talk::clean(&cluster, 3, 5, "publisher").await;
    publisher.published("ids/a", "x").await;
    let properties = client.message().await.properties;
    assert!(
        properties == [0x0B, 7, 0x0B, 9] || properties == [0x0B, 9, 0x0B, 7],
        "{properties:02x?}"
    );
    client.nothing_before_fence(&mut publisher).await;
}

/// [MQTT-4.7.2-1], 3.1.1 [MQTT-4.7.2-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_at_the_beginning_matches_no_topic_that_begins_with_a_dollar() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut client = Talk::clean(&cluster, 1, level, "client").await;
        for filter in ["#", "+/own", "$own/#"] {
            client.subscribed(filter, 0).await;
        }
        let mut publisher = Talk::clean(&cluster, 3, level, "publisher").await;
        publisher.published("$other/own", "no").await;
        publisher.published("$own/own", "yes").await;
        assert_eq!(client.message().await.topic, "$own/own");
        client.nothing_before_fence(&mut publisher).await;
    }
}

/// [MQTT-3.8.3-2], [MQTT-3.8.3-4], [MQTT-3.8.3-5], [MQTT-3.10.3-2], [MQTT-4.13.1-1], 3.1.1 [MQTT-3.8.3-3],
/// 3.1.1 [MQTT-3.8.3-4], 3.1.1 [MQTT-3.10.3-2], 3.1.1 [MQTT-4.8.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_malformed_end_the_connection() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let mut wrong = vec![
            subscribe(level, 1, &[]),
            subscribe(level, 1, &[("t", 3)]),
            subscribe(level, 1, &[("t", 0xC0)]),
            subscribe(level, 0, &[("t", 1)]),
            unsubscribe(level, 1, &[]),
        ];
        if level == 5 {
            wrong.push(subscribe(level, 1, &[("$share/g/t", 0b100)]));
        }
        for bytes in wrong {
            let mut client = Talk::clean(&cluster, 1, level, "client").await;
            client.send(&bytes).await;
            client.closed_with(&[0x81, 0x82]).await;
        }
    }
}
