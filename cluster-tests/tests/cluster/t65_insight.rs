//! The cluster as its operator sees it: overview, comparison of tables, and the doctor, from every node,
//! while it is busy, and with nodes that are dead, stopped, or configured otherwise.

use raftmq_cluster_tests::{Client, Cluster, SOON, START, Setup, eventually};
use serde_json::{Value, json};

/// How long a node waits for the others here; a stopped one costs each question so much.
const PEER_TIMEOUT: &str = "1s";

fn rows(answer: &Value) -> &Vec<Value> {
    let rows = answer["nodes"].as_array();
    rows.unwrap_or_else(|| panic!("no nodes: {answer}"))
}

fn row(answer: &Value, id: u64) -> &Value {
    let found = rows(answer).iter().find(|row| row["node_id"] == id);
    found.unwrap_or_else(|| panic!("no node {id}: {answer}"))
}

async fn overview(cluster: &Cluster, asked: u64) -> Value {
    cluster.node(asked).http().json("/api/v1/cluster").await
}

async fn consistency(cluster: &Cluster, asked: u64) -> Result<Value, String> {
    let http = cluster.node(asked).http();
    http.try_json("/api/v1/cluster/consistency").await
}

/// The codes of the findings, with their nodes.
async fn findings(cluster: &Cluster, asked: u64) -> Result<Vec<(String, Option<u64>)>, String> {
    let http = cluster.node(asked).http();
    let answer = http.try_json("/api/v1/cluster/doctor").await?;
    let findings = answer["findings"].as_array().ok_or("no findings")?;
    let pair = |finding: &Value| {
        assert!(finding["evidence"].is_object(), "{finding}");
        assert_ne!(finding["fix"].as_str(), Some(""), "{finding}");
        let code = finding["code"].as_str().unwrap_or_default();
        (code.to_owned(), finding["node_id"].as_u64())
    };
    Ok(findings.iter().map(pair).collect())
}

/// Waits until the doctor at `asked` finds exactly these, whatever it says of the machine's speed.
async fn doctor_finds(cluster: &Cluster, asked: u64, expected: &[(&str, Option<u64>)]) {
    let of_the_machine = ["slow_flush", "flush_stalled", "node_lags", "low_disk"];
    eventually("these findings", START, async || {
        let mut found = findings(cluster, asked).await?;
        found.retain(|(code, _)| !of_the_machine.contains(&code.as_str()));
        let found: Vec<_> = found
            .iter()
            .map(|(code, id)| (code.as_str(), *id))
            .collect();
        if found == expected {
            Ok(())
        } else {
            Err(format!("node {asked}: {found:?}, expected {expected:?}"))
        }
    })
    .await;
}

