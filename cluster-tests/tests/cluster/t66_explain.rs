//! `/routes/explain`: what it says would happen is what happens, and every node says it.

use raftmq_cluster_tests::{Client, Cluster, Filter, SOON, START, Setup, eventually};
use serde_json::{Value, json};

async fn explain(cluster: &Cluster, asked: u64, query: &str) -> Value {
    let path = format!("/api/v1/routes/explain?{query}");
    cluster.node(asked).http().json(&path).await
}

fn find<'a>(rows: &'a Value, client_id: &str) -> &'a Value {
    let found = rows
        .as_array()
        .and_then(|rows| rows.iter().find(|row| row["clientid"] == client_id));
    found.unwrap_or_else(|| panic!("no {client_id}: {rows}"))
}

/// Outcome and reason for one subscriber.
fn verdict<'a>(answer: &'a Value, client_id: &str) -> (&'a str, &'a str) {
    let row = find(&answer["subscribers"], client_id);
    let text = |field: &str| row[field].as_str().unwrap_or_default();
    (text("outcome"), text("reason"))
}

/// A session on a node that waits for its client.
async fn leave_behind(cluster: &Cluster, node: u64, client_id: &str, filter: &str) {
    let client = cluster.connect(node, client_id).persistent().open().await;
    client.subscribed(filter, 1).await;
    client.disconnect().await;
    eventually("offline", SOON, async || {
        let path = format!("/api/v1/clients/{client_id}/online");
        let online = cluster.node(node).http().try_json(&path).await?;
        (online == false)
            .then_some(())
            .ok_or_else(|| online.to_string())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_explains_the_same_subscribers_and_why_some_would_miss_it() {
    let cluster = Cluster::start(3).await;
    cluster.links_up().await;
    let mut clients = Vec::new();
    for id in cluster.ids() {
        let client = cluster.connect(id, &format!("live-{id}")).open().await;
        let filters = [Filter::new("plant/+", 1), Filter::new("plant/#", 2)];
        assert_eq!(client.subscribe(&filters).await, Ok(vec![1, 2]));
        clients.push(client);
    }
    let own = [Filter::new("plant/+", 1).no_local()];
    let publisher = cluster.connect(1, "publisher").open().await;
    assert_eq!(publisher.subscribe(&own).await, Ok(vec![1]));
    leave_behind(&cluster, 2, "asleep", "plant/1").await;
    for number in 0..3 {
        publisher
            .publish("plant/1", 1, format!("{number}"))
            .await
            .unwrap();
    }
    for asked in cluster.ids() {
        let answer = explain(
            &cluster,
            asked,
            "topic=plant%2F1&qos=1&nodes=all&clientid=publisher&from_node=1",
        )
        .await;
        assert_eq!(answer["filters"], json!(["plant/#", "plant/+", "plant/1"]));
        assert_eq!(
            (&answer["from_node"], &answer["acl"]),
            (&json!(1), &json!("allowed"))
        );
        for id in cluster.ids() {
            let client_id = format!("live-{id}");
            assert_eq!(verdict(&answer, &client_id), ("sent", "online"), "{answer}");
            let row = find(&answer["subscribers"], &client_id);
            assert_eq!(
                (&row["node_id"], &row["granted_qos"], &row["qos"]),
                (&json!(id), &json!(2), &json!(1))
            );
            assert_eq!(row["filters"], json!(["plant/#", "plant/+"]));
            assert!(row["epoch"].as_u64() > Some(0));
        }
        assert_eq!(verdict(&answer, "publisher"), ("not_delivered", "no_local"));
        assert_eq!(verdict(&answer, "asleep"), ("queued", "offline"));
        let asleep = find(&answer["subscribers"], "asleep");
        assert_eq!(
            (&asleep["queue"], &asleep["online"]),
            (&json!(3), &json!(false))
        );
        let nodes = answer["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 3);
        assert!(nodes.iter().all(|node| node["agrees"] == true), "{answer}");
        let without_qos = explain(&cluster, asked, "topic=plant%2F1").await;
        assert_eq!(
            verdict(&without_qos, "asleep"),
            ("not_delivered", "offline_qos0")
        );
        assert_eq!(verdict(&without_qos, "publisher"), ("sent", "online"));
        let nobody = explain(&cluster, asked, "topic=nobody").await;
        assert_eq!(
            (&nobody["subscribers"], &nobody["filters"]),
            (&json!([]), &json!([]))
        );
    }
}

async fn members(cluster: &Cluster) -> Vec<Client> {
    let mut members = Vec::new();
    for id in cluster.ids() {
        let member = cluster.connect(id, &format!("member-{id}")).open().await;
        member.subscribed("$share/crew/job", 1).await;
        members.push(member);
    }
    members
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_member_that_is_named_is_the_one_that_gets_the_next_message() {
    let cluster = Cluster::start(3).await;
    cluster.links_up().await;
    let mut members = members(&cluster).await;
    let publisher = cluster.connect(2, "publisher").open().await;
    for number in 0..7 {
        // Any node may be asked: node 2, where the publisher is, decides.
        let asked = number % 3 + 1;
        let answer = explain(
            &cluster,
            asked,
            "topic=job&qos=1&from_node=2&clientid=publisher",
        )
        .await;
        let group = &answer["share_groups"][0];
        assert_eq!(
            (&group["share"], &group["filter"]),
            (&json!("crew"), &json!("job"))
        );
        let picked = group["picked"].as_str().unwrap().to_owned();
        assert_eq!(
            find(&group["members"], &picked)["outcome"],
            "sent",
            "number {number}: {answer}"
        );
        assert_eq!(group["members"].as_array().unwrap().len(), 3);
        publisher
            .publish("job", 1, format!("{number}"))
            .await
            .unwrap();
        let member = members.iter_mut().find(|member| member.id() == picked);
        let message = member.unwrap().next_message(SOON).await;
        assert_eq!(message.payload, number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_foreseen() {
    let setup = Setup::nodes(1).set("RAFTMQ_MQTT_MAX_QUEUED_MESSAGES", "2");
    let cluster = setup.set("RAFTMQ_HTTP_MAX_ROW_LIMIT", "2").start().await;
    leave_behind(&cluster, 1, "asleep", "t").await;
    let publisher = cluster.connect(1, "publisher").open().await;
    for reason in ["offline", "offline", "queue_full"] {
        let answer = explain(&cluster, 1, "topic=t&qos=1").await;
        assert_eq!(verdict(&answer, "asleep").1, reason, "{answer}");
        publisher.publish("t", 1, "x").await.unwrap();
    }
    for client_id in ["b", "c"] {
        leave_behind(&cluster, 1, client_id, "t").await;
    }
    let cut = explain(&cluster, 1, "topic=t").await;
    assert_eq!(cut["truncated"], true);
    assert_eq!(cut["subscribers"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_a_killed_node_are_explained_as_lost_for_now() {
    let mut cluster = Cluster::start(3).await;
    cluster.links_up().await;
    leave_behind(&cluster, 3, "asleep", "t").await;
    let client = cluster.connect(1, "awake").open().await;
    client.subscribed("t", 1).await;
    cluster.node_mut(3).kill9();
    for asked in [1, 2] {
        let path = "/api/v1/routes/explain?topic=t&qos=1&nodes=all";
        eventually("the node is down in the table", START, async || {
            let answer = cluster.node(asked).http().get(path).await;
            assert_eq!(answer.header("x-unreachable-nodes"), Some("3"));
            let answer = answer.try_json()?;
            assert_eq!(verdict(&answer, "awake"), ("sent", "online"), "{answer}");
            assert!(answer["nodes"][2]["error"].is_string(), "{answer}");
            match verdict(&answer, "asleep") {
                ("not_delivered", "node_down") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        let dead = cluster
            .node(asked)
            .http()
            .get("/api/v1/routes/explain?topic=t&from_node=3")
            .await;
        assert_eq!(dead.status, 503, "{dead:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_node_is_named_and_the_rest_is_explained() {
    let setup = Setup::nodes(3).set("RAFTMQ_HTTP_PEER_TIMEOUT", "1s");
    let cluster = setup.start().await;
    cluster.links_up().await;
    let stopped = cluster.roles().await.followers[0];
    let others = cluster.others(stopped);
    let client = cluster.connect(others[0], "awake").open().await;
    client.subscribed("t", 1).await;
    cluster.node(stopped).sigstop().await;
    for &asked in &others {
        let path = "/api/v1/routes/explain?topic=t&qos=1";
        let answer = cluster.node(asked).http().get(path).await;
        let named = stopped.to_string();
        assert_eq!(answer.header("x-unreachable-nodes"), Some(named.as_str()));
        assert_eq!(verdict(&answer.json(), "awake"), ("sent", "online"));
    }
    cluster.node(stopped).sigcont();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_questions_are_refused_by_every_node() {
    let cluster = Cluster::start(3).await;
    cluster.links_up().await;
    for asked in cluster.ids() {
        let http = cluster.node(asked).http();
        for query in [
            "",
            "?topic=",
            "?topic=a%2F%23",
            "?topic=a%2F%2B%2Fb",
            "?topic=a%00b",
            "?topic=%ff",
            "?topic=a&qos=3",
            "?topic=a&qos=one",
            "?topic=a&from_node=x",
            "?topic=a&nodes=2",
            "?topic=a&_limit=-1",
            "?topic=a&_consistency=maybe",
        ] {
            let answer = http.get(&format!("/api/v1/routes/explain{query}")).await;
            assert_eq!(answer.status, 400, "{query}: {answer:?}");
            assert!(answer.json()["code"].is_string());
        }
        let unknown = http.get("/api/v1/routes/explain?topic=a&from_node=9").await;
        assert_eq!(unknown.status, 404, "{unknown:?}");
        // The topic that is called like the endpoint is still a topic.
        assert_eq!(http.json("/api/v1/routes/%65xplain").await, json!([]));
    }
}
