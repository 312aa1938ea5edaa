//! SIGSTOP: a node that is neither dead nor alive, and wakes up with yesterday's view.

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, FAILOVER, SOON, START, Will, eventually, within};

async fn stopped(leads: bool) {
    let cluster = Cluster::start(3).await;
    let roles = cluster.roles().await;
    let stopped = if leads {
        roles.leader
    } else {
        roles.followers[0]
    };
    let others = cluster.others(stopped);
    let mut watcher = cluster.connect(others[0], "watcher").open().await;
    watcher.subscribed("will/stale", 1).await;
    let will = Will::new("will/stale", "x");
    let mut stale = cluster.connect(stopped, "stale").will(will).open().await;
    stale.subscribed("stale", 1).await;
    let fresh = cluster.connect(others[1], "fresh").open().await;

    cluster.node(stopped).sigstop().await;
    let since = Instant::now();
    within(
        "SUBACK of the others",
        FAILOVER,
        fresh.subscribed("while/stopped", 1),
    )
    .await;
    println!("the others went on after {:?}", since.elapsed());
    assert_eq!(
        watcher.next_message(SOON).await.topic,
        "will/stale",
        "its sessions are over (G5)"
    );
    let publisher = cluster.connect(others[0], "publisher").open().await;
    within(
        "PUBACK",
        FAILOVER,
        publisher.publish("while/stopped", 1, "x"),
    )
    .await
    .unwrap();

    cluster.node(stopped).sigcont();
    stale.wait_closed(SOON).await;
    cluster.all_ready().await;
    let expected = [("while/stopped", others[1]), ("will/stale", others[0])];
    cluster
        .routes_become(&cluster.ids(), &expected, START)
        .await;
    serves_again(&cluster, stopped, others[0]).await;
}

async fn serves_again(cluster: &Cluster, id: u64, other: u64) {
    let mut subscriber = cluster.connect(id, "again").open().await;
    subscriber.subscribed("again", 1).await;
    let publisher = cluster.connect(other, "again-publisher").open().await;
    publisher.publish("again", 1, "x").await.unwrap();
    assert_eq!(subscriber.next_message(SOON).await.topic, "again");
    let here = cluster.connect(id, "again-here").open().await;
    here.publish("again", 1, "y").await.unwrap();
    assert_eq!(subscriber.next_message(SOON).await.topic, "again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_without_a_stopped_follower_and_take_it_back() {
    stopped(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_without_a_stopped_leader_and_take_it_back() {
    stopped(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_was_waiting_in_a_stopped_node_misses_nobody() {
    let cluster = Cluster::start(3).await;
    let stopped = cluster.roles().await.followers[0];
    let other = cluster.others(stopped)[0];
    let publisher = cluster.connect(stopped, "publisher").open().await;
    let mut subscriber = cluster.connect(other, "subscriber").open().await;
    cluster.node(stopped).sigstop().await;
    let publish = publisher.submit("waits", 1, false, "x").await.unwrap();
    subscriber.subscribed("waits", 0).await;
    cluster.node(stopped).sigcont();
    // Read after its lease had ended: it must not be acknowledged as if nobody subscribed.
    if let Some(Ok(0..0x80)) = publish.within(SOON).await {
        assert_eq!(subscriber.next_message(SOON).await.topic, "waits");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_stop_costs_nobody_the_connection() {
    let cluster = Cluster::start(3).await;
    let stopped = cluster.roles().await.followers[0];
    let client = cluster.connect(stopped, "patient").open().await;
    cluster.node(stopped).sigstop().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    cluster.node(stopped).sigcont();
    client.subscribed("patient", 1).await;
    eventually("ready", SOON, async || {
        let answer = cluster.node(stopped).http().try_get("/ready").await?;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.body)
        }
    })
    .await;
    assert_eq!(client.closed(), None);
}
