//! All nodes hold the same retained message for a topic (G4).

use raftmq_cluster_tests::{Cluster, Filter, SOON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_retained_on_one_node_is_sent_to_new_subscribers_of_every_node() {
    let cluster = Cluster::start(3).await;
    for from in cluster.ids() {
        let publisher = cluster.connect(from, "publisher").open().await;
        let topic = format!("kept/{from}");
        publisher
            .publish_retained(&topic, 1, "value")
            .await
            .unwrap();
        for at in cluster.ids() {
            let mut subscriber = cluster
                .connect(at, &format!("subscriber-{from}-{at}"))
                .open()
                .await;
            subscriber.subscribed(&topic, 1).await;
            let message = subscriber.next_message(SOON).await;
            assert_eq!(
                (message.topic.as_str(), &message.payload[..]),
                (topic.as_str(), &b"value"[..])
            );
            assert!(message.retain, "3.1.1 [MQTT-3.3.1-8]");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_retained_message_wins_on_every_node() {
    let cluster = Cluster::start(3).await;
    for (round, node) in [1, 2, 3, 1].into_iter().enumerate() {
        let publisher = cluster.connect(node, "publisher").open().await;
        publisher
            .publish_retained("last", 1, round.to_string())
            .await
            .unwrap();
    }
    for at in cluster.ids() {
        let mut subscriber = cluster
            .connect(at, &format!("subscriber-{at}"))
            .open()
            .await;
        subscriber.subscribed("last", 0).await;
        assert_eq!(&subscriber.next_message(SOON).await.payload[..], b"3");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_retained_message_deletes_it_on_every_node() {
    let cluster = Cluster::start(3).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    publisher
        .publish_retained("gone", 1, "value")
        .await
        .unwrap();
    let deleter = cluster.connect(2, "deleter").open().await;
    deleter.publish_retained("gone", 1, "").await.unwrap();
    for at in cluster.ids() {
        let mut subscriber = cluster
            .connect(at, &format!("subscriber-{at}"))
            .open()
            .await;
        subscriber
            .subscribe(&[Filter::new("gone", 1), Filter::new("fence", 1)])
            .await
            .unwrap();
        subscriber.expect_no_more(&publisher, "fence").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_subscription_gets_all_matching_retained_messages() {
    let cluster = Cluster::start(3).await;
    let publisher = cluster.connect(3, "publisher").open().await;
    for number in 0..50 {
        publisher
            .publish_retained(&format!("many/{number}/x"), 1, "x")
            .await
            .unwrap();
    }
    publisher
        .publish_retained("other/1/x", 1, "x")
        .await
        .unwrap();
    let mut subscriber = cluster.connect(1, "subscriber").open().await;
    subscriber
        .subscribe(&[Filter::new("many/+/x", 1), Filter::new("fence", 1)])
        .await
        .unwrap();
    let mut topics = Vec::new();
    for _ in 0..50 {
        topics.push(subscriber.next_message(SOON).await.topic);
    }
    let mut expected: Vec<_> = (0..50).map(|number| format!("many/{number}/x")).collect();
    topics.sort();
    expected.sort();
    assert_eq!(topics, expected);
    subscriber.expect_no_more(&publisher, "fence").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_subscriber_sees_the_retain_flag_only_as_published() {
    let cluster = Cluster::start(3).await;
    let mut plain = cluster.connect(2, "plain").open().await;
    plain.subscribe(&[Filter::new("flag", 1)]).await.unwrap();
    let mut as_published = cluster.connect(3, "as-published").open().await;
    as_published
        .subscribe(&[Filter::new("flag", 1).retain_as_published()])
        .await
        .unwrap();
    let publisher = cluster.connect(1, "publisher").open().await;
    publisher.publish_retained("flag", 1, "x").await.unwrap();
    assert!(!plain.next_message(SOON).await.retain, "[MQTT-3.3.1-12]");
    assert!(
        as_published.next_message(SOON).await.retain,
        "[MQTT-3.3.1-13]"
    );
}
