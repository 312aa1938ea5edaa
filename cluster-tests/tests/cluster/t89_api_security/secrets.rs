//! Recognisable secrets in every setting that can hold one, and then they are looked for in everything that
//! a node shows: every GET endpoint, its log at the finest level, the printed configuration, and complaints
//! about files with mistakes.

use std::fs;

use raftmq_cluster_tests::{Cluster, Http, Setup, run_program};
use serde_json::Value;
use tempfile::TempDir;

/// Part of every secret here, and of nothing else.
const MARK: &str = "s3cr3t";

const TOKEN: &str = "s3cr3t-token-of-the-http-api";
const PASSWORD: &str = "s3cr3t-password-of-a-client";

const AUTH_HTTP: &str = r#"
http_timeout = "2s"
http_headers.authorization = "Bearer s3cr3t-of-all-requests"
http_auth_req.url = "http://127.0.0.1:1/auth?key=s3cr3t-in-the-url"
http_auth_req.headers = { x-key = "s3cr3t-of-one-request" }
http_auth_req.params = { clientid = "%c", password = "%P", key = "s3cr3t-parameter" }
deny_if_error = false
"#;
const AUTH_JWT: &str = "hmac_secret = \"s3cr3t-of-tokens-that-is-long-enough-for-all\"\n";
const HTTP_API: &str = "http_bearer_token = \"s3cr3t-token-in-the-file\"\n";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (plugin, text) in [
        ("rmqtt-auth-http", AUTH_HTTP),
        ("rmqtt-auth-jwt", AUTH_JWT),
        ("rmqtt-http-api", HTTP_API),
    ] {
        write(&folder, plugin, text);
    }
    folder
}

fn write(folder: &TempDir, plugin: &str, text: &str) {
    fs::write(folder.path().join(format!("{plugin}.toml")), text).expect("a file");
}

async fn start(folder: &TempDir) -> Cluster {
    let plugins = "rmqtt-auth-http";
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_HTTP_BEARER_TOKEN", TOKEN)
        .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
        .set("RAFTMQ_PLUGINS_DEFAULT_STARTUPS", plugins)
        .set("RAFTMQ_LOG_FILTER", "trace")
        .start()
        .await;
    cluster.links_up_by(&api(&cluster, 1)).await;
    cluster
}

fn api(cluster: &Cluster, id: u64) -> Http {
    Http::new(cluster.node(id).http_address()).with_token(TOKEN)
}

