//! Publish, subscribe and unsubscribe over HTTP.

use std::sync::Arc;

use serde_json::json;

use crate::world::{Setup, TestNode, World, row, serve_peer, session};

async fn world() -> (World, Arc<TestNode>, Arc<TestNode>) {
    let local = Arc::new(TestNode::with_rows(Vec::new()));
    let mut away = row(2, "away");
    away.connected = false;
    let peer = Arc::new(TestNode::with_rows(vec![row(2, "c"), away.clone()]));
    let peers = vec![(2, serve_peer(2, peer.clone()).await)];
    let setup = Setup {
        local: local.clone(),
        peers,
        ..Setup::default()
    };
    for row in [row(2, "c"), away, row(2, "gone")] {
        setup
            .view
            .sessions
            .lock()
            .unwrap()
            .insert(row.client_id.clone(), session(row));
    }
    (setup.start().await, local, peer)
}

fn told(node: &TestNode) -> Vec<String> {
    node.told.lock().unwrap().clone()
}

#[tokio::test]
async fn publish_answers_ok_and_unites_topics() {
    let (world, local, _) = world().await;
    let body = json!({"topic": "foo/1", "topics": "foo/2, foo/1", "payload": "aGk=", "encoding": "base64",
        "qos": 1, "retain": true, "clientid": "example"});
    let reply = world.post("/api/v1/mqtt/publish", &body.to_string()).await;
    assert_eq!((reply.status, reply.text()), (200, "ok"));
    assert_eq!(
        told(&local),
        [r#"example ["foo/1", "foo/2"] b"hi" qos 1 retain true"#]
    );
}

#[tokio::test]
async fn a_node_that_does_not_serve_publishes_nothing() {
    let local = TestNode {
        not_serving: true,
        ..TestNode::default()
    };
    let world = Setup {
        local: Arc::new(local),
        ..Setup::default()
    }
    .start()
    .await;
    let reply = world
        .post("/api/v1/mqtt/publish", r#"{"topic": "a", "payload": "p"}"#)
        .await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "not_ready"));
}

#[tokio::test]
async fn subscribe_runs_on_the_clients_node_and_answers_per_filter() {
    let (world, _, peer) = world().await;
    let body = r#"{"topics": "foo/a,$share/g/foo/b,secret/x", "qos": 1, "clientid": "c"}"#;
    let reply = world.post("/api/v1/mqtt/subscribe", body).await;
    assert_eq!(
        reply.json(),
        json!({"foo/a": true, "foo/b": true, "secret/x": false})
    );
    assert_eq!(
        told(&peer),
        [r#"c subscribes ["foo/a", "$share/g/foo/b", "secret/x"] qos 1"#]
    );
}

#[tokio::test]
async fn unsubscribe_says_whether_there_was_a_subscription() {
    let (world, _, peer) = world().await;
    for (topic, existed) in [("foo/a", true), ("foo/z", false)] {
        let body = json!({"topic": topic, "clientid": "c"}).to_string();
        assert_eq!(
            world.post("/api/v1/mqtt/unsubscribe", &body).await.json(),
            json!(existed)
        );
    }
    assert_eq!(
        told(&peer),
        ["c unsubscribes foo/a", "c unsubscribes foo/z"]
    );
}

#[tokio::test]
async fn unknown_and_offline_clients_are_told_apart() {
    let (world, ..) = world().await;
    for path in ["subscribe", "unsubscribe"] {
        // "gone" is in the table, but its node has no session of it any more.
        for (client, status, code) in [
            ("nobody", 404, "unknown_client"),
            ("gone", 404, "unknown_client"),
            ("away", 503, "client_offline"),
        ] {
            let body = json!({"topic": "a", "clientid": client}).to_string();
            let reply = world.post(&format!("/api/v1/mqtt/{path}"), &body).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (status, code),
                "{path} {client}"
            );
        }
    }
}
