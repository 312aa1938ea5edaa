//! What a dead node leaves behind is cleared away, once, by the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use raftmq_cluster_tests::{Cluster, SOON, Will, eventually};

const CLIENTS: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_subscriptions_and_routes_of_a_killed_node_vanish_and_its_wills_come_once() {
    for killed in [1, 2, 3] {
        dies(killed).await;
    }
}

async fn dies(killed: u64) {
    let mut cluster = Cluster::start(3).await;
    let others = cluster.others(killed);
    let mut watchers = Vec::new();
    for &id in &others {
        let watcher = cluster.connect(id, &format!("watcher-{id}")).open().await;
        watcher.subscribed("will/#", 1).await;
        watcher.subscribed("fence", 1).await;
        watchers.push(watcher);
    }
    let mut mortals = Vec::new();
    for number in 0..CLIENTS {
        let will = Will::new(&format!("will/{number}"), "x");
        let client = cluster
            .connect(killed, &format!("mortal-{number}"))
            .will(will)
            .open()
            .await;
        client.subscribed(&format!("mortal/{number}"), 1).await;
        mortals.push(client);
    }
    let kept = cluster.connect(killed, "kept").persistent().open().await;
    kept.subscribed("kept/topic", 1).await;

    cluster.node_mut(killed).kill9();
    vanish(&cluster, killed, &others).await;
    for watcher in &mut watchers {
        let mut came = BTreeMap::new();
        while came.len() < CLIENTS as usize {
            *came
                .entry(watcher.next_message(SOON).await.topic)
                .or_insert(0) += 1;
        }
        assert!(came.values().all(|&count| count == 1), "{came:?}");
    }
    cluster.node_mut(killed).start();
    cluster.all_ready().await;
    let publisher = cluster.connect(others[0], "publisher").open().await;
    for watcher in &mut watchers {
        watcher.expect_no_more(&publisher, "fence").await;
    }
}

/// Only the session that outlives its connection is left of the killed node, offline.
async fn vanish(cluster: &Cluster, killed: u64, others: &[u64]) {
    for &asked in others {
        eventually("the dead node's clients are gone", SOON, async || {
            let rows = cluster.clients_like(asked, "mortal").await?;
            if !rows.is_empty() {
                return Err(format!(
                    "node {asked}: {} rows, first {}",
                    rows.len(),
                    rows[0]
                ));
            }
            let routes = cluster.routes(asked).await?;
            let left: Vec<_> = routes.iter().filter(|(_, node)| *node == killed).collect();
            if left.iter().any(|(filter, _)| filter != "kept/topic") {
                return Err(format!("node {asked}: {left:?}"));
            }
            let path = "/api/v1/subscriptions?_match_topic=mortal%2f1";
            let rows = cluster.node(asked).http().try_json(path).await?;
            if rows == serde_json::json!([]) {
                Ok(())
            } else {
                Err(rows.to_string())
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_will_of_a_dead_node_is_published_by_the_rest_after_its_delay() {
    let mut cluster = Cluster::start(3).await;
    let mut watcher = cluster.connect(1, "watcher").open().await;
    watcher.subscribed("will/late", 1).await;
    let will = Will {
        delay_seconds: 3,
        ..Will::new("will/late", "x")
    };
    let _late = cluster
        .connect(2, "late")
        .persistent()
        .will(will)
        .open()
        .await;
    cluster.node_mut(2).kill9();
    let killed = std::time::Instant::now();
    assert_eq!(watcher.next_message(SOON).await.topic, "will/late");
    assert!(
        killed.elapsed() >= Duration::from_secs(3),
        "after {:?}",
        killed.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_a_dead_node_takes_its_session_up_on_another() {
    let mut cluster = Cluster::start(3).await;
    let orphan = cluster.connect(3, "orphan").persistent().open().await;
    orphan.subscribed("orphan", 1).await;
    cluster.node_mut(3).kill9();
    let mut client = eventually("the session is taken up", SOON, async || {
        let opened = cluster.connect(1, "orphan").persistent().try_open().await;
        opened.map_err(|refused| format!("{refused:?}"))
    })
    .await;
    assert!(client.session_present());
    let publisher = cluster.connect(2, "publisher").open().await;
    publisher.publish("orphan", 1, "x").await.unwrap();
    assert_eq!(client.next_message(SOON).await.topic, "orphan");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_node_never_harms_the_cluster() {
    let mut cluster = Cluster::start(3).await;
    let kept = cluster.connect(1, "kept").persistent().open().await;
    kept.subscribed("kept", 1).await;
    cluster.node_mut(3).kill9();
    cluster.node_mut(3).wipe();
    cluster.node_mut(3).start();
    // It may join anew or refuse and say why; it must not serve with a table of its own.
    let outcome = eventually("it joins or refuses", Duration::from_secs(20), async || {
        if !cluster.node_mut(3).is_running() {
            return Ok("refused");
        }
        let answer = cluster.node(3).http().try_get("/ready").await?;
        if answer.status == 200 {
            Ok("joined")
        } else if answer.body.contains("another data directory") {
            Ok("refused")
        } else {
            Err(answer.body)
        }
    })
    .await;
    let told = cluster.same_routes(&[1, 2], SOON).await;
    assert_eq!(told, [("kept".to_owned(), 1)]);
    if outcome == "joined" {
        assert_eq!(cluster.routes(3).await.unwrap(), told);
    } else {
        let log = cluster.node(3).log_text();
        assert!(
            log.contains("data") && log.contains("node"),
            "it says what to do: {log}"
        );
    }
    kept.subscribed("still/served", 1).await;
}
