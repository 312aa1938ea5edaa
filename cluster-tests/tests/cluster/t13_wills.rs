//! Wills, across nodes.

use std::time::Duration;

use raftmq_cluster_tests::{Client, Cluster, SOON, Will};

async fn watcher(cluster: &Cluster, node: u64) -> Client {
    let watcher = cluster
        .connect(node, &format!("watcher-{node}"))
        .open()
        .await;
    watcher.subscribed("will/#", 1).await;
    watcher.subscribed(&fence(node), 1).await;
    watcher
}

/// Each watcher has a fence of its own: what is published for one is not in the way of another.
fn fence(node: u64) -> String {
    format!("fence/{node}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_publishes_the_will_on_every_node_once() {
    let cluster = Cluster::start(3).await;
    let mut watchers = [
        watcher(&cluster, 1).await,
        watcher(&cluster, 2).await,
        watcher(&cluster, 3).await,
    ];
    let publisher = cluster.connect(1, "publisher").open().await;
    for node in cluster.ids() {
        let topic = format!("will/{node}");
        let lost = cluster
            .connect(node, "lost")
            .will(Will::new(&topic, "lost"))
            .open()
            .await;
        lost.abort();
        for (watcher, at) in watchers.iter_mut().zip(cluster.ids()) {
            let message = watcher.next_message(SOON).await;
            assert_eq!(
                (message.topic.as_str(), &message.payload[..]),
                (topic.as_str(), &b"lost"[..])
            );
            watcher.expect_no_more(&publisher, &fence(at)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_disconnect_publishes_no_will() {
    let cluster = Cluster::start(3).await;
    let mut watcher = watcher(&cluster, 2).await;
    let publisher = cluster.connect(3, "publisher").open().await;
    for version in [
        raftmq_cluster_tests::Version::V4,
        raftmq_cluster_tests::Version::V5,
    ] {
        let connect = cluster.connect(1, "polite").version(version);
        connect
            .will(Will::new("will/polite", "x"))
            .open()
            .await
            .disconnect()
            .await;
        // The same client's next life ends the earlier one's business for certain.
        cluster
            .connect(1, "polite")
            .version(version)
            .open()
            .await
            .disconnect()
            .await;
        watcher.expect_no_more(&publisher, &fence(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_returns_within_the_will_delay_leaves_no_will() {
    let cluster = Cluster::start(3).await;
    let mut watcher = watcher(&cluster, 1).await;
    let publisher = cluster.connect(2, "publisher").open().await;
    let will = Will {
        delay_seconds: 3,
        ..Will::new("will/returns", "x")
    };
    cluster
        .connect(2, "returns")
        .persistent()
        .will(will)
        .open()
        .await
        .abort();
    let returned = cluster.connect(3, "returns").persistent().open().await;
    assert!(returned.session_present());
    assert_eq!(
        watcher.message_within(Duration::from_secs(5)).await,
        None,
        "[MQTT-3.1.3-9]"
    );
    watcher.expect_no_more(&publisher, &fence(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_will_comes_after_its_delay() {
    let cluster = Cluster::start(3).await;
    let mut watcher = watcher(&cluster, 1).await;
    let will = Will {
        delay_seconds: 2,
        ..Will::new("will/late", "x")
    };
    cluster
        .connect(2, "late")
        .persistent()
        .will(will)
        .open()
        .await
        .abort();
    let lost = std::time::Instant::now();
    assert_eq!(watcher.next_message(SOON).await.topic, "will/late");
    assert!(
        lost.elapsed() >= Duration::from_secs(2),
        "after {:?}",
        lost.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_will_is_kept_by_every_node() {
    let cluster = Cluster::start(3).await;
    let mut watcher = watcher(&cluster, 1).await;
    let will = Will {
        retain: true,
        ..Will::new("will/kept", "x")
    };
    cluster.connect(2, "kept").will(will).open().await.abort();
    watcher.next_message(SOON).await;
    for node in cluster.ids() {
        let mut late = cluster.connect(node, &format!("late-{node}")).open().await;
        late.subscribed("will/kept", 1).await;
        assert!(late.next_message(SOON).await.retain);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_publishes_the_will_of_the_session_that_it_ends() {
    let cluster = Cluster::start(3).await;
    let mut watcher = watcher(&cluster, 1).await;
    let mut first = cluster
        .connect(2, "taken")
        .will(Will::new("will/taken", "x"))
        .open()
        .await;
    let _second = cluster.connect(3, "taken").open().await;
    assert_eq!(first.wait_closed(SOON).await.code, Some(0x8E));
    assert_eq!(
        watcher.next_message(SOON).await.topic,
        "will/taken",
        "[MQTT-3.1.2-8]"
    );
}
