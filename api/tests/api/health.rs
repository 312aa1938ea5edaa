//! `/health/check` and `/features`: what the nodes say of themselves, put together.

use std::sync::Arc;

use raftmq_api::node::{FeaturesReply, VitalsReply};
use serde_json::json;

use crate::world::{Setup, TestNode, World, dead_peer, serve_peer};

fn node(not_ready: &str, leader_id: Option<u64>) -> Arc<TestNode> {
    Arc::new(TestNode {
        vitals: VitalsReply {
            not_ready: not_ready.into(),
            leader_id,
            ..Default::default()
        },
        ..Default::default()
    })
}

/// This node, and peers 2, 3, ...; `None` is one that does not answer.
async fn world(local: Arc<TestNode>, others: Vec<Option<Arc<TestNode>>>) -> World {
    let mut peers = Vec::new();
    for (id, other) in (2..).zip(others) {
        let address = match other {
            Some(node) => serve_peer(id, node).await,
            None => dead_peer().await,
        };
        peers.push((id, address));
    }
    let setup = Setup {
        local,
        peers,
        ..Setup::default()
    };
    setup.start().await
}

#[tokio::test]
async fn a_cluster_with_a_majority_and_a_leader_runs_and_names_who_does_not() {
    let world = world(node("", Some(2)), vec![Some(node("", Some(2))), None]).await;
    let health = world.get("/api/v1/health/check").await.json();
    assert_eq!(health["running"], true);
    assert!(health["descr"].is_null());
    assert_eq!(
        health["nodes"][0],
        json!({"node_id": 1, "running": true, "leader_id": 2})
    );
    assert_eq!(
        health["nodes"][1],
        json!({"node_id": 2, "running": true, "leader_id": 2})
    );
    let dead = &health["nodes"][2];
    assert_eq!(
        (&dead["node_id"], &dead["running"]),
        (&json!(3), &json!(false))
    );
    assert!(dead["descr"].as_str().unwrap().contains("node 3"), "{dead}");
}

#[tokio::test]
async fn a_cluster_without_a_majority_or_without_a_leader_does_not_run() {
    let cut_off = world(node("no lease", Some(1)), vec![None, None]).await;
    let health = cut_off.get("/api/v1/health/check").await.json();
    assert_eq!(health["running"], false);
    assert!(
        health["descr"].as_str().unwrap().contains("0 of 3"),
        "{health}"
    );
    assert_eq!(
        health["nodes"][0],
        json!({"node_id": 1, "running": false, "leader_id": 1, "descr": "no lease"})
    );
    let leaderless = world(node("", None), vec![Some(node("", None))]).await;
    let health = leaderless.get("/api/v1/health/check").await.json();
    assert_eq!(health["running"], false);
    assert!(
        health["descr"].as_str().unwrap().contains("leader"),
        "{health}"
    );
}

#[tokio::test]
async fn the_health_of_one_node_is_told_whether_it_answers_or_not() {
    let world = world(
        node("", Some(1)),
        vec![Some(node("draining", Some(1))), None],
    )
    .await;
    let health = |id: u64| {
        let path = format!("/api/v1/health/check/{id}");
        let world = &world;
        async move { world.get(&path).await }
    };
    assert_eq!(
        health(1).await.json(),
        json!({"running": true, "nodes": [{"node_id": 1, "running": true, "leader_id": 1}]})
    );
    let draining = health(2).await.json();
    assert_eq!(
        (&draining["running"], &draining["descr"]),
        (&json!(false), &json!("draining"))
    );
    let dead = health(3).await;
    assert_eq!(dead.status, 200);
    assert_eq!(dead.json()["running"], false);
    assert_eq!(dead.json()["descr"], dead.json()["nodes"][0]["descr"]);
    assert_eq!(health(9).await.code(), "unknown_node");
    let wrong = world.get("/api/v1/health/check/x").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "invalid_node"));
}

fn offers(retain: bool) -> Arc<TestNode> {
    Arc::new(TestNode {
        features: FeaturesReply {
            retain,
            session_storage: true,
            shared_subscription: true,
            ..Default::default()
        },
        ..Default::default()
    })
}

#[tokio::test]
async fn features_are_told_for_each_node_and_agree() {
    let world = world(offers(true), vec![Some(offers(true)), None]).await;
    let features = world.get("/api/v1/features").await.json();
    assert_eq!(features["consistent"], true);
    assert_eq!(features["node_count"], 3);
    assert!(features["conflicts"].is_null());
    assert_eq!(
        features["nodes"][0],
        json!({"node_id": 1, "node_name": "1@n1:7000", "features": {
            "retain": true, "message_storage": false, "session_storage": true,
            "delayed": false, "shared_subscription": true, "auto_subscription": false,
        }})
    );
    assert_eq!(
        features["nodes"][1]["features"],
        features["nodes"][0]["features"]
    );
    assert_eq!(features["nodes"][2]["node_id"], 3);
    assert!(features["nodes"][2]["error"].is_string());
}

#[tokio::test]
async fn features_in_which_nodes_differ_are_named() {
    let world = world(offers(true), vec![Some(offers(false))]).await;
    let features = world.get("/api/v1/features").await.json();
    assert_eq!(features["consistent"], false);
    assert_eq!(features["conflicts"], json!(["retain"]));
}

#[tokio::test]
async fn the_features_of_one_node_are_those_that_it_tells() {
    let world = world(offers(true), vec![Some(offers(false)), None]).await;
    let one = world.get("/api/v1/features/2").await.json();
    assert_eq!(
        (&one["consistent"], &one["node_count"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(one["nodes"][0]["node_id"], 2);
    assert_eq!(one["nodes"][0]["features"]["retain"], false);
    let dead = world.get("/api/v1/features/3").await;
    assert_eq!(
        (dead.status, dead.code().as_str()),
        (503, "node_unreachable")
    );
    assert_eq!(world.get("/api/v1/features/9").await.status, 404);
    assert_eq!(world.get("/api/v1/features/one").await.status, 400);
}
