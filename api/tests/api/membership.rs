//! `/cluster/nodes/{node}`: what is asked of the store, and what is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use raftmq_store::{MembershipChange, MembershipError};
use serde_json::json;

use crate::world::{Reply, Setup, TestNode, View, World, serve_peer};

async fn world(membership: Result<MembershipChange, MembershipError>) -> (World, Arc<View>) {
    let view = Arc::new(View {
        membership,
        ..View::default()
    });
    let setup = Setup {
        view: view.clone(),
        ..Setup::default()
    };
    (setup.start().await, view)
}

async fn put(world: &World, path: &str, body: &str) -> Reply {
    let request = world.http.put(format!("{}{path}", world.base));
    world.send(request.body(body.to_owned())).await
}

fn joins() -> MembershipChange {
    MembershipChange {
        change: "joins".into(),
        voters: vec![1, 2, 3],
        voters_after: vec![1, 2, 3, 4],
        up_after: vec![1, 2, 3, 4],
    }
}

#[tokio::test]
async fn a_join_is_asked_for_and_told_with_its_margin() {
    let (world, view) = world(Ok(joins())).await;
    let body = r#"{"address": "n4:7000"}"#;
    let told = put(&world, "/api/v1/cluster/nodes/4?dry_run=true", body).await;
    let expected = json!({
        "node_id": 4, "change": "joins", "dry_run": true, "voters": [1, 2, 3],
        "voters_after": [1, 2, 3, 4], "up_after": [1, 2, 3, 4],
        "majority_after": 3, "spare_after": 1,
    });
    assert_eq!(told.json(), expected);
    let told = put(&world, "/api/v1/cluster/nodes/4", body).await;
    assert_eq!(told.json()["dry_run"], false);
    world.delete("/api/v1/cluster/nodes/4").await.json();
    world
        .delete("/api/v1/cluster/nodes/4?dry_run=true")
        .await
        .json();
    let asked = view.asked.lock().unwrap().clone();
    let expected = [
        "Forecast admit 4 at n4:7000",
        "Do admit 4 at n4:7000",
        "Do remove 4",
        "Forecast remove 4",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn wrong_requests_ask_for_nothing() {
    let (world, view) = world(Ok(joins())).await;
    for (path, body, code) in [
        ("4", r#"{"address": "n4"}"#, "invalid_address"),
        ("4", r#"{"address": 7}"#, "invalid_json"),
        ("4", "{}", "invalid_json"),
        ("4", "", "invalid_json"),
        ("0", r#"{"address": "n4:1"}"#, "invalid_node"),
        ("65536", r#"{"address": "n4:1"}"#, "invalid_node"),
        ("x", r#"{"address": "n4:1"}"#, "invalid_node"),
        ("4?dry_run=1", r#"{"address": "n4:1"}"#, "invalid_parameter"),
    ] {
        let refused = put(&world, &format!("/api/v1/cluster/nodes/{path}"), body).await;
        assert_eq!(
            (refused.status, &*refused.code()),
            (400, code),
            "{path} {body}"
        );
    }
    assert_eq!(view.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn each_refusal_has_its_status_and_code() {
    for (code, status) in [
        ("unknown_node", 404),
        ("last_node", 409),
        ("no_quorum", 409),
        ("was_removed", 409),
        ("node_is_up", 409),
    ] {
        let refusal = MembershipError::Refused {
            code: code.into(),
            reason: "why".into(),
        };
        let (world, _) = world(Err(refusal)).await;
        let refused = world.delete("/api/v1/cluster/nodes/2").await;
        assert_eq!((refused.status, &*refused.code()), (status, code));
    }
    let (world, _) = world(Err(MembershipError::Unavailable("no leader".into()))).await;
    let refused = world.delete("/api/v1/cluster/nodes/2").await;
    assert_eq!((refused.status, &*refused.code()), (503, "no_leader"));
}

#[tokio::test]
async fn the_members_are_asked_where_they_are_and_nobody_else() {
    let (moved, gone) = (serve_peer(2, Arc::default()).await, "127.0.0.1:1");
    let members = BTreeMap::from([(1, "n1:7000".into()), (2, moved.clone())]);
    let view = View {
        members,
        ..View::default()
    };
    let world = Setup {
        view: Arc::new(view),
        local: Arc::new(TestNode::default()),
        peers: vec![(2, gone.into()), (3, gone.into())],
        ..Setup::default()
    }
    .start()
    .await;
    let rows = world.get("/api/v1/brokers").await;
    let names = rows.column("node_name");
    assert_eq!(names, ["1@n1:7000".to_owned(), format!("2@{moved}")]);
    assert_eq!(world.get("/api/v1/brokers/3").await.status, 404);
}
