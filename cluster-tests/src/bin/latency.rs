//! CONNACK and SUBACK latency of three nodes at rest: one after the other, round robin over the nodes,
//! from the last byte sent to the packet received. Prints JSON.
//!
//! `cargo run -p raftmq-cluster-tests --bin latency [count]`

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, Frame, RawClient, SOON, packet};
use serde_json::json;

#[tokio::main]
async fn main() {
    let count = std::env::args()
        .nth(1)
        .map_or(2_000, |text| text.parse().expect("a count"));
    let cluster = Cluster::start(3).await;
    let (mut connacks, mut subacks) = (Vec::new(), Vec::new());
    for number in 0..count {
        let address = cluster.node(number % 3 + 1).mqtt();
        let mut client = RawClient::open(address).await;
        let connect = packet::connect(5, &format!("latency-{number}"), true, 60);
        connacks.push(answered(&mut client, &connect, 2).await);
        let subscribe = packet::subscribe(5, 1, &format!("latency/{number}"), 1);
        subacks.push(answered(&mut client, &subscribe, 9).await);
        client.send(&packet::DISCONNECT).await;
    }
    let report = json!({
        "count": count,
        "connack_ms": percentiles(&mut connacks),
        "suback_ms": percentiles(&mut subacks),
    });
    println!("{report:#}");
}

async fn answered(client: &mut RawClient, request: &[u8], kind: u8) -> Duration {
    let sent = Instant::now();
    client.send(request).await;
    let answer = client.next_frame(SOON).await;
    let after = sent.elapsed();
    assert_eq!(answer.as_ref().map(Frame::kind), Some(kind), "{answer:?}");
    after
}

fn percentiles(times: &mut [Duration]) -> serde_json::Value {
    times.sort();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share) as usize).min(times.len() - 1);
        (times[index].as_secs_f64() * 100_000.0).round() / 100.0
    };
    json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "worst": at(1.0)})
}
