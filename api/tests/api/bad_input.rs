//! Every class of wrong request gets its status and an error body.

use std::sync::Arc;

use raftmq_api::ApiConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Setup, View, World, row, session};

/// Sends bytes as they are; the whole answer.
async fn raw(world: &World, request: &[u8]) -> String {
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(10), read)
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn wrong_queries_are_refused() {
    let world = Setup::default().start().await;
    for path in [
        "/clients?_limit=-1",
        "/clients?_limit=x",
        "/clients?connected=maybe",
        "/clients?proto_ver=x",
        "/clients?proto_ver=256",
        "/clients?_gte_created_at=yesterday",
        "/clients?_lte_connected_at=2022-99-01%2000:00:00",
        "/clients?_gte_mqueue_len=-1",
        "/clients?_cursor=%21",
        "/clients?clientid=%ff",
        "/clients?clientid=a&clientid=b",
        "/clients?_consistency=strong",
        "/subscriptions?qos=3",
        "/subscriptions?_match_topic=a/%23",
        "/subscriptions?_match_topic=",
        "/subscriptions?_limit=-5",
        "/routes?_limit=many",
        "/routes?_cursor=bm9uc2Vuc2U",
        "/routes/a%2F%2B",
        "/routes/%00",
        "/routes/%ff",
        "/brokers/one",
        "/nodes/-1",
        "/stats/total",
        "/metrics/1.5",
    ] {
        let reply = world.get(&format!("/api/v1{path}")).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.body);
        reply.code();
    }
}

#[tokio::test]
async fn unknown_things_are_not_found() {
    let world = Setup::default().start().await;
    for (path, code) in [
        ("/api/v1/nothing", "unknown_path"),
        ("/", "unknown_path"),
        ("/api/v2/brokers", "unknown_path"),
        ("/api/v1/clients/", "unknown_path"),
        ("/api/v1/clients/a/b", "unknown_path"),
        ("/api/v1/clients/nobody", "unknown_client"),
        ("/api/v1/subscriptions/nobody", "unknown_client"),
        ("/api/v1/brokers/9", "unknown_node"),
        ("/api/v1/nodes/9", "unknown_node"),
        ("/api/v1/stats/9", "unknown_node"),
        ("/api/v1/metrics/9", "unknown_node"),
    ] {
        let reply = world.get(path).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, code), "{path}");
    }
    assert_eq!(
        world.delete("/api/v1/clients/nobody").await.code(),
        "unknown_client"
    );
}

#[tokio::test]
async fn wrong_methods_are_refused_and_the_right_ones_named() {
    let world = Setup::default().start().await;
    let reply = world.post("/api/v1/clients/x", "").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (405, "method_not_allowed")
    );
    let allow = reply.header("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("DELETE"), "{allow}");
    assert_eq!(world.get("/api/v1/mqtt/publish").await.status, 405);
    assert_eq!(world.post("/ready", "").await.status, 405);
}

