//! `/routes/explain`, with bad questions and with nodes that do not answer.

use std::sync::Arc;

use raftmq_api::node::{
    AclVerdict, ExplainReply, ExplainedGroup, ExplainedSubscriber, LinkState, LiveSubscriber,
};
use serde_json::{Value, json};

use crate::world::{Setup, TestNode, World, dead_peer, serve_peer};

fn subscriber(client_id: &str, node_id: u64, options: u32) -> ExplainedSubscriber {
    ExplainedSubscriber {
        client_id: client_id.into(),
        node_id,
        epoch: 4096,
        filters: vec!["a/+".into()],
        options,
        subscription_ids: vec![5],
        connected: true,
        node_is_up: true,
    }
}

fn live(client_id: &str, connected: bool) -> LiveSubscriber {
    LiveSubscriber {
        client_id: client_id.into(),
        connected,
        inflight_max: 10,
        queue: 3,
        queue_max: 1_000,
        subscribe: Some(verdict("denied", Some(2))),
        ..Default::default()
    }
}

/// What both nodes' routers say; the live side and the links differ.
fn view(live: Vec<LiveSubscriber>) -> ExplainReply {
    ExplainReply {
        applied_index: 42,
        filters: vec!["a/+".into()],
        subscribers: vec![subscriber("far", 2, 1), subscriber("near", 1, 2)],
        groups: vec![ExplainedGroup {
            share: "g".into(),
            filter: "a/+".into(),
            members: vec![subscriber("m1", 1, 1), subscriber("m2", 1, 1)],
            picked: Some("m2".into()),
            candidates: 2,
        }],
        more: false,
        live,
        links: vec![LinkState {
            peer: 2,
            up: true,
            window_bytes: 1_000,
            ..Default::default()
        }],
        publish: Some(verdict("allowed", None)),
        publisher_is_here: false,
    }
}

fn verdict(verdict: &str, rule: Option<u32>) -> AclVerdict {
    AclVerdict {
        verdict: verdict.into(),
        rule,
        source: rule.map_or_else(String::new, |_| "rmqtt-acl".into()),
        why: "because".into(),
    }
}

fn node(explanation: ExplainReply) -> Arc<TestNode> {
    Arc::new(TestNode {
        explanation,
        ..Default::default()
    })
}

fn local() -> Arc<TestNode> {
    let near = LiveSubscriber {
        queue: 0,
        ..live("near", true)
    };
    node(view(vec![near, live("m1", true), live("m2", false)]))
}

async fn world(second: String) -> (World, Arc<TestNode>) {
    let local = local();
    let setup = Setup {
        local: local.clone(),
        peers: vec![(2, second)],
        ..Setup::default()
    };
    (setup.start().await, local)
}

async fn second() -> String {
    serve_peer(2, node(view(vec![live("far", false)]))).await
}

fn row<'a>(rows: &'a Value, client_id: &str) -> &'a Value {
    let rows = rows.as_array().unwrap();
    rows.iter()
        .find(|row| row["clientid"] == client_id)
        .unwrap()
}

#[tokio::test]
async fn every_subscriber_is_told_with_what_its_own_node_knows() {
    let (world, local) = world(second().await).await;
    let answer = world.get("/api/v1/routes/explain?topic=a%2Fb&qos=1").await;
    assert_eq!(answer.header("x-applied-index"), Some("42"));
    let answer = answer.json();
    assert_eq!(
        (&answer["topic"], &answer["from_node"]),
        (&json!("a/b"), &json!(1))
    );
    assert_eq!(
        (&answer["acl"], &answer["truncated"]),
        (&json!("allowed"), &json!(false))
    );
    assert_eq!(answer["filters"], json!(["a/+"]));
    let far = json!({
        "clientid": "far", "node_id": 2, "epoch": 4096, "filters": ["a/+"], "granted_qos": 1, "qos": 1,
        "no_local": false, "retain_as_published": false, "subscription_ids": [5], "online": false,
        "inflight": 0, "inflight_max": 10, "queue": 3, "queue_max": 1000, "acl": "denied",
        "acl_rule": 2, "acl_source": "rmqtt-acl", "acl_why": "because",
        "outcome": "queued", "reason": "offline", "why": "the client is offline; 3 of 1000 are queued",
    });
    assert_eq!(answer["subscribers"][0], far);
    assert_eq!(row(&answer["subscribers"], "near")["outcome"], "sent");
    let group = &answer["share_groups"][0];
    assert_eq!(
        (&group["share"], &group["picked"]),
        (&json!("g"), &json!("m2"))
    );
    assert_eq!(row(&group["members"], "m1")["reason"], "other_member");
    assert_eq!(row(&group["members"], "m2")["reason"], "offline");
    assert_eq!(
        local.told.lock().unwrap()[0],
        "explain a/b by '' limit 10000"
    );
}

