//! `/tail`: events of all nodes as they happen, and what becomes of the stream when something ends.

use std::sync::Arc;
use std::time::Duration;

use raftmq_api::{ApiConfig, Phase};
use serde_json::{Value, json};

use crate::world::{Setup, TestNode, World, dead_peer, serve_peer, silent_peer};

const SOON: Duration = Duration::from_secs(10);

/// An open stream.
struct Tail {
    response: reqwest::Response,
    text: String,
}

impl Tail {
    async fn open(world: &World, query: &str) -> Self {
        let url = format!("{}/api/v1/tail{query}", world.base);
        let response = world.http.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.headers()["content-type"],
            "text/event-stream; charset=utf-8"
        );
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next block of lines; `None`: the stream has ended.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let more = tokio::time::timeout(SOON, self.response.chunk()).await;
            let bytes = more.expect("something in time").unwrap()?;
            self.text += std::str::from_utf8(&bytes).unwrap();
        }
    }

    /// The data of the next event.
    async fn event(&mut self) -> Value {
        loop {
            let block = self.block().await.expect("an event");
            if let Some((name, data)) = block.split_once('\n') {
                let data: Value =
                    serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                assert_eq!(name, format!("event: {}", data["event"].as_str().unwrap()));
                return data;
            }
        }
    }

    /// Waits until these nodes are listened to.
    async fn listening(&mut self, mut nodes: Vec<u64>) {
        while !nodes.is_empty() {
            let event = self.event().await;
            assert_eq!(event["event"], "listening", "{event}");
            nodes.retain(|id| event["node_id"] != *id);
        }
    }
}

/// This node and a peer.
async fn two_nodes(config: ApiConfig) -> (World, Arc<TestNode>, Arc<TestNode>) {
    let (local, peer) = (Arc::new(TestNode::default()), Arc::new(TestNode::default()));
    let setup = Setup {
        local: local.clone(),
        peers: vec![(2, serve_peer(2, peer.clone()).await)],
        config,
        ..Setup::default()
    };
    (setup.start().await, local, peer)
}

#[tokio::test]
async fn events_of_all_nodes_come_as_they_happen() {
    let (world, local, peer) = two_nodes(ApiConfig::default()).await;
    let mut tail = Tail::open(&world, "").await;
    tail.listening(vec![1, 2]).await;
    local.events.connected(1, "a");
    let event = tail.event().await;
    assert!(event["at"].as_str().unwrap().starts_with("2022-07-30 "));
    let expected = json!({
        "event": "connected", "node_id": 1, "at_ms": 1_659_176_048_000_u64, "at": event["at"],
        "clientid": "a", "ip_address": "10.0.0.9", "port": 10839,
        "proto_ver": 5, "session_present": false, "epoch": 7,
    });
    assert_eq!(event, expected);
    peer.events.connected(2, "b");
    let event = tail.event().await;
    assert_eq!(
        (&event["node_id"], &event["clientid"]),
        (&json!(2), &json!("b"))
    );
    peer.events.skipped(5);
    assert_eq!(tail.event().await, json!({"event": "skipped", "count": 5}));
}

#[tokio::test]
async fn conditions_travel_to_the_nodes() {
    let (world, local, peer) = two_nodes(ApiConfig::default()).await;
    let mut tail = Tail::open(&world, "?clientid=wanted&event=connected,dropped&node=2").await;
    tail.listening(vec![2]).await;
    local.events.connected(1, "wanted");
    peer.events.connected(2, "other");
    peer.events.connected(2, "wanted");
    let event = tail.event().await;
    assert_eq!(
        (&event["node_id"], &event["clientid"]),
        (&json!(2), &json!("wanted"))
    );
}

#[tokio::test]
async fn wrong_parameters_are_refused() {
    let world = Setup::default().start().await;
    for (query, status, code) in [
        ("event=exploded", 400, "unknown_event"),
        ("event=", 400, "unknown_event"),
        ("topic=a/%23/b", 400, "invalid_topic"),
        ("topic=", 400, "invalid_topic"),
        ("node=x", 400, "invalid_parameter"),
        ("node=9", 404, "unknown_node"),
        ("node=1&node=1", 400, "duplicate_parameter"),
    ] {
        let reply = world.get(&format!("/api/v1/tail?{query}")).await;
        assert_eq!((reply.status, &*reply.code()), (status, code), "{query}");
    }
}

#[tokio::test]
async fn the_token_is_needed() {
    let config = ApiConfig {
        http_bearer_token: Some("secret".into()),
        ..ApiConfig::default()
    };
    let setup = Setup {
        config,
        ..Setup::default()
    };
    let world = setup.start().await;
    assert_eq!(world.get("/api/v1/tail").await.status, 401);
}

#[tokio::test]
async fn nodes_that_cannot_be_reached_are_named_and_do_not_stop_the_others() {
    let local = Arc::new(TestNode::default());
    let setup = Setup {
        local: local.clone(),
        peers: vec![(2, dead_peer().await), (3, silent_peer().await)],
        config: ApiConfig {
            peer_timeout: Duration::from_millis(300),
            ..ApiConfig::default()
        },
        ..Setup::default()
    };
    let world = setup.start().await;
    let mut tail = Tail::open(&world, "").await;
    let mut unreachable = Vec::new();
    for _ in 0..3 {
        let event = tail.event().await;
        match event["event"].as_str().unwrap() {
            "listening" => assert_eq!(event["node_id"], 1),
            "unreachable" => {
                assert!(!event["error"].as_str().unwrap().is_empty());
                unreachable.push(event["node_id"].as_u64().unwrap());
            }
            _ => panic!("{event}"),
        }
    }
    unreachable.sort_unstable();
    assert_eq!(unreachable, [2, 3]);
    local.events.connected(1, "a");
    assert_eq!(
        tail.event().await["clientid"],
        "a",
        "told once, not with each try"
    );
}

#[tokio::test]
async fn neither_silence_nor_the_limits_of_a_request_end_it() {
    let brief = Duration::from_millis(50);
    let config = ApiConfig {
        peer_timeout: brief,
        request_timeout: brief,
        header_timeout: brief,
        tail_heartbeat: brief,
        ..ApiConfig::default()
    };
    let setup = Setup {
        config,
        ..Setup::default()
    };
    let world = setup.start().await;
    let mut tail = Tail::open(&world, "").await;
    tail.listening(vec![1]).await;
    for _ in 0..10 {
        assert_eq!(tail.block().await.as_deref(), Some(": nothing happened"));
    }
}

#[tokio::test]
async fn it_ends_when_the_node_drains() {
    let world = Setup::default().start().await;
    let mut tail = Tail::open(&world, "").await;
    tail.listening(vec![1]).await;
    world.phase.send_replace(Phase::Draining);
    assert_eq!(tail.block().await, None);
}

#[tokio::test]
async fn listeners_are_bounded_and_leave_their_place_when_they_go() {
    let config = ApiConfig {
        max_listeners: 2,
        tail_heartbeat: Duration::from_millis(50),
        ..ApiConfig::default()
    };
    let setup = Setup {
        config,
        ..Setup::default()
    };
    let world = setup.start().await;
    let first = Tail::open(&world, "").await;
    let _second = Tail::open(&world, "").await;
    let reply = world.get("/api/v1/tail").await;
    assert_eq!((reply.status, &*reply.code()), (503, "too_many_listeners"));
    drop(first);
    let freed = async {
        loop {
            let url = format!("{}/api/v1/tail", world.base);
            if world.http.get(url).send().await.unwrap().status() == 200 {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, freed)
        .await
        .expect("a free place");
}
