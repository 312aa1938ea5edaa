//! Subscribed means subscribed everywhere (G2).
//!
//! Each lane has a subscriber on one node and publishers on all three, and repeats: subscribe; as soon
//! as SUBACK is there publish on every node with QoS 0, which nobody repeats; unsubscribe; as soon as
//! UNSUBACK is there publish again. A missed message is one that never comes; a message after
//! UNSUBACK shows up in place of the next expected one.

use std::collections::BTreeSet;

use raftmq_cluster_tests::{Client, Cluster, SOON, within};

/// Rounds of one lane; three subscribes-and-publishes each.
const ROUNDS: u64 = 400;

/// Lanes for each node.
const LANES_PER_NODE: u64 = 3;

struct Lane {
    name: String,
    subscriber: Client,
    publishers: Vec<Client>,
}

impl Lane {
    async fn new(cluster: &Cluster, node: u64, number: u64) -> Self {
        let name = format!("lane-{node}-{number}");
        let subscriber = cluster.connect(node, &name).open().await;
        let mut publishers = Vec::new();
        for from in cluster.ids() {
            publishers.push(
                cluster
                    .connect(from, &format!("{name}-from-{from}"))
                    .open()
                    .await,
            );
        }
        Self {
            name,
            subscriber,
            publishers,
        }
    }

    async fn run(mut self) {
        for round in 0..ROUNDS {
            let topic = format!("{}/{round}", self.name);
            self.subscriber.subscribed(&topic, 0).await;
            self.publish_everywhere(&topic, "subscribed").await;
            self.expect_from_everywhere(&topic).await;
            within("UNSUBACK", SOON, self.subscriber.unsubscribe(&topic))
                .await
                .unwrap();
            self.publish_everywhere(&topic, "unsubscribed").await;
        }
        self.subscriber.subscribed(&self.name, 1).await;
        self.subscriber
            .expect_no_more(&self.publishers[0], &self.name)
            .await;
    }

    async fn publish_everywhere(&self, topic: &str, payload: &'static str) {
        for publisher in &self.publishers {
            publisher
                .publish(topic, 0, payload)
                .await
                .expect("the connection stays");
        }
    }

    async fn expect_from_everywhere(&mut self, topic: &str) {
        for number in 0..self.publishers.len() {
            let message = self.subscriber.message_within(SOON).await;
            let message = message.unwrap_or_else(|| panic!("{topic}: only {number} messages came"));
            assert_eq!(
                (message.topic.as_str(), &message.payload[..]),
                (topic, &b"subscribed"[..])
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_any_node_publishes_right_after_suback_arrives_and_after_unsuback_does_not() {
    let cluster = Cluster::start(3).await;
    let mut lanes = tokio::task::JoinSet::new();
    for node in cluster.ids() {
        for number in 0..LANES_PER_NODE {
            lanes.spawn(Lane::new(&cluster, node, number).await.run());
        }
    }
    while let Some(lane) = lanes.join_next().await {
        lane.expect("no lane missed a message");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_suback_for_many_filters_covers_all_of_them() {
    let cluster = Cluster::start(3).await;
    let publisher = cluster.connect(3, "publisher").open().await;
    let mut subscriber = cluster.connect(1, "subscriber").open().await;
    for round in 0..20 {
        let topics: Vec<_> = (0..50)
            .map(|number| format!("many/{round}/{number}"))
            .collect();
        let filters: Vec<_> = topics
            .iter()
            .map(|topic| raftmq_cluster_tests::Filter::new(topic, 0))
            .collect();
        within("SUBACK", SOON, subscriber.subscribe(&filters))
            .await
            .unwrap();
        for topic in &topics {
            publisher.publish(topic, 0, "x").await.unwrap();
        }
        for topic in &topics {
            assert_eq!(&subscriber.next_message(SOON).await.topic, topic);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connack_of_a_resumed_session_covers_its_subscriptions() {
    let cluster = Cluster::start(3).await;
    let mut publishers = Vec::new();
    for from in cluster.ids() {
        publishers.push(
            cluster
                .connect(from, &format!("publisher-{from}"))
                .open()
                .await,
        );
    }
    let first = cluster.connect(1, "moves").persistent().open().await;
    first.subscribed("moves/#", 0).await;
    first.disconnect().await;
    for round in 0..100 {
        let mut moved = cluster
            .connect(round % 3 + 1, "moves")
            .persistent()
            .open()
            .await;
        assert!(moved.session_present(), "round {round}");
        let mut expected = BTreeSet::new();
        for (index, publisher) in publishers.iter().enumerate() {
            let topic = format!("moves/{round}/{index}");
            publisher.publish(&topic, 0, "x").await.unwrap();
            expected.insert(topic);
        }
        let mut arrived = BTreeSet::new();
        while arrived.len() < expected.len() {
            arrived.insert(moved.next_message(SOON).await.topic);
        }
        assert_eq!(arrived, expected, "round {round}");
        moved.disconnect().await;
    }
}
