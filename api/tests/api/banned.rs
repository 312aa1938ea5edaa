//! `/banned`: who is kept out, listed in pages, banned and let in again.

use std::sync::Arc;

use raftmq_api::BanRefusal;
use serde_json::{Value, json};

use crate::world::{Setup, View, World};

async fn world(view: View) -> World {
    let setup = Setup {
        view: Arc::new(view),
        ..Setup::default()
    };
    setup.start().await
}

async fn ban(world: &World, body: Value) -> (u16, Value) {
    let reply = world.post("/api/v1/banned", &body.to_string()).await;
    (reply.status, reply.json())
}

#[tokio::test]
async fn a_ban_is_answered_and_listed_to_the_last_field() {
    let world = world(View::default()).await;
    let wanted = json!({"as": "peerhost_net", "who": "10.1.2.3/8", "by": "ops", "reason": "a scan",
        "until": "2100-01-01T01:00:00+01:00"});
    let (status, mut answer) = ban(&world, wanted).await;
    assert_eq!(status, 200, "{answer}");
    let listed = world.get("/api/v1/banned").await;
    assert_eq!(listed.header("x-applied-index"), Some("42"));
    assert_eq!(listed.json(), json!([answer]));
    let at = answer["at"].take();
    assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{at}");
    let expected = json!({"as": "peerhost_net", "who": "10.0.0.0/8", "by": "ops", "reason": "a scan",
        "at": null, "until": "2100-01-01T00:00:00Z"});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_ban_has_no_end_unless_one_is_given_and_addresses_have_one_form() {
    let world = world(View::default()).await;
    for (named_as, who, shown_as, shown) in [
        ("clientid", "c", "clientid", "c"),
        ("username", "u", "username", "u"),
        ("peerhost", "::ffff:10.0.0.1", "peerhost", "10.0.0.1"),
        ("peerhost", "2001:DB8::0", "peerhost", "2001:db8::"),
        ("peerhost_net", "10.0.0.2/32", "peerhost", "10.0.0.2"),
    ] {
        let (_, answer) = ban(&world, json!({"as": named_as, "who": who})).await;
        let fields = ["as", "who", "until", "by", "reason"].map(|field| answer[field].clone());
        assert_eq!(fields, [shown_as, shown, "infinity", "api", ""]);
    }
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let world = world(View::default()).await;
    for (named_as, who) in [
        ("username", "b"),
        ("clientid", "c"),
        ("peerhost", "10.0.0.1"),
        ("clientid", "a"),
    ] {
        ban(&world, json!({"as": named_as, "who": who})).await;
    }
    let (mut seen, mut query) = (Vec::new(), "?_limit=1".to_owned());
    loop {
        let page = world.get(&format!("/api/v1/banned{query}")).await;
        let rows = page.json();
        seen.extend(
            rows.as_array()
                .unwrap()
                .iter()
                .map(|row| row["who"].clone()),
        );
        let Some(cursor) = page.header("x-next-cursor") else {
            break;
        };
        query = format!("?_limit=1&_cursor={cursor}");
    }
    assert_eq!(seen, ["a", "c", "b", "10.0.0.1"]);
}

#[tokio::test]
async fn they_are_let_in_again_by_any_form_of_the_name() {
    let world = world(View::default()).await;
    ban(&world, json!({"as": "peerhost_net", "who": "10.0.0.0/8"})).await;
    let path = "/api/v1/banned/peerhost_net/10.9.9.9%2F8";
    let lifted = world.delete(path).await;
    assert_eq!((lifted.status, &*lifted.body), (200, "ok"));
    let again = world.delete(path).await;
    assert_eq!((again.status, &*again.code()), (404, "unknown_ban"));
    let wrong = world.delete("/api/v1/banned/client/c").await;
    assert_eq!((wrong.status, &*wrong.code()), (400, "invalid_ban"));
}

#[tokio::test]
async fn what_cannot_be_banned_is_refused() {
    let world = world(View::default()).await;
    for (body, code) in [
        (json!({"as": "clientid", "who": ""}), "invalid_ban"),
        (json!({"as": "peerhost", "who": "localhost"}), "invalid_ban"),
        (
            json!({"as": "clientid", "who": "c", "until": "2020-01-01T00:00:00Z"}),
            "invalid_ban",
        ),
        (
            json!({"as": "clientid", "who": "c", "until": "soon"}),
            "invalid_ban",
        ),
        (
            json!({"as": "clientid", "who": "c", "until": 5}),
            "invalid_json",
        ),
        (json!({"as": "client", "who": "c"}), "invalid_json"),
        (json!({"as": "clientid"}), "invalid_json"),
    ] {
        let (status, answer) = ban(&world, body.clone()).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (400, Some(code)),
            "{body}"
        );
    }
    assert_eq!(world.get("/api/v1/banned").await.json(), json!([]));
}

#[tokio::test]
async fn what_the_table_refuses_is_told() {
    for (refusal, status, code) in [
        (BanRefusal::Malformed, 400, "invalid_ban"),
        (BanRefusal::TooMany, 409, "too_many_bans"),
        (
            BanRefusal::NotReplicated("no leader".into()),
            503,
            "no_leader",
        ),
    ] {
        let view = View {
            ban_refusal: Some(refusal),
            ..View::default()
        };
        let world = world(view).await;
        let (told, answer) = ban(&world, json!({"as": "clientid", "who": "c"})).await;
        assert_eq!((told, answer["code"].as_str()), (status, Some(code)));
    }
    let view = View {
        no_leader: true,
        ..View::default()
    };
    let lifted = world(view).await.delete("/api/v1/banned/clientid/c").await;
    assert_eq!((lifted.status, &*lifted.code()), (503, "no_leader"));
}
