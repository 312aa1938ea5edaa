//! Messages for sessions whose node is down: kept where they are published, and handed over later.

use std::time::Duration;

use raftmq_cluster_tests::{Client, Cluster, FAILOVER, NumberedStream, eventually, numbered};

const COUNT: u64 = 200;
/// The forwarding node looks once a second, and a node that comes back has to be seen first.
const HANDED_OVER: Duration = Duration::from_secs(20);

async fn publish(publisher: &Client, topic: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let code = publisher.publish(topic, 1, numbered(number)).await;
        assert!(code.as_ref().is_ok_and(|code| *code < 0x80), "{code:?}");
    }
}

async fn sleeping(cluster: &Cluster, node: u64, id: &str) {
    let client = cluster.connect(node, id).persistent().open().await;
    client.subscribed(id, 1).await;
    client.disconnect().await;
}

/// Kills node 3, with a client whose session ends when the cluster gives the node up.
async fn kill_three(cluster: &mut Cluster) {
    let _mortal = cluster.connect(3, "mortal").open().await;
    cluster.node_mut(3).kill9();
}

async fn three_is_given_up(cluster: &Cluster) {
    eventually("node 3 is given up", FAILOVER * 2, async || {
        match cluster.clients_like(1, "mortal").await?.len() {
            0 => Ok(()),
            left => Err(format!("{left} left")),
        }
    })
    .await;
}

async fn received(client: &mut Client) {
    let stream = NumberedStream::receive(client, COUNT - 1, HANDED_OVER).await;
    stream.assert_contains(&(0..COUNT).collect::<Vec<_>>());
}

/// Published while the session's node is down, kept by the publisher's node, also through its own kill -9, and
/// delivered when the session's node is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_a_node_is_down_waits_for_its_sessions() {
    let mut cluster = Cluster::start(3).await;
    sleeping(&cluster, 3, "on-three").await;
    kill_three(&mut cluster).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    publish(&publisher, "on-three", 0..COUNT / 2).await;
    three_is_given_up(&cluster).await;
    publish(&publisher, "on-three", COUNT / 2..COUNT).await;
    cluster.node_mut(1).kill9();
    cluster.start_all();
    cluster.all_ready().await;
    let mut back = cluster.connect(3, "on-three").persistent().open().await;
    assert!(back.session_present());
    received(&mut back).await;
}

/// The client comes back on another node while its own is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_a_node_is_down_follows_its_client_elsewhere() {
    let mut cluster = Cluster::start(3).await;
    sleeping(&cluster, 3, "moves-on").await;
    kill_three(&mut cluster).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    publish(&publisher, "moves-on", 0..COUNT).await;
    three_is_given_up(&cluster).await;
    let mut back = cluster.connect(2, "moves-on").persistent().open().await;
    assert!(back.session_present());
    received(&mut back).await;
}

/// What a dead node's disk holds comes when the node is back, though the session is on another one by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_node_holds_is_handed_over_when_it_is_back() {
    let mut cluster = Cluster::start(3).await;
    sleeping(&cluster, 3, "left-behind").await;
    let publisher = cluster.connect(1, "publisher").open().await;
    publish(&publisher, "left-behind", 0..COUNT).await;
    kill_three(&mut cluster).await;
    three_is_given_up(&cluster).await;
    let mut back = cluster.connect(2, "left-behind").persistent().open().await;
    assert!(back.session_present());
    cluster.node_mut(3).start();
    cluster.all_ready().await;
    received(&mut back).await;
}

/// What is kept for a session is no business of another one with the same client identifier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_for_a_session_ends_with_it() {
    let mut cluster = Cluster::start(3).await;
    sleeping(&cluster, 3, "ends").await;
    kill_three(&mut cluster).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    three_is_given_up(&cluster).await;
    publish(&publisher, "ends", 0..10).await;
    let anew = cluster.connect(2, "ends").expiry_seconds(3_600);
    let mut anew = anew.open().await;
    assert!(!anew.session_present(), "[MQTT-3.1.2-4]");
    anew.subscribed("fence", 1).await;
    cluster.node_mut(3).start();
    cluster.all_ready().await;
    // Everything that could come would be there before this: the forwarding node looks once a second.
    let kept = eventually("nothing is kept any more", HANDED_OVER, async || {
        let stats = cluster.node(1).http().try_json("/api/v1/stats/1").await?;
        match stats.to_string().contains("\"message_storages.count\":0") {
            true => Ok(()),
            false => Err(stats.to_string()),
        }
    });
    kept.await;
    anew.expect_no_more(&publisher, "fence").await;
}
