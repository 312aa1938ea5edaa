//! A session moves to another node, and one of the two dies.

use std::time::Duration;

use raftmq_cluster_tests::{Cluster, NumberedStream, numbered};

const COUNT: u64 = 200;
/// A state that nobody has fetched for a while is sent after its session.
const SENT_AFTER: Duration = Duration::from_secs(40);

async fn queued(cluster: &Cluster, id: &str) {
    let client = cluster.connect(1, id).persistent().open().await;
    client.subscribed(id, 2).await;
    client.disconnect().await;
    let publisher = cluster.connect(2, "publisher").open().await;
    for number in 0..COUNT {
        let kept = publisher.publish(id, 2, numbered(number)).await;
        assert!(kept.is_ok_and(|code| code < 0x80));
    }
}

/// The new owner has it on its disk, or the old one still has: whoever ends, nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_has_moved_is_on_the_new_owners_disk() {
    let mut cluster = Cluster::start(3).await;
    queued(&cluster, "moved").await;
    // Taken over, and left again before anything is acknowledged.
    let moved = cluster.connect(3, "moved").persistent();
    let second = moved.clone().open().await;
    assert!(second.session_present());
    second.abort();
    for node in [1, 3] {
        cluster.node_mut(node).kill9();
    }
    cluster.start_all();
    cluster.all_ready().await;
    let mut back = moved.open().await;
    assert!(back.session_present());
    let stream = NumberedStream::receive(&mut back, COUNT - 1, SENT_AFTER).await;
    stream.assert_contains(&(0..COUNT).collect::<Vec<_>>());
}

/// A state that moves again and again, through three nodes that are all killed afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_has_moved_twice_is_found_after_all_nodes_were_killed() {
    let mut cluster = Cluster::start(3).await;
    queued(&cluster, "twice").await;
    for node in [2, 3] {
        let client = cluster.connect(node, "twice").persistent();
        let client = client.open().await;
        assert!(client.session_present());
        client.abort();
    }
    for node in cluster.ids() {
        cluster.node_mut(node).kill9();
    }
    cluster.start_all();
    cluster.all_ready().await;
    let mut back = cluster.connect(1, "twice").persistent().open().await;
    assert!(back.session_present());
    let stream = NumberedStream::receive(&mut back, COUNT - 1, SENT_AFTER).await;
    stream.assert_contains(&(0..COUNT).collect::<Vec<_>>());
}