/// Every GET endpoint of the list, with a value for each place in its path.
async fn paths(http: &Http) -> Vec<String> {
    let list = http.json("/api/v1").await;
    let rows = list.as_array().expect("a list");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let gets = rows.iter().filter(|row| row["method"] == "GET");
    let mut paths = Vec::new();
    // `/tail` has no end; what it tells is in the log and in the other answers, too.
    for path in gets
        .map(|row| text(row, "path"))
        .filter(|path| path != "/tail")
    {
        for plugin in ["rmqtt-auth-http", "rmqtt-auth-jwt", "rmqtt-http-api"] {
            let path = path
                .replace("{node}", "2")
                .replace("{plugin}", plugin)
                .replace("{clientid}", "holder")
                .replace("{topic}", "a");
            let query = match &*path {
                "/routes/explain" => "?topic=a&nodes=all",
                "/retains" => "?topic_filter=%23",
                _ => "",
            };
            let path = format!("/api/v1{path}{query}");
            assert!(!path.contains('{'), "{path}: no value for it here");
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_and_no_log_tells_a_secret() {
    let folder = folder();
    let cluster = start(&folder).await;
    let holder = cluster.connect(2, "holder").username("ann");
    let client = holder.password(PASSWORD).open().await;
    client.subscribed("a", 1).await;
    let http = api(&cluster, 1);
    // Later, because a password that is no token is refused by it.
    let load = http.put("/api/v1/plugins/2/rmqtt-auth-jwt/load").await;
    assert_eq!(load.status, 200, "{load:?}");
    let paths = paths(&http).await;
    assert!(paths.len() > 40, "{paths:?}");
    for path in &paths {
        let answer = http.get(path).await;
        assert_ne!(answer.status, 401, "{path}");
        assert!(answer.status < 500, "{path}: {answer:?}");
        assert!(!told(&answer.body), "{path}: {}", answer.body);
        let headers = format!("{:?}", answer.headers);
        assert!(!told(&headers), "{path}: {headers}");
    }
    for wrong in ["", "s3cr3t-guess"] {
        let refused = Http::new(cluster.node(1).http_address()).with_token(wrong);
        let refused = refused.get("/api/v1/brokers").await;
        assert_eq!(refused.status, 401);
        assert!(!told(&refused.body), "{}", refused.body);
    }
    files_with_mistakes(&folder, &http).await;
    for id in cluster.ids() {
        let log = cluster.node(id).log_text();
        assert!(log.contains("TRACE"), "the finest level");
        let lines: Vec<_> = log.lines().filter(|line| told(line)).take(5).collect();
        assert!(lines.is_empty(), "node {id}: {lines:#?}");
    }
}

/// Whether a secret is in it, as it is or in base64.
fn told(text: &str) -> bool {
    // base64 of the mark at each of the three places where it can begin.
    let encoded = ["czNjcjN0", "MzY3Izd", "zM2NyM3"];
    text.contains(MARK) || encoded.iter().any(|mark| text.contains(mark))
}

/// A secret in the wrong place: the complaint names the line and not what stands there.
async fn files_with_mistakes(folder: &TempDir, http: &Http) {
    for (plugin, text) in [
        ("rmqtt-auth-http", "http_headers = \"s3cr3t-1\"\n"),
        ("rmqtt-auth-http", "deny_if_error = \"s3cr3t-2\"\n"),
        (
            "rmqtt-auth-http",
            "http_auth_req.url = \"ftp://s3cr3t-3\"\n",
        ),
        (
            "rmqtt-auth-http",
            "http_headers.authorization = \"s3cr3t-4\\n\"\nhttp_auth_req.url = \"http://a\"\n",
        ),
        ("rmqtt-auth-jwt", "hmac_base64 = \"s3cr3t-5\"\n"),
        (
            "rmqtt-auth-jwt",
            "hmac_secret = \"s3cr3t-6\"\nhmac_base64 = true\n",
        ),
        ("rmqtt-auth-jwt", "hmac_secret = s3cr3t-7\n"),
        ("rmqtt-http-api", "max_row_limit = \"s3cr3t-8\"\n"),
        ("rmqtt-http-api", "http_bearer_token = [\"s3cr3t-9\"]\n"),
        ("rmqtt-http-api", "http_bearer_token = \"s3cr3t-10\n"),
    ] {
        write(folder, plugin, text);
        let path = format!("/api/v1/plugins/2/{plugin}/config/reload");
        let refused = http.put(&path).await;
        assert_eq!(refused.status, 400, "{text}: {refused:?}");
        assert!(!told(&refused.body), "{text}: {}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_printed_configuration_tells_a_secret() {
    let folder = folder();
    let file = folder.path().join("raftmq.toml");
    fs::write(&file, format!("[http]\nbearer_token = \"{TOKEN}\"\n")).expect("a file");
    let file = file.display().to_string();
    let (variable, flag) = ("s3cr3t-variable", "http.bearer_token=s3cr3t-flag");
    for arguments in [
        vec!["config", "-f", &file],
        vec!["config", "-f", &file, "--set", flag],
        vec!["config", "--print-default"],
        vec!["config", "--print-reference"],
        vec!["check", "-f", &file, "--set", "mqtt.max_qos=7"],
    ] {
        let ran = run_program(&arguments, &[("RAFTMQ_HTTP_BEARER_TOKEN", variable)]).await;
        assert!(ran.code.is_some(), "{ran:?}");
        assert!(
            !told(&ran.stdout) && !told(&ran.stderr),
            "{arguments:?}: {ran:?}"
        );
    }
    for mistake in [
        "bearer_token = [\"s3cr3t\"]",
        "bearer_token = \"s3cr3t with spaces\"",
        "bearer_token = \"s3cr3t",
        "bearer_token = s3cr3t",
        "max_row_limit = 1\nbearer_tokn = \"s3cr3t\"",
    ] {
        fs::write(&file, format!("[http]\n{mistake}\n")).expect("a file");
        let ran = run_program(&["check", "-f", &file], &[]).await;
        assert_eq!(ran.code, Some(2), "{mistake}: {ran:?}");
        assert!(
            !told(&ran.stdout) && !told(&ran.stderr),
            "{mistake}: {ran:?}"
        );
    }
}
