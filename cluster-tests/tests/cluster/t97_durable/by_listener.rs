//! Each listener says where the sessions of its clients are kept, and a client may come back by another one.

use std::net::SocketAddr;

use raftmq_cluster_tests::{
    Client, Cluster, Connect, NumberedStream, RawClient, SOON, Setup, eventually, numbered, packet,
};

const COUNT: u64 = 50;

/// Nodes whose plain listener keeps sessions on disk, with another one that does not. One shard: what is said
/// of one session is in order with what is said of another.
async fn start(nodes: u64) -> Cluster {
    let mut cluster = Setup::nodes(nodes).set("RAFTMQ_MQTT_SHARDS", "1").build();
    for id in cluster.ids() {
        let addr = in_memory(&cluster, id).to_string();
        let node = cluster.node_mut(id);
        node.set("RAFTMQ_LISTENER_FAST_ADDR", &addr);
        node.set("RAFTMQ_LISTENER_FAST_SESSIONS", "memory");
    }
    cluster.start_all();
    cluster.all_ready().await;
    cluster
}

/// The listener of a node that keeps sessions in memory.
fn in_memory(cluster: &Cluster, node: u64) -> SocketAddr {
    let port = 25_400 + u16::try_from(node).expect("few nodes");
    SocketAddr::new(cluster.node(node).mqtt().ip(), port)
}

fn durable(cluster: &Cluster, node: u64, id: &str) -> Connect {
    cluster.connect(node, id).persistent()
}

fn fast(cluster: &Cluster, node: u64, id: &str) -> Connect {
    durable(cluster, node, id).at(in_memory(cluster, node))
}

/// The client subscribes to the topic of its name, and goes.
async fn subscribes(client: Connect, id: &str) {
    let client = client.open().await;
    client.subscribed(id, 2).await;
    client.disconnect().await;
}

/// Messages with these numbers are acknowledged.
async fn publish(cluster: &Cluster, node: u64, topic: &str, numbers: std::ops::Range<u64>) {
    let publisher = cluster.connect(node, "publisher").open().await;
    for number in numbers {
        let code = publisher.publish(topic, 2, numbered(number)).await;
        assert!(code.as_ref().is_ok_and(|code| *code < 0x80), "{code:?}");
    }
    publisher.disconnect().await;
}

async fn kill_and_restart(cluster: &mut Cluster, node: u64) {
    cluster.node_mut(node).kill9();
    cluster.node_mut(node).start();
    cluster.all_ready().await;
}

/// Its session is there, and holds nothing.
async fn comes_back_to_nothing(cluster: &Cluster, client: Connect) {
    let mut back = client.open().await;
    assert!(back.session_present(), "[MQTT-3.2.2-3]");
    back.subscribed("fence", 1).await;
    let fence = cluster.connect(1, "fence").open().await;
    back.expect_no_more(&fence, "fence").await;
    back.unsubscribe("fence").await.expect("UNSUBACK");
    back.disconnect().await;
}

async fn comes_back_to(client: Connect, numbers: std::ops::Range<u64>) -> Client {
    let mut back = client.open().await;
    assert!(back.session_present(), "[MQTT-3.2.2-3]");
    let stream = NumberedStream::receive(&mut back, numbers.end - 1, SOON).await;
    stream.assert_contains(&numbers.collect::<Vec<_>>());
    // Behind this answer nothing of QoS 2 is half done, which rumqttc would not go on with in its next connection.
    back.unsubscribe("nothing").await.expect("UNSUBACK");
    back
}

/// What a node keeps for sessions that are not its own any more.
async fn left_behind(cluster: &Cluster, node: u64) -> u64 {
    let path = format!("/api/v1/stats/{node}");
    let stats = cluster.node(node).http().json(&path).await;
    let count = &stats["stats"]["message_storages.count"];
    count.as_u64().unwrap_or_else(|| panic!("{stats}"))
}

/// Side by side on one node: a kill costs the one its queue, and the other nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_costs_only_the_sessions_of_the_listener_in_memory_their_queues() {
    let mut cluster = start(1).await;
    subscribes(durable(&cluster, 1, "careful"), "careful").await;
    subscribes(fast(&cluster, 1, "careless"), "careless").await;
    publish(&cluster, 1, "careful", 0..COUNT).await;
    publish(&cluster, 1, "careless", 0..COUNT).await;
    kill_and_restart(&mut cluster, 1).await;
    comes_back_to(durable(&cluster, 1, "careful"), 0..COUNT).await;
    comes_back_to_nothing(&cluster, fast(&cluster, 1, "careless")).await;
    // Without a kill it has its queue, also before its client has been back.
    kill_and_restart(&mut cluster, 1).await;
    publish(&cluster, 1, "careless", 0..COUNT).await;
    let client = comes_back_to(fast(&cluster, 1, "careless"), 0..COUNT).await;
    client.disconnect().await;
    publish(&cluster, 1, "careless", 0..COUNT).await;
    kill_and_restart(&mut cluster, 1).await;
    comes_back_to_nothing(&cluster, fast(&cluster, 1, "careless")).await;
}

