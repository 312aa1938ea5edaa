//! What the HTTP API says to wrong questions.

use raftmq_cluster_tests::{Answer, Cluster, Setup};
use serde_json::json;

fn is_error(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    let body = answer.json();
    let code = body["code"]
        .as_str()
        .unwrap_or_else(|| panic!("{what}: {body}"));
    assert!(
        !code.is_empty()
            && code
                .bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
    );
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "{what}: {body}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_things_are_404_and_wrong_questions_400_on_every_node() {
    let cluster = Cluster::start(3).await;
    let unknown = [
        "/api/v1/brokers/9",
        "/api/v1/nodes/9",
        "/api/v1/stats/9",
        "/api/v1/metrics/9",
        "/api/v1/clients/nobody",
        "/api/v1/nothing",
        "/nothing",
    ];
    let wrong = [
        "/api/v1/clients?_limit=-1",
        "/api/v1/clients?_limit=x",
        "/api/v1/clients?connected=maybe",
        "/api/v1/clients?proto_ver=x",
        "/api/v1/clients?_gte_created_at=yesterday",
        "/api/v1/subscriptions?qos=3",
        "/api/v1/subscriptions?_match_topic=a%2F%23",
        "/api/v1/routes?_limit=-1",
        "/api/v1/routes/a%2F%2B",
        "/api/v1/brokers/x",
    ];
    for asked in cluster.ids() {
        let http = cluster.node(asked).http();
        for path in unknown {
            is_error(&http.get(path).await, 404, path);
        }
        for path in wrong {
            is_error(&http.get(path).await, 400, path);
        }
        is_error(
            &http.delete("/api/v1/clients/nobody").await,
            404,
            "DELETE of nobody",
        );
        is_error(
            &http.post("/api/v1/brokers", &json!({})).await,
            405,
            "POST /brokers",
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_publications_are_400_and_publish_nothing() {
    let cluster = Cluster::start(1).await;
    let mut subscriber = cluster.connect(1, "subscriber").open().await;
    subscriber.subscribed("#", 1).await;
    let http = cluster.node(1).http();
    let wrong = [
        json!({"payload": "x"}),
        json!({"topic": "a", "payload": "x", "qos": 3}),
        json!({"topic": "a", "payload": "x", "qos": "one"}),
        json!({"topic": "a/#", "payload": "x"}),
        json!({"topic": "", "payload": "x"}),
        json!({"topic": "a", "payload": "?", "encoding": "base64"}),
        json!({"topic": "a", "payload": "x", "encoding": "morse"}),
        json!({"topic": "a"}),
        json!([1, 2]),
    ];
    for body in wrong {
        let answer = http.post("/api/v1/mqtt/publish", &body).await;
        is_error(&answer, 400, &body.to_string());
    }
    is_error(
        &http.post_text("/api/v1/mqtt/publish", "{not json").await,
        400,
        "unreadable",
    );
    let large = format!(
        "{{\"topic\":\"a\",\"payload\":\"{}\"}}",
        "x".repeat(64 << 20)
    );
    is_error(
        &http.post_text("/api/v1/mqtt/publish", &large).await,
        413,
        "64 MiB",
    );
    let publisher = cluster.connect(1, "publisher").open().await;
    subscriber.expect_no_more(&publisher, "fence").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_and_ready_need_no_token_and_the_rest_does() {
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_HTTP_BEARER_TOKEN", "secret")
        .start()
        .await;
    let http = cluster.node(1).http();
    assert_eq!(http.get("/live").await.status, 200);
    assert_eq!(http.get("/ready").await.status, 200);
    for path in ["/api/v1/brokers", "/api/v1/clients", "/api/v1/nothing"] {
        is_error(&http.get(path).await, 401, path);
    }
}
