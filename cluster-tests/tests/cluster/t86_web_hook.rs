//! Hooks: a server of the operator's own is told what happens, each thing once, in order, whatever state
//! the server is in; and what it cannot take is of no concern to clients.

use std::collections::BTreeMap;

use raftmq_cluster_tests::{Client, Cluster, HookServer, SOON, START, Setup, eventually};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

const PLUGIN: &str = "rmqtt-web-hook";

/// Above those of the nodes, below the ephemeral ports.
const SERVER_PORT: u16 = 25_000;
const OTHER_PORT: u16 = 25_001;

/// A cluster with its plugins' folder.
struct Hooked {
    cluster: Cluster,
    folder: TempDir,
}

impl Hooked {
    /// `file` is the plugin's, but for the URL.
    async fn start(nodes: u64, file: &str) -> (Hooked, HookServer) {
        let hooked = Self::build(nodes);
        let server = HookServer::start(hooked.cluster.address().port(SERVER_PORT)).await;
        (hooked.run(file).await, server)
    }

    fn build(nodes: u64) -> Hooked {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cluster = Setup::nodes(nodes)
            .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
            .set("RAFTMQ_PLUGINS_DEFAULT_STARTUPS", PLUGIN)
            .build();
        Hooked { cluster, folder }
    }

    async fn run(mut self, file: &str) -> Hooked {
        self.write(SERVER_PORT, file);
        self.cluster.start_all();
        self.cluster.all_ready().await;
        self.cluster.links_up().await;
        self
    }

    fn write(&self, port: u16, file: &str) {
        let address = self.cluster.address().port(port);
        self.write_for(&format!("http://{address}/hook"), file);
    }

    fn write_for(&self, url: &str, file: &str) {
        let text = format!("urls = ['{url}']\n{file}");
        let path = self.folder.path().join(format!("{PLUGIN}.toml"));
        std::fs::write(path, text).expect("a file");
    }

    /// Changes the plugin of one node by way of another; the status and the body.
    async fn command(&self, of: u64, command: &str) -> (u16, String) {
        let asked = of % self.cluster.nodes().len() as u64 + 1;
        let path = format!("/api/v1/plugins/{of}/{PLUGIN}/{command}");
        let answer = self.cluster.node(asked).http().put(&path).await;
        (answer.status, answer.body)
    }

    async fn row(&self, of: u64) -> Result<Value, String> {
        let path = format!("/api/v1/plugins/{of}/{PLUGIN}");
        self.cluster.node(of).http().try_json(&path).await
    }

    /// Waits until nothing is on its way to the server any more.
    async fn quiet(&self) {
        for of in self.cluster.ids() {
            eventually("everything has been sent", SOON, async || {
                let attrs = self.row(of).await?["attrs"].clone();
                let urls = attrs["urls"].as_array().cloned().unwrap_or_default();
                let is_quiet = attrs["waiting"] == 0 && urls.iter().all(|u| u["waiting"] == 0);
                is_quiet.then_some(()).ok_or(attrs.to_string())
            })
            .await;
        }
    }
}

/// The event as "action of whom".
fn name(event: &Value) -> String {
    let text = |field: &str| event[field].as_str().unwrap_or("?").to_owned();
    let whom = match event.get("clientid") {
        Some(_) => text("clientid"),
        None => text("from_clientid"),
    };
    format!("{} of {whom}", text("action"))
}

fn counted(events: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(name(event)).or_default() += 1;
    }
    counts
}

fn found<'e>(events: &'e [Value], wanted: &str) -> &'e Value {
    let event = events.iter().find(|event| name(event) == wanted);
    event.unwrap_or_else(|| panic!("no {wanted}: {events:?}"))
}

/// Without the fields that differ from run to run.
fn fixed(event: &Value, changing: &[&str]) -> Value {
    let mut event = event.clone();
    let fields = event.as_object_mut().expect("an object");
    for field in changing.iter().chain(&["time"]) {
        let value = fields.remove(*field);
        assert!(value.is_some_and(|v| !v.is_null()), "{field}: {fields:?}");
    }
    event
}