#[tokio::test]
async fn wrong_bodies_are_refused() {
    let setup = Setup::default();
    setup
        .view
        .sessions
        .lock()
        .unwrap()
        .insert("c".into(), session(row(1, "c")));
    let world = setup.start().await;
    for (path, body, code) in [
        ("publish", "", "invalid_json"),
        ("publish", "{", "invalid_json"),
        ("publish", "[]", "invalid_json"),
        ("publish", "{\"topic\": \"a\"}", "invalid_json"),
        (
            "publish",
            "{\"topic\": 1, \"payload\": \"p\"}",
            "invalid_json",
        ),
        (
            "publish",
            "{\"topic\": \"a\", \"payload\": {}}",
            "invalid_json",
        ),
        (
            "publish",
            "{\"topic\": \"a\", \"payload\": \"p\", \"qos\": -1}",
            "invalid_json",
        ),
        (
            "publish",
            "{\"topic\": \"a\", \"payload\": \"p\", \"retain\": 1}",
            "invalid_json",
        ),
        (
            "publish",
            "{\"topic\": \"a\", \"payload\": \"p\", \"qos\": 3}",
            "invalid_qos",
        ),
        ("publish", "{\"payload\": \"p\"}", "missing_topic"),
        (
            "publish",
            "{\"topic\": \"a/#\", \"payload\": \"p\"}",
            "invalid_topic",
        ),
        (
            "publish",
            "{\"topic\": \"a\", \"payload\": \"p\", \"encoding\": \"x\"}",
            "unknown_encoding",
        ),
        (
            "publish",
            "{\"topic\": \"a\", \"payload\": \"!\", \"encoding\": \"base64\"}",
            "invalid_base64",
        ),
        ("subscribe", "{\"topic\": \"a\"}", "invalid_json"),
        ("subscribe", "{\"clientid\": \"c\"}", "missing_topic"),
        (
            "subscribe",
            "{\"clientid\": \"c\", \"topic\": \"a/#/b\"}",
            "invalid_topic",
        ),
        (
            "subscribe",
            "{\"clientid\": \"c\", \"topic\": \"$share//a\"}",
            "invalid_topic",
        ),
        (
            "subscribe",
            "{\"clientid\": \"c\", \"topic\": \"a\", \"qos\": 9}",
            "invalid_qos",
        ),
        ("unsubscribe", "{\"clientid\": \"c\"}", "invalid_json"),
        (
            "unsubscribe",
            "{\"clientid\": \"c\", \"topic\": \"\"}",
            "invalid_topic",
        ),
    ] {
        let reply = world.post(&format!("/api/v1/mqtt/{path}"), body).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, code),
            "{path} {body}"
        );
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_announced_or_not() {
    let config = ApiConfig {
        max_body_bytes: 1000,
        ..Setup::default().config
    };
    let world = Setup {
        config,
        ..Setup::default()
    }
    .start()
    .await;
    let reply = world.post("/api/v1/mqtt/publish", &"x".repeat(1001)).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (413, "body_too_large")
    );
    let mut chunked = b"POST /api/v1/mqtt/publish HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
        Transfer-Encoding: chunked\r\n\r\n3E9\r\n"
        .to_vec();
    chunked.extend([b'x'; 1001]);
    chunked.extend(b"\r\n0\r\n\r\n");
    let answer = raw(&world, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn without_a_leader_what_needs_one_is_unavailable_and_the_rest_is_not() {
    let view = View {
        no_leader: true,
        not_ready: Some("no serving lease"),
        ..View::default()
    };
    view.sessions
        .lock()
        .unwrap()
        .insert("c".into(), session(row(1, "c")));
    let world = Setup {
        view: Arc::new(view),
        ..Setup::default()
    }
    .start()
    .await;
    for path in [
        "/routes?_consistency=leader",
        "/subscriptions?_consistency=leader",
        "/clients?_consistency=leader",
    ] {
        let reply = world.get(&format!("/api/v1{path}")).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (503, "no_leader"),
            "{path}"
        );
    }
    assert_eq!(world.delete("/api/v1/clients/c").await.code(), "no_leader");
    let ready = world.get("/ready").await;
    assert_eq!(
        (ready.status, ready.json()["message"].clone()),
        (503, "no serving lease".into())
    );
    assert_eq!(world.get("/api/v1/routes").await.status, 200);
    assert_eq!(world.get("/live").await.status, 200);
}

#[tokio::test]
async fn with_a_token_everything_but_the_probes_needs_it() {
    let config = ApiConfig {
        http_bearer_token: Some("s3cret".into()),
        ..Setup::default().config
    };
    let world = Setup {
        config,
        ..Setup::default()
    }
    .start()
    .await;
    for path in [
        "/api/v1",
        "/api/v1/brokers",
        "/api/v1/nothing",
        "/elsewhere",
    ] {
        let reply = world.get(path).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "unauthorized"),
            "{path}"
        );
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        let url = format!("{}{path}", world.base);
        let wrong = world
            .send(world.http.get(&url).bearer_auth("s3cret2"))
            .await;
        assert_eq!(wrong.status, 401, "{path}");
        let right = world.send(world.http.get(&url).bearer_auth("s3cret")).await;
        assert_ne!(right.status, 401, "{path}");
    }
    assert_eq!(world.get("/live").await.status, 200);
    assert_eq!(world.get("/ready").await.status, 200);
}

#[tokio::test]
async fn garbage_is_answered_and_the_server_goes_on() {
    let world = Setup::default().start().await;
    for garbage in [
        &b"\x10\x0e\x00\x04MQTT\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ] {
        let answer = raw(&world, garbage).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(world.get("/live").await.status, 200);
}
