//! Who is let in, and what for: tokens (rmqtt-auth-jwt) and an HTTP server (rmqtt-auth-http) decide, on the
//! nodes where these plugins are at work.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{EncodingKey, Header, encode};
use raftmq_cluster_tests::{Cluster, Connect, Filter, SOON, Setup, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const JWT: &str = "rmqtt-auth-jwt";
const HTTP: &str = "rmqtt-auth-http";

const JWT_FILE: &str = r#"
hmac_secret = "of the test"
disconnect_if_expiry = true
validate_claims.exp = true
validate_claims.clientid = "${clientid}"
"#;

fn plugins_folder(plugin: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join(format!("{plugin}.toml")), text).expect("a file");
    folder
}

fn setup(nodes: u64, folder: &Path, startups: &str) -> Setup {
    Setup::nodes(nodes)
        .set("RAFTMQ_PLUGINS_DIR", &folder.display().to_string())
        .set("RAFTMQ_PLUGINS_DEFAULT_STARTUPS", startups)
        .set("RAFTMQ_MQTT_ALLOW_ANONYMOUS", "false")
}

fn startups(plugin: &str) -> String {
    format!("rmqtt-retainer,{plugin}")
}

fn seconds_from_now(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("a clock").as_secs() + seconds
}

fn token(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), claims, &key).expect("a token")
}

/// A token that lives for an hour, with more claims.
fn good_token(client_id: &str, more: &Value) -> String {
    let mut claims = json!({"clientid": client_id, "exp": seconds_from_now(3_600)});
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    token("of the test", &claims)
}

fn with_password(cluster: &Cluster, node: u64, id: &str, password: &str) -> Connect {
    let connect = cluster.connect(node, id);
    connect.username("somebody").password(password)
}

/// The codes with which both versions of MQTT are refused.
async fn refused(connect: Connect) -> (Option<u8>, Option<u8>) {
    let code = async |connect: Connect| match connect.try_open().await {
        Ok(client) => panic!("{} is let in", client.id()),
        Err(refused) => refused.code,
    };
    (code(connect.clone().v4()).await, code(connect).await)
}

const BAD_CREDENTIALS: (Option<u8>, Option<u8>) = (Some(4), Some(0x86));
const NOT_AUTHORIZED: (Option<u8>, Option<u8>) = (Some(5), Some(0x87));
const UNAVAILABLE: (Option<u8>, Option<u8>) = (Some(3), Some(0x88));

