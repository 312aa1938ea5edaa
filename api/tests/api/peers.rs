//! Answers put together from several nodes, some of which do not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use raftmq_api::counters::Metric;
use raftmq_api::{Identity, KnownNode};
use serde_json::json;

use crate::world::{
    Setup, TestNode, View, dead_peer, row, serve_as, serve_peer, session, silent_peer,
};

/// This node, a peer that answers, a silent one and a dead one.
async fn setup() -> Setup {
    let peer = Arc::new(TestNode::with_rows(vec![row(2, "b"), row(2, "d")]));
    let peers = vec![
        (2, serve_peer(2, peer).await),
        (3, silent_peer().await),
        (4, dead_peer().await),
    ];
    let local = Arc::new(TestNode::with_rows(vec![row(1, "a")]));
    let setup = Setup {
        local,
        peers,
        ..Setup::default()
    };
    let mut offline = row(3, "c");
    offline.connected = false;
    for row in [row(1, "a"), row(2, "b"), offline, row(2, "d"), row(4, "e")] {
        setup
            .view
            .sessions
            .lock()
            .unwrap()
            .insert(row.client_id.clone(), session(row));
    }
    setup
}

#[tokio::test]
async fn an_array_names_each_node_that_does_not_answer() {
    let world = setup().await.start().await;
    for path in ["/api/v1/brokers", "/api/v1/nodes"] {
        let rows = world.get(path).await.json();
        assert_eq!(rows.as_array().unwrap().len(), 4, "{path}");
        for (i, id) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
            assert_eq!(rows[i]["node_id"], id);
            assert_eq!(rows[i]["error"].is_string(), id > 2, "{path} {id}");
        }
        assert_eq!(rows[3].as_object().unwrap().len(), 2);
    }
    for path in ["/api/v1/stats", "/api/v1/metrics"] {
        let rows = world.get(path).await.json();
        assert_eq!(rows[1]["node"]["id"], 2);
        assert_eq!(rows[2]["node"]["id"], 3);
        assert!(
            rows[1]["error"].is_null() && rows[2]["error"].is_string(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn nodes_are_asked_at_the_same_time_each_with_a_deadline() {
    let mut setup = setup().await;
    setup.peers.push((5, silent_peer().await));
    setup.peers.push((6, silent_peer().await));
    let world = setup.start().await;
    let start = Instant::now();
    assert_eq!(
        world
            .get("/api/v1/brokers")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        6
    );
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn sums_are_over_those_that_answer_and_name_the_others() {
    let world = setup().await.start().await;
    let metrics = world.get("/api/v1/metrics/sum").await;
    assert_eq!(metrics.json()[Metric::MessagesPublish.name()], 20);
    assert_eq!(metrics.header("x-unreachable-nodes"), Some("3,4"));
    let stats = world.get("/api/v1/stats/sum").await;
    assert_eq!(stats.header("x-unreachable-nodes"), Some("3,4"));
    let stats = stats.json();
    assert_eq!(stats["stats"]["connections.count"], 4);
    assert_eq!(stats["stats"]["routes.count"], 7);
    assert_eq!(stats["nodes"]["2"]["status"], "Running");
    assert!(stats["nodes"]["3"]["error"].is_string());
}

#[tokio::test]
async fn one_node_that_does_not_answer_is_503() {
    let world = setup().await.start().await;
    for resource in ["brokers", "nodes", "stats", "metrics"] {
        assert_eq!(
            world.get(&format!("/api/v1/{resource}/2")).await.status,
            200
        );
        for id in [3, 4] {
            let reply = world.get(&format!("/api/v1/{resource}/{id}")).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (503, "node_unreachable")
            );
        }
    }
}

#[tokio::test]
async fn clients_of_nodes_that_do_not_answer_come_from_the_table() {
    let world = setup().await.start().await;
    let reply = world.get("/api/v1/clients").await;
    assert_eq!(reply.column("clientid"), ["a", "b", "c", "d", "e"]);
    assert_eq!(reply.column("node_id"), ["1", "2", "3", "2", "4"]);
    assert_eq!(
        reply.column("connected"),
        ["true", "true", "false", "true", "true"]
    );
    assert_eq!(reply.header("x-unreachable-nodes"), Some("3,4"));
    let filtered = world.get("/api/v1/clients?connected=false").await;
    assert_eq!(filtered.column("clientid"), ["c"]);
}

#[tokio::test]
async fn a_client_is_asked_from_its_node_or_shown_from_the_table_when_offline() {
    let world = setup().await.start().await;
    assert_eq!(world.get("/api/v1/clients/b").await.json()["node_id"], 2);
    let offline = world.get("/api/v1/clients/c").await;
    assert_eq!(offline.json()["connected"], false);
    assert_eq!(offline.header("x-unreachable-nodes"), Some("3"));
    let connected = world.get("/api/v1/clients/e").await;
    assert_eq!(
        (connected.status, connected.code().as_str()),
        (503, "node_unreachable")
    );
}

#[tokio::test]
async fn a_node_that_only_the_table_knows_is_asked_at_its_address_there() {
    let address = serve_peer(7, Arc::new(TestNode::default())).await;
    let nodes = vec![
        KnownNode {
            id: 7,
            rpc_address: address.clone(),
            is_up: true,
            drain: None,
        },
        KnownNode {
            id: 8,
            rpc_address: "no address".into(),
            is_up: true,
            drain: None,
        },
    ];
    let view = Arc::new(View {
        nodes,
        ..View::default()
    });
    let world = Setup {
        view,
        ..Setup::default()
    }
    .start()
    .await;
    let rows = world.get("/api/v1/brokers").await.json();
    assert_eq!(rows[1]["node_name"], json!(format!("7@{address}")));
    assert_eq!(rows[2]["node_id"], 8);
    assert!(rows[2]["error"].is_string());
}

#[tokio::test]
async fn a_peer_of_another_cluster_or_with_another_id_is_refused() {
    let other = Identity::new(2);
    other.set_cluster_id("another");
    let node = || Arc::new(TestNode::default());
    let peers = vec![
        (2, serve_as(Arc::new(other), node()).await),
        (3, serve_peer(33, node()).await),
        (4, serve_as(Arc::new(Identity::new(4)), node()).await),
    ];
    let world = Setup {
        peers,
        ..Setup::default()
    }
    .start()
    .await;
    let rows = world.get("/api/v1/brokers").await.json();
    for (row, reason) in [
        (1, "another cluster"),
        (2, "this is node 33"),
        (3, "not joined"),
    ] {
        let error = rows[row]["error"].as_str().unwrap();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_list_larger_than_one_message_arrives_whole() {
    let mut large = row(2, "");
    large.will = Some(raftmq_api::node::WillRow {
        message: vec![7; 40_000].into(),
        ..Default::default()
    });
    let rows = (0..300).map(|i| {
        let mut row = large.clone();
        row.client_id = format!("c{i:03}");
        row
    });
    let peer = Arc::new(TestNode::with_rows(rows.collect()));
    let peers = vec![(2, serve_peer(2, peer).await)];
    let mut setup = Setup {
        peers,
        ..Setup::default()
    };
    setup.config.peer_timeout = Duration::from_secs(20);
    let reply = setup.start().await.get("/api/v1/clients").await;
    assert_eq!(reply.json().as_array().unwrap().len(), 300);
    assert_eq!(reply.header("x-unreachable-nodes"), None);
}
