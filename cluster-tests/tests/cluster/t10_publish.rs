//! A message published on one node reaches subscribers on every node.

use std::time::Duration;

use raftmq_cluster_tests::{Client, Cluster, NumberedStream, SOON, Setup, Version, numbered};

/// Length of the streams whose order is checked.
const STREAM: u64 = 10_000;

/// Offline and slow queues as long as a stream, so that nothing may be dropped.
async fn cluster_with_long_queues() -> Cluster {
    Setup::nodes(3)
        .set("RAFTMQ_MQTT_MAX_QUEUED_MESSAGES", "20000")
        .start()
        .await
}

async fn subscribers(cluster: &Cluster, version: Version, filter: &str, qos: u8) -> Vec<Client> {
    let mut clients = Vec::new();
    for node in cluster.ids() {
        let connect = cluster
            .connect(node, &format!("subscriber-{qos}-{node}"))
            .version(version);
        let client = connect.open().await;
        client.subscribed(filter, qos).await;
        clients.push(client);
    }
    clients
}

async fn each_direction(version: Version) {
    let cluster = Cluster::start(3).await;
    for qos in 0..=2 {
        let mut subscribers = subscribers(&cluster, version, "direction/#", qos).await;
        for from in cluster.ids() {
            let publisher = cluster
                .connect(from, &format!("publisher-{qos}-{from}"))
                .version(version)
                .open()
                .await;
            let payload = format!("{qos} from {from}");
            publisher
                .publish(&format!("direction/{from}"), qos, payload.clone())
                .await
                .unwrap();
            for subscriber in &mut subscribers {
                let message = subscriber.next_message(SOON).await;
                assert_eq!(message.topic, format!("direction/{from}"));
                assert_eq!(
                    (message.payload, message.qos),
                    (payload.clone().into(), qos)
                );
                assert!(
                    !message.retain && !message.dup,
                    "flags of a first, live delivery"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_qos_goes_from_every_node_to_every_node_with_mqtt_5() {
    each_direction(Version::V5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_qos_goes_from_every_node_to_every_node_with_mqtt_3_1_1() {
    each_direction(Version::V4).await;
}

async fn publish_stream(publisher: &Client, topic: &str, qos: u8, count: u64) {
    let mut acknowledgements = Vec::new();
    for number in 0..count {
        let sent = publisher.submit(topic, qos, false, numbered(number)).await;
        acknowledgements.push(sent.expect("the connection stays"));
    }
    for acknowledgement in acknowledgements {
        let code = acknowledgement.wait().await.expect("the connection stays");
        assert!(code < 0x80, "acknowledged with {code:#04x}");
    }
}

async fn stream_in_order(qos: u8, version: Version) {
    let cluster = cluster_with_long_queues().await;
    let mut subscriber = cluster
        .connect(3, "subscriber")
        .version(version)
        .open()
        .await;
    subscriber.subscribed("stream", qos).await;
    let publisher = cluster
        .connect(1, "publisher")
        .version(version)
        .inflight(100)
        .open()
        .await;
    let receiving = NumberedStream::receive(&mut subscriber, STREAM - 1, Duration::from_secs(60));
    let (stream, ()) = tokio::join!(receiving, publish_stream(&publisher, "stream", qos, STREAM));
    stream.assert_exactly(STREAM);
    subscriber.subscribed("fence", 1).await;
    subscriber.expect_no_more(&publisher, "fence").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_qos_0_arrives_on_another_node_in_order() {
    stream_in_order(0, Version::V4).await;
}

/// [MQTT-4.6.0-5], [MQTT-4.6.0-6]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_qos_1_arrives_on_another_node_in_order_and_once() {
    stream_in_order(1, Version::V5).await;
}

/// 3.1.1 [MQTT-4.6.0-5], 3.1.1 [MQTT-4.6.0-6]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_qos_2_arrives_on_another_node_in_order_and_once() {
    stream_in_order(2, Version::V4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fan_out_reaches_every_subscriber_of_every_node_once() {
    const SUBSCRIBERS_PER_NODE: u64 = 20;
    const MESSAGES: u64 = 100;
    let cluster = cluster_with_long_queues().await;
    let mut subscribers = Vec::new();
    for node in cluster.ids() {
        for number in 0..SUBSCRIBERS_PER_NODE {
            let client = cluster
                .connect(node, &format!("subscriber-{node}-{number}"))
                .open()
                .await;
            client.subscribed("fan/out", 1).await;
            subscribers.push(client);
        }
    }
    let publisher = cluster.connect(2, "publisher").open().await;
    publish_stream(&publisher, "fan/out", 1, MESSAGES).await;
    for subscriber in &mut subscribers {
        NumberedStream::receive(subscriber, MESSAGES - 1, SOON)
            .await
            .assert_exactly(MESSAGES);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lower_of_the_two_qos_is_delivered() {
    let cluster = Cluster::start(3).await;
    for granted in 0..=2 {
        let mut subscriber = cluster
            .connect(2, &format!("granted-{granted}"))
            .open()
            .await;
        subscriber.subscribed("lower", granted).await;
        let publisher = cluster.connect(3, "publisher").open().await;
        for published in 0..=2 {
            publisher.publish("lower", published, "x").await.unwrap();
            let message = subscriber.next_message(SOON).await;
            assert_eq!(message.qos, published.min(granted), "[MQTT-3.8.4-8]");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_payload_arrives_whole_on_another_node() {
    let cluster = Cluster::start(3).await;
    let mut subscriber = cluster.connect(3, "subscriber").open().await;
    subscriber.subscribed("large", 1).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let payload: Vec<u8> = (0..900_000_u32).map(|index| (index % 251) as u8).collect();
    publisher
        .publish("large", 1, payload.clone())
        .await
        .unwrap();
    let message = subscriber.next_message(SOON).await;
    assert!(
        message.payload == payload,
        "{} bytes of {}",
        message.payload.len(),
        payload.len()
    );
}
