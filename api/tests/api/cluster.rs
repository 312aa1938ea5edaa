//! `/cluster`, `/cluster/consistency` and `/cluster/doctor`, with nodes that do not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use raftmq_api::node::{FlushState, InspectReply, LinkState, MemberState};
use serde_json::{Value, json};

use crate::live::Clock;
use crate::world::{Setup, TestNode, View, World, dead_peer, serve_peer, silent_peer};

fn inspection(id: u64) -> InspectReply {
    InspectReply {
        version: "0.1.0".into(),
        incarnation: 7,
        term: 3,
        leader: 2,
        role: if id == 2 { "leader" } else { "follower" }.into(),
        last_log_index: 42,
        committed_index: 42,
        applied_index: 40 + id,
        disk_total_bytes: 100 << 30,
        disk_free_bytes: 50 << 30,
        log_disk_bytes: 512,
        links: vec![LinkState {
            peer: 3 - id,
            up: true,
            queued_bytes: 1,
            in_flight_bytes: 2,
            in_flight_batches: 1,
            round_trip_us: (id == 1).then_some(250),
            window_bytes: 1_000,
            ..Default::default()
        }],
        members: (1..=3)
            .map(|node_id| MemberState {
                node_id,
                is_voter: true,
                is_up: node_id != 3,
                last_contact_ms: (id == 2 && node_id != 2).then_some(10 * node_id),
            })
            .collect(),
        flushes: Some(FlushState {
            count: 9,
            average_us: 800,
            slowest_us: 4_000,
        }),
        connections: 1,
        connections_max: 100,
        http_address: "127.0.0.1:6060".into(),
        heartbeat_ms: 100,
        ..Default::default()
    }
}

fn node(id: u64, hash: Option<u64>) -> Arc<TestNode> {
    Arc::new(TestNode {
        inspection: inspection(id),
        table_hash: hash,
        clock: Clock::Running,
        ..Default::default()
    })
}

/// Node 1 here, node 2 that leads, and whatever node 3 is.
async fn world(hashes: [Option<u64>; 2], third: String) -> World {
    let peers = vec![(2, serve_peer(2, node(2, hashes[1])).await), (3, third)];
    let setup = Setup {
        local: node(1, hashes[0]),
        peers,
        ..Setup::default()
    };
    setup.start().await
}

#[tokio::test]
async fn the_overview_shows_every_node_and_names_the_one_that_does_not_answer() {
    let world = world([None, None], dead_peer().await).await;
    let cluster = world.get("/api/v1/cluster").await.json();
    assert_eq!(
        (&cluster["leader_id"], &cluster["term"]),
        (&json!(2), &json!(3))
    );
    let nodes = cluster["nodes"].as_array().unwrap();
    let expected = json!({
        "node_id": 1, "node_name": "1@n1:7000", "version": "0.1.0", "role": "follower", "term": 3,
        "last_log_index": 42, "committed_index": 42, "applied_index": 41, "lag": 1,
        "last_contact_ms": 10, "incarnation": 7, "ready": true,
        "disk": {"free": 50u64 << 30, "total": 100u64 << 30, "log": 512},
        "flush": {"count": 9, "average_us": 800, "slowest_us": 4000},
        "links": [{
            "peer": 2, "up": true, "queued_bytes": 1, "in_flight_bytes": 2, "in_flight_batches": 1,
            "round_trip_us": 250, "oldest_unacknowledged_ms": 0, "window_bytes": 1000, "dropped": 0,
        }],
    });
    assert_eq!(nodes[0], expected);
    assert_eq!(
        nodes[1]["last_contact_ms"], 0,
        "the leader is in touch with itself"
    );
    assert_eq!(nodes[1]["links"][0]["round_trip_us"], Value::Null);
    assert_eq!(
        (&nodes[2]["node_id"], &nodes[2]["last_contact_ms"]),
        (&json!(3), &json!(30))
    );
    assert!(nodes[2]["error"].is_string());
}

#[tokio::test]
async fn a_node_that_is_not_ready_says_why() {
    let mut local = TestNode::default();
    local.inspection.not_ready = "it is joining".into();
    let local = Arc::new(local);
    let world = Setup {
        local,
        ..Setup::default()
    };
    let cluster = world.start().await.get("/api/v1/cluster").await.json();
    let node = &cluster["nodes"][0];
    assert_eq!(
        (&node["ready"], &node["reason"]),
        (&json!(false), &json!("it is joining"))
    );
    assert_eq!(cluster["leader_id"], Value::Null);
}

