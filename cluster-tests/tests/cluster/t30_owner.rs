//! At most one live session per client identifier in the whole cluster (G1).

use std::time::Duration;

use raftmq_cluster_tests::{
    Client, Closed, Cluster, Connect, Refused, SOON, Seed, Version, eventually,
};
use serde_json::Value;

/// Session taken over (MQTT 5 §3.14.2.1).
const TAKEN_OVER: u8 = 0x8E;

const ROUNDS: u64 = 60;

/// Connects at the same time; a claim that lost before its CONNACK may see its connection closed.
async fn race(connects: Vec<Connect>) -> Vec<Client> {
    let results = futures::future::join_all(connects.into_iter().map(Connect::try_open)).await;
    let alive = |result: Result<Client, Refused>| match result {
        Ok(client) => Some(client),
        Err(refused) => {
            assert!(
                matches!(refused.code, None | Some(TAKEN_OVER)),
                "{refused:?}"
            );
            None
        }
    };
    results.into_iter().filter_map(alive).collect()
}

/// Waits until one connection is left and returns it with the ends of the others.
async fn one_left(mut clients: Vec<Client>) -> (Client, Vec<Closed>) {
    assert!(!clients.is_empty(), "nobody was let in");
    eventually("one connection left", SOON, async || {
        let alive = clients
            .iter()
            .filter(|client| client.closed().is_none())
            .count();
        if alive == 1 {
            Ok(())
        } else {
            Err(format!("{alive} of {} alive", clients.len()))
        }
    })
    .await;
    let index = clients
        .iter()
        .position(|client| client.closed().is_none())
        .expect("one is left");
    let left = clients.swap_remove(index);
    (left, clients.iter().filter_map(Client::closed).collect())
}

/// Every node tells of the one connection, and all of the same.
async fn told_by_all(cluster: &Cluster, id: &str) -> Value {
    eventually("one connected row on every node", SOON, async || {
        let mut told = Vec::new();
        for &node in &cluster.ids() {
            let rows = cluster.clients_like(node, id).await?;
            match &rows[..] {
                [row] if row["connected"] == true => told.push(row["node_id"].clone()),
                _ => return Err(format!("node {node}: {rows:?}")),
            }
        }
        let same = told.windows(2).all(|pair| pair[0] == pair[1]);
        if same {
            Ok(told.swap_remove(0))
        } else {
            Err(format!("{told:?}"))
        }
    })
    .await
}

/// The one that is left is really served.
async fn is_served(client: &mut Client) {
    let topic = format!("served/{}", client.id());
    client.subscribed(&topic, 1).await;
    client.publish(&topic, 1, "x").await.unwrap();
    assert_eq!(client.next_message(SOON).await.topic, topic);
}

async fn many_races(version: Version, nodes_at_once: usize) {
    let cluster = Cluster::start(3).await;
    let mut seed = Seed::new();
    for round in 0..ROUNDS {
        let id = format!("twin-{round}-");
        let mut nodes = cluster.ids();
        seed.shuffle(&mut nodes);
        let connect = |&node| cluster.connect(node, &id).version(version);
        let clients = race(nodes.iter().take(nodes_at_once).map(connect).collect()).await;
        let (mut left, closed) = one_left(clients).await;
        for closed in closed {
            let expected = (version == Version::V5).then_some(TAKEN_OVER);
            assert_eq!(closed.code, expected, "round {round}: {closed:?}");
        }
        told_by_all(&cluster, &id).await;
        is_served(&mut left).await;
        left.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_simultaneous_connects_leave_exactly_one_with_mqtt_5() {
    many_races(Version::V5, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_simultaneous_connects_leave_exactly_one_with_mqtt_3_1_1() {
    many_races(Version::V4, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_connect_on_any_node_ends_the_earlier_one() {
    let cluster = Cluster::start(3).await;
    for (earlier, later) in [(1, 2), (2, 3), (3, 1), (1, 1)] {
        let mut first = cluster.connect(earlier, "same").open().await;
        let second = cluster.connect(later, "same").open().await;
        let closed = first.wait_closed(SOON).await;
        assert_eq!(closed.code, Some(TAKEN_OVER), "[MQTT-3.1.4-3] {closed:?}");
        assert_eq!(told_by_all(&cluster, "same").await, later);
        second.disconnect().await;
        eventually("gone on every node", SOON, async || {
            for node in cluster.ids() {
                let rows = cluster.clients_like(node, "same").await?;
                if !rows.is_empty() {
                    return Err(format!("node {node}: {rows:?}"));
                }
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_connects_of_one_identifier_ends_with_one() {
    let cluster = Cluster::start(3).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let connects = cluster
            .ids()
            .into_iter()
            .map(|node| cluster.connect(node, "storm"))
            .collect();
        clients.extend(race(connects).await);
    }
    let (mut left, closed) = one_left(clients).await;
    assert!(
        closed.iter().all(|closed| closed.code == Some(TAKEN_OVER)),
        "{closed:?}"
    );
    told_by_all(&cluster, "storm").await;
    is_served(&mut left).await;
    assert_eq!(left.message_within(Duration::from_millis(100)).await, None);
}
