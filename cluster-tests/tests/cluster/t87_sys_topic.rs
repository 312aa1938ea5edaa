//! `$SYS` topics: what the nodes tell about themselves and their clients, to subscribers anywhere.

use std::collections::BTreeSet;
use std::time::Duration;

use raftmq_cluster_tests::{Client, Cluster, Filter, Message, SOON, START, Setup, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

const PLUGIN: &str = "rmqtt-sys-topic";
const STARTUPS: &str = "rmqtt-retainer,rmqtt-sys-topic";

async fn start(nodes: u64, startups: &str, files: &[(&str, &str)]) -> (Cluster, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (plugin, text) in files {
        write(&folder, plugin, text);
    }
    let cluster = Setup::nodes(nodes)
        .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
        .set("RAFTMQ_PLUGINS_DEFAULT_STARTUPS", startups)
        .start()
        .await;
    cluster.links_up().await;
    (cluster, folder)
}

fn write(folder: &TempDir, plugin: &str, text: &str) {
    std::fs::write(folder.path().join(format!("{plugin}.toml")), text).expect("a file");
}

async fn subscriber(cluster: &Cluster, node: u64, id: &str, filter: &str) -> Client {
    let client = cluster.connect(node, id).open().await;
    client.subscribed(filter, 1).await;
    client
}

fn body(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).expect("JSON")
}

