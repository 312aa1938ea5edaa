//! `/stats/history` and `/metrics/history`: the past of each node, and of all together.

use std::sync::Arc;

use raftmq_api::counters::{Metric, Sample, Stat};
use serde_json::{Value, json};

use crate::world::{Setup, TestNode, World, dead_peer, serve_peer};

fn sample(at_ms: u64, n: u64) -> Sample {
    let mut sample = Sample {
        at_ms,
        ..Default::default()
    };
    sample.stats.set(Stat::Connections, n);
    sample.metrics[Metric::MessagesPublish] = n;
    sample
}

fn node(samples: Vec<Sample>) -> Arc<TestNode> {
    Arc::new(TestNode {
        samples,
        ..Default::default()
    })
}

/// This node, a peer that was started later, and one that does not answer.
async fn world() -> (World, Arc<TestNode>) {
    let peer = node(vec![sample(20_000, 5)]);
    let setup = Setup {
        local: node(vec![sample(10_000, 1), sample(20_000, 2)]),
        peers: vec![
            (2, serve_peer(2, peer.clone()).await),
            (3, dead_peer().await),
        ],
        ..Setup::default()
    };
    (setup.start().await, peer)
}

fn column(history: &Value, field: &str) -> Vec<u64> {
    let rows = history["data"].as_array().unwrap().iter();
    rows.map(|row| row[field].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn each_node_has_its_own_past_newest_first_and_who_does_not_answer_is_named() {
    let (world, _) = world().await;
    let history = world.get("/api/v1/stats/history?hours=1").await.json();
    let span = history["to"].as_u64().unwrap() - history["from"].as_u64().unwrap();
    assert_eq!(span, 3_600_000);
    let own = &history["nodes"]["1"];
    assert_eq!((&own["node"], &own["count"]), (&json!(1), &json!(2)));
    assert_eq!(column(own, "ts"), [20_000, 10_000]);
    assert_eq!(column(own, "connections.count"), [2, 1]);
    assert_eq!(column(&history["nodes"]["2"], "connections.max"), [5]);
    let dead = &history["nodes"]["3"];
    assert_eq!(dead["node"], 3);
    assert!(dead["error"].is_string());
}

#[tokio::test]
async fn the_past_of_one_node_is_asked_from_that_node() {
    let (world, peer) = world().await;
    let path = "/api/v1/metrics/history/2?minutes=30&merge_window=60&limit=7";
    let history = world.get(path).await.json();
    assert_eq!(
        (&history["node"], &history["count"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(column(&history, Metric::MessagesPublish.name()), [5]);
    assert!(history["data"][0]["node_count"].is_null());
    let told = peer.told.lock().unwrap().clone();
    assert_eq!(told, ["history by 60000 ms, 7 at most"]);
    let dead = world.get("/api/v1/metrics/history/3").await;
    assert_eq!(
        (dead.status, dead.code().as_str()),
        (503, "node_unreachable")
    );
}

#[tokio::test]
async fn sums_are_window_by_window_and_say_how_many_nodes_are_in_them() {
    let (world, _) = world().await;
    for (resource, field) in [
        ("stats", "connections.count"),
        ("metrics", Metric::MessagesPublish.name()),
    ] {
        let reply = world.get(&format!("/api/v1/{resource}/history/sum")).await;
        assert_eq!(reply.header("x-unreachable-nodes"), Some("3"));
        let sum = reply.json();
        assert_eq!((&sum["node_count"], &sum["count"]), (&json!(2), &json!(2)));
        assert_eq!(column(&sum, "ts"), [20_000, 10_000], "{resource}");
        assert_eq!(column(&sum, field), [7, 1], "{resource}");
        assert_eq!(column(&sum, "node_count"), [2, 1], "{resource}");
    }
    let newest = world.get("/api/v1/stats/history/sum?limit=1").await.json();
    assert_eq!(column(&newest, "ts"), [20_000]);
}

#[tokio::test]
async fn wrong_questions_are_refused() {
    let (world, _) = world().await;
    for resource in ["stats", "metrics"] {
        for (rest, status) in [
            ("?minutes=-1", 400),
            ("/sum?hours=x", 400),
            ("/1?limit=-1", 400),
            ("?merge_window=1.5", 400),
            ("?days=1&days=2", 400),
            ("/x", 400),
            ("/9", 404),
        ] {
            let path = format!("/api/v1/{resource}/history{rest}");
            let reply = world.get(&path).await;
            assert_eq!(reply.status, status, "{path}: {}", reply.body);
            reply.code();
        }
    }
}
