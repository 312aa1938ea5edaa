//! A session moves to the node where its client connects, with all that it holds.

use std::time::Duration;

use raftmq_cluster_tests::{Client, Cluster, NumberedStream, SOON, Setup, Version, numbered};

async fn publish_numbers(publisher: &Client, topic: &str, qos: u8, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let code = publisher
            .publish(topic, qos, numbered(number))
            .await
            .expect("acknowledged");
        assert!(code < 0x80, "acknowledged with {code:#04x}");
    }
}

async fn queue_moves(version: Version, qos: u8) {
    const QUEUED: u64 = 500;
    let cluster = Cluster::start(3).await;
    let publisher = cluster.connect(2, "publisher").open().await;
    for (from, to) in [(1, 3), (3, 2), (2, 2)] {
        let id = format!("moves-{from}-{to}");
        let connect = |node| cluster.connect(node, &id).version(version).persistent();
        let first = connect(from).open().await;
        assert!(!first.session_present());
        first.subscribed(&id, qos).await;
        first.disconnect().await;
        publish_numbers(&publisher, &id, qos, 0..QUEUED).await;
        let mut second = connect(to).open().await;
        assert!(second.session_present());
        let stream = NumberedStream::receive(&mut second, QUEUED - 1, SOON).await;
        stream.assert_exactly(QUEUED);
    }
}

/// [MQTT-3.2.2-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_queue_of_qos_1_moves_in_order() {
    queue_moves(Version::V5, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_queue_of_qos_2_moves_in_order() {
    queue_moves(Version::V4, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hops_between_nodes_under_load_loses_nothing() {
    const MESSAGES: u64 = 1_500;
    // All of them may have to wait while the client is between two nodes.
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_MAX_QUEUED_MESSAGES", "2000")
        .start()
        .await;
    let publisher = cluster.connect(2, "publisher").open().await;
    let first = cluster.connect(1, "hops").persistent().open().await;
    first.subscribed("hops", 1).await;
    let publishing = publish_numbers(&publisher, "hops", 1, 0..MESSAGES);
    // The last message may come at any time, also to the old connection while the next one is opened:
    // acknowledged there, it never comes again.
    let has_last = |stream: &NumberedStream| stream.numbers().contains(&(MESSAGES - 1));
    let hopping = async {
        let mut streams = Vec::new();
        let mut client = first;
        for node in [3, 2, 1, 3].into_iter().cycle() {
            let mut stream = NumberedStream::default();
            while stream.numbers().len() < 200 && !has_last(&stream) {
                stream.push(&client.next_message(SOON).await);
            }
            if has_last(&stream) {
                streams.push(stream);
                break;
            }
            let next = cluster.connect(node, "hops").persistent().open().await;
            assert!(next.session_present(), "the session moved to node {node}");
            client.wait_closed(SOON).await;
            client
                .arrived()
                .iter()
                .for_each(|message| stream.push(message));
            let was_last = has_last(&stream);
            streams.push(stream);
            client = next;
            if was_last {
                break;
            }
        }
        streams
    };
    let (streams, ()) = tokio::join!(hopping, publishing);
    let mut all = NumberedStream::default();
    for stream in &streams {
        stream.assert_ascending();
        all.extend(stream);
    }
    all.assert_contains(&(0..MESSAGES).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_start_throws_the_session_away_on_every_node() {
    let cluster = Cluster::start(3).await;
    let first = cluster.connect(1, "clean").persistent().open().await;
    first.subscribed("clean/topic", 1).await;
    first.disconnect().await;
    let publisher = cluster.connect(2, "publisher").open().await;
    publisher.publish("clean/topic", 1, "queued").await.unwrap();
    let mut second = cluster.connect(3, "clean").open().await;
    assert!(!second.session_present(), "[MQTT-3.1.2-4]");
    cluster.routes_become(&cluster.ids(), &[], SOON).await;
    second.subscribed("fence", 1).await;
    second.expect_no_more(&publisher, "fence").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_its_expiry_interval_has_passed() {
    let cluster = Cluster::start(3).await;
    let connect = |node| {
        cluster
            .connect(node, "expires")
            .persistent()
            .expiry_seconds(2)
    };
    let first = connect(1).open().await;
    first.subscribed("expires", 1).await;
    first.disconnect().await;
    let ids = cluster.ids();
    cluster
        .routes_become(&ids, &[("expires", 1)], Duration::from_secs(2))
        .await;
    cluster.routes_become(&ids, &[], SOON).await;
    assert!(
        !connect(2).open().await.session_present(),
        "[MQTT-3.1.2-23]"
    );
}
