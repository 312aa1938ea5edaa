//! What waits for a client that is away or slow, and what is dropped for what reason.

use raftmq_cluster_tests::{Cluster, Message, RawClient, SOON, Setup, eventually, packet};

use super::wire::{Property, asked, connect_with, id, open, publish, subscribed, time_passes};

async fn dropped(cluster: &Cluster, node: u64, reason: &str) -> u64 {
    let path = format!("/api/v1/metrics/{node}");
    let row = cluster.node(node).http().json(&path).await;
    let name = format!("messages.dropped.{reason}");
    row["metrics"][name].as_u64().expect("a counter")
}

async fn dropped_reaches(cluster: &Cluster, node: u64, reason: &str, count: u64) {
    let what = format!("{count} dropped: {reason}");
    eventually(&what, SOON, async || {
        match dropped(cluster, node, reason).await {
            found if found == count => Ok(()),
            found => Err(found.to_string()),
        }
    })
    .await;
}

fn number(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

/// Publishes on node 1 for a client that is away from node 2, and takes what waited on node 3.
async fn what_waited(queue_drop: &str, qos: &[u8]) -> Vec<String> {
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_MAX_QUEUED_MESSAGES", "3")
        .set("RAFTMQ_MQTT_QUEUE_DROP", queue_drop)
        .set("RAFTMQ_MQTT_QUEUE_QOS0", "true")
        .start()
        .await;
    let away = cluster.connect(2, "away").persistent().open().await;
    away.subscribed("q", 2).await;
    away.subscribed("fence", 1).await;
    away.disconnect().await;
    let publisher = cluster.connect(1, "publisher").open().await;
    eventually("the client is away", SOON, async || {
        let clients = cluster.node(1).http().json("/api/v1/clients/away").await;
        match &clients["connected"] {
            serde_json::Value::Bool(false) => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    for (number, qos) in qos.iter().enumerate() {
        publisher
            .publish("q", *qos, number.to_string())
            .await
            .unwrap();
    }
    dropped_reaches(&cluster, 2, "queue_full", qos.len() as u64 - 3).await;
    let mut back = cluster.connect(3, "away").persistent().open().await;
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(number(&back.next_message(SOON).await));
    }
    back.expect_no_more(&publisher, "fence").await;
    got
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_drops_what_arrives_by_default_after_qos_0() {
    let got = what_waited("newest", &[1, 0, 2, 1, 1]).await;
    assert_eq!(got, ["0", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_drops_what_has_waited_longest_when_it_is_told_to() {
    let got = what_waited("oldest", &[1, 2, 0, 1, 1, 0]).await;
    assert_eq!(got, ["1", "3", "4"]);
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_expires_while_it_waits_is_dropped_and_counted() {
    let cluster = Cluster::start(3).await;
    let expiry: Property = (0x11, 3_600_u32.to_be_bytes().to_vec());
    let properties = std::slice::from_ref(&expiry);
    let (mut away, _) = open(&cluster, 2, "away", properties).await;
    subscribed(&mut away, "e", 1).await;
    away.send(&packet::DISCONNECT).await;
    away.frames_until_closed(SOON).await;
    let (mut publisher, _) = open(&cluster, 1, "publisher", &[]).await;
    for seconds in [1_u32, 100] {
        let lifetime: Property = (id::EXPIRY, seconds.to_be_bytes().to_vec());
        asked(&mut publisher, &publish("e", 1, 5, &[lifetime], b"x"), 4).await;
    }
    time_passes(&cluster, 2).await;
    let mut back = RawClient::open(cluster.node(2).mqtt()).await;
    asked(&mut back, &connect_with("away", 0, properties), 2).await;
    let frame = back.next_frame(SOON).await.expect("PUBLISH");
    let got = super::wire::Published::read(&frame);
    let left = super::wire::find(&got.properties, id::EXPIRY).expect("an expiry");
    let left = u32::from_be_bytes([left[0], left[1], left[2], left[3]]);
    assert!((90..=98).contains(&left), "{left} of 100 seconds are left");
    dropped_reaches(&cluster, 2, "expired", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_slow_reader_misses_is_counted() {
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_OUT_BUFFER", "1MiB")
        .start()
        .await;
    let (mut lazy, _) = open(&cluster, 2, "lazy", &[]).await;
    subscribed(&mut lazy, "flood", 0).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let payload = vec![b'x'; 256 << 10];
    eventually("something is dropped", SOON, async || {
        publisher
            .publish("flood", 0, payload.clone())
            .await
            .map_err(|closed| format!("{closed:?}"))?;
        match dropped(&cluster, 2, "slow_reader").await {
            0 => Err("nothing yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}
