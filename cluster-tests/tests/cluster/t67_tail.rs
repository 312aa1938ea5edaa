//! `/tail`: what happens to clients of any node, told by any node.

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, Filter, SOON, START, Tail, eventually, within};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// An event of a kind, of a client.
fn is<'a>(kind: &'a str, client_id: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| event["event"] == kind && event["clientid"] == client_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_to_a_client_is_told_by_every_other_node() {
    let cluster = Cluster::start(3).await;
    let mut tails = Vec::new();
    for asked in [1, 3] {
        let address = cluster.node(asked).http_address();
        tails.push(Tail::listening(address, "?clientid=watched", 3).await);
    }
    let client = cluster.connect(2, "watched").open().await;
    client.subscribed("news/#", 1).await;
    client.unsubscribe("news/#").await.unwrap();
    client.disconnect().await;
    for tail in &mut tails {
        let connected = tail.next(SOON).await.unwrap();
        assert_eq!(
            (
                &connected["event"],
                &connected["node_id"],
                &connected["clientid"]
            ),
            (&json!("connected"), &json!(2), &json!("watched"))
        );
        assert_eq!(
            connected["ip_address"]
                .as_str()
                .map(|ip| ip.starts_with("127.")),
            Some(true)
        );
        assert!(connected["at_ms"].as_u64() > Some(0) && connected["port"].as_u64() > Some(0));
        let subscribed = tail.next(SOON).await.unwrap();
        assert_eq!(
            (
                &subscribed["event"],
                &subscribed["topic"],
                &subscribed["qos"]
            ),
            (&json!("subscribed"), &json!("news/#"), &json!(1))
        );
        let unsubscribed = tail.next(SOON).await.unwrap();
        assert_eq!(
            (&unsubscribed["event"], &unsubscribed["topic"]),
            (&json!("unsubscribed"), &json!("news/#"))
        );
        let disconnected = tail.next(SOON).await.unwrap();
        assert_eq!(
            (&disconnected["event"], &disconnected["reason"]),
            (&json!("disconnected"), &json!("disconnected by the client"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_names_both_claims() {
    let cluster = Cluster::start(3).await;
    let mut tail = Tail::listening(cluster.node(3).http_address(), "", 3).await;
    let mut clients = vec![cluster.connect(1, "hopper").open().await];
    let first = tail
        .until("connected", SOON, is("connected", "hopper"))
        .await;
    for node in [2, 2] {
        let previous = owner(&cluster, "hopper").await;
        clients.push(cluster.connect(node, "hopper").open().await);
        let taken = tail
            .until("taken over", SOON, is("taken_over", "hopper"))
            .await;
        assert_eq!(taken["previous_node_id"], previous, "{taken}");
        assert_eq!(taken["node_id"], previous, "told by the node that had it");
        assert_eq!(taken["new_node_id"], node);
        assert!(taken["new_epoch"].as_u64() > taken["previous_epoch"].as_u64());
        assert!(taken["previous_epoch"].as_u64() >= first["epoch"].as_u64());
        let gone = tail
            .until("disconnected", SOON, is("disconnected", "hopper"))
            .await;
        assert_eq!(gone["reason_code"], 0x8E, "{gone}");
    }
}

/// The node that has the client's session.
async fn owner(cluster: &Cluster, client_id: &str) -> Value {
    let path = format!("/api/v1/clients/{client_id}");
    cluster.node(3).http().json(&path).await["node_id"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drops_are_counted_by_client_and_topic() {
    let cluster = Cluster::start(3).await;
    let client = cluster.connect(2, "sleeper").persistent().open().await;
    client.subscribed("drops/a", 0).await;
    client.disconnect().await;
    let query = "?event=dropped&topic=drops/%2B&clientid=sleeper";
    let mut tail = Tail::listening(cluster.node(3).http_address(), query, 3).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    for _ in 0..10 {
        publisher.publish("drops/a", 0, "x").await.unwrap();
    }
    let mut count = 0;
    while count < 10 {
        let dropped = tail.next(SOON).await.unwrap();
        assert_eq!(
            (&dropped["reason"], &dropped["topic"], &dropped["node_id"]),
            (&json!("offline"), &json!("drops/a"), &json!(2))
        );
        count += dropped["count"].as_u64().unwrap();
    }
    assert_eq!(count, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_ended_over_http_is_told_with_the_reason() {
    let cluster = Cluster::start(3).await;
    let mut tail = Tail::listening(cluster.node(1).http_address(), "?event=disconnected", 3).await;
    let _client = cluster.connect(3, "unwanted").open().await;
    let answer = cluster
        .node(2)
        .http()
        .delete("/api/v1/clients/unwanted")
        .await;
    assert_eq!(answer.status, 200);
    let gone = tail.next(SOON).await.unwrap();
    assert_eq!(
        (&gone["clientid"], &gone["reason_code"]),
        (&json!("unwanted"), &json!(0x98))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_named_and_heard_again_when_it_is_back() {
    let mut cluster = Cluster::start(3).await;
    let mut tail = Tail::listening(cluster.node(1).http_address(), "", 3).await;
    cluster.node_mut(2).kill9();
    let lost = tail
        .until("unreachable", SOON, |event| event["event"] == "unreachable")
        .await;
    assert_eq!(lost["node_id"], 2);
    let _client = eventually("a client of another node", START, async || {
        let connect = cluster.connect(3, "survivor");
        connect
            .try_open()
            .await
            .map_err(|refused| format!("{refused:?}"))
    })
    .await;
    tail.until("the others", SOON, is("connected", "survivor"))
        .await;
    cluster.node_mut(2).start();
    let back = tail
        .until("listening again", START, |event| {
            event["event"] == "listening"
        })
        .await;
    assert_eq!(back["node_id"], 2);
    cluster.all_ready().await;
    let _client = cluster.connect(2, "returner").open().await;
    tail.until("the node that is back", SOON, is("connected", "returner"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_is_named() {
    let cluster = Cluster::start(3).await;
    let mut tail = Tail::listening(cluster.node(1).http_address(), "?node=3", 1).await;
    cluster.node(3).sigstop().await;
    let lost = tail.next(START).await.unwrap();
    cluster.node(3).sigcont();
    assert_eq!(
        (&lost["event"], &lost["node_id"]),
        (&json!("unreachable"), &json!(3))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_when_its_node_stops() {
    let mut cluster = Cluster::start(3).await;
    let mut tail = Tail::listening(cluster.node(1).http_address(), "", 3).await;
    let exit = cluster.node_mut(1).sigterm_and_wait(START).await;
    assert_eq!(exit.code, Some(0), "{}", exit.log);
    let rest = async { while tail.next(SOON).await.is_some() {} };
    tokio::time::timeout(SOON, rest).await.expect("an end");
}

/// Opens the stream, and reads nothing more of it once the nodes are listened to; its socket takes
/// little.
async fn lazy_reader(cluster: &Cluster) -> TcpStream {
    let address = cluster.node(1).http_address();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!("GET /api/v1/tail HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let nodes = cluster.nodes().len();
    read_until(&mut stream, |text| {
        text.matches("event: listening").count() == nodes
    })
    .await;
    stream
}

async fn read_until(stream: &mut TcpStream, is_enough: impl Fn(&str) -> bool) {
    let mut text = String::new();
    let reading = async {
        let mut buffer = [0; 1_024];
        while !is_enough(&text) {
            let n = stream.read(&mut buffer).await.unwrap();
            assert_ne!(n, 0, "the stream goes on");
            text += &String::from_utf8_lossy(&buffer[..n]);
        }
    };
    within("the beginning of the stream", START, reading).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_never_read_lose_events_and_cost_nobody_anything() {
    const READERS: usize = 50;
    const ROUNDS: usize = 30;
    let cluster = Cluster::start(3).await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(lazy_reader(&cluster).await);
    }
    // Five hundred events with one packet.
    let filters: Vec<_> = (0..500)
        .map(|n| Filter::new(&format!("flood/{}/{n}", "x".repeat(100)), 0))
        .collect();
    let client = cluster.connect(1, "flood").open().await;
    client.subscribe(&filters).await.unwrap();
    let before = cluster.node(1).resident_bytes();
    for _ in 0..ROUNDS {
        let sent = Instant::now();
        client.subscribe(&filters).await.unwrap();
        assert!(
            sent.elapsed() < Duration::from_secs(5),
            "slowed to {:?}",
            sent.elapsed()
        );
    }
    // What all events would take for all readers: 200 MiB.
    let grown = cluster.node(1).resident_bytes().saturating_sub(before);
    assert!(grown < 96 << 20, "{} MiB more", grown >> 20);
    let mut late = readers.swap_remove(0);
    read_until(&mut late, |text| text.contains("\"event\":\"skipped\"")).await;
}