#[tokio::test]
async fn equal_tables_are_consistent() {
    let setup = Setup {
        local: node(1, Some(0xab)),
        peers: vec![(2, serve_peer(2, node(2, Some(0xab))).await)],
        ..Setup::default()
    };
    let answer = setup.start().await.get("/api/v1/cluster/consistency").await;
    assert_eq!(answer.header("x-applied-index"), Some("43"));
    let row = |id: u64| json!({"node_id": id, "applied_index": 43, "hash": "00000000000000ab"});
    let expected = json!({"consistent": true, "applied_index": 43, "nodes": [row(1), row(2)]});
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn a_different_table_is_shown() {
    let setup = Setup {
        local: node(1, Some(1)),
        peers: vec![(2, serve_peer(2, node(2, Some(2))).await)],
        ..Setup::default()
    };
    let world = setup.start().await;
    let answer = world.get("/api/v1/cluster/consistency").await.json();
    assert_eq!(answer["consistent"], false);
    let doctor = world.get("/api/v1/cluster/doctor").await.json();
    let findings = doctor["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|f| f["code"] == "table_differs")
        .unwrap();
    assert_eq!(
        (&doctor["healthy"], &found["severity"]),
        (&json!(false), &json!("critical"))
    );
    assert_eq!(
        found["evidence"]["hashes"][1],
        json!({"node_id": 2, "hash": "0000000000000002"})
    );
}

#[tokio::test]
async fn a_node_without_a_hash_is_named_and_nothing_is_called_consistent() {
    let world = world([Some(1), None], silent_peer().await).await;
    let begun = Instant::now();
    let answer = world.get("/api/v1/cluster/consistency").await.json();
    assert_eq!(answer["consistent"], false);
    assert_eq!(answer["nodes"][0]["hash"], "0000000000000001");
    assert_eq!(
        answer["nodes"][1],
        json!({"node_id": 2, "error": "no hash"})
    );
    assert_eq!(answer["nodes"][2]["node_id"], 3);
    assert!(answer["nodes"][2]["error"].is_string());
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "each question has its deadline"
    );
}

#[tokio::test]
async fn without_a_leader_tables_cannot_be_compared_and_the_doctor_still_answers() {
    let setup = Setup {
        view: Arc::new(View {
            no_leader: true,
            ..View::default()
        }),
        local: node(1, Some(1)),
        ..Setup::default()
    };
    let world = setup.start().await;
    let refused = world.get("/api/v1/cluster/consistency").await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "no_leader")
    );
    let doctor = world.get("/api/v1/cluster/doctor").await.json();
    let codes: Vec<_> = doctor["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["code"].clone())
        .collect();
    assert!(codes.contains(&json!("table_not_compared")), "{codes:?}");
}

#[tokio::test]
async fn the_doctor_names_a_node_that_does_not_answer_first() {
    let world = world([Some(1), Some(1)], dead_peer().await).await;
    let answer = world.get("/api/v1/cluster/doctor").await;
    assert_eq!(answer.header("x-unreachable-nodes"), Some("3"));
    let doctor = answer.json();
    let findings = doctor["findings"].as_array().unwrap();
    assert_eq!(
        (&doctor["healthy"], &doctor["critical"]),
        (&json!(false), &json!(2))
    );
    assert_eq!(findings[0]["code"], "no_spare_node");
    assert_eq!(
        (&findings[1]["code"], &findings[1]["node_id"]),
        (&json!("node_unreachable"), &json!(3))
    );
    for finding in findings {
        assert!(finding["evidence"].is_object() && !finding["fix"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_clock_that_differs_is_found() {
    let standing = TestNode {
        inspection: inspection(1),
        table_hash: Some(1),
        ..Default::default()
    };
    let setup = Setup {
        local: Arc::new(standing),
        ..Setup::default()
    };
    // It stands still in 2022.
    let doctor = setup
        .start()
        .await
        .get("/api/v1/cluster/doctor")
        .await
        .json();
    let findings = doctor["findings"].as_array().unwrap();
    let skew = findings.iter().find(|f| f["code"] == "clock_skew").unwrap();
    assert!(skew["evidence"]["offset_ms"].as_i64().unwrap() < -60_000);
}
