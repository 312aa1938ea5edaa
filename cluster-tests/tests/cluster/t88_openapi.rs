//! The OpenAPI document of real nodes.

use raftmq_cluster_tests::{Cluster, Setup};

const PLACE: &str = "/api/v1/openapi.json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_serves_the_same_document_which_describes_what_it_answers() {
    let cluster = Cluster::start(3).await;
    let first = cluster.node(1).http().get(PLACE).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(
        first.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    let document = first.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    for id in cluster.ids() {
        let http = cluster.node(id).http();
        assert_eq!(http.get(PLACE).await.body, first.body, "node {id}");
        // What needs no parameter is asked; the endless answer is not.
        for (path, item) in document["paths"].as_object().unwrap() {
            let is_plain = !item["get"].is_null() && !path.contains('{');
            if !is_plain || path.ends_with("/tail") || path.ends_with("/explain") {
                continue;
            }
            let answer = http.get(path).await;
            assert_eq!(answer.status, 200, "node {id}: {path}: {answer:?}");
            let content = &item["get"]["responses"]["200"]["content"];
            let content_type = answer.header("content-type").unwrap_or_default();
            let content_type = content_type.split(';').next().unwrap_or_default();
            assert!(content[content_type].is_object(), "{path}: {content_type}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_behind_the_token_and_answers_get_and_head_alone() {
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_HTTP_BEARER_TOKEN", "secret")
        .start()
        .await;
    let http = cluster.node(1).http();
    let refused = http.get(PLACE).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (401, &"unauthorized".into())
    );
    let http = http.clone().with_token("secret");
    let whole = http.get(PLACE).await;
    let head = http.head(PLACE).await;
    assert_eq!((whole.status, head.status), (200, 200));
    assert_eq!(head.body, "");
    for name in ["content-type", "content-length"] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
    let wrong = http.put(PLACE).await;
    assert_eq!(
        (wrong.status, wrong.header("allow")),
        (405, Some("GET,HEAD"))
    );
}