#[tokio::test]
async fn qos_0_is_the_default_and_does_not_wait_for_offline_clients() {
    let (world, _) = world(second().await).await;
    let answer = world.get("/api/v1/routes/explain?topic=a%2Fb").await.json();
    assert_eq!(answer["qos"], 0);
    let far = row(&answer["subscribers"], "far");
    assert_eq!(
        (&far["outcome"], &far["reason"]),
        (&json!("not_delivered"), &json!("offline_qos0"))
    );
}

#[tokio::test]
async fn the_publishers_node_can_be_named_and_decides() {
    let (world, _) = world(second().await).await;
    let answer = world
        .get("/api/v1/routes/explain?topic=a%2Fb&from_node=2&clientid=far&_limit=7")
        .await
        .json();
    assert_eq!(
        (&answer["from_node"], &answer["clientid"]),
        (&json!(2), &json!("far"))
    );
    // Node 2 has no link to node 1 in this world.
    assert_eq!(row(&answer["subscribers"], "near")["reason"], "no_link");
    assert_eq!(row(&answer["subscribers"], "far")["reason"], "offline_qos0");
}

#[tokio::test]
async fn a_node_that_does_not_answer_leaves_its_sessions_unknown_and_is_named() {
    let (world, _) = world(dead_peer().await).await;
    let answer = world
        .get("/api/v1/routes/explain?topic=a%2Fb&nodes=all")
        .await;
    assert_eq!(answer.header("x-unreachable-nodes"), Some("2"));
    let answer = answer.json();
    let far = row(&answer["subscribers"], "far");
    assert_eq!(
        (&far["outcome"], &far["reason"]),
        (&json!("unknown"), &json!("node_silent"))
    );
    assert_eq!(far["online"], Value::Null);
    assert_eq!(answer["nodes"][1]["node_id"], 2);
    assert!(answer["nodes"][1]["error"].is_string());
    let from_dead = world
        .get("/api/v1/routes/explain?topic=a&from_node=2")
        .await;
    assert_eq!(
        (from_dead.status, from_dead.code().as_str()),
        (503, "node_unreachable")
    );
}

#[tokio::test]
async fn all_nodes_are_compared_when_asked_for() {
    let mut other = view(Vec::new());
    other.applied_index = 41;
    other.subscribers.remove(0);
    let (world, _) = world(serve_peer(2, node(other)).await).await;
    let answer = world
        .get("/api/v1/routes/explain?topic=a%2Fb&nodes=all")
        .await
        .json();
    assert_eq!(
        answer["nodes"][0],
        json!({"node_id": 1, "applied_index": 42, "agrees": true})
    );
    let second = &answer["nodes"][1];
    assert_eq!(
        (&second["applied_index"], &second["agrees"]),
        (&json!(41), &json!(false))
    );
    assert_eq!(
        second["differences"],
        json!(["subscriber 'far' is missing"])
    );
    let plain = world.get("/api/v1/routes/explain?topic=a%2Fb").await.json();
    assert!(plain.get("nodes").is_none());
}

#[tokio::test]
async fn wrong_questions_are_400_and_unknown_nodes_404() {
    let (world, local) = world(second().await).await;
    for (query, code) in [
        ("", "missing_topic"),
        ("?topic=", "invalid_topic"),
        ("?topic=a%2F%23", "invalid_topic"),
        ("?topic=a%2F%2B", "invalid_topic"),
        ("?topic=a&qos=3", "invalid_parameter"),
        ("?topic=a&qos=-1", "invalid_parameter"),
        ("?topic=a&from_node=x", "invalid_parameter"),
        ("?topic=a&nodes=some", "invalid_parameter"),
        ("?topic=a&_limit=-1", "invalid_parameter"),
        ("?topic=a&topic=b", "duplicate_parameter"),
    ] {
        let answer = world.get(&format!("/api/v1/routes/explain{query}")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, code),
            "{query}"
        );
    }
    let unknown = world
        .get("/api/v1/routes/explain?topic=a&from_node=9")
        .await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "unknown_node")
    );
    assert!(local.told.lock().unwrap().is_empty(), "nobody was asked");
}

#[tokio::test]
async fn what_may_not_be_published_reaches_nobody_and_the_publishers_own_node_says_so() {
    let elsewhere = ExplainReply {
        publish: Some(verdict("denied", Some(3))),
        publisher_is_here: true,
        ..view(vec![live("far", true)])
    };
    let (world, local) = world(serve_peer(2, node(elsewhere)).await).await;
    let path = "/api/v1/routes/explain?topic=a&clientid=p&username=ann&ip=10.0.0.1";
    let answer = world.get(path).await.json();
    assert_eq!(
        (&answer["acl"], &answer["acl_rule"]),
        (&json!("denied"), &json!(3))
    );
    for row in answer["subscribers"].as_array().unwrap() {
        assert_eq!(row["reason"], "publish_denied", "{row}");
    }
    assert_eq!(
        local.told.lock().unwrap()[0],
        "explain a by 'p' as ann@10.0.0.1 limit 10000"
    );
    let wrong = world.get("/api/v1/routes/explain?topic=a&ip=nowhere").await;
    assert_eq!(wrong.status, 400);
}
