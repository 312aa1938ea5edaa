//! Which subscriptions match, across nodes.

use std::collections::BTreeSet;

use raftmq_cluster_tests::{Client, Cluster, Filter, SOON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wildcards_match_on_every_node_as_the_standard_says() {
    let cluster = Cluster::start(3).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let cases: [(&str, &[&str]); 6] = [
        ("a/b/c", &["a/b/c"]),
        ("a/+/c", &["a/b/c", "a//c"]),
        ("a/#", &["a", "a/b", "a/b/c", "a//c"]),
        ("+", &["a", "b"]),
        ("+/+", &["a/b", "/a"]),
        ("/+", &["/a"]),
    ];
    for (index, (filter, matching)) in cases.into_iter().enumerate() {
        let node = index as u64 % 3 + 1;
        let mut subscriber = cluster
            .connect(node, &format!("subscriber-{index}"))
            .open()
            .await;
        subscriber
            .subscribe(&[Filter::new(filter, 1), Filter::new("the/fence/", 1)])
            .await
            .unwrap();
        for topic in ["a", "b", "a/b", "a/b/c", "a//c", "/a", "b/a/b/c"] {
            publisher.publish(topic, 1, "x").await.unwrap();
        }
        publisher.publish("the/fence/", 1, "x").await.unwrap();
        assert_eq!(
            topics_until_fence(&mut subscriber).await,
            set(matching),
            "filter {filter}"
        );
    }
}

fn set(topics: &[&str]) -> BTreeSet<String> {
    topics.iter().map(|topic| (*topic).to_owned()).collect()
}

async fn topics_until_fence(subscriber: &mut Client) -> BTreeSet<String> {
    let mut topics = BTreeSet::new();
    loop {
        let message = subscriber.next_message(SOON).await;
        if message.topic == "the/fence/" {
            return topics;
        }
        assert!(
            topics.insert(message.topic.clone()),
            "{} came twice",
            message.topic
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_subscriptions_deliver_the_highest_qos_and_name_all_identifiers() {
    let cluster = Cluster::start(3).await;
    let mut subscriber = cluster.connect(2, "subscriber").open().await;
    subscriber
        .subscribe_with_id(&[Filter::new("over/#", 0)], 1)
        .await
        .unwrap();
    subscriber
        .subscribe_with_id(&[Filter::new("over/+", 2)], 2)
        .await
        .unwrap();
    // Two and no more: rumqttc 0.25 cannot read a third identifier in one PUBLISH.
    subscriber.subscribed("fence", 1).await;
    let publisher = cluster.connect(3, "publisher").open().await;
    publisher.publish("over/lap", 2, "x").await.unwrap();
    publisher.publish("fence", 1, "x").await.unwrap();
    let (mut identifiers, mut highest) = (BTreeSet::new(), 0);
    loop {
        let message = subscriber.next_message(SOON).await;
        if message.topic == "fence" {
            break;
        }
        highest = highest.max(message.qos);
        identifiers.extend(message.subscription_ids);
    }
    assert_eq!(highest, 2, "[MQTT-3.3.4-2]");
    assert_eq!(identifiers, BTreeSet::from([1, 2]), "[MQTT-3.3.4-3]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_local_keeps_back_only_the_clients_own_messages() {
    let cluster = Cluster::start(3).await;
    let mut own = cluster.connect(1, "own").open().await;
    own.subscribe(&[Filter::new("local", 1).no_local(), Filter::new("fence", 1)])
        .await
        .unwrap();
    let mut other = cluster.connect(2, "other").open().await;
    other
        .subscribe(&[Filter::new("local", 1).no_local()])
        .await
        .unwrap();
    own.publish("local", 1, "by own").await.unwrap();
    assert_eq!(&other.next_message(SOON).await.payload[..], b"by own");
    other.publish("local", 1, "by other").await.unwrap();
    assert_eq!(
        &own.next_message(SOON).await.payload[..],
        b"by other",
        "[MQTT-3.8.3-3]"
    );
    own.expect_no_more(&other, "fence").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_subscription_to_the_same_filter_replaces_the_first_everywhere() {
    let cluster = Cluster::start(3).await;
    let mut subscriber = cluster.connect(1, "subscriber").open().await;
    subscriber.subscribed("same", 2).await;
    subscriber
        .subscribe(&[Filter::new("same", 0), Filter::new("fence", 1)])
        .await
        .unwrap();
    let publisher = cluster.connect(2, "publisher").open().await;
    publisher.publish("same", 2, "x").await.unwrap();
    assert_eq!(subscriber.next_message(SOON).await.qos, 0, "[MQTT-3.8.4-3]");
    subscriber.expect_no_more(&publisher, "fence").await;
}