fn same_hash(answer: &Value, ids: &[u64]) {
    let first = row(answer, ids[0]);
    assert_eq!(first["hash"].as_str().map(str::len), Some(16), "{answer}");
    for &id in ids {
        let row = row(answer, id);
        assert_eq!(row["applied_index"], answer["applied_index"], "{answer}");
        assert_eq!(row["hash"], first["hash"], "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_tells_the_same_cluster_with_its_links() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.roles().await.leader;
    for asked in cluster.ids() {
        let measured = async || {
            let cluster = overview(&cluster, asked).await;
            let links = rows(&cluster)
                .iter()
                .flat_map(|row| row["links"].as_array());
            let mut links = links.flatten();
            match links.all(|link| link["up"] == true && link["round_trip_us"].is_u64()) {
                true => Ok(cluster),
                false => Err(cluster.to_string()),
            }
        };
        let answer = eventually("all links measured", SOON, measured).await;
        assert_eq!(answer["leader_id"], leader, "{answer}");
        for id in cluster.ids() {
            let row = row(&answer, id);
            let role = if id == leader { "leader" } else { "follower" };
            assert_eq!((&row["role"], &row["ready"]), (&json!(role), &json!(true)));
            assert_eq!(row["links"].as_array().map(Vec::len), Some(2), "{row}");
            for field in [
                "applied_index",
                "incarnation",
                "last_contact_ms",
                "lag",
                "term",
            ] {
                assert!(row[field].is_u64(), "{field}: {row}");
            }
            assert!(row["disk"]["total"].as_u64() >= row["disk"]["free"].as_u64());
            assert!(row["disk"]["log"].as_u64() > Some(0), "{row}");
            assert!(row["flush"]["average_us"].as_u64() > Some(0), "{row}");
        }
        doctor_finds(&cluster, asked, &[]).await;
    }
}

/// Subscribes and unsubscribes until it is aborted.
async fn churn(client: Client) {
    for number in 0_u64.. {
        let topic = format!("churn/{}/{}", client.id(), number % 50);
        client.subscribed(&topic, 1).await;
        if number % 3 == 0 {
            let _ = client.unsubscribe(&topic).await;
        }
        let _ = client.publish_retained(&topic, 1, "x").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_all_nodes_answer_one_index_and_equal_hashes() {
    let cluster = Cluster::start(3).await;
    let mut busy = Vec::new();
    for id in cluster.ids() {
        let client = cluster.connect(id, &format!("busy-{id}")).open().await;
        busy.push(tokio::spawn(churn(client)));
    }
    let mut last = 0;
    for round in 0..5 {
        for asked in cluster.ids() {
            let answer = consistency(&cluster, asked).await.unwrap();
            assert_eq!(answer["consistent"], true, "round {round}: {answer}");
            same_hash(&answer, &cluster.ids());
            let index = answer["applied_index"].as_u64().unwrap();
            assert!(index > last, "each comparison is a later one");
            last = index;
        }
    }
    for task in busy {
        assert!(!task.is_finished(), "the load went on all the time");
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_named_everywhere_and_equal_again_after_its_restart() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.connect(1, "keeper").persistent().open().await;
    client.subscribed("kept/#", 1).await;
    let killed = cluster.roles().await.followers[0];
    let others = cluster.others(killed);
    cluster.node_mut(killed).kill9();
    for &asked in &others {
        let expected = [("no_spare_node", None), ("node_unreachable", Some(killed))];
        doctor_finds(&cluster, asked, &expected).await;
        let answer = overview(&cluster, asked).await;
        assert!(row(&answer, killed)["error"].is_string(), "{answer}");
        assert_eq!(rows(&answer).len(), 3);
        let compared = consistency(&cluster, asked).await.unwrap();
        assert_eq!(compared["consistent"], false);
        assert!(row(&compared, killed)["error"].is_string(), "{compared}");
        same_hash(&compared, &others);
    }
    cluster.node_mut(killed).start();
    cluster.all_ready().await;
    for asked in cluster.ids() {
        let compared = consistency(&cluster, asked).await.unwrap();
        assert_eq!(compared["consistent"], true, "{compared}");
        same_hash(&compared, &cluster.ids());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_node_holds_nobody_up_beyond_the_deadline() {
    let cluster = Setup::nodes(3).set("RAFTMQ_HTTP_PEER_TIMEOUT", PEER_TIMEOUT);
    let cluster = cluster.start().await;
    let stopped = cluster.roles().await.followers[0];
    let others = cluster.others(stopped);
    cluster.node(stopped).sigstop().await;
    for &asked in &others {
        let expected = [("no_spare_node", None), ("node_unreachable", Some(stopped))];
        doctor_finds(&cluster, asked, &expected).await;
        let answer = overview(&cluster, asked).await;
        assert!(row(&answer, stopped)["error"].is_string(), "{answer}");
        let compared = eventually("a comparison", SOON, async || {
            consistency(&cluster, asked).await
        })
        .await;
        assert!(row(&compared, stopped)["error"].is_string(), "{compared}");
        same_hash(&compared, &others);
    }
    cluster.node(stopped).sigcont();
    cluster.all_ready().await;
    for asked in cluster.ids() {
        let whole = async || {
            let compared = consistency(&cluster, asked).await?;
            let equal = compared["consistent"] == true;
            equal.then_some(()).ok_or_else(|| compared.to_string())
        };
        eventually("equal tables", START, whole).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_three_says_that_there_is_no_quorum() {
    let mut cluster = Cluster::start(3).await;
    cluster.node_mut(1).kill9();
    cluster.node_mut(2).kill9();
    cluster.not_ready(3, SOON).await;
    let refused = cluster
        .node(3)
        .http()
        .get("/api/v1/cluster/consistency")
        .await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(rows(&overview(&cluster, 3).await).len(), 3);
    eventually("no quorum found", START, async || {
        let found = findings(&cluster, 3).await?;
        let has = |code: &str, id| found.contains(&(code.to_owned(), id));
        let all = has("no_quorum", None)
            && has("node_unreachable", Some(1))
            && has("node_unreachable", Some(2))
            && has("table_not_compared", None);
        all.then_some(()).ok_or_else(|| format!("{found:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_differ_are_named_by_every_node() {
    let mut cluster = Setup::nodes(3).build();
    cluster.node_mut(2).set("RAFTMQ_MQTT_MAX_QOS", "1");
    cluster.start_all();
    cluster.all_ready().await;
    for asked in cluster.ids() {
        doctor_finds(&cluster, asked, &[("setting_differs", None)]).await;
    }
    let doctor = cluster.node(3).http().json("/api/v1/cluster/doctor").await;
    let findings = doctor["findings"].as_array().unwrap();
    let finding = findings.iter().find(|f| f["code"] == "setting_differs");
    let evidence = &finding.unwrap()["evidence"];
    assert_eq!(evidence["setting"], "mqtt.max_qos");
    assert_eq!(evidence["values"][1], json!({"node_id": 2, "value": "1"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_with_one_identifier_are_found_by_every_node() {
    let cluster = Cluster::start(3).await;
    let mut twins = Vec::new();
    for number in 0..12 {
        twins.push(cluster.connect(number % 2 + 1, "twin").open().await);
    }
    for asked in cluster.ids() {
        doctor_finds(&cluster, asked, &[("takeover_storm", None)]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_is_complete_and_told_that_it_is_alone() {
    let cluster = Cluster::start(1).await;
    let answer = overview(&cluster, 1).await;
    assert_eq!((&answer["leader_id"], rows(&answer).len()), (&json!(1), 1));
    assert_eq!(consistency(&cluster, 1).await.unwrap()["consistent"], true);
    doctor_finds(&cluster, 1, &[("single_node", None)]).await;
    let http = cluster.node(1).http();
    assert_eq!(http.get("/api/v1/cluster/nothing").await.status, 404);
    assert_eq!(http.post("/api/v1/cluster", &json!({})).await.status, 405);
    assert_eq!(http.delete("/api/v1/cluster/doctor").await.status, 405);
}
