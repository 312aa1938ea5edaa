//! `/nodes/{node}/drain`: orders, refusals, forecast and progress.

use std::sync::Arc;

use raftmq_api::node::{DrainProgress, DrainReply, InspectReply, MemberState};
use raftmq_api::{DrainRefusal, KnownNode};
use serde_json::json;

use crate::world::{Setup, TestNode, View, World, serve_peer, silent_peer};

fn nodes(peer: &str) -> Vec<KnownNode> {
    let node = |id, address: &str| KnownNode {
        id,
        rpc_address: address.into(),
        is_up: true,
        drain: None,
    };
    vec![node(1, "n1:7000"), node(2, peer)]
}

fn loaded() -> TestNode {
    let member = |node_id| MemberState {
        node_id,
        is_voter: true,
        is_up: true,
        last_contact_ms: None,
    };
    TestNode {
        drain: DrainReply {
            clients: 250,
            persistent_clients: 200,
            offline_sessions: 30,
            offline_with_messages: 4,
            offline_messages: 44,
            leads: true,
            progress: None,
        },
        inspection: InspectReply {
            connections: 250,
            connections_max: 1_000,
            members: vec![member(1), member(2)],
            ..Default::default()
        },
        ..Default::default()
    }
}

/// Node 1 is asked about node 2, which has clients.
async fn world(node: TestNode, refusal: Option<DrainRefusal>) -> World {
    let peer = serve_peer(2, Arc::new(node)).await;
    let view = View {
        nodes: nodes(&peer),
        drain_refusal: refusal,
        ..View::default()
    };
    Setup {
        view: Arc::new(view),
        local: Arc::new(loaded()),
        peers: vec![(2, peer)],
        ..Setup::default()
    }
    .start()
    .await
}

impl World {
    async fn put(&self, path: &str) -> crate::world::Reply {
        self.send(self.http.put(format!("{}{path}", self.base)))
            .await
    }
}

