//! How long writes stand still after kill -9 of the leader: ten rounds on three fresh nodes, the time
//! from the kill to the next SUBACK on each survivor. Prints JSON.
//!
//! `cargo run -p raftmq-cluster-tests --bin failover [rounds]`

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, START, within};
use serde_json::json;

#[tokio::main]
async fn main() {
    let rounds = std::env::args()
        .nth(1)
        .map_or(10, |text| text.parse().expect("a number of rounds"));
    let mut cluster = Cluster::start(3).await;
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let pauses = one_round(&mut cluster, round).await;
        eprintln!("round {round}: {pauses:?}");
        first.extend(pauses.iter().min());
        last.extend(pauses.iter().max());
    }
    let report = json!({
        "rounds": rounds,
        "kill_to_first_suback_ms": summary(&mut first),
        "kill_to_suback_on_all_survivors_ms": summary(&mut last),
    });
    println!("{report:#}");
}

async fn one_round(cluster: &mut Cluster, round: usize) -> Vec<Duration> {
    let roles = cluster.roles().await;
    let mut clients = Vec::new();
    for &node in &roles.followers {
        clients.push(
            cluster
                .connect(node, &format!("round-{round}-{node}"))
                .open()
                .await,
        );
    }
    let killed = Instant::now();
    cluster.node_mut(roles.leader).kill9();
    let pauses = clients.iter().map(async |client| {
        within("SUBACK", START, client.subscribed("failover", 1)).await;
        killed.elapsed()
    });
    let pauses = futures::future::join_all(pauses).await;
    cluster.node_mut(roles.leader).start();
    cluster.all_ready().await;
    pauses
}

fn summary(pauses: &mut [Duration]) -> serde_json::Value {
    pauses.sort();
    let milliseconds = |pause: &Duration| (pause.as_secs_f64() * 1_000.0).round();
    json!({
        "best": pauses.first().map(milliseconds),
        "median": pauses.get(pauses.len() / 2).map(milliseconds),
        "worst": pauses.last().map(milliseconds),
    })
}
