//! Plugins are listed, configured, loaded and unloaded while the nodes run, each node's from any node, and
//! do what their files say.

use raftmq_cluster_tests::{
    Client, Cluster, Filter, Http, Message, RawClient, SOON, Setup, Version, eventually,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A cluster whose nodes read their plugins' files from one folder.
struct Plugged {
    cluster: Cluster,
    folder: TempDir,
}

impl Plugged {
    async fn start(nodes: u64, startups: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (plugin, text) in files {
            write(&folder, plugin, text);
        }
        let cluster = Setup::nodes(nodes)
            .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
            .set("RAFTMQ_PLUGINS_DEFAULT_STARTUPS", startups)
            .start()
            .await;
        Self { cluster, folder }
    }

    /// Changes a plugin of one node by way of another; the status and the body.
    async fn command(&self, asked: u64, of: u64, plugin: &str, command: &str) -> (u16, String) {
        let http = self.cluster.node(asked).http();
        let path = format!("/api/v1/plugins/{of}/{plugin}/{command}");
        let answer = http.put(&path).await;
        (answer.status, answer.body)
    }

    async fn told(&self, asked: u64, of: u64, plugin: &str) -> Value {
        let http = self.cluster.node(asked).http();
        http.json(&format!("/api/v1/plugins/{of}/{plugin}")).await
    }
}

fn write(folder: &TempDir, plugin: &str, text: &str) {
    std::fs::write(folder.path().join(format!("{plugin}.toml")), text).expect("a file");
}

async fn subscriber(cluster: &Cluster, node: u64, id: &str, filter: &str) -> Client {
    let client = cluster.connect(node, id).open().await;
    client.subscribed(filter, 1).await;
    client
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_tells_and_changes_the_plugins_of_every_node() {
    let plugged = Plugged::start(3, "rmqtt-retainer", &[]).await;
    for asked in plugged.cluster.ids() {
        let http = plugged.cluster.node(asked).http();
        let list = http.json("/api/v1/plugins").await;
        assert_eq!(list.as_array().map(Vec::len), Some(3), "{list}");
        for of in plugged.cluster.ids() {
            let rows = http.json(&format!("/api/v1/plugins/{of}")).await;
            let active: Vec<_> = rows
                .as_array()
                .expect("a list")
                .iter()
                .filter(|row| row["active"] == true)
                .map(|row| row["name"].as_str().unwrap_or_default().to_owned())
                .collect();
            let expected = [
                "rmqtt-cluster-raft",
                "rmqtt-counter",
                "rmqtt-http-api",
                "rmqtt-retainer",
            ];
            assert_eq!(active, expected, "node {of}, asked on {asked}");
            let told = plugged.told(asked, of, "rmqtt-cluster-raft").await;
            assert_eq!(told["immutable"], true);
        }
    }
    let plugin = "rmqtt-shared-subscription";
    write(&plugged.folder, plugin, "strategy = \"sticky\"");
    assert_eq!(
        plugged.command(1, 2, plugin, "load").await,
        (200, "ok".into())
    );
    assert_eq!(plugged.told(3, 2, plugin).await["active"], true);
    assert_eq!(
        plugged.told(3, 1, plugin).await["active"],
        false,
        "of one node only"
    );
    let config = format!("/api/v1/plugins/2/{plugin}/config");
    let config = plugged.cluster.node(3).http().json(&config).await;
    assert_eq!(config, json!({"strategy": "sticky"}));
    write(
        &plugged.folder,
        plugin,
        "strategy = \"sticky\"\n\nstrategie = 1\n",
    );
    let (status, body) = plugged.command(1, 2, plugin, "config/reload").await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("line 3"), "{body}");
    assert_eq!(
        plugged.command(3, 2, plugin, "unload").await,
        (200, "true".into())
    );
    assert_eq!(
        plugged.command(3, 2, plugin, "unload").await,
        (200, "false".into())
    );
    for plugin in ["rmqtt-cluster-raft", "rmqtt-http-api"] {
        let (status, body) = plugged.command(1, 2, plugin, "unload").await;
        assert_eq!(status, 400, "{body}");
    }
    assert_eq!(plugged.command(1, 2, "rmqtt-nothing", "load").await.0, 404);
    assert_eq!(plugged.command(1, 9, plugin, "load").await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugins_of_a_killed_node_are_told_to_be_missing() {
    let mut plugged = Plugged::start(3, "", &[]).await;
    plugged.cluster.node_mut(2).kill9();
    let http = plugged.cluster.node(1).http();
    let list = http.json("/api/v1/plugins").await;
    assert_eq!(list[1]["node"], 2, "{list}");
    assert!(list[1]["error"].is_string(), "{list}");
    assert_eq!(plugged.command(3, 2, "rmqtt-acl", "load").await.0, 503);
}

const RULES: &str = r##"
rules = [
    ["allow", { user = "root" }],
    ["deny", "all", "publish", ["forbidden/#"]],
    ["deny", "all", "subscribe", ["secret/#"]],
    ["allow", "all", "pubsub", ["own/%c/#"]],
    ["deny", "all", "pubsub", ["own/#"]],
]
"##;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_rules_hold_on_every_node_from_the_moment_they_are_loaded() {
    let plugged = Plugged::start(3, "", &[("rmqtt-acl", RULES)]).await;
    let cluster = &plugged.cluster;
    let mut watcher = subscriber(cluster, 1, "watcher", "#").await;
    let client = cluster.connect(3, "client").open().await;
    assert_eq!(client.publish("forbidden/x", 1, "before").await, Ok(0));
    assert_eq!(text(&watcher.next_message(SOON).await), "before");
    assert_eq!(plugged.command(1, 3, "rmqtt-acl", "load").await.0, 200);
    for qos in [1, 2] {
        let refused = client.publish("forbidden/x", qos, "refused").await;
        assert_eq!(refused, Ok(0x87), "QoS {qos}");
    }
    client
        .publish("forbidden/x", 0, "refused")
        .await
        .expect("sent");
    for (filter, code) in [
        ("secret/a", 0x87),
        ("#", 0x87),
        ("+/a", 0x87),
        ("$share/g/secret/a", 0x87),
        ("own/client/#", 1),
        ("own/other/#", 0x87),
        ("open/#", 1),
    ] {
        let codes = client.subscribe(&[Filter::new(filter, 1)]).await;
        assert_eq!(codes, Ok(vec![code]), "{filter}");
    }
    let root = cluster.connect(3, "root").username("root").open().await;
    assert_eq!(root.publish("forbidden/x", 1, "root").await, Ok(0));
    assert_eq!(text(&watcher.next_message(SOON).await), "root");
    let metrics = cluster.node(1).http().json("/api/v1/metrics/3").await;
    assert_eq!(
        metrics["metrics"]["client.publish.auth.error"], 3,
        "{metrics}"
    );
    assert_eq!(
        metrics["metrics"]["client.subscribe.auth.error"], 5,
        "{metrics}"
    );
    assert_eq!(plugged.command(2, 3, "rmqtt-acl", "unload").await.0, 200);
    assert_eq!(client.publish("forbidden/x", 1, "after").await, Ok(0));
    assert_eq!(text(&watcher.next_message(SOON).await), "after");
}

/// 3.1.1 [MQTT-3.3.5-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_3_1_1_client_hears_0x80_for_a_filter_and_a_plain_puback_for_a_publish() {
    let plugged = Plugged::start(1, "rmqtt-acl", &[("rmqtt-acl", RULES)]).await;
    let client = plugged
        .cluster
        .connect(1, "old")
        .version(Version::V4)
        .open()
        .await;
    let codes = client.subscribe(&[Filter::new("secret/a", 1)]).await;
    assert_eq!(codes, Ok(vec![0x80]));
    let mut watcher = subscriber(&plugged.cluster, 1, "watcher", "forbidden/#").await;
    for qos in [1, 2] {
        assert_eq!(
            client.publish("forbidden/x", qos, "refused").await,
            Ok(0),
            "QoS {qos}"
        );
    }
    let root = plugged
        .cluster
        .connect(1, "root")
        .username("root")
        .open()
        .await;
    watcher.expect_no_more(&root, "forbidden/fence").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_publisher_is_disconnected_when_the_rules_say_so() {
    let rules = format!("disconnect_if_pub_rejected = true\n{RULES}");
    let plugged = Plugged::start(1, "rmqtt-acl", &[("rmqtt-acl", &rules)]).await;
    let mut client = plugged.cluster.connect(1, "client").open().await;
    let outcome = client.publish("forbidden/x", 1, "refused").await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(client.wait_closed(SOON).await.code, Some(0x87));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_rewritten_for_publishers_and_subscribers() {
    let rules = r#"rules = [
        { action = "all", source_topic_filter = "x/#", dest_topic = "y/$1", regex = "^x/(.+)$" },
        { action = "publish", source_topic_filter = "mine", dest_topic = "of/%c" },
    ]"#;
    let plugged = Plugged::start(3, "rmqtt-topic-rewrite", &[("rmqtt-topic-rewrite", rules)]).await;
    let cluster = &plugged.cluster;
    let mut rewritten = cluster.connect(1, "rewritten").open().await;
    rewritten.subscribed("x/a", 1).await;
    cluster
        .routes_become(&cluster.ids(), &[("y/a", 1)], SOON)
        .await;
    let publisher = cluster.connect(2, "publisher").open().await;
    assert_eq!(publisher.publish("x/a", 1, "one").await, Ok(0));
    assert_eq!(rewritten.next_message(SOON).await.topic, "y/a");
    assert_eq!(rewritten.unsubscribe("x/a").await, Ok(vec![0]));
    rewritten.subscribed("of/+", 1).await;
    assert_eq!(publisher.publish("mine", 1, "two").await, Ok(0));
    assert_eq!(rewritten.next_message(SOON).await.topic, "of/publisher");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_gets_the_auto_subscriptions_with_its_own_name() {
    let file = r##"subscribes = [{ topic_filter = "to/${clientid}/#", qos = 1 }]"##;
    let plugin = "rmqtt-auto-subscription";
    let plugged = Plugged::start(3, plugin, &[(plugin, file)]).await;
    let cluster = &plugged.cluster;
    let mut client = cluster.connect(3, "client").open().await;
    let expected = [("to/client/#", 3)];
    cluster.routes_become(&cluster.ids(), &expected, SOON).await;
    // The publisher gets one of its own.
    let publisher = cluster.connect(1, "publisher").open().await;
    assert_eq!(publisher.publish("to/client/x", 1, "for you").await, Ok(0));
    assert_eq!(text(&client.next_message(SOON).await), "for you");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retained_messages_keep_to_the_limits_of_size_number_and_age() {
    let file =
        "max_payload_size = \"10B\"\nmax_retained_messages = 2\nretained_message_ttl = \"1h\"";
    let plugged = Plugged::start(3, "rmqtt-retainer", &[("rmqtt-retainer", file)]).await;
    let cluster = &plugged.cluster;
    let publisher = cluster.connect(2, "publisher").open().await;
    for (topic, payload, code) in [
        ("r/1", "one", 0x10),
        ("r/large", "more than ten bytes", 0x97),
        ("r/2", "two", 0x10),
        ("r/3", "three", 0x97),
        ("r/2", "again", 0x10),
        ("r/1", "", 0x10),
        ("r/3", "three", 0x10),
    ] {
        let answer = publisher.publish_retained(topic, 1, payload).await;
        assert_eq!(answer, Ok(code), "{topic} {payload}");
    }
    let body = json!({"topic": "r/4", "payload": "four", "qos": 1, "retain": true});
    let answer = cluster
        .node(1)
        .http()
        .post("/api/v1/mqtt/publish", &body)
        .await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let mut reader = cluster.connect(3, "reader").open().await;
    reader.subscribed("r/+", 1).await;
    let mut found = vec![
        text(&reader.next_message(SOON).await),
        text(&reader.next_message(SOON).await),
    ];
    found.sort();
    assert_eq!(found, ["again", "three"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_retainer_nothing_is_retained_and_clients_are_told() {
    let plugged = Plugged::start(1, "rmqtt-shared-subscription", &[]).await;
    let (_client, connack) =
        RawClient::connect(plugged.cluster.node(1).mqtt(), 5, "told", true).await;
    // Retain Available (0x25) is 0 (§3.2.2.3.5).
    let has = connack.body.windows(2).any(|pair| pair == [0x25, 0]);
    assert!(has, "{connack:?}");
    let mut client = plugged.cluster.connect(1, "client").open().await;
    let outcome = client.publish_retained("r", 1, "kept?").await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(
        client.wait_closed(SOON).await.code,
        Some(0x9A),
        "[MQTT-3.2.2-14]"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sticky_group_gives_everything_to_one_member_and_to_another_when_it_leaves() {
    let plugin = "rmqtt-shared-subscription";
    let plugged = Plugged::start(3, plugin, &[(plugin, "strategy = \"sticky\"")]).await;
    let cluster = &plugged.cluster;
    let mut members = Vec::new();
    for node in cluster.ids() {
        let id = format!("member-{node}");
        members.push(subscriber(cluster, node, &id, "$share/group/work/#").await);
    }
    let mut publishers = Vec::new();
    for node in cluster.ids() {
        publishers.push(
            cluster
                .connect(node, &format!("publisher-{node}"))
                .open()
                .await,
        );
    }
    for number in 0..30_usize {
        let topic = format!("work/{number}");
        let code = publishers[number % 3].publish(&topic, 1, "x").await;
        assert_eq!(code, Ok(0));
    }
    let counts = arrived(&mut members, 30).await;
    let sticky = counts.iter().position(|count| *count == 30);
    let sticky = sticky.unwrap_or_else(|| panic!("one member has them all: {counts:?}"));
    members.remove(sticky).disconnect().await;
    eventually("a group of two", SOON, async || {
        let http = cluster.node(1).http();
        let rows = http.try_json("/api/v1/subscriptions?share=group").await?;
        match rows.as_array().map(Vec::len) {
            Some(2) => Ok(()),
            _ => Err(rows.to_string()),
        }
    })
    .await;
    assert_eq!(publishers[0].publish("work/after", 1, "x").await, Ok(0));
    assert_eq!(arrived(&mut members, 1).await.iter().sum::<usize>(), 1);
}

/// How many messages each client has when there are `total` of them.
async fn arrived(clients: &mut [Client], total: usize) -> Vec<usize> {
    let mut counts = vec![0; clients.len()];
    eventually("all messages", SOON, async || {
        for (count, client) in counts.iter_mut().zip(clients.iter_mut()) {
            *count += client.arrived().len();
        }
        let sum: usize = counts.iter().sum();
        if sum >= total {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    })
    .await;
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_api_takes_another_token_and_row_limit_while_it_runs() {
    let plugged = Plugged::start(1, "", &[]).await;
    let cluster = &plugged.cluster;
    let http = cluster.node(1).http();
    let plugin = "rmqtt-http-api";
    // The address is fixed on the command line of a test's node, which wins over the file.
    write(
        &plugged.folder,
        plugin,
        "max_row_limit = 1\nhttp_bearer_token = \"secret\"",
    );
    let answer = http
        .put("/api/v1/plugins/1/rmqtt-http-api/config/reload")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(http.get("/api/v1/routes").await.status, 401);
    let with_token = http.clone().with_token("secret");
    let client = subscriber(cluster, 1, "client", "a").await;
    client.subscribed("b", 1).await;
    let rows = with_token.json("/api/v1/routes").await;
    assert_eq!(
        rows.as_array().map(Vec::len),
        Some(1),
        "max_row_limit: {rows}"
    );
    let config = with_token
        .json("/api/v1/plugins/1/rmqtt-http-api/config")
        .await;
    assert_eq!(config["http_bearer_token"], "hidden", "{config}");
    write(&plugged.folder, plugin, "");
    let answer = with_token
        .put("/api/v1/plugins/1/rmqtt-http-api/config/reload")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        http.get("/api/v1/routes").await.status,
        200,
        "no token any more"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_api_moves_to_another_address_while_it_runs() {
    let mut cluster = Setup::nodes(1).build();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plugin = "rmqtt-http-api";
    let first = cluster.node(1).http_address();
    let second = cluster.address().port(first.port() + 500);
    write(&folder, plugin, &format!("http_laddr = \"{first}\""));
    let node = cluster.node_mut(1);
    node.set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string());
    let (mqtt, rpc) = (node.mqtt().to_string(), node.rpc().to_string());
    let data_dir = node.data_dir().display().to_string();
    node.start_with(&[
        "run",
        "--data-dir",
        &data_dir,
        "--mqtt-addr",
        &mqtt,
        "--rpc-addr",
        &rpc,
    ]);
    cluster.all_ready().await;
    let reload = "/api/v1/plugins/1/rmqtt-http-api/config/reload";

    let taken = std::net::TcpListener::bind(second).expect("a free address");
    write(&folder, plugin, &format!("http_laddr = \"{second}\""));
    let refused = cluster.node(1).http().put(reload).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("cannot listen"), "{refused:?}");
    assert_eq!(
        cluster.node(1).http().get("/live").await.status,
        200,
        "it stays"
    );

    drop(taken);
    let moved = cluster.node(1).http().put(reload).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let there = Http::new(second);
    eventually("the API at its new address", SOON, async || {
        there.try_json("/api/v1/routes").await.map(drop)
    })
    .await;
    eventually("nobody at the old address", SOON, async || {
        match cluster.node(1).http().try_get("/live").await {
            Ok(answer) => Err(format!("{answer:?}")),
            Err(_) => Ok(()),
        }
    })
    .await;
}
