//! Subscriptions and routes, which come from replicated state.

use std::sync::Arc;

use serde_json::json;

use crate::world::{Setup, View, World, row, session, subscription};

async fn world() -> World {
    let mut view = View::default();
    let mut v5 = row(2, "c/2");
    v5.protocol_version = 5;
    for row in [row(1, "c1"), v5, row(1, "quiet")] {
        view.sessions
            .lock()
            .unwrap()
            .insert(row.client_id.clone(), session(row));
    }
    view.subscriptions.insert(
        "c1".into(),
        vec![
            subscription("foo/#", "", 1),
            subscription("foo/+", "", 0),
            subscription("foo/1", "g", 2),
        ],
    );
    let mut with_id = subscription("foo/+", "", 0b10_1101);
    with_id.3 = 9;
    view.subscriptions
        .insert("c/2".into(), vec![subscription("$SYS/#", "", 0), with_id]);
    Setup {
        view: Arc::new(view),
        ..Setup::default()
    }
    .start()
    .await
}

#[tokio::test]
async fn a_subscription_has_the_fields_of_both_generations() {
    let world = world().await;
    let reply = world.get("/api/v1/subscriptions/c%2F2").await;
    assert_eq!(reply.header("x-applied-index"), Some("42"));
    assert_eq!(
        reply.json()[1],
        json!({
            "client_addr": "10.0.0.9:10839", "clientid": "c/2", "node_id": 2, "qos": 1,
            "share": null, "topic": "foo/+",
            "opts": {"qos": 1, "id": 9, "no_local": true, "retain_as_published": true, "retain_handling": 2},
        })
    );
    let shared = &world.get("/api/v1/subscriptions/c1").await.json()[2];
    assert_eq!(shared["opts"], json!({"qos": 2, "group": "g"}));
    assert_eq!(
        (shared["share"].clone(), shared["topic"].clone()),
        ("g".into(), "foo/1".into())
    );
    assert_eq!(
        world.get("/api/v1/subscriptions/quiet").await.json(),
        json!([])
    );
}

#[tokio::test]
async fn every_subscription_filter_works() {
    let world = world().await;
    for (query, expected) in [
        (
            "",
            &[
                "c/2 $SYS/#",
                "c/2 foo/+",
                "c1 foo/#",
                "c1 foo/+",
                "c1 foo/1",
            ][..],
        ),
        ("clientid=c1", &["c1 foo/#", "c1 foo/+", "c1 foo/1"]),
        ("clientid=nobody", &[]),
        ("topic=foo/%2B", &["c/2 foo/+", "c1 foo/+"]),
        ("topic=foo/1", &["c1 foo/1"]),
        ("qos=2", &["c1 foo/1"]),
        ("qos=1", &["c/2 foo/+", "c1 foo/#"]),
        ("share=g", &["c1 foo/1"]),
        ("share=h", &[]),
        ("_match_topic=foo", &["c1 foo/#"]),
        (
            "_match_topic=foo/1",
            &["c/2 foo/+", "c1 foo/#", "c1 foo/+", "c1 foo/1"],
        ),
        ("_match_topic=foo%2F1&qos=0", &["c1 foo/+"]),
        ("_match_topic=$SYS/a", &["c/2 $SYS/#"]),
        ("_consistency=leader&qos=2", &["c1 foo/1"]),
    ] {
        let reply = world.get(&format!("/api/v1/subscriptions?{query}")).await;
        let (clients, topics) = (reply.column("clientid"), reply.column("topic"));
        let rows: Vec<String> = clients
            .iter()
            .zip(topics)
            .map(|(c, t)| format!("{c} {t}"))
            .collect();
        assert_eq!(rows, expected, "{query}");
    }
}

async fn pages(world: &World, path: &str, fields: [&str; 2]) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let reply = world.get(&format!("{path}?_limit=2{cursor}")).await;
        let (a, b) = (reply.column(fields[0]), reply.column(fields[1]));
        assert!(a.len() <= 2);
        seen.extend(a.iter().zip(b).map(|(a, b)| format!("{a} {b}")));
        let Some(next) = reply.header("x-next-cursor") else {
            return seen;
        };
        cursor = format!("&_cursor={next}");
    }
}

#[tokio::test]
async fn subscriptions_are_paged_also_within_one_client() {
    let world = world().await;
    let all = [
        "c/2 $SYS/#",
        "c/2 foo/+",
        "c1 foo/#",
        "c1 foo/+",
        "c1 foo/1",
    ];
    assert_eq!(
        pages(&world, "/api/v1/subscriptions", ["clientid", "topic"]).await,
        all
    );
    let of_one = pages(&world, "/api/v1/subscriptions/c1", ["clientid", "topic"]).await;
    assert_eq!(of_one, all[2..]);
    let matching = pages(&world, "/api/v1/routes/foo%2F1", ["topic", "node_id"]).await;
    assert_eq!(matching, ["foo/# 1", "foo/+ 1", "foo/+ 2", "foo/1 1"]);
}

#[tokio::test]
async fn routes_are_listed_once_per_filter_and_node_and_paged() {
    let world = world().await;
    let all = ["$SYS/# 2", "foo/# 1", "foo/+ 1", "foo/+ 2", "foo/1 1"];
    assert_eq!(
        pages(&world, "/api/v1/routes", ["topic", "node_id"]).await,
        all
    );
    let reply = world.get("/api/v1/routes?_limit=1").await;
    assert_eq!(reply.json(), json!([{"node_id": 2, "topic": "$SYS/#"}]));
    assert_eq!(reply.header("x-applied-index"), Some("42"));
}

#[tokio::test]
async fn a_topics_routes_are_those_whose_filter_matches_it() {
    let world = world().await;
    let reply = world.get("/api/v1/routes/foo%2f1").await;
    assert_eq!(reply.column("topic"), ["foo/#", "foo/+", "foo/+", "foo/1"]);
    assert_eq!(reply.column("node_id"), ["1", "1", "2", "1"]);
    assert_eq!(world.get("/api/v1/routes/bar").await.json(), json!([]));
}
