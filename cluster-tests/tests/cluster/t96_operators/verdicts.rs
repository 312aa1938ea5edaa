//! `/routes/explain` says what the access rules say, and which of them.

use raftmq_cluster_tests::{Cluster, SOON, Setup, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

const RULES: &str = r#"
rules = [
    ["allow", { user = "root" }],
    ["deny", "all", "publish", ["locked/#"]],
    ["deny", "all", "subscribe", ["private/#"]],
    ["allow", "all"],
]
"#;

async fn start() -> (Cluster, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rmqtt-acl.toml"), RULES).expect("a file");
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
        .start()
        .await;
    cluster.links_up().await;
    (cluster, folder)
}

async fn load(cluster: &Cluster) {
    for id in cluster.ids() {
        let path = format!("/api/v1/plugins/{id}/rmqtt-acl/load");
        let answer = cluster.node(1).http().put(&path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

async fn explain(cluster: &Cluster, asked: u64, query: &str) -> Value {
    let http = cluster.node(asked).http();
    http.json(&format!("/api/v1/routes/explain?{query}")).await
}

fn acl(row: &Value) -> (&str, Option<u64>) {
    let verdict = row["acl"].as_str().unwrap_or_default();
    (verdict, row["acl_rule"].as_u64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_is_judged_by_its_connection_or_by_what_is_said_of_it() {
    let (cluster, _folder) = start().await;
    let root = cluster.connect(2, "chief").username("root").open().await;
    let open = explain(&cluster, 1, "topic=locked%2Fdoor").await;
    assert_eq!(acl(&open), ("allowed", None));
    load(&cluster).await;
    for asked in cluster.ids() {
        let nobody = explain(&cluster, asked, "topic=locked%2Fdoor").await;
        assert_eq!(acl(&nobody), ("denied", Some(2)), "{nobody}");
        assert_eq!(nobody["acl_source"], "rmqtt-acl");
        let named = explain(&cluster, asked, "topic=locked%2Fdoor&username=root").await;
        assert_eq!(acl(&named), ("allowed", Some(1)), "{named}");
        // Its own node knows its user name.
        let connected = explain(&cluster, asked, "topic=locked%2Fdoor&clientid=chief").await;
        assert_eq!(acl(&connected), ("allowed", Some(1)), "{connected}");
        let other = explain(&cluster, asked, "topic=open&ip=10.0.0.1").await;
        assert_eq!(acl(&other), ("allowed", Some(4)), "{other}");
    }
    let wrong = cluster
        .node(1)
        .http()
        .get("/api/v1/routes/explain?topic=a&ip=here");
    assert_eq!(wrong.await.status, 400);
    drop(root);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_might_not_subscribe_any_more_is_told_and_still_gets_it() {
    let (cluster, _folder) = start().await;
    let early = cluster.connect(3, "early").open().await;
    early.subscribed("private/#", 1).await;
    load(&cluster).await;
    let answer = explain(&cluster, 1, "topic=private%2Fdiary&qos=1").await;
    let row = &answer["subscribers"][0];
    assert_eq!(acl(row), ("denied", Some(3)), "{answer}");
    assert!(
        row["acl_why"]
            .as_str()
            .is_some_and(|why| why.contains("private/#")),
        "{row}"
    );
    assert_eq!(row["outcome"], "sent", "{row}");
    drop(early);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_published_would_reach_nobody() {
    let (cluster, _folder) = start().await;
    let keeper = cluster.connect(2, "keeper").open().await;
    keeper.subscribed("locked/#", 1).await;
    load(&cluster).await;
    let denied = explain(&cluster, 1, "topic=locked%2Fdoor&qos=1").await;
    let row = &denied["subscribers"][0];
    assert_eq!(row["reason"], "publish_denied", "{denied}");
    assert_eq!(row["outcome"], "not_delivered");
    drop(keeper);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_about_a_publisher_that_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nobody listens there; that nobody is asked shows in the answer coming at once and in no log.
    let text = "http_auth_req.url = \"http://127.0.0.1:1/\"\ndeny_if_error = false\n";
    std::fs::write(folder.path().join("rmqtt-auth-http.toml"), text).expect("a file");
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
        .set("RAFTMQ_PLUGINS_DEFAULT_STARTUPS", "rmqtt-auth-http")
        .start()
        .await;
    let answer = explain(&cluster, 1, "topic=a&clientid=absent").await;
    assert_eq!(acl(&answer), ("not_checked", None), "{answer}");
    let why = answer["acl_why"].as_str().unwrap_or_default();
    assert!(why.contains("nobody is asked in a dry run"), "{why}");
    let log = cluster.node(1).log_text();
    assert!(!log.contains("rmqtt-auth-http cannot be asked"), "{log}");
    let client = cluster.connect(1, "present").open().await;
    eventually("its own verdict", SOON, async || {
        let answer = explain(&cluster, 1, "topic=a&clientid=present").await;
        if answer["acl"] == json!("allowed") {
            Ok(())
        } else {
            Err(answer.to_string())
        }
    })
    .await;
    drop(client);
}
