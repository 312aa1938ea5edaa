//! `/metrics/prometheus`, read by a strict reader; and that the files in `deploy/` use only names that
//! are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use raftmq_api::counters::{Metric, Stat};
use raftmq_api::node::{LinkVitals, VitalsReply};

use crate::exposition::{Family, parse};
use crate::world::{Reply, Setup, TestNode, World, dead_peer, serve_peer};

fn node(id: u64) -> Arc<TestNode> {
    let mut node = TestNode::with_rows(Vec::new());
    node.metrics[Metric::MessagesPublishCustom] = 10 * id;
    node.vitals = VitalsReply {
        leader_id: Some(1),
        applied_index: 40 + id,
        uptime_seconds: 61,
        sockets_max: 100,
        links: vec![LinkVitals {
            peer_id: 3 - id,
            held_bytes: 7,
            window_bytes: 8 << 20,
        }],
        ..Default::default()
    };
    Arc::new(node)
}

/// This node, a peer, and one that does not answer.
async fn world() -> World {
    let setup = Setup {
        local: node(1),
        peers: vec![(2, serve_peer(2, node(2)).await), (3, dead_peer().await)],
        ..Setup::default()
    };
    setup.start().await
}

fn read(reply: &Reply) -> BTreeMap<String, Family> {
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    parse(&reply.body).unwrap()
}

fn value(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels = labels.iter().map(|(l, v)| (l.to_string(), v.to_string()));
    families[name]
        .samples
        .get(&labels.collect::<Vec<_>>())
        .copied()
}

#[tokio::test]
async fn every_node_is_told_and_one_that_does_not_answer_is_down() {
    let reply = world().await.get("/api/v1/metrics/prometheus").await;
    assert_eq!(reply.header("x-unreachable-nodes"), Some("3"));
    let families = read(&reply);
    for (id, up) in [("1", 1.0), ("2", 1.0), ("3", 0.0)] {
        assert_eq!(value(&families, "raftmq_up", &[("node", id)]), Some(up));
    }
    for (name, values) in [
        ("raftmq_ready", [1.0, 1.0]),
        ("raftmq_is_leader", [1.0, 0.0]),
        ("raftmq_has_leader", [1.0, 1.0]),
        ("raftmq_applied_index", [41.0, 42.0]),
        ("raftmq_connections", [2.0, 2.0]),
        ("raftmq_disk_free_bytes", [8_000.0, 8_000.0]),
        ("raftmq_machine_load1", [0.25, 0.25]),
    ] {
        assert_eq!(
            value(&families, name, &[("node", "1")]),
            Some(values[0]),
            "{name}"
        );
        assert_eq!(
            value(&families, name, &[("node", "2")]),
            Some(values[1]),
            "{name}"
        );
        assert_eq!(value(&families, name, &[("node", "3")]), None, "{name}");
    }
    let labels = [("node", "2"), ("peer", "1")];
    assert_eq!(
        value(&families, "raftmq_link_queue_bytes", &labels),
        Some(7.0)
    );
    let labels = [("node", "2"), ("origin", "custom")];
    assert_eq!(
        value(&families, "raftmq_messages_publish_total", &labels),
        Some(20.0)
    );
}

#[tokio::test]
async fn all_gauges_and_counters_are_there_with_labels_of_closed_sets() {
    let families = read(&world().await.get("/api/v1/metrics/prometheus/1").await);
    for stat in Stat::ALL {
        assert_eq!(families[&format!("raftmq_{}", stat.name())].kind, "gauge");
    }
    let counters = families.values().filter(|family| family.kind == "counter");
    let counters: usize = counters.map(|family| family.samples.len()).sum();
    assert_eq!(
        counters,
        Metric::COUNT - 4,
        "all but the sums over the origins"
    );
    let labels = families.values().flat_map(|family| family.samples.keys());
    let labels: BTreeSet<_> = labels.flatten().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, BTreeSet::from(["node", "origin", "peer"]));
}

#[tokio::test]
async fn one_node_is_told_alone_also_when_it_is_another_one() {
    let world = world().await;
    let families = read(&world.get("/api/v1/metrics/prometheus/2").await);
    assert_eq!(families["raftmq_up"].samples.len(), 1);
    assert_eq!(value(&families, "raftmq_up", &[("node", "2")]), Some(1.0));
    for (id, status, code) in [
        ("3", 503, "node_unreachable"),
        ("9", 404, "unknown_node"),
        ("x", 400, "invalid_node"),
    ] {
        let reply = world.get(&format!("/api/v1/metrics/prometheus/{id}")).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
    }
}

#[tokio::test]
async fn the_sum_has_no_node_and_counts_what_all_hold_once() {
    let reply = world().await.get("/api/v1/metrics/prometheus/sum").await;
    assert_eq!(reply.header("x-unreachable-nodes"), Some("3"));
    let families = read(&reply);
    for (name, expected) in [
        ("raftmq_nodes", 3.0),
        ("raftmq_nodes_up", 2.0),
        ("raftmq_nodes_ready", 2.0),
        ("raftmq_connections", 4.0),
        ("raftmq_routes", 7.0),
    ] {
        assert_eq!(value(&families, name, &[]), Some(expected), "{name}");
    }
    let labels = [("origin", "custom")];
    assert_eq!(
        value(&families, "raftmq_messages_publish_total", &labels),
        Some(30.0)
    );
}

/// The words of a text that begin as our names do.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("raftmq_")).collect()
}

#[tokio::test]
async fn the_files_for_prometheus_and_grafana_use_only_names_that_are_there() {
    let families = read(&world().await.get("/api/v1/metrics/prometheus").await);
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    for file in [
        "prometheus.yml",
        "alerts.yml",
        "alerts_test.yml",
        "grafana-dashboard.json",
    ] {
        let text = std::fs::read_to_string(deploy.join(file)).unwrap();
        for name in names(&text) {
            assert!(families.contains_key(name), "{file}: {name}");
        }
    }
    for file in ["alerts.yml", "grafana-dashboard.json"] {
        let text = std::fs::read_to_string(deploy.join(file)).unwrap();
        assert!(names(&text).len() > 5, "{file} uses our names");
    }
}

#[test]
fn the_dashboard_is_json_whose_panels_do_not_overlap() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let text = std::fs::read_to_string(deploy.join("grafana-dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{}", panel["title"]);
            }
        }
        let targets = panel["targets"].as_array().unwrap();
        assert!(targets.iter().all(|target| target["expr"].is_string()));
    }
}

/// What follows a word in the lines that begin with it.
fn values<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    let lines = text.lines().map(|line| line.trim_start_matches([' ', '-']));
    let values = lines.filter_map(|line| line.strip_prefix(word));
    values.map(str::trim).collect()
}

/// `promtool test rules` runs the tests (scripts/test); here it is made sure that there is one for each.
#[test]
fn every_alert_has_a_test_in_which_it_fires() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let read = |file: &str| std::fs::read_to_string(deploy.join(file)).unwrap();
    let (alerts, tests) = (read("alerts.yml"), read("alerts_test.yml"));
    let fires = |name: &&str| {
        let cases = tests.split("alertname: ").skip(1);
        let mut cases = cases.filter(|case| case.lines().next() == Some(*name));
        cases.any(|case| case.contains("exp_labels"))
    };
    let names = values(&alerts, "alert:");
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        assert!(fires(&name), "{name}");
    }
}
