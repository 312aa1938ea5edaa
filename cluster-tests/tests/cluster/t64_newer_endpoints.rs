//! The endpoints of the dashboard: health, features, offline sessions, retained messages, the past, and
//! Prometheus, each asked on every node about the others, and with one node killed.

use raftmq_cluster_tests::{Answer, Cluster, SOON, eventually};
use serde_json::{Value, json};

/// Asks until the answer is as expected.
async fn becomes(cluster: &Cluster, asked: u64, path: &str, holds: impl Fn(&Value) -> bool) {
    eventually(&format!("node {asked}: {path}"), SOON, async || {
        let told = cluster.node(asked).http().try_json(path).await?;
        holds(&told)
            .then_some(())
            .ok_or_else(|| told.to_string().chars().take(2_000).collect())
    })
    .await;
}

fn is_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.json()["code"], code);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_tells_the_health_of_all_and_a_killed_node_is_named() {
    let mut cluster = Cluster::start(3).await;
    for asked in cluster.ids() {
        becomes(&cluster, asked, "/api/v1/health/check", |health| {
            let rows = health["nodes"].as_array().unwrap();
            let leader = &rows[0]["leader_id"];
            let healthy = |row: &Value| {
                row["running"] == true && leader.is_u64() && row["leader_id"] == *leader
            };
            health["running"] == true && rows.len() == 3 && rows.iter().all(healthy)
        })
        .await;
    }
    cluster.node_mut(3).kill9();
    for asked in [1, 2] {
        becomes(&cluster, asked, "/api/v1/health/check", |health| {
            let dead = &health["nodes"][2];
            health["running"] == true
                && dead["node_id"] == 3
                && dead["running"] == false
                && dead["descr"].is_string()
        })
        .await;
        let one = cluster
            .node(asked)
            .http()
            .json("/api/v1/health/check/3")
            .await;
        assert_eq!(one["running"], false, "{one}");
    }
    cluster.node_mut(2).kill9();
    becomes(&cluster, 1, "/api/v1/health/check", |health| {
        health["running"] == false && health["descr"].is_string()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_tells_the_features_of_all_and_where_they_differ() {
    let mut cluster = Cluster::start(3).await;
    let features = cluster.node(1).http().json("/api/v1/features").await;
    assert_eq!(
        (&features["consistent"], &features["node_count"]),
        (&json!(true), &json!(3))
    );
    let offered = json!({
        "retain": true, "message_storage": false, "session_storage": true,
        "delayed": true, "shared_subscription": true, "auto_subscription": false,
    });
    for row in features["nodes"].as_array().unwrap() {
        assert_eq!(row["features"], offered, "{row}");
    }
    cluster.node_mut(2).kill9();
    let told = cluster.node(1).http().json("/api/v1/features").await;
    assert!(told["nodes"][1]["error"].is_string(), "{told}");
    cluster
        .node_mut(2)
        .set("RAFTMQ_MQTT_RETAIN_AVAILABLE", "false");
    cluster.node_mut(2).start();
    cluster.all_ready().await;
    for asked in cluster.ids() {
        becomes(&cluster, asked, "/api/v1/features", |features| {
            features["consistent"] == false && features["conflicts"] == json!(["retain"])
        })
        .await;
        let one = cluster.node(asked).http().json("/api/v1/features/2").await;
        assert_eq!(one["nodes"][0]["features"]["retain"], false);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offline_sessions_of_all_nodes_are_ended_from_any_node_also_those_of_a_killed_one() {
    let mut cluster = Cluster::start(3).await;
    let mut leaving = Vec::new();
    for node in cluster.ids() {
        let id = format!("offline-{node}");
        let client = cluster.connect(node, &id).persistent().open().await;
        client.subscribed(&format!("offline/{node}"), 1).await;
        leaving.push(client);
    }
    let online = cluster.connect(2, "online").persistent().open().await;
    online.subscribed("online", 1).await;
    drop(leaving);
    let path = "/api/v1/clients/offlines";
    for asked in cluster.ids() {
        becomes(&cluster, asked, path, |rows| {
            let ids: Vec<_> = rows
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r["clientid"].clone())
                .collect();
            ids == ["offline-1", "offline-2", "offline-3"]
        })
        .await;
    }
    cluster.node_mut(3).kill9();
    // The others have given node 3 up when its route is gone.
    let left = [("offline/1", 1), ("offline/2", 2), ("online", 2)];
    cluster.routes_become(&[1, 2], &left, SOON).await;
    let ended = cluster.node(1).http().delete(path).await;
    let ended = ended.json();
    assert_eq!(ended, json!({"count": 3, "has_more": false}));
    for asked in [1, 2] {
        becomes(&cluster, asked, path, |rows| rows == &json!([])).await;
        becomes(&cluster, asked, "/api/v1/clients/online/online", |online| {
            online == &json!(true)
        })
        .await;
    }
    cluster.routes_become(&[1, 2], &[("online", 2)], SOON).await;
}

/// The topics of `/retains` with this query.
fn topics(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["topic"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retained_messages_are_listed_and_deleted_on_every_node() {
    let mut cluster = Cluster::start(3).await;
    for node in cluster.ids() {
        let publisher = cluster
            .connect(node, &format!("publisher-{node}"))
            .open()
            .await;
        let topic = format!("kept/{node}");
        publisher
            .publish_retained(&topic, 1, "value")
            .await
            .unwrap();
    }
    for asked in cluster.ids() {
        becomes(
            &cluster,
            asked,
            "/api/v1/retains?topic_filter=kept/%23",
            |page| topics(page) == ["kept/1", "kept/2", "kept/3"] && page["has_more"] == false,
        )
        .await;
        let http = cluster.node(asked).http();
        let page = http.json("/api/v1/retains?limit=1&offset=1").await;
        assert_eq!(
            (topics(&page), &page["has_more"]),
            (vec!["kept/2"], &json!(true))
        );
        let item = &page["items"][0];
        assert_eq!(item["publish"]["payload"], "dmFsdWU=");
        assert_eq!(item["client_id"], "publisher-2");
    }
    cluster.node_mut(3).kill9();
    let deleted = eventually("a message is deleted", SOON, async || {
        let answer = cluster
            .node(1)
            .http()
            .delete("/api/v1/retains?topic=kept/3")
            .await;
        if answer.status == 503 {
            return Err(answer.body);
        }
        Ok(answer)
    })
    .await;
    // A deletion whose answer was lost has still happened.
    assert!(matches!(deleted.status, 200 | 404), "{deleted:?}");
    for asked in [1, 2] {
        becomes(&cluster, asked, "/api/v1/retains", |page| {
            topics(page) == ["kept/1", "kept/2"]
        })
        .await;
        let again = cluster
            .node(asked)
            .http()
            .delete("/api/v1/retains?topic=kept/3")
            .await;
        is_error(&again, 404, "unknown_topic");
    }
    cluster.node_mut(3).start();
    cluster.all_ready().await;
    becomes(&cluster, 3, "/api/v1/retains", |page| {
        topics(page) == ["kept/1", "kept/2"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_tells_the_past_of_all_and_a_killed_node_is_named() {
    let mut cluster = Cluster::start(3).await;
    for asked in cluster.ids() {
        for resource in ["stats", "metrics"] {
            becomes(
                &cluster,
                asked,
                &format!("/api/v1/{resource}/history"),
                |history| {
                    (1..=3).all(|id| {
                        let told = &history["nodes"][id.to_string()];
                        told["count"].as_u64() >= Some(1) && told["data"][0]["ts"].is_u64()
                    })
                },
            )
            .await;
        }
        let one = cluster
            .node(asked)
            .http()
            .json("/api/v1/stats/history/2?minutes=1")
            .await;
        assert!(one["data"][0]["sessions.count"].is_u64(), "{one}");
    }
    cluster.node_mut(3).kill9();
    let http = cluster.node(1).http();
    let history = http.json("/api/v1/metrics/history").await;
    assert!(history["nodes"]["3"]["error"].is_string(), "{history}");
    let sum = http.get("/api/v1/metrics/history/sum").await;
    assert_eq!(sum.header("x-unreachable-nodes"), Some("3"));
    assert_eq!(sum.json()["node_count"], 2);
    is_error(
        &http.get("/api/v1/stats/history/3").await,
        503,
        "node_unreachable",
    );
}

/// The value of a series, written as Prometheus' text does.
fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    rest?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_gets_the_metrics_of_all_nodes_from_each_and_sees_which_is_down() {
    let mut cluster = Cluster::start(3).await;
    let publisher = cluster.connect(2, "publisher").open().await;
    publisher.publish("nobody/listens", 1, "x").await.unwrap();
    for asked in cluster.ids() {
        let answer = cluster
            .node(asked)
            .http()
            .get("/api/v1/metrics/prometheus")
            .await;
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        let told = |series: &str| value(&answer.body, series);
        for id in 1..=3 {
            assert_eq!(told(&format!("raftmq_up{{node=\"{id}\"}}")), Some(1.0));
            assert_eq!(told(&format!("raftmq_ready{{node=\"{id}\"}}")), Some(1.0));
            for name in [
                "raftmq_applied_index",
                "raftmq_process_resident_memory_bytes",
                "raftmq_sockets_limit",
                "raftmq_disk_bytes",
            ] {
                let above_zero = told(&format!("{name}{{node=\"{id}\"}}")) > Some(0.0);
                assert!(above_zero, "{name} of {id}: {}", answer.body);
            }
        }
        assert_eq!(
            told("raftmq_link_queue_bytes{node=\"1\",peer=\"2\"}"),
            Some(0.0)
        );
        let published = "raftmq_messages_publish_total{node=\"2\",origin=\"custom\"}";
        assert_eq!(told(published), Some(1.0));
        assert_eq!(told("raftmq_connections{node=\"2\"}"), Some(1.0));
        let other = cluster
            .node(asked)
            .http()
            .get("/api/v1/metrics/prometheus/2")
            .await;
        assert_eq!(value(&other.body, published), Some(1.0));
        assert_eq!(value(&other.body, "raftmq_up{node=\"1\"}"), None);
    }
    cluster.node_mut(3).kill9();
    let http = cluster.node(1).http();
    let answer = http.get("/api/v1/metrics/prometheus").await;
    assert_eq!(value(&answer.body, "raftmq_up{node=\"3\"}"), Some(0.0));
    assert_eq!(value(&answer.body, "raftmq_up{node=\"2\"}"), Some(1.0));
    let sum = http.get("/api/v1/metrics/prometheus/sum").await;
    assert_eq!(value(&sum.body, "raftmq_nodes"), Some(3.0));
    assert_eq!(value(&sum.body, "raftmq_nodes_up"), Some(2.0));
    is_error(
        &http.get("/api/v1/metrics/prometheus/3").await,
        503,
        "node_unreachable",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_names_are_404_and_wrong_questions_400_on_every_node() {
    let cluster = Cluster::start(3).await;
    for asked in cluster.ids() {
        let http = cluster.node(asked).http();
        for path in [
            "health/check",
            "features",
            "stats/history",
            "metrics/history",
            "metrics/prometheus",
        ] {
            is_error(
                &http.get(&format!("/api/v1/{path}/9")).await,
                404,
                "unknown_node",
            );
            is_error(
                &http.get(&format!("/api/v1/{path}/x")).await,
                400,
                "invalid_node",
            );
        }
        for path in [
            "retains?topic_filter=a%23",
            "retains?limit=-1",
            "retains?offset=x",
            "stats/history?minutes=x",
            "metrics/history/sum?merge_window=-1",
            "clients/offlines?_limit=x",
        ] {
            assert_eq!(
                http.get(&format!("/api/v1/{path}")).await.status,
                400,
                "{path}"
            );
        }
        is_error(
            &http.delete("/api/v1/retains?topic=never").await,
            404,
            "unknown_topic",
        );
        is_error(
            &http.delete("/api/v1/retains?topic=a/%2B").await,
            400,
            "invalid_topic",
        );
        is_error(&http.delete("/api/v1/retains").await, 400, "missing_topic");
        let wrong = http.delete("/api/v1/clients/offlines?proto_ver=x").await;
        assert_eq!(wrong.status, 400);
    }
}
