//! Nodes that die while a message waits.

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Client, Cluster, FAILOVER, eventually};

use super::{next, publish, sleeping, subscriber, waiting};

/// Messages that a node keeps for a session on another one come when that one is back and has been seen.
const HANDED_OVER: Duration = Duration::from_secs(20);

async fn passed(since: Instant, time: Duration) {
    eventually("the time has passed", time * 2, async || {
        let elapsed = since.elapsed();
        (elapsed > time).then_some(()).ok_or(format!("{elapsed:?}"))
    })
    .await;
}

async fn nothing_more(cluster: &Cluster, subscriber: &mut Client) {
    let fence = cluster.connect(1, "fence").open().await;
    subscriber.expect_no_more(&fence, "fence").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_the_node_that_took_it_changes_nothing() {
    let mut cluster = Cluster::start(3).await;
    let mut one = subscriber(&cluster, 1, "one", &["later/+", "fence"]).await;
    let mut two = subscriber(&cluster, 2, "two", &["later/+"]).await;
    // Of several publishers some are the dead node's to publish for, if it lived.
    for number in 0..9 {
        let id = format!("publisher-{number}");
        let publisher = cluster.connect(3, &id).open().await;
        publish(&publisher, &format!("$delayed/5/later/{number}"), 1, "x").await;
    }
    cluster.node_mut(3).kill9();
    for subscriber in [&mut one, &mut two] {
        let mut topics = Vec::new();
        for _ in 0..9 {
            topics.push(subscriber.next_message(FAILOVER * 3).await.topic);
        }
        topics.sort();
        let expected: Vec<_> = (0..9).map(|number| format!("later/{number}")).collect();
        assert_eq!(topics, expected);
    }
    waiting(&cluster, 2, 0).await;
    nothing_more(&cluster, &mut one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_while_all_nodes_are_dead_is_published_when_they_are_back() {
    let mut cluster = Cluster::start(3).await;
    for node in cluster.ids() {
        let id = format!("sleeper-{node}");
        sleeping(&cluster, node, &id, &["later", "fence"]).await;
    }
    let publisher = cluster.connect(1, "publisher").open().await;
    let sent = Instant::now();
    publish(&publisher, "$delayed/2/later", 1, "x").await;
    for node in cluster.ids() {
        cluster.node_mut(node).kill9();
    }
    passed(sent, Duration::from_millis(2_500)).await;
    cluster.start_all();
    cluster.all_ready().await;
    for node in cluster.ids() {
        let id = format!("sleeper-{node}");
        let mut back = cluster.connect(node, &id).persistent().open().await;
        assert!(back.session_present());
        let message = back.next_message(HANDED_OVER).await;
        assert_eq!(message.topic, "later");
        nothing_more(&cluster, &mut back).await;
        back.disconnect().await;
    }
    waiting(&cluster, 2, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_due_yet_waits_on_when_all_nodes_were_dead() {
    let mut cluster = Cluster::start(3).await;
    sleeping(&cluster, 2, "sleeper", &["later", "fence"]).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let sent = Instant::now();
    publish(&publisher, "$delayed/10/later", 2, "x").await;
    for node in cluster.ids() {
        cluster.node_mut(node).kill9();
    }
    cluster.start_all();
    cluster.all_ready().await;
    let mut back = cluster.connect(2, "sleeper").persistent().open().await;
    assert_eq!(back.next_message(HANDED_OVER).await.topic, "later");
    assert!(sent.elapsed() >= Duration::from_secs(10));
    nothing_more(&cluster, &mut back).await;
}

/// The session's node is down when the message is due: whoever publishes it keeps it for the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_node_is_down_gets_it_when_the_node_is_back() {
    let mut cluster = Cluster::start(3).await;
    sleeping(&cluster, 3, "sleeper", &["later"]).await;
    let _mortal = cluster.connect(3, "mortal").open().await;
    let publisher = cluster.connect(1, "publisher").open().await;
    cluster.node_mut(3).kill9();
    eventually("node 3 is given up", FAILOVER * 2, async || {
        match cluster.clients_like(1, "mortal").await?.len() {
            0 => Ok(()),
            left => Err(format!("{left} left")),
        }
    })
    .await;
    let mut watcher = subscriber(&cluster, 2, "watcher", &["later"]).await;
    publish(&publisher, "$delayed/1/later", 1, "x").await;
    assert_eq!(next(&mut watcher).await.1, "x");
    cluster.node_mut(3).start();
    cluster.all_ready().await;
    let mut back = cluster.connect(3, "sleeper").persistent().open().await;
    assert!(back.session_present());
    assert_eq!(back.next_message(HANDED_OVER).await.topic, "later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_again_has_what_waits_and_the_tables_are_equal() {
    let mut cluster = Cluster::start(3).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    for number in 0..20 {
        publish(&publisher, "$delayed/3600/later", 1, &number.to_string()).await;
    }
    cluster.node_mut(3).kill9();
    cluster.node_mut(3).start();
    cluster.all_ready().await;
    waiting(&cluster, 3, 20).await;
    let consistency = cluster
        .node(1)
        .http()
        .json("/api/v1/cluster/consistency")
        .await;
    assert_eq!(consistency["consistent"], true, "{consistency}");
}
