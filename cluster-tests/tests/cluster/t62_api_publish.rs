//! `POST /mqtt/publish` on any node reaches subscribers on every node.

use raftmq_cluster_tests::{Cluster, SOON};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_posted_on_any_node_is_delivered_on_every_node() {
    let cluster = Cluster::start(3).await;
    let mut subscribers = Vec::new();
    for id in cluster.ids() {
        let subscriber = cluster
            .connect(id, &format!("subscriber-{id}"))
            .open()
            .await;
        subscriber.subscribed("post/#", 2).await;
        subscribers.push(subscriber);
    }
    for asked in cluster.ids() {
        for qos in 0..=2 {
            let topic = format!("post/{asked}/{qos}");
            let body =
                json!({"topic": topic, "payload": "hello", "qos": qos, "clientid": "poster"});
            let answer = cluster
                .node(asked)
                .http()
                .post("/api/v1/mqtt/publish", &body)
                .await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, "ok"),
                "{answer:?}"
            );
            for subscriber in &mut subscribers {
                let message = subscriber.next_message(SOON).await;
                assert_eq!((message.topic, message.qos), (topic.clone(), qos));
                assert_eq!(&message.payload[..], b"hello");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topic_and_topics_are_united_and_base64_is_decoded() {
    let cluster = Cluster::start(3).await;
    let mut subscriber = cluster.connect(3, "subscriber").open().await;
    subscriber.subscribed("several/+", 1).await;
    let body = json!({"topic": "several/a", "topics": " several/b , several/c ", "qos": 1,
        "payload": "SGVsbG8gV29ybGQ=", "encoding": "base64"});
    let answer = cluster
        .node(1)
        .http()
        .post("/api/v1/mqtt/publish", &body)
        .await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "ok"),
        "{answer:?}"
    );
    let mut topics = Vec::new();
    for _ in 0..3 {
        let message = subscriber.next_message(SOON).await;
        assert_eq!(&message.payload[..], b"Hello World");
        topics.push(message.topic);
    }
    topics.sort();
    assert_eq!(topics, ["several/a", "several/b", "several/c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_post_is_kept_by_every_node() {
    let cluster = Cluster::start(3).await;
    let body = json!({"topic": "post/kept", "payload": "value", "qos": 1, "retain": true});
    assert_eq!(
        cluster
            .node(2)
            .http()
            .post("/api/v1/mqtt/publish", &body)
            .await
            .status,
        200
    );
    for id in cluster.ids() {
        let mut subscriber = cluster
            .connect(id, &format!("subscriber-{id}"))
            .open()
            .await;
        subscriber.subscribed("post/kept", 1).await;
        assert!(subscriber.next_message(SOON).await.retain);
    }
    let metrics = cluster.node(1).http().json("/api/v1/metrics/2").await;
    assert_eq!(metrics["metrics"]["messages.publish.admin"], 1, "{metrics}");
}
