//! A node is drained: its clients go elsewhere with all that they are owed, and it takes no new ones.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use raftmq_cluster_tests::{
    Client, Cluster, Connect, FAILOVER, Message, RawClient, SOON, START, Setup, eventually,
    number_of, numbered,
};
use serde_json::{Value, json};
use tokio::sync::watch::{self, Receiver};

/// MQTT 5: use another server.
const USE_ANOTHER_SERVER: u8 = 0x9C;
/// The property identifier of Server Reference (MQTT 5 §2.2.2.2).
const SERVER_REFERENCE: u8 = 0x1C;

fn path(node: u64) -> String {
    format!("/api/v1/nodes/{node}/drain")
}

/// Orders a drain with these parameters, asking node `asked`.
async fn drain(cluster: &Cluster, asked: u64, node: u64, parameters: &str) -> Value {
    let path = format!("{}?{parameters}", path(node));
    let answer = cluster.node(asked).http().put(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.try_json().expect("JSON")
}

async fn undrain(cluster: &Cluster, asked: u64, node: u64) -> Value {
    let answer = cluster.node(asked).http().delete(&path(node)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.try_json().expect("JSON")
}

async fn becomes(cluster: &Cluster, asked: u64, node: u64, step: &str) -> Value {
    eventually(&format!("node {node} {step}"), START, async || {
        let status = cluster.node(asked).http().try_json(&path(node)).await?;
        if status["step"] == step {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    })
    .await
}

async fn says_draining(cluster: &Cluster, node: u64) {
    eventually(&format!("node {node} says draining"), START, async || {
        let why = cluster.not_ready(node, SOON).await;
        let is_said = why.contains(r#""code":"draining""#);
        is_said.then_some(()).ok_or(why)
    })
    .await;
}

/// A client that goes where it is sent, and what it got on all its connections.
struct Wanderer {
    connect: Connect,
    client: Client,
    numbers: BTreeSet<u64>,
    /// Reason codes with which it was sent away.
    goodbyes: Vec<Option<u8>>,
}

impl Wanderer {
    async fn on(cluster: &Cluster, node: u64, connect: Connect, topic: &str) -> Wanderer {
        let client = connect.clone().at(cluster.node(node).mqtt()).open().await;
        client.subscribed(topic, 1).await;
        Wanderer {
            connect,
            client,
            numbers: BTreeSet::new(),
            goodbyes: Vec::new(),
        }
    }

    fn take(&mut self, message: &Message) {
        self.numbers.insert(number_of(message));
    }

    /// Receives until the last message has come, on whichever connection; `elsewhere` are the other
    /// nodes. Which one is the last is told when it is known.
    async fn receive(&mut self, cluster: &Cluster, elsewhere: &[u64], last: Receiver<u64>) {
        let end = Instant::now() + START * 2;
        while !self.numbers.contains(&*last.borrow()) {
            let id = self.client.id();
            assert!(Instant::now() < end, "{id} got {:?}", self.numbers.last());
            match self.client.message_within(Duration::from_millis(200)).await {
                Some(message) => self.take(&message),
                None if self.client.closed().is_some() => self.move_on(cluster, elsewhere).await,
                None => {}
            }
        }
    }

    async fn move_on(&mut self, cluster: &Cluster, elsewhere: &[u64]) {
        let closed = self.client.closed().expect("it was sent away");
        self.goodbyes.push(closed.code);
        for message in self.client.arrived() {
            self.take(&message);
        }
        let to = elsewhere[self.goodbyes.len() % elsewhere.len()];
        let connect = self.connect.clone().at(cluster.node(to).mqtt());
        self.client = connect.open().await;
        assert!(
            self.client.session_present(),
            "the session moved to node {to}"
        );
    }
}

async fn publish_until(cluster: &Cluster, node: u64, topic: &str, drained: u64) -> u64 {
    let publisher = cluster.connect(node, "publisher").open().await;
    let mut number = 0;
    let mut is_over = false;
    // A few more when the node is empty, so that the last ones find everybody elsewhere.
    let mut after = 0;
    while after < 20 {
        let code = publisher.publish(topic, 1, numbered(number)).await;
        assert_eq!(code, Ok(0), "message {number}");
        number += 1;
        after += u32::from(is_over);
        if number.is_multiple_of(10) && !is_over {
            let status = cluster.node(node).http().json(&path(drained)).await;
            is_over = status["step"] == "drained";
        }
    }
    number - 1
}

async fn moves_under_load(drained: u64, asked: u64) {
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_MAX_QUEUED_MESSAGES", "100000")
        .start()
        .await;
    cluster.links_up().await;
    let elsewhere = cluster.others(drained);
    let mut wanderers = Vec::new();
    for number in 0..12 {
        let connect = cluster
            .connect(drained, &format!("wanderer-{number}"))
            .persistent();
        let connect = if number % 3 == 0 {
            connect.v4()
        } else {
            connect
        };
        wanderers.push(Wanderer::on(&cluster, drained, connect, "load").await);
    }
    drain(&cluster, asked, drained, "clients_per_second=10").await;
    let publishing = publish_until(&cluster, elsewhere[0], "load", drained);
    let (last, told) = watch::channel(u64::MAX);
    let receiving = wanderers
        .iter_mut()
        .map(|wanderer| wanderer.receive(&cluster, &elsewhere, told.clone()));
    let publishing = async {
        let number = publishing.await;
        last.send_replace(number);
        number
    };
    let (number, _) = tokio::join!(publishing, futures::future::join_all(receiving));
    for wanderer in &wanderers {
        let id = wanderer.client.id();
        let expected = if wanderer.connect.is_v4() {
            None
        } else {
            Some(USE_ANOTHER_SERVER)
        };
        assert_eq!(wanderer.goodbyes, [expected], "{id} was sent away once");
        let missing = (0..=number).find(|n| !wanderer.numbers.contains(n));
        assert_eq!(missing, None, "{id} got every acknowledged message");
    }
    says_draining(&cluster, drained).await;
    let rows = cluster.clients_like(asked, "wanderer").await.expect("rows");
    assert!(rows.iter().all(|row| row["node_id"] != drained), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_session_moves_and_nothing_acknowledged_is_lost() {
    moves_under_load(2, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_a_node_may_be_asked_to_drain_itself() {
    moves_under_load(3, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_takes_the_order_for_any_node_and_all_show_it() {
    let cluster = Cluster::start(3).await;
    cluster.links_up().await;
    for asked in cluster.ids() {
        for node in cluster.ids() {
            let forecast = drain(&cluster, asked, node, "dry_run=true").await;
            assert_eq!(forecast["possible"], true, "{forecast}");
            assert_eq!(
                forecast["taken_by"].as_array().map(Vec::len),
                Some(2),
                "{forecast}"
            );
            assert_eq!(forecast["quorum"]["safe_to_stop"], true, "{forecast}");
            drain(&cluster, asked, node, "").await;
            for told in cluster.ids() {
                let http = cluster.node(told).http();
                assert_eq!(http.json(&path(node)).await["draining"], true);
                let nodes = http.json("/api/v1/nodes").await;
                let index = usize::try_from(node - 1).expect("a small number");
                assert_eq!(nodes[index]["draining"], true, "{nodes}");
                let overview = http.json("/api/v1/cluster").await;
                assert!(overview["nodes"][index]["drain"].is_object(), "{overview}");
            }
            says_draining(&cluster, node).await;
            let status = undrain(&cluster, asked, node).await;
            assert_eq!(status["draining"], false);
            cluster.ready(&[node]).await;
        }
    }
    let http = cluster.node(1).http();
    for path in [path(9), path(0)] {
        assert_eq!(http.put(&path).await.status, 404, "{path}");
        assert_eq!(http.delete(&path).await.status, 404, "{path}");
        assert_eq!(http.get(&path).await.status, 404, "{path}");
    }
}

/// The Server Reference among the properties behind a reason code.
fn server_reference(properties: &[u8]) -> Option<String> {
    let at = properties
        .iter()
        .position(|byte| *byte == SERVER_REFERENCE)?;
    let length = usize::from(u16::from_be_bytes([properties[at + 1], properties[at + 2]]));
    let text = &properties[at + 3..at + 3 + length];
    Some(String::from_utf8(text.to_vec()).expect("UTF-8"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_where_to_go_and_the_node_takes_them_again_when_it_may() {
    let mut cluster = Setup::nodes(3).build();
    for id in cluster.ids() {
        cluster
            .node_mut(id)
            .set("RAFTMQ_MQTT_SERVER_REFERENCE", &format!("mqtt-{id}:1883"));
    }
    cluster.start_all();
    cluster.all_ready().await;
    let at = cluster.node(1).mqtt();
    let (mut new, _) = RawClient::connect(at, 5, "new", true).await;
    let (mut old, _) = RawClient::connect(at, 4, "old", true).await;
    drain(&cluster, 2, 1, "clients_per_second=1000").await;

    let goodbye = new.next_frame(SOON).await.expect("a DISCONNECT");
    assert_eq!(goodbye.disconnect_code(), USE_ANOTHER_SERVER);
    let first = server_reference(&goodbye.body[1..]).expect("a Server Reference");
    assert!(["mqtt-2:1883", "mqtt-3:1883"].contains(&&*first), "{first}");
    assert_eq!(old.next_frame(SOON).await.map(|frame| frame.kind()), None);

    let mut named = Vec::new();
    for _ in 0..2 {
        let (_, connack) = RawClient::connect(at, 5, "late", true).await;
        assert_eq!(connack.connack_code(), USE_ANOTHER_SERVER);
        named.push(server_reference(&connack.body[2..]).expect("a Server Reference"));
    }
    named.sort();
    assert_eq!(named, ["mqtt-2:1883", "mqtt-3:1883"], "each in its turn");
    let (_, connack) = RawClient::connect(at, 4, "late", true).await;
    assert_eq!(connack.connack_code(), 3, "server unavailable");

    undrain(&cluster, 3, 1).await;
    cluster.ready(&[1]).await;
    for level in [4, 5] {
        let (_, connack) = RawClient::connect(at, level, "back", true).await;
        assert_eq!(connack.connack_code(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_hands_over_while_its_clients_stay_and_nobody_waits_for_long() {
    let cluster = Cluster::start(3).await;
    cluster.links_up().await;
    let leader = cluster.roles().await.leader;
    let other = cluster.others(leader)[0];
    let staying = cluster.connect(leader, "staying").open().await;
    staying.subscribed("staying", 1).await;
    let busy = cluster.connect(other, "busy").open().await;
    let forecast = drain(&cluster, other, leader, "dry_run=true").await;
    assert_eq!(
        (&forecast["leads"], &forecast["clients"]),
        (&json!(true), &json!(1))
    );
    drain(&cluster, other, leader, "clients_per_second=0").await;
    let handed_over = async {
        becomes(&cluster, other, leader, "holding").await;
        let roles = cluster.roles().await;
        assert_ne!(roles.leader, leader);
    };
    let slowest = std::sync::Mutex::new(Duration::ZERO);
    let working = async {
        for number in 0.. {
            let began = Instant::now();
            busy.subscribed(&format!("busy/{number}"), 1).await;
            let mut slowest = slowest.lock().expect("no panic");
            *slowest = (*slowest).max(began.elapsed());
        }
    };
    tokio::select! {
        () = handed_over => {}
        () = working => {}
    }
    let slowest = *slowest.lock().expect("no panic");
    assert!(slowest < FAILOVER, "SUBACK took {slowest:?}");
    assert_eq!(staying.closed(), None, "clients stay at that pace");
    staying.subscribed("still/served", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_again_is_still_draining() {
    let mut cluster = Cluster::start(3).await;
    drain(&cluster, 1, 2, "clients_per_second=7").await;
    cluster.node_mut(2).kill9();
    cluster.node_mut(2).start();
    says_draining(&cluster, 2).await;
    let status = becomes(&cluster, 2, 2, "drained").await;
    assert_eq!(status["clients_per_second"], 7);
    let refused = cluster.connect(2, "early").try_open().await;
    assert_eq!(
        refused.err().and_then(|refused| refused.code),
        Some(USE_ANOTHER_SERVER)
    );
    undrain(&cluster, 2, 2).await;
    cluster.ready(&[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_node_down_the_last_but_one_may_drain_and_the_last_may_not() {
    let mut cluster = Cluster::start(3).await;
    let _client = cluster.connect(1, "client").open().await;
    cluster.node_mut(3).kill9();
    eventually("node 3 is down in the table", START, async || {
        let forecast = drain(&cluster, 2, 1, "dry_run=true").await;
        let takers = forecast["taken_by"].as_array().map(Vec::len);
        if takers == Some(1) && forecast["quorum"]["up"] == 2 {
            assert_eq!(forecast["quorum"]["safe_to_stop"], false);
            return Ok(());
        }
        Err(forecast.to_string())
    })
    .await;
    drain(&cluster, 2, 1, "").await;
    becomes(&cluster, 2, 1, "drained").await;
    let refused = cluster.node(1).http().put(&path(2)).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("no_other_node"), "{}", refused.body);
    let forecast = drain(&cluster, 1, 2, "dry_run=true").await;
    assert_eq!(forecast["possible"], false, "{forecast}");
    let served = cluster.connect(2, "client").open().await;
    served.subscribed("served", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_cannot_drain() {
    let cluster = Cluster::start(1).await;
    let refused = cluster.node(1).http().put(&path(1)).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    cluster.ready(&[1]).await;
}
