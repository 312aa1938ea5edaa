//! `/retains`: retained messages, listed by filter and in pages, and deleted.

use std::sync::Arc;

use raftmq_api::KnownRetained;
use raftmq_api::node::{PublishProperties, UserProperty};
use serde_json::json;

use crate::world::{CONNECTED_AT_MS, Setup, View, World};

fn message(topic: &str, payload: &str) -> KnownRetained {
    KnownRetained {
        topic: topic.into(),
        payload: payload.to_owned().into(),
        qos: 1,
        properties: PublishProperties::default(),
        client_id: "sensor".into(),
        received_at_ms: CONNECTED_AT_MS,
    }
}

async fn world_with(messages: Vec<KnownRetained>, view: View) -> World {
    for message in messages {
        let mut retained = view.retained.lock().unwrap();
        retained.insert(message.topic.clone(), message);
    }
    let setup = Setup {
        view: Arc::new(view),
        ..Setup::default()
    };
    setup.start().await
}

async fn world() -> World {
    let mut expired = message("a/expired", "old");
    expired.properties.expiry_seconds = Some(1);
    let mut messages = vec![expired];
    for topic in ["$SYS/a", "a", "a/b", "a/c", "b"] {
        messages.push(message(topic, "x"));
    }
    world_with(messages, View::default()).await
}

async fn topics(world: &World, query: &str) -> (Vec<String>, bool) {
    let page = world.get(&format!("/api/v1/retains{query}")).await.json();
    let items = page["items"].as_array().unwrap().iter();
    let topics = items.map(|item| item["topic"].as_str().unwrap().to_owned());
    (topics.collect(), page["has_more"].as_bool().unwrap())
}

#[tokio::test]
async fn a_retained_message_is_shown_to_the_last_field() {
    let now_ms = jiff::Timestamp::now().as_millisecond() as u64;
    let mut full = message("t", "payload");
    full.received_at_ms = now_ms;
    full.properties = PublishProperties {
        payload_is_utf8: Some(true),
        expiry_seconds: Some(1_000),
        content_type: Some("text/plain".into()),
        response_topic: Some("answers".into()),
        correlation_data: Some(vec![1, 2].into()),
        user_properties: vec![UserProperty {
            name: "n".into(),
            value: "v".into(),
        }],
    };
    let world = world_with(vec![full], View::default()).await;
    let reply = world.get("/api/v1/retains").await;
    assert_eq!(reply.header("x-applied-index"), Some("42"));
    let mut item = reply.json()["items"][0].clone();
    let left = item["remaining_ttl"].as_u64().unwrap();
    assert!((900..=1_000).contains(&left), "{left}");
    item["remaining_ttl"] = json!(1_000);
    assert_eq!(
        item,
        json!({
            "topic": "t", "msg_id": null, "from": "sensor", "client_id": "sensor",
            "remaining_ttl": 1_000,
            "publish": {
                "topic": "t", "qos": 1, "retain": true, "dup": false, "payload": "cGF5bG9hZA==",
                "create_time": now_ms,
                "properties": {
                    "payload_format_indicator": 1, "message_expiry_interval": 1_000,
                    "content_type": "text/plain", "response_topic": "answers",
                    "correlation_data": "AQI=", "user_properties": [["n", "v"]],
                },
            },
        })
    );
}

#[tokio::test]
async fn a_message_that_never_expires_has_no_remaining_time_and_one_that_has_expired_is_not_shown()
{
    let world = world().await;
    let page = world.get("/api/v1/retains?topic_filter=a/%23").await.json();
    let items = page["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["topic"] != "a/expired"));
    assert!(items.iter().all(|item| item["remaining_ttl"].is_null()));
    assert_eq!(items[0]["publish"]["properties"], json!({}));
}

#[tokio::test]
async fn filters_match_by_the_rules_of_mqtt() {
    let world = world().await;
    for (query, expected) in [
        ("", &["a", "a/b", "a/c", "b"][..]),
        ("?topic_filter=%23", &["a", "a/b", "a/c", "b"]),
        ("?topic_filter=a/%23", &["a", "a/b", "a/c"]),
        ("?topic_filter=a/%2B", &["a/b", "a/c"]),
        ("?topic_filter=%2B", &["a", "b"]),
        ("?topic_filter=a/b", &["a/b"]),
        ("?topic_filter=$SYS/%23", &["$SYS/a"]),
        ("?topic_filter=nothing", &[]),
        ("?_consistency=leader&topic_filter=b", &["b"]),
    ] {
        let (topics, has_more) = topics(&world, query).await;
        assert_eq!(topics, expected, "{query}");
        assert!(!has_more, "{query}");
    }
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_and_say_whether_there_is_more() {
    let world = world().await;
    for (query, expected, more) in [
        ("?limit=3", &["a", "a/b", "a/c"][..], true),
        ("?limit=3&offset=3", &["b"], false),
        ("?limit=4", &["a", "a/b", "a/c", "b"], false),
        ("?limit=1&offset=2&topic_filter=a/%23", &["a/c"], false),
        ("?offset=9", &[], false),
        ("?limit=0&offset=3", &["b"], false),
        ("?limit=99999999999", &["a", "a/b", "a/c", "b"], false),
    ] {
        let (topics, has_more) = topics(&world, query).await;
        assert_eq!(
            (topics, has_more),
            (expected.iter().map(|t| t.to_string()).collect(), more)
        );
    }
}

#[tokio::test]
async fn a_message_is_deleted_once() {
    let world = world().await;
    assert_eq!(
        world.delete("/api/v1/retains?topic=a%2Fb").await.text(),
        "ok"
    );
    let again = world.delete("/api/v1/retains?topic=a%2Fb").await;
    assert_eq!(
        (again.status, again.code().as_str()),
        (404, "unknown_topic")
    );
    let expired = world.delete("/api/v1/retains?topic=a/expired").await;
    assert_eq!(expired.status, 404);
    assert_eq!(topics(&world, "").await.0, ["a", "a/c", "b"]);
}

#[tokio::test]
async fn wrong_questions_are_refused() {
    let world = world().await;
    for query in [
        "topic_filter=a/%23/b",
        "topic_filter=a%2B",
        "topic_filter=",
        "offset=-1",
        "offset=x",
        "limit=-1",
    ] {
        let reply = world.get(&format!("/api/v1/retains?{query}")).await;
        assert_eq!(reply.status, 400, "{query}: {}", reply.body);
        reply.code();
    }
    for (query, code) in [
        ("", "missing_topic"),
        ("?topic=", "invalid_topic"),
        ("?topic=a/%23", "invalid_topic"),
        ("?topic=%00", "invalid_topic"),
    ] {
        let reply = world.delete(&format!("/api/v1/retains{query}")).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, code),
            "{query}"
        );
    }
}

#[tokio::test]
async fn without_a_leader_nothing_is_deleted() {
    let view = View {
        no_leader: true,
        ..View::default()
    };
    let world = world_with(vec![message("a", "x")], view).await;
    let reply = world.delete("/api/v1/retains?topic=a").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "no_leader"));
    assert_eq!(topics(&world, "").await.0, ["a"]);
}
