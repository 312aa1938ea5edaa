//! Every endpoint, asked on every node, about things on another one.

use raftmq_cluster_tests::{Client, Cluster, Filter, SOON, Setup, eventually};
use serde_json::{Value, json};

struct Peopled {
    cluster: Cluster,
    clients: Vec<Client>,
}

/// On each node a client with a subscription of its own and one that all share.
async fn peopled() -> Peopled {
    let cluster = Cluster::start(3).await;
    let mut clients = Vec::new();
    for id in cluster.ids() {
        let client = cluster
            .connect(id, &format!("client-{id}"))
            .username("somebody")
            .open()
            .await;
        let filters = [
            Filter::new(&format!("own/{id}/#"), 2),
            Filter::new("all/+", 1),
        ];
        assert_eq!(client.subscribe(&filters).await, Ok(vec![2, 1]));
        clients.push(client);
    }
    Peopled { cluster, clients }
}

fn node_ids(rows: &Value) -> Vec<u64> {
    let rows = rows
        .as_array()
        .unwrap_or_else(|| panic!("an array: {rows}"));
    rows.iter()
        .map(|row| row["node_id"].as_u64().unwrap_or_else(|| panic!("{row}")))
        .collect()
}

fn has_fields(row: &Value, fields: &[&str]) {
    for field in fields {
        assert!(row.get(field).is_some(), "no {field} in {row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_and_nodes_are_told_by_every_node() {
    let Peopled {
        cluster,
        clients: _clients,
    } = peopled().await;
    for asked in cluster.ids() {
        let http = cluster.node(asked).http();
        let brokers = http.json("/api/v1/brokers").await;
        assert_eq!(node_ids(&brokers), [1, 2, 3]);
        let nodes = http.json("/api/v1/nodes").await;
        assert_eq!(node_ids(&nodes), [1, 2, 3]);
        for id in cluster.ids() {
            let broker = http.json(&format!("/api/v1/brokers/{id}")).await;
            has_fields(
                &broker,
                &["datetime", "node_name", "sysdescr", "uptime", "version"],
            );
            assert_eq!(
                (&broker["node_id"], &broker["node_status"]),
                (&json!(id), &json!("Running"))
            );
            assert_eq!(broker["running"], true);
            let node = http.json(&format!("/api/v1/nodes/{id}")).await;
            has_fields(&node, &NODE_FIELDS);
            assert_eq!(
                (&node["node_id"], &node["connections"]),
                (&json!(id), &json!(1)),
                "{node}"
            );
            assert!(node["memory_total"].as_u64().unwrap() > node["memory_used"].as_u64().unwrap());
        }
    }
}

const NODE_FIELDS: [&str; 15] = [
    "boottime",
    "connections",
    "disk_free",
    "disk_total",
    "load1",
    "load5",
    "load15",
    "memory_free",
    "memory_total",
    "memory_used",
    "node_name",
    "node_status",
    "running",
    "uptime",
    "version",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_are_told_by_every_node() {
    let Peopled {
        cluster,
        clients: _clients,
    } = peopled().await;
    let expected = [
        ("all/+", 1),
        ("all/+", 2),
        ("all/+", 3),
        ("own/1/#", 1),
        ("own/2/#", 2),
        ("own/3/#", 3),
    ];
    cluster.routes_become(&cluster.ids(), &expected, SOON).await;
    for asked in cluster.ids() {
        let http = cluster.node(asked).http();
        let answer = http.get("/api/v1/routes").await;
        assert!(answer.header("x-applied-index").is_some(), "{answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json; charset=utf-8")
        );
        let limited = http.json("/api/v1/routes?_limit=2").await;
        assert_eq!(limited.as_array().map(Vec::len), Some(2), "{limited}");
        let of_topic = http.json("/api/v1/routes/own%2f2%2fdeep%2fdown").await;
        assert_eq!(of_topic, json!([{"topic": "own/2/#", "node_id": 2}]));
        assert_eq!(
            http.json("/api/v1/routes/all%2Fx")
                .await
                .as_array()
                .map(Vec::len),
            Some(3)
        );
        assert_eq!(http.json("/api/v1/routes/nobody").await, json!([]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_follow_unsubscribe_and_disconnect() {
    let Peopled {
        cluster,
        mut clients,
    } = peopled().await;
    clients[0].unsubscribe("own/1/#").await.unwrap();
    clients.pop().expect("the third").disconnect().await;
    let expected = [("all/+", 1), ("all/+", 2), ("own/2/#", 2)];
    cluster.routes_become(&cluster.ids(), &expected, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_are_told_and_filtered_by_every_node() {
    let Peopled {
        cluster,
        clients: _clients,
    } = peopled().await;
    let cases = [
        ("", 6),
        ("?clientid=client-2", 2),
        ("?topic=all%2F%2B", 3),
        ("?qos=2", 3),
        ("?qos=0", 0),
        ("?_match_topic=own%2F3%2Fx", 1),
        ("?_match_topic=all%2Fx", 3),
        ("?share=nobody", 0),
        ("?clientid=client-1&qos=1", 1),
        ("?_limit=4", 4),
        ("?clientid=unknown", 0),
    ];
    for asked in cluster.ids() {
        let http = cluster.node(asked).http();
        for (query, count) in cases {
            let rows = http.json(&format!("/api/v1/subscriptions{query}")).await;
            assert_eq!(
                rows.as_array().map(Vec::len),
                Some(count),
                "node {asked} {query}: {rows}"
            );
        }
        for id in cluster.ids() {
            let rows = http
                .json(&format!("/api/v1/subscriptions/client-{id}"))
                .await;
            assert_eq!(rows.as_array().map(Vec::len), Some(2), "{rows}");
            for row in rows.as_array().expect("checked") {
                has_fields(row, &["client_addr", "topic", "qos", "opts"]);
                assert_eq!(
                    (&row["node_id"], &row["clientid"]),
                    (&json!(id), &json!(format!("client-{id}")))
                );
                assert_eq!(row["opts"]["qos"], row["qos"]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_are_told_by_every_node_and_summed() {
    let Peopled {
        cluster,
        clients: _clients,
    } = peopled().await;
    for asked in cluster.ids() {
        let http = cluster.node(asked).http();
        eventually("stats", SOON, async || {
            let sum = http.try_json("/api/v1/stats/sum").await?;
            let stats = &sum["stats"];
            let told = [
                "connections",
                "sessions",
                "subscriptions",
                "routes",
                "topics",
            ]
            .map(|name| stats[format!("{name}.count")].as_u64());
            let expected = [3, 3, 6, 6, 4].map(Some);
            if told == expected {
                Ok(())
            } else {
                Err(format!("{told:?} of {sum}"))
            }
        })
        .await;
        let all = http.json("/api/v1/stats").await;
        assert_eq!(all.as_array().map(Vec::len), Some(3));
        for id in cluster.ids() {
            let one = http.json(&format!("/api/v1/stats/{id}")).await;
            assert_eq!(
                (&one["node"]["id"], &one["node"]["status"]),
                (&json!(id), &json!("Running"))
            );
            assert_eq!(one["stats"]["connections.count"], 1, "{one}");
            has_fields(&one["stats"], &STATS);
        }
    }
}

const STATS: [&str; 10] = [
    "connections.max",
    "sessions.max",
    "retained.count",
    "retaineds.count",
    "subscriptions_shared.count",
    "message_queues.count",
    "out_inflights.count",
    "in_inflights.max",
    "forwards.count",
    "handshakings_rate.count",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_told_by_every_node_and_summed() {
    let Peopled {
        cluster,
        mut clients,
    } = peopled().await;
    clients[0].publish("all/x", 1, "x").await.unwrap();
    for client in &mut clients {
        client.next_message(SOON).await;
    }
    for asked in cluster.ids() {
        let http = cluster.node(asked).http();
        eventually("metrics", SOON, async || {
            let sum = http.try_json("/api/v1/metrics/sum").await?;
            let names = [
                "client.connected",
                "messages.publish",
                "messages.delivered",
                "session.subscribed",
            ];
            let told = names.map(|name| sum[name].as_u64());
            if told == [3, 1, 3, 6].map(Some) {
                Ok(())
            } else {
                Err(format!("{told:?} of {sum}"))
            }
        })
        .await;
        let one = http.json("/api/v1/metrics/1").await;
        assert_eq!(
            (&one["node"]["id"], &one["metrics"]["messages.publish"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(
            http.json("/api/v1/metrics").await.as_array().map(Vec::len),
            Some(3)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_answer_is_told_never_left_out() {
    let mut cluster = Setup::nodes(3)
        .set("RAFTMQ_HTTP_PEER_TIMEOUT", "500ms")
        .start()
        .await;
    cluster.node_mut(3).kill9();
    for asked in [1, 2] {
        let http = cluster.node(asked).http();
        for path in ["brokers", "nodes"] {
            let rows = http.json(&format!("/api/v1/{path}")).await;
            let row = rows
                .as_array()
                .expect("rows")
                .iter()
                .find(|row| row["node_id"] == 3);
            assert!(
                row.is_some_and(|row| row["error"].is_string()),
                "{path}: {rows}"
            );
        }
        for path in ["stats", "metrics"] {
            let rows = http.json(&format!("/api/v1/{path}")).await;
            let row = rows
                .as_array()
                .expect("rows")
                .iter()
                .find(|row| row["node"]["id"] == 3);
            assert!(
                row.is_some_and(|row| row["error"].is_string()),
                "{path}: {rows}"
            );
        }
        for path in ["metrics/sum", "stats/sum", "clients"] {
            let answer = http.get(&format!("/api/v1/{path}")).await;
            assert_eq!(
                answer.header("x-unreachable-nodes"),
                Some("3"),
                "{path}: {answer:?}"
            );
        }
        for path in ["brokers/3", "nodes/3", "stats/3", "metrics/3"] {
            assert_eq!(
                http.get(&format!("/api/v1/{path}")).await.status,
                503,
                "{path}"
            );
        }
    }
}
