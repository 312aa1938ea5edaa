//! Bridges in both directions, and in a ring: each message arrives once in each broker.

use std::collections::BTreeSet;

use raftmq_cluster_tests::{Client, Connect, Mosquitto, SOON, number_of, numbered};

use super::{Bridged, EGRESS, INGRESS, subscribed};

const COUNT: u64 = 20;

/// Each of `0..COUNT` has come from each publisher's topic, once; `fence` comes behind everything.
async fn has_each_once(subscriber: &mut Client, topics: &[&str]) {
    let mut seen = BTreeSet::new();
    while seen.len() < topics.len() * usize::try_from(COUNT).expect("small") {
        let message = subscriber.next_message(SOON).await;
        let is_new = seen.insert((message.topic.clone(), number_of(&message)));
        assert!(is_new, "{message:?} has come twice to {}", subscriber.id());
    }
}

async fn publish(publisher: &Client, topic: &str) {
    for number in 0..COUNT {
        let done = publisher.publish(topic, 1, numbered(number)).await;
        assert!(done.is_ok(), "{done:?}");
    }
}

/// Clusters of one node, each of which sends everything to the next one, the last to the first.
async fn a_ring_of(clusters: usize) {
    let mut ring: Vec<_> = (0..clusters).map(|_| Bridged::build(1, EGRESS)).collect();
    let addresses: Vec<_> = ring.iter().map(|b| b.cluster.node(1).mqtt()).collect();
    for (place, bridged) in ring.iter_mut().enumerate() {
        let next = addresses[(place + 1) % clusters];
        bridged.write(EGRESS, next, "", &[("#", "${local.topic}")]);
        bridged.run().await;
    }
    let mut subscribers = Vec::new();
    for bridged in &ring {
        bridged.runner(EGRESS, &[1]).await;
        subscribers.push(bridged.client(1, "subscriber", "#").await);
    }
    let topics: Vec<_> = (0..clusters).map(|place| format!("from/{place}")).collect();
    let topics: Vec<_> = topics.iter().map(String::as_str).collect();
    for (bridged, topic) in ring.iter().zip(&topics) {
        let publisher = bridged.cluster.connect(1, "publisher").open().await;
        publish(&publisher, topic).await;
    }
    for subscriber in &mut subscribers {
        has_each_once(subscriber, &topics).await;
    }
    // A message that went round would have come by now, or is behind this one, which goes round, too.
    let last = ring[0].cluster.connect(1, "last").open().await;
    assert!(last.publish("last", 1, "0").await.is_ok());
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.next_message(SOON).await.topic, "last");
    }
    assert!(last.publish("very-last", 1, "0").await.is_ok());
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.next_message(SOON).await.topic, "very-last");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_that_send_everything_to_each_other_have_each_message_once() {
    a_ring_of(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_clusters_in_a_ring_have_each_message_once() {
    a_ring_of(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_on_the_same_filter_send_each_message_once() {
    let mut bridged = Bridged::build(1, &format!("{EGRESS},{INGRESS}"));
    let mosquitto = Mosquitto::start(bridged.remote()).await;
    bridged.write(EGRESS, mosquitto.address(), "", &[("#", "${local.topic}")]);
    bridged.write(
        INGRESS,
        mosquitto.address(),
        "",
        &[("#", "${remote.topic}")],
    );
    bridged.run().await;
    bridged.runner(EGRESS, &[1]).await;
    bridged.runner(INGRESS, &[1]).await;
    let far = Connect::new(mosquitto.address(), "far");
    let mut far = subscribed(far, "#").await;
    let mut near = bridged.client(1, "near", "#").await;
    let outside = Connect::new(mosquitto.address(), "publisher").open().await;
    let inside = bridged.cluster.connect(1, "publisher").open().await;
    publish(&inside, "from/inside").await;
    publish(&outside, "from/outside").await;
    for subscriber in [&mut near, &mut far] {
        has_each_once(subscriber, &["from/inside", "from/outside"]).await;
    }
    for (publisher, topic) in [(&inside, "last/inside"), (&outside, "last/outside")] {
        assert!(publisher.publish(topic, 1, "0").await.is_ok());
        for subscriber in [&mut near, &mut far] {
            assert_eq!(subscriber.next_message(SOON).await.topic, topic);
        }
    }
    let entry = bridged.entry(1, INGRESS).await.expect("it");
    assert!(entry["dropped"]["loop"].as_u64() >= Some(COUNT), "{entry}");
}