/// Accepted, and there are no subscribers (MQTT 5 §3.4.2.1).
const NOBODY_LISTENS: u8 = 0x10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_says_who_is_let_in_and_what_for() {
    let folder = plugins_folder(JWT, JWT_FILE);
    let cluster = setup(3, folder.path(), &startups(JWT)).start().await;
    let acl = json!([
        {"permission": "allow", "action": "all", "topic": "of/${clientid}/#"},
        {"permission": "deny", "action": "all", "topic": "#"},
    ]);
    let good = good_token("c", &json!({ "acl": acl }));
    for node in cluster.ids() {
        let connect = with_password(&cluster, node, "c", &good);
        let client = connect.clone().open().await;
        client.subscribed("of/c/#", 1).await;
        assert_eq!(client.publish("of/c/x", 1, "x").await, Ok(0));
        let everything = client.subscribe(&[Filter::new("#", 1)]).await;
        assert_eq!(everything, Ok(vec![0x87]));
        // The token's rules disconnect, as disconnect_if_pub_rejected is not set to false.
        assert!(client.publish("of/other/x", 1, "x").await.is_err());
        connect.v4().open().await;
    }
    for (id, password) in [
        ("c", "no token".to_owned()),
        (
            "c",
            token("another secret", &json!({"clientid": "c", "exp": 4e9})),
        ),
        (
            "c",
            token("of the test", &json!({"clientid": "c", "exp": 1})),
        ),
        ("c", token("of the test", &json!({"clientid": "c"}))),
        ("another", good.clone()),
    ] {
        let connect = with_password(&cluster, 2, id, &password);
        assert_eq!(refused(connect).await, BAD_CREDENTIALS, "{password}");
    }
    let wild = good_token("c", &json!({"acl": "everything"}));
    let connect = with_password(&cluster, 3, "c", &wild);
    assert_eq!(refused(connect).await, NOT_AUTHORIZED);
    // Without a token nobody knows it, and strangers are not let in.
    assert_eq!(refused(cluster.connect(1, "c")).await, NOT_AUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_shows_a_superuser_for_whom_no_rules_hold() {
    let folder = plugins_folder(JWT, JWT_FILE);
    let cluster = setup(3, folder.path(), &startups(JWT)).start().await;
    let acl = json!([{"permission": "deny", "action": "all", "topic": "#"}]);
    let root = good_token("root", &json!({"superuser": true, "acl": acl}));
    let root = with_password(&cluster, 1, "root", &root).open().await;
    root.subscribed("#", 1).await;
    assert_eq!(root.publish("anything", 1, "x").await, Ok(0));
    let plain = good_token("plain", &json!({}));
    let _plain = with_password(&cluster, 2, "plain", &plain).open().await;
    for node in cluster.nodes() {
        let superuser = async |id: &str| {
            let client = node.http().json(&format!("/api/v1/clients/{id}")).await;
            client["superuser"].clone()
        };
        assert_eq!(superuser("root").await, true, "node {}", node.id());
        assert_eq!(superuser("plain").await, false, "node {}", node.id());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_to_leave_when_its_token_expires() {
    let folder = plugins_folder(JWT, JWT_FILE);
    let cluster = setup(1, folder.path(), &startups(JWT)).start().await;
    let claims = json!({"clientid": "short", "exp": seconds_from_now(4)});
    let connect = with_password(&cluster, 1, "short", &token("of the test", &claims));
    let mut client = connect.clone().open().await;
    let stays = good_token("long", &json!({}));
    let stays = with_password(&cluster, 1, "long", &stays).open().await;
    let closed = client.wait_closed(SOON).await;
    assert_eq!(closed.code, Some(0x87), "{closed:?}");
    assert!(
        SystemTime::now()
            >= SystemTime::UNIX_EPOCH
                + Duration::from_secs(claims["exp"].as_u64().expect("a number"))
    );
    assert_eq!(refused(connect).await, BAD_CREDENTIALS);
    assert_eq!(stays.publish("x", 1, "x").await, Ok(NOBODY_LISTENS));
}

async fn put(cluster: &Cluster, at: u64, path: &str) -> String {
    let address = cluster.node(at).http_address();
    let url = format!("http://{address}/api/v1/plugins/{path}");
    let answer = reqwest::Client::new().put(url).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.expect("a body")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_loaded_or_unloaded_on_one_node_decides_there_only() {
    let folder = plugins_folder(JWT, JWT_FILE);
    let cluster = setup(3, folder.path(), "rmqtt-retainer").start().await;
    let stranger = |node| with_password(&cluster, node, "stranger", "no token");
    let early = stranger(2).open().await;
    // By way of another node.
    put(&cluster, 1, &format!("2/{JWT}/load")).await;
    assert_eq!(early.publish("x", 1, "x").await, Ok(NOBODY_LISTENS));
    early.disconnect().await;
    assert_eq!(refused(stranger(2)).await, BAD_CREDENTIALS);
    stranger(1).open().await;
    stranger(3).open().await;
    let known = good_token("known", &json!({}));
    with_password(&cluster, 2, "known", &known).open().await;
    put(&cluster, 3, &format!("2/{JWT}/unload")).await;
    stranger(2).open().await;
}

/// The operator's server: answers by user name; silent about `slow`.
async fn auth_server(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer_all(stream));
    }
}

async fn answer_all(mut stream: TcpStream) -> Option<()> {
    let mut received = Vec::new();
    loop {
        let request = loop {
            let text = String::from_utf8_lossy(&received).into_owned();
            // The parameters are sent in the order of their names.
            if text.contains("&username=") && text.ends_with("&z=end") {
                break text;
            }
            if stream.read_buf(&mut received).await.ok()? == 0 {
                return None;
            }
        };
        received.clear();
        let said = |parameter: &str| request.contains(parameter);
        let (status, body) = if said("&username=slow&") {
            std::future::pending().await
        } else if said("&username=broken&") {
            ("500 Broken", "")
        } else if said("&username=banned&") {
            ("403 Forbidden", "")
        } else if said("&username=ignored&") {
            ("200 OK", "ignore")
        } else if said("&username=root&") && said("password=good&") {
            ("200 OK", r#"{"result": "allow", "superuser": true}"#)
        } else if said("password=good&") {
            (
                "200 OK",
                r##"{"result": "allow", "acl": [
                    {"permission": "allow", "action": "all", "topic": "of/${username}/#"},
                    {"permission": "deny", "action": "all", "topic": "#"}]}"##,
            )
        } else {
            ("200 OK", "deny")
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// Above those of the nodes, below the ephemeral ports.
const SERVER_PORT: u16 = 25_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_server_says_who_is_let_in_and_what_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cluster = setup(1, folder.path(), &startups(HTTP));
    // One shard: who waits for the server must not hold up the others.
    let mut cluster = cluster.set("RAFTMQ_MQTT_SHARDS", "1").build();
    let address = cluster.address().port(SERVER_PORT);
    let text = format!(
        "http_timeout = '3s'
         disconnect_if_pub_rejected = false
         http_auth_req.url = 'http://{address}/auth'
         http_auth_req.params = {{ password = '%P', username = '%u', z = 'end' }}"
    );
    std::fs::write(folder.path().join(format!("{HTTP}.toml")), text).expect("a file");
    let listener = TcpListener::bind(address).await.expect("our own port");
    let server = tokio::spawn(auth_server(listener));
    cluster.start_all();
    cluster.all_ready().await;
    let by = |user: &str, password: &str| {
        let connect = cluster.connect(1, user).username(user);
        connect.password(password)
    };
    let slow = tokio::spawn(refused(by("slow", "good")));
    let client = by("user", "good").open().await;
    assert_eq!(
        client.publish("of/user/x", 1, "x").await,
        Ok(NOBODY_LISTENS)
    );
    // It is told, and stays.
    assert_eq!(client.publish("of/root/x", 1, "x").await, Ok(0x87));
    assert_eq!(refused(by("user", "bad")).await, BAD_CREDENTIALS);
    assert_eq!(refused(by("banned", "good")).await, NOT_AUTHORIZED);
    assert_eq!(refused(by("ignored", "good")).await, NOT_AUTHORIZED);
    assert_eq!(refused(by("broken", "good")).await, UNAVAILABLE);
    let root = by("root", "good").open().await;
    assert!(!slow.is_finished(), "the others were served meanwhile");
    assert_eq!(root.publish("of/user/x", 1, "x").await, Ok(NOBODY_LISTENS));
    let shown = cluster.node(1).http().json("/api/v1/clients/root").await;
    assert_eq!(shown["superuser"], true);
    assert_eq!(slow.await.expect("no panic"), UNAVAILABLE);
    server.abort();
    eventually(
        "the server is gone",
        SOON,
        async || match TcpStream::connect(address).await {
            Ok(_) => Err("it listens".into()),
            Err(_) => Ok(()),
        },
    )
    .await;
    assert_eq!(
        client.publish("of/user/x", 1, "x").await,
        Ok(NOBODY_LISTENS)
    );
}
