//! `/clients/offlines`: sessions without a connection, listed and ended.

use std::sync::Arc;

use serde_json::json;

use crate::world::{Setup, TestNode, View, World, dead_peer, row, session};

const PATH: &str = "/api/v1/clients/offlines";

/// Offline sessions here and on a node that does not answer, and one that is connected.
async fn world_of(view: View) -> World {
    let offline = |node_id, id: &str| {
        let mut row = row(node_id, id);
        row.connected = false;
        row
    };
    let own = vec![offline(1, "a1"), row(1, "b"), offline(1, "c")];
    let theirs = vec![offline(2, "a2"), offline(2, "offlines")];
    for row in own.iter().chain(&theirs) {
        let mut sessions = view.sessions.lock().unwrap();
        sessions.insert(row.client_id.clone(), session(row.clone()));
    }
    let setup = Setup {
        view: Arc::new(view),
        local: Arc::new(TestNode::with_rows(own)),
        peers: vec![(2, dead_peer().await)],
        ..Setup::default()
    };
    setup.start().await
}

async fn world() -> World {
    world_of(View::default()).await
}

#[tokio::test]
async fn offline_sessions_of_all_nodes_are_listed() {
    let world = world().await;
    let reply = world.get(PATH).await;
    assert_eq!(reply.column("clientid"), ["a1", "a2", "c", "offlines"]);
    assert_eq!(reply.header("x-unreachable-nodes"), Some("2"));
    let like = world.get(&format!("{PATH}?_like_clientid=a")).await;
    assert_eq!(like.column("clientid"), ["a1", "a2"]);
    let page = world.get(&format!("{PATH}?_limit=1")).await;
    assert_eq!(page.column("clientid"), ["a1"]);
    assert!(page.header("x-next-cursor").is_some());
    let connected = world.get(&format!("{PATH}?connected=true")).await;
    assert_eq!(connected.column("connected"), ["false"; 4]);
}

#[tokio::test]
async fn all_offline_sessions_are_ended_whether_their_node_answers_or_not() {
    let world = world().await;
    let reply = world.delete(PATH).await;
    assert_eq!(reply.json(), json!({"count": 4, "has_more": false}));
    assert_eq!(reply.header("x-applied-index"), Some("42"));
    let again = world.delete(PATH).await;
    assert_eq!(again.json()["count"], 0);
    assert_eq!(world.get("/api/v1/clients/b").await.status, 200);
    assert_eq!(world.get("/api/v1/clients/a2").await.status, 404);
}

#[tokio::test]
async fn only_the_sessions_that_a_query_names_are_ended() {
    let world = world().await;
    let reply = world.delete(&format!("{PATH}?_like_clientid=a")).await;
    assert_eq!(reply.json()["count"], 2);
    assert_eq!(world.delete(PATH).await.json()["count"], 2);
}

#[tokio::test]
async fn a_client_that_comes_back_meanwhile_keeps_its_session() {
    let view = View {
        returning: vec!["c".into()],
        ..View::default()
    };
    let world = world_of(view).await;
    assert_eq!(world.delete(PATH).await.json()["count"], 3);
    assert_eq!(world.get("/api/v1/clients/c").await.status, 200);
}

#[tokio::test]
async fn a_client_that_is_called_offlines_is_reached_with_an_escape() {
    let world = world().await;
    let online = world.get("/api/v1/clients/offlines/online").await;
    assert_eq!(online.json(), false);
    let kicked = world.delete("/api/v1/clients/%6Ffflines").await;
    assert!(kicked.text().contains("/offlines/"), "{}", kicked.body);
    assert_eq!(world.delete(PATH).await.json()["count"], 3);
}

#[tokio::test]
async fn wrong_queries_end_nothing() {
    let world = world().await;
    for query in ["proto_ver=x", "_gte_mqueue_len=1", "clientid=a&clientid=b"] {
        let reply = world.delete(&format!("{PATH}?{query}")).await;
        assert_eq!(reply.status, 400, "{query}: {}", reply.body);
        reply.code();
    }
    assert_eq!(world.get(&format!("{PATH}?_limit=-1")).await.status, 400);
    assert_eq!(world.post(PATH, "").await.status, 405);
    assert_eq!(world.delete(PATH).await.json()["count"], 4);
}

#[tokio::test]
async fn without_a_leader_nothing_is_ended() {
    let view = View {
        no_leader: true,
        ..View::default()
    };
    let reply = world_of(view).await.delete(PATH).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "no_leader"));
}