const ALL: &str = "
    rule.client_connect = [{}]
    rule.client_connack = [{}]
    rule.client_connected = [{}]
    rule.client_disconnected = [{}]
    rule.client_subscribe = [{}]
    rule.client_unsubscribe = [{}]
    rule.session_created = [{}]
    rule.session_terminated = [{}]
    rule.session_subscribed = [{}]
    rule.session_unsubscribed = [{}]
    rule.message_publish = [{ topics = ['hook/#', 'lost/#'] }]
    rule.message_delivered = [{ topics = ['hook/#', 'lost/#'] }]
    rule.message_acked = [{ topics = ['hook/#'] }]
    rule.message_dropped = [{ action = 'lost' }]";

/// One client on each node: `sub` gets a message of `pub`, and `away` misses one.
async fn something_happens(cluster: &Cluster, server: &HookServer) {
    let away = cluster.connect(3, "away").persistent().open().await;
    away.subscribed("lost/#", 0).await;
    away.disconnect().await;
    let mut sub = cluster.connect(1, "sub").open().await;
    sub.subscribed("hook/#", 1).await;
    let publisher = cluster.connect(2, "pub").v4().username("u").open().await;
    assert_eq!(publisher.publish("hook/a", 1, "x").await, Ok(0));
    assert_eq!(sub.next_message(SOON).await.topic, "hook/a");
    assert_eq!(publisher.publish("unheard", 1, "x").await, Ok(0));
    assert_eq!(sub.unsubscribe("hook/#").await, Ok(vec![0]));
    assert_eq!(publisher.publish("lost/a", 0, "y").await, Ok(0));
    assert_eq!(publisher.publish("lost/b", 1, "y").await, Ok(0));
    // Who published a message is known as long as there is a session.
    let told = |events: &[Value]| {
        let counts = counted(events);
        counts.contains_key("message_acked of sub") && counts.get("lost of away") == Some(&2)
    };
    server.taken_when("the messages", START, told).await;
    publisher.disconnect().await;
    sub.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_told_once_by_the_node_where_it_happens_with_all_its_fields() {
    let (hooked, server) = Hooked::start(3, ALL).await;
    something_happens(&hooked.cluster, &server).await;
    let mut expected = BTreeMap::new();
    for client in ["away", "sub", "pub"] {
        for action in [
            "client_connect",
            "client_connack",
            "client_connected",
            "client_disconnected",
            "session_created",
        ] {
            expected.insert(format!("{action} of {client}"), 1);
        }
    }
    for (event, count) in [
        ("client_subscribe of away", 1),
        ("client_subscribe of sub", 1),
        ("session_subscribed of away", 1),
        ("session_subscribed of sub", 1),
        ("client_unsubscribe of sub", 1),
        ("session_unsubscribed of sub", 1),
        ("session_terminated of sub", 1),
        ("session_terminated of pub", 1),
        ("message_publish of pub", 3),
        ("message_delivered of sub", 1),
        ("message_acked of sub", 1),
        ("lost of away", 2),
    ] {
        expected.insert(event.to_owned(), count);
    }
    let are_all = |events: &[Value]| counted(events) == expected;
    server.taken_when("all events", START, are_all).await;
    hooked.quiet().await;
    let events = server.taken();
    assert_eq!(counted(&events), expected, "no more came");
    check_fields(&events);
    check_order(&events);
}

fn check_fields(events: &[Value]) {
    let connected = fixed(
        found(events, "client_connected of pub"),
        &["ipaddress", "connected_at", "keepalive"],
    );
    let expected = json!({"action": "client_connected", "node": 2, "clientid": "pub",
        "username": "u", "proto_ver": 4, "clean_session": true, "session_present": false});
    assert_eq!(connected, expected);
    let connack = found(events, "client_connack of sub");
    assert_eq!(connack["conn_ack"], "Connection Accepted");
    let subscribed = fixed(found(events, "session_subscribed of sub"), &["ipaddress"]);
    let expected = json!({"action": "session_subscribed", "node": 1, "clientid": "sub",
        "username": "undefined", "topic": "hook/#", "opts": {"qos": 1}});
    assert_eq!(subscribed, expected);
    let terminated = fixed(found(events, "session_terminated of sub"), &["ipaddress"]);
    let expected = json!({"action": "session_terminated", "node": 1, "clientid": "sub",
        "username": "undefined", "reason": "disconnected by the client"});
    assert_eq!(terminated, expected);
    let published = fixed(
        found(events, "message_publish of pub"),
        &["from_ipaddress", "ts", "packet_id"],
    );
    let message = json!({"from_node": 2, "from_clientid": "pub", "from_username": "u",
        "dup": false, "retain": false, "qos": 1, "topic": "hook/a", "payload": "eA=="});
    let mut expected = message.clone();
    expected["action"] = "message_publish".into();
    assert_eq!(published, expected);
    for action in ["message_delivered", "message_acked"] {
        let event = fixed(
            found(events, &format!("{action} of sub")),
            &["from_ipaddress", "ipaddress", "pts", "ts", "packet_id"],
        );
        let mut expected = message.clone();
        for (field, value) in [
            ("action", action),
            ("clientid", "sub"),
            ("username", "undefined"),
        ] {
            expected[field] = value.into();
        }
        expected["node"] = 1.into();
        assert_eq!(event, expected);
    }
    let lost = found(events, "lost of away");
    assert_eq!(
        (&lost["reason"], &lost["node"]),
        (&json!("offline"), &json!(3))
    );
}

/// Of each client what it did comes in that order.
fn check_order(events: &[Value]) {
    let of_sub = events.iter().filter(|event| event["clientid"] == "sub");
    let order: Vec<_> = of_sub
        .filter_map(|event| event["action"].as_str())
        .collect();
    let expected = [
        "client_connect",
        "session_created",
        "client_connack",
        "client_connected",
        "client_subscribe",
        "session_subscribed",
        "message_delivered",
        "message_acked",
        "client_unsubscribe",
        "session_unsubscribed",
        "client_disconnected",
        "session_terminated",
    ];
    assert_eq!(order, expected);
}

const PUBLISHED: &str = "
    retry_multiplier = 1.0
    retry_max_elapsed_time = '10m'
    flush_timeout = '1m'
    rule.message_publish = [{ topics = ['n/#'] }]";

async fn publish_numbers(client: &Client, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let sent = client.publish(&format!("n/{number}"), 1, "x").await;
        assert_eq!(sent, Ok(0x10), "{number}");
    }
}

