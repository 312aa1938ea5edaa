//! Nodes start in any order, at any time, also all at once, and never form two clusters.

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, SOON, Seed, Setup, eventually};

/// One cluster: what one node is told, every node shows.
async fn is_one_cluster(cluster: &Cluster) {
    let ids = cluster.ids();
    let mut clients = Vec::new();
    for &id in &ids {
        let client = cluster.connect(id, &format!("member-{id}")).open().await;
        client.subscribed(&format!("member/{id}"), 0).await;
        clients.push(client);
    }
    let expected: Vec<_> = ids.iter().map(|id| (format!("member/{id}"), *id)).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(topic, id)| (topic.as_str(), *id))
        .collect();
    cluster.routes_become(&ids, &expected, SOON).await;
}

async fn answers(cluster: &Cluster, id: u64) {
    eventually(&format!("node {id} answers"), SOON, async || {
        let answer = cluster.node(id).http().try_get("/live").await?;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_started_at_once_form_one_cluster() {
    let cluster = Cluster::start(3).await;
    is_one_cluster(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_nodes_started_at_once_form_one_cluster() {
    let cluster = Cluster::start(5).await;
    is_one_cluster(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_of_first_start_forms_one_cluster() {
    let mut seed = Seed::new();
    for _ in 0..3 {
        let mut cluster = Setup::nodes(3).build();
        let mut order = cluster.ids();
        seed.shuffle(&mut order);
        println!("order {order:?}");
        for id in order {
            cluster.node_mut(id).start();
            answers(&cluster, id).await;
        }
        cluster.all_ready().await;
        is_one_cluster(&cluster).await;
    }
}

/// Until all listed members have answered there is no cluster, and nobody serves.
async fn one_comes_late(late: u64) {
    let mut cluster = Setup::nodes(3).build();
    let others = cluster.others(late);
    others.iter().for_each(|&id| cluster.node_mut(id).start());
    for &id in &others {
        answers(&cluster, id).await;
    }
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        for &id in &others {
            let reason = cluster.not_ready(id, SOON).await;
            assert!(reason.len() > 10, "a reason: {reason}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.node_mut(late).start();
    cluster.all_ready().await;
    is_one_cluster(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_the_list_may_come_late() {
    one_comes_late(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_the_list_may_come_late() {
    one_comes_late(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_any_order_needs_only_a_majority() {
    let mut cluster = Cluster::start(3).await;
    cluster
        .ids()
        .into_iter()
        .for_each(|id| cluster.node_mut(id).kill9());
    cluster.node_mut(3).start();
    cluster.node_mut(2).start();
    cluster.ready(&[2, 3]).await;
    cluster.node_mut(1).start();
    cluster.all_ready().await;
    is_one_cluster(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_does_not_resolve_yet_is_tried_again() {
    let mut cluster = Setup::nodes(3).build();
    let good = cluster.node(1).peers().to_owned();
    let unknown = good.replace(
        &format!("3@{}", cluster.node(3).rpc()),
        &format!("3@no-such-host.invalid:{}", cluster.node(3).rpc().port()),
    );
    assert_ne!(good, unknown);
    cluster.node_mut(1).set_peers(&unknown);
    cluster.start_all();
    answers(&cluster, 1).await;
    cluster.not_ready(1, SOON).await;
    let node = cluster.node_mut(1);
    assert!(node.is_running(), "it waits for the name");
    node.kill9();
    node.set_peers(&good);
    node.start();
    cluster.all_ready().await;
    is_one_cluster(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_long_after_has_caught_up_when_it_is_ready() {
    let mut cluster = Cluster::start(3).await;
    cluster.node_mut(3).kill9();
    let mut clients = Vec::new();
    for number in 0..300 {
        let client = cluster
            .connect(number % 2 + 1, &format!("while-away-{number}"))
            .open()
            .await;
        client.subscribed(&format!("while/away/{number}"), 0).await;
        clients.push(client);
    }
    cluster.node_mut(3).start();
    cluster.ready(&[3]).await;
    let told = cluster.routes(3).await.unwrap();
    assert_eq!(told.len(), 300, "ready means caught up");
    assert_eq!(cluster.same_routes(&cluster.ids(), SOON).await, told);
}
