//! The shape of each answer of a single node, to the last field.

use std::sync::Arc;

use raftmq_api::Phase;
use raftmq_api::counters::{Metric, Stat};
use serde_json::json;

use crate::world::{CONNECTED_AT_MS, Setup, TestNode, row, session};

/// Local time as the API writes it.
fn local(ms: u64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms as i64).unwrap();
    time.to_zoned(jiff::tz::TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

#[tokio::test]
async fn brokers_show_the_software_of_each_node() {
    let world = Setup::default().start().await;
    let expected = json!({
        "datetime": local(CONNECTED_AT_MS), "node_id": 1, "node_name": "1@n1:7000",
        "node_status": "Running", "running": true, "sysdescr": "RaftMQ Broker",
        "uptime": "5 days 23 hours, 16 minutes, 3 seconds", "version": "raftmq/0.1.0",
    });
    assert_eq!(world.get("/api/v1/brokers/1").await.json(), expected);
    assert_eq!(world.get("/api/v1/brokers").await.json(), json!([expected]));
}

#[tokio::test]
async fn nodes_show_the_machine_of_each_node() {
    let world = Setup::default().start().await;
    let expected = json!({
        "boottime": local(CONNECTED_AT_MS), "connections": 0, "disk_free": 8000,
        "disk_total": 9000, "draining": false, "load1": 0.25, "load15": 0.75, "load5": 0.5,
        "memory_free": 300,
        "memory_total": 1000, "memory_used": 700, "node_id": 1, "node_name": "1@n1:7000",
        "node_status": "Running", "running": true,
        "uptime": "0 days 0 hours, 1 minutes, 1 seconds", "version": "raftmq/0.1.0",
    });
    assert_eq!(world.get("/api/v1/nodes/1").await.json(), expected);
    assert_eq!(world.get("/api/v1/nodes").await.json(), json!([expected]));
}

#[tokio::test]
async fn a_connected_client_has_the_fields_of_both_generations() {
    let mut client = row(1, "example1");
    client.will = Some(raftmq_api::node::WillRow {
        topic: "/test/lwt".into(),
        message: "test /test/lwt ...".into(),
        qos: 1,
        retain: false,
    });
    let setup = Setup {
        local: Arc::new(TestNode::with_rows(vec![client.clone()])),
        ..Setup::default()
    };
    setup
        .view
        .sessions
        .lock()
        .unwrap()
        .insert("example1".into(), session(client));
    let world = setup.start().await;
    let expected = json!({
        "clean_start": true, "clientid": "example1", "connected": true,
        "connected_at": local(CONNECTED_AT_MS), "created_at": local(CONNECTED_AT_MS),
        "disconnected_at": "", "disconnected_reason": "", "expiry_interval": 7200,
        "extra_attrs": 0, "inflight": 0, "ip_address": "10.0.0.9", "keepalive": 60,
        "last_will": {"message": "dGVzdCAvdGVzdC9sd3QgLi4u", "qos": 1, "retain": false, "topic": "/test/lwt"},
        "listener": "mqtt",
        "max_inflight": 16, "max_mqueue": 1000, "max_subscriptions": 0, "mqueue_len": 0,
        "node_id": 1, "port": 10839, "proto_ver": 4, "session_present": false,
        "subscriptions_cnt": 0, "superuser": false, "username": "undefined",
    });
    assert_eq!(world.get("/api/v1/clients/example1").await.json(), expected);
    assert_eq!(world.get("/api/v1/clients").await.json(), json!([expected]));
}

#[tokio::test]
async fn an_offline_client_says_since_when_and_why() {
    let mut client = row(1, "away");
    client.connected = false;
    client.username = "u".into();
    client.disconnected_at_ms = CONNECTED_AT_MS + 1000;
    client.disconnected_reason = "keep alive timeout".into();
    let setup = Setup {
        local: Arc::new(TestNode::with_rows(vec![client.clone()])),
        ..Setup::default()
    };
    setup
        .view
        .sessions
        .lock()
        .unwrap()
        .insert("away".into(), session(client));
    let json = setup.start().await.get("/api/v1/clients/away").await.json();
    assert_eq!(json["disconnected_at"], local(CONNECTED_AT_MS + 1000));
    assert_eq!(json["disconnected_reason"], "keep alive timeout");
    assert_eq!(
        (json["connected"].clone(), json["username"].clone()),
        (false.into(), "u".into())
    );
    assert_eq!(json["last_will"], json!(null));
}

#[tokio::test]
async fn stats_have_every_key_and_the_node_in_both_generations() {
    let world = Setup::default().start().await;
    let one = world.get("/api/v1/stats/1").await.json();
    assert_eq!(
        one["node"],
        json!({"id": 1, "name": "1@n1:7000", "running": true, "status": "Running"})
    );
    for stat in Stat::ALL {
        for end in ["count", "max"] {
            assert!(
                one["stats"][format!("{}.{end}", stat.name())].is_u64(),
                "{stat:?}"
            );
        }
    }
    assert_eq!(one["stats"]["connections.count"], 2);
    assert_eq!(one["stats"]["retaineds.max"], 1);
    assert_eq!(world.get("/api/v1/stats").await.json(), json!([one]));
    let sum = world.get("/api/v1/stats/sum").await.json();
    let nodes = json!({"1": {"name": "1@n1:7000", "running": true, "status": "Running"}});
    assert_eq!(sum, json!({"nodes": nodes, "stats": one["stats"]}));
}

#[tokio::test]
async fn metrics_have_every_key() {
    let world = Setup::default().start().await;
    let one = world.get("/api/v1/metrics/1").await.json();
    assert_eq!(one["node"], json!({"id": 1, "name": "1@n1:7000"}));
    assert_eq!(one["metrics"].as_object().unwrap().len(), Metric::COUNT);
    assert_eq!(one["metrics"]["messages.publish"], 10);
    assert_eq!(one["metrics"]["session.terminated"], 0);
    assert_eq!(world.get("/api/v1/metrics").await.json(), json!([one]));
    assert_eq!(
        world.get("/api/v1/metrics/sum").await.json(),
        one["metrics"]
    );
}

#[tokio::test]
async fn every_listed_endpoint_is_served() {
    let world = Setup::default().start().await;
    let list = world.get("/api/v1").await.json();
    let list = list.as_array().unwrap();
    let paths: std::collections::BTreeSet<_> = list
        .iter()
        .map(|endpoint| format!("{} {}", endpoint["method"], endpoint["path"]))
        .collect();
    assert_eq!(paths.len(), list.len(), "none is listed twice");
    for endpoint in list {
        let path = endpoint["path"].as_str().unwrap();
        let path = path
            .replace("{node}", "1")
            .replace("{clientid}", "nobody")
            .replace("{plugin}", "nothing")
            .replace("{topic}", "t")
            // Refused, because a good answer has no end.
            .replace("/tail", "/tail?event=none");
        let method = endpoint["method"].as_str().unwrap().parse().unwrap();
        let url = format!("{}/api/v1{path}", world.base);
        let reply = world.send(world.http.request(method, url)).await;
        assert_ne!(reply.status, 405, "{endpoint}");
        assert!(
            reply.status != 404
                || reply.code().starts_with("unknown_") && reply.code() != "unknown_path",
            "{endpoint}"
        );
        for field in ["name", "descr"] {
            assert!(!endpoint[field].as_str().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn readiness_follows_the_life_of_the_process() {
    let world = Setup::default().start().await;
    assert_eq!(world.get("/ready").await.text(), "ok");
    for phase in [Phase::Starting, Phase::Draining] {
        world.phase.send(phase).unwrap();
        let reply = world.get("/ready").await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (503, "not_ready"),
            "{phase:?}"
        );
        assert_eq!(world.get("/live").await.text(), "ok");
    }
}