#[tokio::test]
async fn an_order_is_given_shown_and_taken_back() {
    let world = world(loaded(), None).await;
    let path = "/api/v1/nodes/2/drain";
    assert_eq!(world.get(path).await.json()["draining"], false);
    let ordered = world.put(&format!("{path}?clients_per_second=50")).await;
    let ordered = ordered.json();
    assert_eq!(ordered["draining"], true);
    assert_eq!(ordered["clients_per_second"], 50);
    assert_eq!(ordered["clients"], 250);
    assert_eq!(ordered["seconds_left"], 5);
    assert_eq!(
        ordered["stay_behind"],
        json!({"sessions": 30, "with_messages": 4, "messages": 44})
    );
    assert_eq!(world.get(path).await.json(), ordered);
    let rows = world.get("/api/v1/nodes").await.json();
    assert_eq!(
        (&rows[0]["draining"], &rows[1]["draining"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(world.delete(path).await.json()["draining"], false);
}

#[tokio::test]
async fn the_pace_has_a_default_and_may_be_nothing() {
    let world = world(loaded(), None).await;
    let ordered = world.put("/api/v1/nodes/2/drain").await.json();
    assert_eq!(ordered["clients_per_second"], 100);
    let held = world
        .put("/api/v1/nodes/2/drain?clients_per_second=0")
        .await;
    let held = held.json();
    assert_eq!(held["clients_per_second"], 0);
    assert_eq!(held.get("seconds_left"), None);
}

#[tokio::test]
async fn the_progress_is_what_the_node_says() {
    let progress = DrainProgress {
        step: "waiting".into(),
        reason: "no other node takes clients".into(),
        clients: 250,
        sent_away: 7,
    };
    let mut node = loaded();
    node.drain.progress = Some(progress.clone());
    node.inspection.drain = Some(progress);
    let world = world(node, None).await;
    let ordered = world.put("/api/v1/nodes/2/drain").await.json();
    assert_eq!(ordered["step"], "waiting");
    assert_eq!(ordered["reason"], "no other node takes clients");
    assert_eq!(ordered["sent_away"], 7);
    let cluster = world.get("/api/v1/cluster").await.json();
    assert_eq!(cluster["nodes"][1]["drain"]["step"], "waiting");
    assert_eq!(cluster["nodes"][1]["drain"]["clients_per_second"], 100);
    assert_eq!(cluster["nodes"][0].get("drain"), None);
}

#[tokio::test]
async fn a_forecast_orders_nothing() {
    let world = world(loaded(), None).await;
    let path = "/api/v1/nodes/2/drain?dry_run=true&clients_per_second=60";
    let told = world.put(path).await.json();
    assert_eq!(told["possible"], true);
    assert_eq!(
        (&told["clients"], &told["seconds"]),
        (&json!(250), &json!(5))
    );
    assert_eq!(told["persistent_clients"], 200);
    assert_eq!(told["leads"], true);
    let takers = json!([{"node_id": 1, "node_name": "1@n1:7000", "connections": 250, "free": 750}]);
    assert_eq!(told["taken_by"], takers);
    let quorum = json!({
        "voters": 2, "up": 2, "needed": 2, "up_without": 1, "safe_to_stop": false,
    });
    assert_eq!(told["quorum"], quorum);
    let status = world.get("/api/v1/nodes/2/drain").await.json();
    assert_eq!(status["draining"], false);
}

#[tokio::test]
async fn what_is_impossible_is_refused_with_a_code() {
    let world_of = async |refusal| world(loaded(), Some(refusal)).await;
    let path = "/api/v1/nodes/2/drain";
    let alone = world_of(DrainRefusal::NoOtherNode).await.put(path).await;
    assert_eq!((alone.status, &*alone.code()), (409, "no_other_node"));
    let lost = world_of(DrainRefusal::NotReplicated("no quorum".into())).await;
    let lost = lost.put(path).await;
    assert_eq!((lost.status, &*lost.code()), (503, "no_leader"));
    let world = world(loaded(), None).await;
    for (path, status, code) in [
        ("/api/v1/nodes/9/drain", 404, "unknown_node"),
        ("/api/v1/nodes/x/drain", 400, "invalid_node"),
        (
            "/api/v1/nodes/2/drain?clients_per_second=-1",
            400,
            "invalid_parameter",
        ),
        (
            "/api/v1/nodes/2/drain?clients_per_second=100001",
            400,
            "invalid_parameter",
        ),
        (
            "/api/v1/nodes/2/drain?dry_run=maybe",
            400,
            "invalid_parameter",
        ),
    ] {
        let refused = world.put(path).await;
        assert_eq!((refused.status, &*refused.code()), (status, code), "{path}");
    }
}

#[tokio::test]
async fn a_node_that_is_silent_is_drained_all_the_same() {
    let peer = silent_peer().await;
    let view = View {
        nodes: nodes(&peer),
        ..View::default()
    };
    let mut setup = Setup {
        view: Arc::new(view),
        peers: vec![(2, peer)],
        ..Setup::default()
    };
    setup.config.peer_timeout = std::time::Duration::from_millis(200);
    let world = setup.start().await;
    let ordered = world.put("/api/v1/nodes/2/drain").await.json();
    assert_eq!(ordered["draining"], true);
    assert!(ordered["error"].is_string(), "{ordered}");
}

#[tokio::test]
async fn a_draining_node_says_so_to_load_balancers() {
    let world = world(loaded(), None).await;
    assert_eq!(world.get("/ready").await.status, 200);
    world.put("/api/v1/nodes/1/drain").await;
    let ready = world.get("/ready").await;
    assert_eq!((ready.status, &*ready.code()), (503, "draining"));
    world.delete("/api/v1/nodes/1/drain").await;
    assert_eq!(world.get("/ready").await.status, 200);
}