fn numbers(events: &[Value]) -> Vec<usize> {
    let number = |event: &Value| event["topic"].as_str()?.strip_prefix("n/")?.parse().ok();
    events.iter().filter_map(number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_and_recovers_gets_everything_in_order() {
    for batch in [1, 10] {
        let file = format!("batch_max = {batch}\n{PUBLISHED}");
        let (hooked, server) = Hooked::start(1, &file).await;
        server.answer(500);
        let client = hooked.cluster.connect(1, "c").open().await;
        publish_numbers(&client, 0..30).await;
        eventually("a request has failed twice", SOON, async || {
            let requests = server.requests();
            (requests >= 2).then_some(()).ok_or(requests.to_string())
        })
        .await;
        assert!(server.taken().is_empty());
        server.answer(200);
        let all = |events: &[Value]| events.len() >= 30;
        let events = server.taken_when("all events", START, all).await;
        assert_eq!(numbers(&events), (0..30).collect::<Vec<_>>());
        let row = hooked.row(1).await.expect("an answer");
        assert_eq!(row["attrs"]["urls"][0]["dropped"], 0, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_only_a_server_that_proves_who_it_is_is_told() {
    let hooked = Hooked::build(1).run(PUBLISHED).await;
    let address = hooked.cluster.address().port(OTHER_PORT);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![address.ip().to_string()]).expect("an address");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let server = HookServer::start_encrypted(address, &certificate, &key.serialize_pem()).await;
    let client = hooked.cluster.connect(1, "c").open().await;
    let url = format!("https://{address}/hook");
    let stranger = CertificateParams::new(vec!["stranger".into()]).expect("a name");
    let stranger = stranger.self_signed(&KeyPair::generate().expect("a key"));
    let ca = hooked.folder.path().join("ca.pem");
    std::fs::write(&ca, stranger.expect("a certificate").pem()).expect("a file");
    let file = format!("tls_ca = '{}'\n{PUBLISHED}", ca.display());
    hooked.write_for(&url, &file);
    assert_eq!(hooked.command(1, "config/reload").await.0, 200);
    publish_numbers(&client, 0..3).await;
    eventually("it is not believed", SOON, async || {
        let row = hooked.row(1).await?;
        let urls = row["attrs"]["urls"].as_array().cloned().unwrap_or_default();
        let refused = urls
            .iter()
            .any(|u| u["waiting"] == 3 && u["problem"].is_string());
        refused.then_some(()).ok_or(row.to_string())
    })
    .await;
    assert_eq!(server.requests(), 0, "it has not seen a word");
    std::fs::write(&ca, &certificate).expect("a file");
    assert_eq!(hooked.command(1, "config/reload").await.0, 200);
    let all = |events: &[Value]| events.len() >= 3;
    let events = server.taken_when("all events", START, all).await;
    assert_eq!(numbers(&events), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_gets_each_event_as_a_line() {
    let hooked = Hooked::build(3).run(PUBLISHED).await;
    let log = hooked.folder.path().join("events.json");
    hooked.write_for(&format!("file://{}", log.display()), PUBLISHED);
    for of in hooked.cluster.ids() {
        assert_eq!(hooked.command(of, "config/reload").await.0, 200);
        let client = hooked.cluster.connect(of, &format!("c-{of}")).open().await;
        let first = of as usize * 100;
        publish_numbers(&client, first..first + 20).await;
    }
    let events = eventually("all lines", START, async || {
        let text = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
        let lines = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>();
        let lines = lines.map_err(|error| format!("{error}: {text}"))?;
        (lines.len() >= 60).then_some(lines).ok_or(text)
    })
    .await;
    for of in hooked.cluster.ids() {
        let own = events
            .iter()
            .filter(|event| event["from_node"] == of)
            .cloned();
        let first = of as usize * 100;
        let expected: Vec<_> = (first..first + 20).collect();
        assert_eq!(numbers(&own.collect::<Vec<_>>()), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_do_not_notice_a_server_that_is_silent_and_what_is_too_much_is_counted() {
    let file = format!("http_timeout = '1h'\nqueue_capacity = 100\n{PUBLISHED}");
    let (hooked, server) = Hooked::start(3, &file).await;
    server.be_silent();
    let mut subscriber = hooked.cluster.connect(2, "s").open().await;
    subscriber.subscribed("n/#", 1).await;
    let client = hooked.cluster.connect(1, "c").open().await;
    for number in 0..500 {
        let sent = client.publish(&format!("n/{number}"), 1, "x").await;
        assert_eq!(sent, Ok(0), "{number}");
        let message = subscriber.next_message(SOON).await;
        assert_eq!(message.topic, format!("n/{number}"));
    }
    assert!(server.taken().is_empty(), "no request has ended");
    eventually("all events are accounted for", SOON, async || {
        let attrs = hooked.row(1).await?["attrs"].clone();
        let url = &attrs["urls"][0];
        // A shard may leave more in a turn than fits into the first of the two queues.
        let dropped = url["dropped"].as_u64().zip(attrs["dropped"].as_u64());
        let dropped = dropped.map(|(url, inbox)| url + inbox);
        match (url["waiting"].as_u64(), dropped) {
            (Some(100), Some(400)) => Ok(()),
            _ => Err(attrs.to_string()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_server_that_is_down_is_sent_when_it_is_there() {
    let hooked = Hooked::build(1).run(PUBLISHED).await;
    let client = hooked.cluster.connect(1, "c").open().await;
    publish_numbers(&client, 0..50).await;
    eventually("a request has failed", SOON, async || {
        let row = hooked.row(1).await?;
        let url = &row["attrs"]["urls"][0];
        let told = url["problem"].is_string() && url["waiting"] == 50;
        told.then_some(()).ok_or(row.to_string())
    })
    .await;
    let server = HookServer::start(hooked.cluster.address().port(SERVER_PORT)).await;
    let all = |events: &[Value]| events.len() >= 50;
    let events = server.taken_when("all events", START, all).await;
    assert_eq!(numbers(&events), (0..50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_change_while_the_node_runs_and_nothing_queued_is_lost() {
    let (hooked, old) = Hooked::start(3, PUBLISHED).await;
    let client = hooked.cluster.connect(2, "c").open().await;
    publish_numbers(&client, 0..1).await;
    let first = |events: &[Value]| numbers(events) == [0];
    old.taken_when("the first", SOON, first).await;
    old.answer(503);
    publish_numbers(&client, 1..10).await;
    hooked.write(OTHER_PORT, "\nrule.message_publish = [{ topic = 'n/#' }]");
    let (status, body) = hooked.command(2, "config/reload").await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("line 3"), "{body}");
    let new = HookServer::start(hooked.cluster.address().port(OTHER_PORT)).await;
    hooked.write(OTHER_PORT, PUBLISHED);
    assert_eq!(hooked.command(2, "config/reload").await.0, 200);
    publish_numbers(&client, 10..20).await;
    let all = |events: &[Value]| events.len() >= 10;
    let events = new.taken_when("those after the change", START, all).await;
    assert_eq!(numbers(&events), (10..20).collect::<Vec<_>>());
    old.answer(200);
    let events = old.taken_when("those before it", START, all).await;
    assert_eq!(numbers(&events), (0..10).collect::<Vec<_>>());
    new.answer(503);
    publish_numbers(&client, 20..30).await;
    assert_eq!(hooked.command(2, "unload").await, (200, "true".into()));
    publish_numbers(&client, 30..40).await;
    new.answer(200);
    let all = |events: &[Value]| events.len() >= 20;
    let events = new.taken_when("what was queued", START, all).await;
    assert_eq!(numbers(&events), (10..30).collect::<Vec<_>>());
    assert_eq!(hooked.row(2).await.expect("an answer")["active"], false);
    assert_eq!(hooked.command(2, "load").await.0, 200);
    publish_numbers(&client, 40..50).await;
    let all = |events: &[Value]| events.len() >= 30;
    let events = new.taken_when("those of the second life", START, all).await;
    let expected: Vec<_> = (10..30).chain(40..50).collect();
    assert_eq!(numbers(&events), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sessions_of_a_killed_node_are_told_by_another_one_once() {
    let file = "rule.session_terminated = [{}]\nrule.client_connected = [{}]";
    let (mut hooked, server) = Hooked::start(3, file).await;
    let mut clients = Vec::new();
    for node in hooked.cluster.ids() {
        let id = format!("of-{node}");
        clients.push(hooked.cluster.connect(node, &id).open().await);
    }
    let all = |events: &[Value]| events.len() >= 3;
    server.taken_when("three connected", SOON, all).await;
    hooked.cluster.node_mut(2).kill9();
    let all = |events: &[Value]| events.len() >= 4;
    server.taken_when("one terminated", START, all).await;
    drop(clients);
    let all = |events: &[Value]| events.len() >= 6;
    let events = server.taken_when("three terminated", START, all).await;
    let terminated: BTreeMap<_, _> = counted(&events)
        .into_iter()
        .filter(|(name, _)| name.starts_with("session_terminated"))
        .collect();
    let expected = (1..=3).map(|node| (format!("session_terminated of of-{node}"), 1));
    assert_eq!(terminated, expected.collect());
    let of_dead = fixed(found(&events, "session_terminated of of-2"), &["ipaddress"]);
    let expected = json!({"action": "session_terminated", "node": 2, "clientid": "of-2",
        "username": "undefined", "reason": "its node is down"});
    assert_eq!(of_dead, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_tells_the_end_of_its_connections() {
    let (mut hooked, server) = Hooked::start(1, "rule.client_disconnected = [{}]").await;
    let _client = hooked.cluster.connect(1, "c").open().await;
    hooked.cluster.node_mut(1).sigterm_and_wait(START).await;
    let events = server.taken();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["reason"], "the node stops");
}