/// The latest CONNECT counts. What lay on the disk before does not come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_comes_back_by_the_listener_in_memory_is_off_the_disk() {
    let mut cluster = start(1).await;
    subscribes(durable(&cluster, 1, "changes"), "changes").await;
    publish(&cluster, 1, "changes", 0..COUNT).await;
    let client = comes_back_to(fast(&cluster, 1, "changes"), 0..COUNT).await;
    client.disconnect().await;
    publish(&cluster, 1, "changes", COUNT..2 * COUNT).await;
    kill_and_restart(&mut cluster, 1).await;
    comes_back_to_nothing(&cluster, durable(&cluster, 1, "changes")).await;
    // And it is on the disk from that CONNECT on.
    publish(&cluster, 1, "changes", 0..COUNT).await;
    kill_and_restart(&mut cluster, 1).await;
    comes_back_to(durable(&cluster, 1, "changes"), 0..COUNT).await;
}

/// Queue and packet identifiers that were in memory are on the disk when the client has come back by the
/// listener that keeps them there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_comes_back_by_the_durable_listener_is_on_the_disk_with_all_that_it_has() {
    let mut cluster = start(1).await;
    let at = in_memory(&cluster, 1);
    let (mut client, _) = RawClient::connect(at, 4, "grows", false).await;
    client.send(&packet::subscribe(4, 1, "grows", 2)).await;
    assert_eq!(client.next_frame(SOON).await.expect("SUBACK").kind(), 9);
    publish(&cluster, 1, "grows", 0..1).await;
    let sent = client.next_frame(SOON).await.expect("a PUBLISH");
    assert_eq!(sent.first, 0x34);
    drop(client);
    for _ in 0..2 {
        // The second time the node has been killed.
        let plain = cluster.node(1).mqtt();
        let (mut client, connack) = RawClient::connect(plain, 4, "grows", false).await;
        assert_eq!(connack.body[0], 1, "[MQTT-3.2.2-3]");
        let again = client.next_frame(SOON).await.expect("a PUBLISH");
        assert_eq!(again.first, 0x3C, "DUP [MQTT-3.3.1-1]");
        assert_eq!(again.body, sent.body, "[MQTT-4.4.0-1]");
        kill_and_restart(&mut cluster, 1).await;
    }
}

/// On another node: all of it moves, in both directions, and no node keeps anything for later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_moves_between_listeners_of_two_nodes_and_leaves_nothing_behind() {
    let mut cluster = start(3).await;
    subscribes(durable(&cluster, 1, "fence-on-disk"), "fence-on-disk").await;
    subscribes(durable(&cluster, 1, "moves"), "moves").await;
    publish(&cluster, 3, "moves", 0..COUNT).await;
    let client = comes_back_to(fast(&cluster, 2, "moves"), 0..COUNT).await;
    client.disconnect().await;
    eventually(
        "node 1 has forgotten it",
        SOON,
        async || match left_behind(&cluster, 1).await {
            0 => Ok(()),
            left => Err(format!("{left} messages")),
        },
    )
    .await;
    // On its disk, too, when something that came behind that is there.
    publish(&cluster, 1, "fence-on-disk", 0..1).await;
    kill_and_restart(&mut cluster, 1).await;
    // A CONNECT makes the node compare its disk with the table.
    cluster
        .connect(1, "anybody")
        .open()
        .await
        .disconnect()
        .await;
    assert_eq!(left_behind(&cluster, 1).await, 0);

    publish(&cluster, 3, "moves", COUNT..2 * COUNT).await;
    // It acknowledges nothing.
    let plain = cluster.node(1).mqtt();
    let (moved, connack) = RawClient::connect(plain, 4, "moves", false).await;
    assert_eq!(connack.body[0], 1, "[MQTT-3.2.2-3]");
    publish(&cluster, 1, "fence-on-disk", 0..1).await;
    drop(moved);
    for node in [1, 2] {
        kill_and_restart(&mut cluster, node).await;
    }
    comes_back_to(durable(&cluster, 1, "moves"), COUNT..2 * COUNT).await;
}

/// Nobody keeps anything for a session in memory whose node is down, and whoever is up has its subscriptions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_in_memory_of_a_dead_node_goes_on_elsewhere_with_its_subscriptions_alone() {
    let mut cluster = start(3).await;
    subscribes(fast(&cluster, 3, "orphan"), "orphan").await;
    subscribes(durable(&cluster, 3, "heir"), "heir").await;
    publish(&cluster, 1, "orphan", 0..COUNT).await;
    cluster.node_mut(3).kill9();
    // While it is not given up yet, and afterwards.
    publish(&cluster, 1, "orphan", COUNT..2 * COUNT).await;
    publish(&cluster, 1, "heir", 0..COUNT).await;
    publish(&cluster, 1, "orphan", COUNT..2 * COUNT).await;
    assert_eq!(left_behind(&cluster, 1).await, COUNT, "what is durable");
    let back = fast(&cluster, 2, "orphan").open().await;
    assert!(back.session_present());
    drop(back);
    publish(&cluster, 1, "orphan", 0..COUNT).await;
    comes_back_to(fast(&cluster, 2, "orphan"), 0..COUNT).await;
}