/// The bodies of messages in order, without the fields that differ from run to run.
fn fixed(message: &Message) -> (String, Value) {
    let mut body = body(message);
    let fields = body.as_object_mut().expect("an object");
    for changing in [
        "time",
        "ipaddress",
        "connected_at",
        "disconnected_at",
        "created_at",
    ] {
        fields.remove(changing);
    }
    fields.remove("keepalive");
    (message.topic.clone(), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_to_a_client_is_told_once_to_subscribers_on_every_node() {
    // The state of the nodes is not wanted here.
    let file = "publish_interval = '1h'";
    let (cluster, _folder) = start(3, STARTUPS, &[(PLUGIN, file)]).await;
    let filters = [
        Filter::new("$SYS/brokers/+/clients/c/#", 1),
        Filter::new("$SYS/brokers/+/session/c/#", 1),
        Filter::new("fence/#", 1),
    ];
    let mut watchers = Vec::new();
    for node in cluster.ids() {
        let watcher = cluster
            .connect(node, &format!("watcher-{node}"))
            .open()
            .await;
        let granted = watcher.subscribe(&filters).await;
        assert_eq!(granted, Ok(vec![1, 1, 1]));
        watchers.push(watcher);
    }
    for node in cluster.ids() {
        let client = cluster.connect(node, "c").username("u").open().await;
        client.subscribed("a/#", 1).await;
        assert_eq!(client.unsubscribe("a/#").await, Ok(vec![0]));
        client.disconnect().await;
        for watcher in &mut watchers {
            told_of(watcher, node).await;
        }
    }
    let publisher = cluster.connect(1, "publisher").open().await;
    for (number, watcher) in watchers.iter_mut().enumerate() {
        // Each fence reaches all of them; those of the others have come before.
        for earlier in 0..number {
            let fence = watcher.next_message(SOON).await;
            assert_eq!(fence.topic, format!("fence/{earlier}"));
        }
        watcher
            .expect_no_more(&publisher, &format!("fence/{number}"))
            .await;
    }
}

/// All that is told of one life of `c` on a node: in this order.
async fn told_of(watcher: &mut Client, node: u64) {
    let who = |more: Value| {
        let mut body = json!({"node": node, "clientid": "c", "username": "u"});
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        body
    };
    let told = [
        ("session/c/created", who(json!({}))),
        (
            "clients/c/connected",
            who(json!({"proto_ver": 5, "clean_start": true, "session_present": false})),
        ),
        (
            "session/c/subscribed",
            who(json!({"topic": "a/#", "opts": {"qos": 1}})),
        ),
        ("session/c/unsubscribed", who(json!({"topic": "a/#"}))),
        (
            "clients/c/disconnected",
            who(json!({"reason": "disconnected by the client"})),
        ),
        (
            "session/c/terminated",
            who(json!({"reason": "disconnected by the client"})),
        ),
    ];
    for (topic, expected) in told {
        let message = watcher.next_message(SOON).await;
        assert!(!message.retain && message.qos == 1, "{message:?}");
        let expected = (format!("$SYS/brokers/{node}/{topic}"), expected);
        assert_eq!(fixed(&message), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_tells_its_state_again_and_again() {
    let file = "publish_interval = '1s'\nmessage_retain_available = true\npublish_qos = 0";
    let (mut cluster, _folder) = start(3, STARTUPS, &[(PLUGIN, file)]).await;
    let mut watcher = subscriber(&cluster, 3, "watcher", "$SYS/brokers/+/+").await;
    let mut wanted = BTreeSet::new();
    for node in cluster.ids() {
        for what in ["stats", "metrics"] {
            wanted.insert(format!("$SYS/brokers/{node}/{what}"));
        }
    }
    // What is told anew, not only what was retained.
    let mut missing = wanted.clone();
    while !missing.is_empty() {
        let message = watcher.next_message(START).await;
        assert!(wanted.contains(&message.topic), "{message:?}");
        let body = body(&message);
        let key = match message.topic.ends_with("stats") {
            true => "connections.count",
            false => "client.connected",
        };
        assert!(body[key].is_u64(), "{body}");
        if !message.retain {
            missing.remove(&message.topic);
        }
    }
    let mut late = subscriber(&cluster, 2, "late", "$SYS/brokers/1/stats").await;
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(late.next_message(SOON).await.retain);
    }
    assert!(first.contains(&true), "{first:?}");
    cluster.node_mut(1).kill9();
    let mut brokers = subscriber(&cluster, 2, "brokers", "$SYS/brokers").await;
    let expected = json!([{"node": 1, "running": false}, {"node": 2, "running": true},
        {"node": 3, "running": true}]);
    eventually("the death is told", START, async || {
        let told = brokers.message_within(Duration::from_secs(5)).await;
        let told = told.map(|message| body(&message)).unwrap_or_default();
        (told == expected).then_some(()).ok_or(told.to_string())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_at_the_front_does_not_match_them_and_clients_do_not_publish_them() {
    let rules = r##"rules = [
        ["allow", { user = "root" }, "publish", ["$SYS/#"]],
        ["allow", "all"],
    ]"##;
    let files = [(PLUGIN, "publish_interval = '1s'"), ("rmqtt-acl", rules)];
    let (cluster, _folder) = start(1, STARTUPS, &files).await;
    let mut all = subscriber(&cluster, 1, "all", "#").await;
    let mut second = subscriber(&cluster, 1, "second", "+/brokers/#").await;
    second.subscribed("fence", 1).await;
    let mut system = subscriber(&cluster, 1, "system", "$SYS/brokers").await;
    system.next_message(SOON).await;
    let client = cluster.connect(1, "client").open().await;
    assert_eq!(client.publish("$SYS/brokers", 1, "false").await, Ok(0x87));
    assert_eq!(client.publish("$SYSTEM", 1, "other").await, Ok(0x10));
    let http = cluster.node(1).http();
    let load = http.put("/api/v1/plugins/1/rmqtt-acl/load").await;
    assert_eq!(load.status, 200, "{load:?}");
    assert_eq!(client.publish("$SYS/brokers", 2, "false").await, Ok(0x87));
    let root = cluster.connect(1, "root").username("root").open().await;
    assert_eq!(root.publish("$SYS/brokers", 1, "allowed").await, Ok(0));
    // All that came before is the broker's own, and what the rules allow.
    loop {
        let message = system.next_message(SOON).await;
        match &*message.payload {
            b"allowed" => break,
            _ => assert!(body(&message).is_array(), "{message:?}"),
        }
    }
    all.expect_no_more(&client, "fence").await;
    assert_eq!(second.next_message(SOON).await.topic, "fence");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugin_is_loaded_changed_and_unloaded_while_the_node_runs() {
    let (cluster, folder) =
        start(3, "rmqtt-retainer", &[(PLUGIN, "publish_interval = '1h'")]).await;
    let mut watcher = subscriber(&cluster, 1, "watcher", "$SYS/brokers/2/#").await;
    let command = async |command: &str| {
        let path = format!("/api/v1/plugins/2/{PLUGIN}/{command}");
        let answer = cluster.node(3).http().put(&path).await;
        (answer.status, answer.body)
    };
    assert_eq!(command("load").await.0, 200);
    // The state is told at once, and then in an hour.
    assert_eq!(
        watcher.next_message(SOON).await.topic,
        "$SYS/brokers/2/stats"
    );
    assert_eq!(
        watcher.next_message(SOON).await.topic,
        "$SYS/brokers/2/metrics"
    );
    write(&folder, PLUGIN, "\npublish_qos = 3");
    let (status, body) = command("config/reload").await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("line 2"), "{body}");
    write(&folder, PLUGIN, "publish_interval = '1s'");
    assert_eq!(command("config/reload").await.0, 200);
    assert_eq!(
        watcher.next_message(SOON).await.topic,
        "$SYS/brokers/2/stats"
    );
    assert_eq!(command("unload").await, (200, "true".into()));
    eventually("silence for two intervals", START, async || {
        match watcher.message_within(Duration::from_secs(2)).await {
            None => Ok(()),
            Some(message) => Err(message.topic),
        }
    })
    .await;
    let http = cluster.node(1).http();
    let row = http.json(&format!("/api/v1/plugins/2/{PLUGIN}")).await;
    assert_eq!(row["active"], false);
    assert!(row["attrs"]["published"].as_u64() >= Some(3), "{row}");
}
