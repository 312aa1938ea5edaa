//! Each step does something and says by how much which counter of which node has grown; every other
//! counter must stand still. At the end each counter has had a step, or is named as one that nothing
//! moves today.

use std::collections::BTreeSet;

use raftmq_cluster_tests::{Cluster, RawClient, SOON, Setup, Will, packet};
use serde_json::json;

use super::book::{Book, values};
use super::traffic::{asked, connect_v5, published, raw, refused, subscribed, took};

/// Nothing moves these: there are no access rules, no bridges, no `$SYS` topics and no limits of listeners,
/// nobody reads slowly and nothing expires (t14_mqtt5 has those).
const STILL: [&str; 18] = [
    "client.publish.auth.error",
    "client.publish.check.acl",
    "client.subscribe.auth.error",
    "client.subscribe.check.acl",
    "client.throttled",
    "listener.connections.delayed",
    "listener.connections.refused",
    "listener.handshake.error",
    "messages.acked.bridge",
    "messages.acked.system",
    "messages.delivered.bridge",
    "messages.delivered.system",
    "messages.dropped.expired",
    "messages.dropped.slow_reader",
    "messages.nonsubscribed.bridge",
    "messages.nonsubscribed.system",
    "messages.publish.bridge",
    "messages.publish.system",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_counter_grows_by_what_happened_and_no_other() {
    let mut cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_CONNECT_TIMEOUT", "3s")
        .set("RAFTMQ_MQTT_MAX_QUEUED_MESSAGES", "2")
        .build();
    // Clients of node 3 have to give a username.
    let setting = "RAFTMQ_MQTT_ALLOW_ANONYMOUS";
    cluster.node_mut(3).set(setting, "false");
    cluster.start_all();
    cluster.all_ready().await;
    let mut book = Book::open(&cluster).await;

    let mut four = raw(&cluster, 1, 4, "four", true).await;
    let mut five = raw(&cluster, 2, 5, "five", true).await;
    let named = cluster.connect(3, "named").username("u").open().await;
    book.grows(
        "three clients connect",
        &[
            ("client.connect", [1, 1, 1]),
            ("client.authenticate", [1, 1, 1]),
            ("client.auth.anonymous", [1, 1, 0]),
            ("client.connack", [1, 1, 1]),
            ("client.connected", [1, 1, 1]),
            ("session.created", [1, 1, 1]),
        ],
    )
    .await;

    let anonymous = refused(&cluster, 3, &packet::connect(5, "nobody", true, 30)).await;
    assert_eq!(anonymous[0].connack_code(), 0x87);
    let nameless = refused(&cluster, 1, &packet::connect(4, "", false, 30)).await;
    assert_eq!(nameless[0].connack_code(), 2);
    let strange = refused(&cluster, 2, &packet::connect(9, "x", true, 30)).await;
    assert_eq!(strange[0].connack_code(), 1);
    let mut broken = packet::connect(4, "x", true, 30);
    broken[9] |= 1;
    assert_eq!(
        refused(&cluster, 2, &broken).await,
        [],
        "3.1.1 has no word for it"
    );
    let silent = refused(&cluster, 1, &[]).await;
    assert_eq!(silent, []);
    book.grows(
        "five connections are refused",
        &[
            ("client.connect", [1, 2, 1]),
            ("client.authenticate", [0, 0, 1]),
            ("client.auth.anonymous.error", [0, 0, 1]),
            ("client.connack", [1, 1, 1]),
            ("client.connack.error", [1, 1, 1]),
            ("client.connack.auth.error", [0, 0, 1]),
            ("client.handshaking.timeout", [1, 0, 0]),
        ],
    )
    .await;

    four.send(&packet::publish(4, "void", 0, 0, b"x")).await;
    published(&mut five, 5, "void", b"x").await;
    named.publish("void", 2, "x").await.expect("PUBCOMP");
    book.grows(
        "one message of each QoS has no subscriber",
        &[
            ("messages.publish", [1, 1, 1]),
            ("messages.publish.custom", [1, 1, 1]),
            ("messages.nonsubscribed", [1, 1, 1]),
            ("messages.nonsubscribed.custom", [1, 1, 1]),
        ],
    )
    .await;

    named.subscribed("s/#", 2).await;
    subscribed(&mut five, 5, "s/1", 1).await;
    let bad = subscribed(&mut five, 5, "s/#/x", 1).await;
    assert_eq!(bad.body.last(), Some(&0x8F));
    book.grows(
        "two filters are granted and one is refused",
        &[
            ("client.subscribe", [0, 2, 1]),
            ("client.subscribe.error", [0, 1, 0]),
            ("session.subscribed", [0, 1, 1]),
        ],
    )
    .await;

    published(&mut four, 4, "s/1", b"x").await;
    took(&mut five).await;
    // QoS 2, and once more before it is released.
    let twice = packet::publish(4, "s/1", 2, 9, b"x");
    asked(&mut four, &twice, 5).await;
    asked(&mut four, &twice, 5).await;
    asked(&mut four, &packet::acknowledgement(0x62, 9), 7).await;
    took(&mut five).await;
    book.grows(
        "two messages go to two other nodes",
        &[
            ("messages.publish", [2, 0, 0]),
            ("messages.publish.custom", [2, 0, 0]),
            ("client.publish.duplicate", [1, 0, 0]),
            ("messages.delivered", [0, 2, 2]),
            ("messages.delivered.custom", [0, 2, 2]),
            ("messages.acked", [0, 2, 2]),
            ("messages.acked.custom", [0, 2, 2]),
        ],
    )
    .await;

    let mut retained = packet::publish(4, "r/1", 1, 8, b"x");
    retained[0] |= 1;
    asked(&mut four, &retained, 4).await;
    named.subscribed("r/#", 1).await;
    book.grows(
        "a retained message is forwarded to a new subscription",
        &[
            ("messages.publish", [1, 0, 1]),
            ("messages.publish.custom", [1, 0, 0]),
            ("messages.nonsubscribed", [1, 0, 0]),
            ("messages.nonsubscribed.custom", [1, 0, 0]),
            ("messages.publish.retain", [0, 0, 1]),
            ("client.subscribe", [0, 0, 1]),
            ("session.subscribed", [0, 0, 1]),
            ("messages.delivered", [0, 0, 1]),
            ("messages.delivered.retain", [0, 0, 1]),
            ("messages.acked", [0, 0, 1]),
            ("messages.acked.retain", [0, 0, 1]),
        ],
    )
    .await;

    let publish = |topic: &str| json!({"topic": topic, "payload": "x", "qos": 1});
    let api = |node: u64| cluster.node(node).http();
    api(2).post("/api/v1/mqtt/publish", &publish("s/1")).await;
    took(&mut five).await;
    api(1).post("/api/v1/mqtt/publish", &publish("void")).await;
    book.grows(
        "the HTTP API publishes twice",
        &[
            ("messages.publish", [1, 1, 0]),
            ("messages.publish.admin", [1, 1, 0]),
            ("messages.nonsubscribed", [1, 0, 0]),
            ("messages.nonsubscribed.admin", [1, 0, 0]),
            ("messages.delivered", [0, 1, 1]),
            ("messages.delivered.admin", [0, 1, 1]),
            ("messages.acked", [0, 1, 1]),
            ("messages.acked.admin", [0, 1, 1]),
        ],
    )
    .await;

    for (node, topic) in [(1, "void"), (2, "s/will")] {
        let will = Will::new(topic, "gone");
        let testator = cluster
            .connect(node, &format!("testator-{node}"))
            .will(will);
        testator.open().await.abort();
    }
    book.grows(
        "two wills are published, one of them to nobody",
        &[
            ("client.connect", [1, 1, 0]),
            ("client.authenticate", [1, 1, 0]),
            ("client.auth.anonymous", [1, 1, 0]),
            ("client.connack", [1, 1, 0]),
            ("client.connected", [1, 1, 0]),
            ("client.disconnected", [1, 1, 0]),
            ("session.created", [1, 1, 0]),
            ("session.terminated", [1, 1, 0]),
            ("messages.publish", [1, 1, 0]),
            ("messages.publish.lastwill", [1, 1, 0]),
            ("messages.nonsubscribed", [1, 0, 0]),
            ("messages.nonsubscribed.lastwill", [1, 0, 0]),
            ("messages.delivered", [0, 0, 1]),
            ("messages.delivered.lastwill", [0, 0, 1]),
            ("messages.acked", [0, 0, 1]),
            ("messages.acked.lastwill", [0, 0, 1]),
        ],
    )
    .await;

    let mut away = raw(&cluster, 1, 4, "away", false).await;
    subscribed(&mut away, 4, "q", 1).await;
    let mut small = RawClient::open(cluster.node(1).mqtt()).await;
    asked(&mut small, &connect_v5("small", 0, 60), 2).await;
    subscribed(&mut small, 5, "big", 0).await;
    away.send(&packet::DISCONNECT).await;
    assert_eq!(away.frames_until_closed(SOON).await, []);
    five.send(&packet::publish(5, "q", 0, 0, b"x")).await;
    for _ in 0..3 {
        published(&mut five, 5, "q", b"x").await;
    }
    five.send(&packet::publish(5, "big", 0, 0, &[b'x'; 100]))
        .await;
    book.grows(
        "messages are dropped: offline with QoS 0, beyond the queue, too large for the client",
        &[
            ("client.connect", [2, 0, 0]),
            ("client.authenticate", [2, 0, 0]),
            ("client.auth.anonymous", [2, 0, 0]),
            ("client.connack", [2, 0, 0]),
            ("client.connected", [2, 0, 0]),
            ("client.disconnected", [1, 0, 0]),
            ("session.created", [2, 0, 0]),
            ("client.subscribe", [2, 0, 0]),
            ("session.subscribed", [2, 0, 0]),
            ("messages.publish", [0, 5, 0]),
            ("messages.publish.custom", [0, 5, 0]),
            ("messages.dropped", [3, 0, 0]),
            ("messages.dropped.offline", [1, 0, 0]),
            ("messages.dropped.queue_full", [1, 0, 0]),
            ("messages.dropped.too_large", [1, 0, 0]),
        ],
    )
    .await;

    let mut away = raw(&cluster, 2, 4, "away", false).await;
    took(&mut away).await;
    took(&mut away).await;
    book.grows(
        "a session moves to another node, with its queue",
        &[
            ("client.connect", [0, 1, 0]),
            ("client.authenticate", [0, 1, 0]),
            ("client.auth.anonymous", [0, 1, 0]),
            ("client.connack", [0, 1, 0]),
            ("client.connected", [0, 1, 0]),
            ("session.resumed", [0, 1, 0]),
            ("messages.delivered", [0, 2, 0]),
            ("messages.delivered.custom", [0, 2, 0]),
            ("messages.acked", [0, 2, 0]),
            ("messages.acked.custom", [0, 2, 0]),
        ],
    )
    .await;

    away.send(&packet::DISCONNECT).await;
    assert_eq!(away.frames_until_closed(SOON).await, []);
    published(&mut four, 4, "q", b"x").await;
    let _away = raw(&cluster, 1, 4, "away", true).await;
    book.grows(
        "a clean start on another node ends a session with a message in its queue",
        &[
            ("client.connect", [1, 0, 0]),
            ("client.authenticate", [1, 0, 0]),
            ("client.auth.anonymous", [1, 0, 0]),
            ("client.connack", [1, 0, 0]),
            ("client.connected", [1, 0, 0]),
            ("client.disconnected", [0, 1, 0]),
            ("session.created", [1, 0, 0]),
            ("session.terminated", [0, 1, 0]),
            ("messages.publish", [1, 0, 0]),
            ("messages.publish.custom", [1, 0, 0]),
            ("messages.dropped", [0, 1, 0]),
        ],
    )
    .await;

    let mut first = raw(&cluster, 1, 5, "twin", false).await;
    let mut second = raw(&cluster, 1, 5, "twin", false).await;
    first.frames_until_closed(SOON).await;
    let _third = raw(&cluster, 2, 5, "twin", false).await;
    second.frames_until_closed(SOON).await;
    book.grows(
        "a client is taken over twice",
        &[
            ("client.connect", [2, 1, 0]),
            ("client.authenticate", [2, 1, 0]),
            ("client.auth.anonymous", [2, 1, 0]),
            ("client.connack", [2, 1, 0]),
            ("client.connected", [2, 1, 0]),
            ("client.disconnected", [2, 0, 0]),
            ("session.created", [1, 0, 0]),
            ("session.resumed", [1, 1, 0]),
        ],
    )
    .await;

    named.unsubscribe("s/#").await.expect("UNSUBACK");
    named.unsubscribe("never").await.expect("UNSUBACK");
    let subscribe = json!({"topic": "api", "clientid": "named", "qos": 1});
    api(1).post("/api/v1/mqtt/subscribe", &subscribe).await;
    let unsubscribe = json!({"topic": "api", "clientid": "named"});
    api(2).post("/api/v1/mqtt/unsubscribe", &unsubscribe).await;
    book.grows(
        "a subscription ends, one never was, and the HTTP API makes and ends one",
        &[
            ("client.unsubscribe", [0, 0, 3]),
            ("session.unsubscribed", [0, 0, 2]),
            ("client.subscribe", [0, 0, 1]),
            ("session.subscribed", [0, 0, 1]),
        ],
    )
    .await;

    subscribed(&mut five, 5, "$share/g/work", 0).await;
    named.subscribed("$share/g/work", 0).await;
    for _ in 0..4 {
        four.send(&packet::publish(4, "work", 0, 0, b"x")).await;
    }
    book.grows(
        "two members share four messages",
        &[
            ("client.subscribe", [0, 1, 1]),
            ("session.subscribed", [0, 1, 1]),
            ("messages.publish", [4, 0, 0]),
            ("messages.publish.custom", [4, 0, 0]),
            ("messages.delivered", [0, 2, 2]),
            ("messages.delivered.custom", [0, 2, 2]),
        ],
    )
    .await;

    let mut brief = RawClient::open(cluster.node(2).mqtt()).await;
    asked(&mut brief, &connect_v5("brief", 1, 1_000), 2).await;
    brief.send(&packet::DISCONNECT).await;
    let mut rude = raw(&cluster, 1, 4, "rude", true).await;
    rude.send(&packet::publish(4, "a/#", 0, 0, b"x")).await;
    assert_eq!(rude.frames_until_closed(SOON).await, []);
    book.grows(
        "a session expires, and a bad PUBLISH ends another",
        &[
            ("client.connect", [1, 1, 0]),
            ("client.authenticate", [1, 1, 0]),
            ("client.auth.anonymous", [1, 1, 0]),
            ("client.connack", [1, 1, 0]),
            ("client.connected", [1, 1, 0]),
            ("client.disconnected", [1, 1, 0]),
            ("session.created", [1, 1, 0]),
            ("session.terminated", [1, 1, 0]),
            ("client.publish.error", [1, 0, 0]),
        ],
    )
    .await;

    for asked in 1..=3 {
        let sum = values(&cluster.node(asked).http().json("/api/v1/metrics/sum").await);
        for (name, value) in sum {
            let parts = book.before.values().map(|values| values[&name]);
            assert_eq!(value, parts.sum::<u64>(), "{name}, asked node {asked}");
        }
    }
    let names: BTreeSet<_> = book.before[&1].keys().cloned().collect();
    let still = STILL.iter().map(|name| (*name).to_owned());
    // It takes a node that does not serve; see below.
    let elsewhere = ["client.connack.unavailable.error".to_owned()];
    let known: BTreeSet<_> = book
        .moved
        .iter()
        .cloned()
        .chain(still)
        .chain(elsewhere)
        .collect();
    assert_eq!(names, known, "a counter that no step knows");
    let Book {
        mut before, moved, ..
    } = book;
    before.remove(&3);
    cluster.node_mut(3).kill9();
    let mut book = Book {
        cluster: &cluster,
        before,
        moved,
    };
    let step = "a node dies with a session, which another node counts";
    book.grows(step, &[("session.terminated", [1, 0, 0])]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_serve_counts_whom_it_refuses() {
    let mut cluster = Cluster::start(3).await;
    cluster.node_mut(2).kill9();
    cluster.node_mut(3).kill9();
    cluster.not_ready(1, SOON).await;
    let refused = refused(&cluster, 1, &packet::connect(5, "c", true, 30)).await;
    assert_eq!(refused[0].connack_code(), 0x88);
    let row = cluster.node(1).http().json("/api/v1/metrics/1").await;
    let values = values(&row["metrics"]);
    for (name, value) in [
        ("client.connect", 1),
        ("client.connack", 1),
        ("client.connack.error", 1),
        ("client.connack.unavailable.error", 1),
        ("client.connected", 0),
        ("client.auth.anonymous", 0),
        ("session.created", 0),
    ] {
        assert_eq!(values[name], value, "{name}");
    }
}
