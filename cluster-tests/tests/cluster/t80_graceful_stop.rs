//! SIGTERM: the clients are told, the others are not disturbed, nothing is lost.

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, SOON, START, Version, Will, within};

/// The default of `node.stop_timeout` with a margin.
const STOPS: Duration = Duration::from_secs(12);

async fn stops_gracefully(leads: bool) {
    let mut cluster = Cluster::start(3).await;
    let roles = cluster.roles().await;
    let stopping = if leads {
        roles.leader
    } else {
        roles.followers[0]
    };
    let others = cluster.others(stopping);
    let mut new = cluster.connect(stopping, "told").open().await;
    let mut old = cluster
        .connect(stopping, "closed")
        .version(Version::V4)
        .open()
        .await;
    let kept = cluster.connect(stopping, "kept").persistent().open().await;
    kept.subscribed("kept", 1).await;
    let on_other = cluster.connect(others[0], "on-other").open().await;

    cluster.node(stopping).sigterm();
    assert_eq!(
        new.wait_closed(SOON).await.code,
        Some(0x8B),
        "server shutting down"
    );
    old.wait_closed(SOON).await;
    let exit = cluster.node_mut(stopping).wait_exit(STOPS).await;
    assert_eq!(exit.code, Some(0), "{}", exit.log);

    let asked = Instant::now();
    within(
        "SUBACK after the stop",
        SOON,
        on_other.subscribed("after", 1),
    )
    .await;
    let after = asked.elapsed();
    println!("SUBACK after a graceful stop (leader: {leads}): {after:?}");
    if !leads {
        assert!(
            after < Duration::from_millis(800),
            "a good-bye needs no lease to run out: {after:?}"
        );
    }
    assert!(
        cluster
            .connect(others[1], "kept")
            .persistent()
            .open()
            .await
            .session_present()
    );
    cluster.node_mut(stopping).start();
    cluster.all_ready().await;
    cluster.same_routes(&cluster.ids(), START).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_stops_gracefully() {
    stops_gracefully(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_stops_gracefully() {
    stops_gracefully(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_stops_a_node_too() {
    let mut cluster = Cluster::start(1).await;
    cluster.node(1).sigint();
    let exit = cluster.node_mut(1).wait_exit(STOPS).await;
    assert_eq!(exit.code, Some(0), "{}", exit.log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wills_of_a_stopped_node_are_published_once() {
    let mut cluster = Cluster::start(3).await;
    let mut watcher = cluster.connect(1, "watcher").open().await;
    watcher.subscribed("will/#", 1).await;
    watcher.subscribed("fence", 1).await;
    let _mortal = cluster
        .connect(2, "mortal")
        .will(Will::new("will/stop", "x"))
        .open()
        .await;
    let exit = cluster.node_mut(2).sigterm_and_wait(STOPS).await;
    assert_eq!(exit.code, Some(0), "{}", exit.log);
    assert_eq!(
        watcher.next_message(SOON).await.topic,
        "will/stop",
        "[MQTT-3.1.2-8]"
    );
    let publisher = cluster.connect(3, "publisher").open().await;
    watcher.expect_no_more(&publisher, "fence").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_keeps_sessions_and_serves_all_the_time() {
    let mut cluster = Cluster::start(3).await;
    for id in cluster.ids() {
        let client = cluster
            .connect(id, &format!("rolling-{id}"))
            .persistent()
            .open()
            .await;
        client.subscribed(&format!("rolling/{id}"), 1).await;
    }
    for id in cluster.ids() {
        let exit = cluster.node_mut(id).sigterm_and_wait(STOPS).await;
        assert_eq!(exit.code, Some(0), "{}", exit.log);
        let probe = cluster.connect(id % 3 + 1, "probe").open().await;
        within("SUBACK meanwhile", SOON, probe.subscribed("probe", 1)).await;
        probe.disconnect().await;
        cluster.node_mut(id).start();
        cluster.all_ready().await;
    }
    assert_eq!(cluster.same_routes(&cluster.ids(), SOON).await.len(), 3);
    for id in cluster.ids() {
        let connect = cluster
            .connect(id % 3 + 1, &format!("rolling-{id}"))
            .persistent();
        assert!(connect.open().await.session_present());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_hand_over_still_ends_within_its_deadline() {
    let mut cluster = Cluster::start(3).await;
    cluster.node_mut(2).kill9();
    cluster.node_mut(3).kill9();
    let exit = cluster.node_mut(1).sigterm_and_wait(STOPS).await;
    assert!(exit.code.is_some(), "it ended by itself");
}
