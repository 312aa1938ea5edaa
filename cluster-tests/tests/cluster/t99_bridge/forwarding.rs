//! What is published on the one side arrives on the other one: once, in order, wherever it was published.

use raftmq_cluster_tests::{Connect, Mosquitto, NumberedStream, SOON, numbered};

use super::{Bridged, EGRESS, INGRESS, subscribed};

const COUNT: u64 = 100;

async fn goes_out_once(keys: &str) {
    let mut bridged = Bridged::build(3, EGRESS);
    let mosquitto = Mosquitto::start(bridged.remote()).await;
    bridged.write(
        EGRESS,
        mosquitto.address(),
        keys,
        &[("up/#", "site/${local.topic}")],
    );
    bridged.run().await;
    bridged.runner(EGRESS, &[1, 2, 3]).await;
    let far = Connect::new(mosquitto.address(), "far");
    let mut far = subscribed(far, "site/#").await;
    for node in [1, 2, 3] {
        let publisher = bridged.cluster.connect(node, "publisher").open().await;
        let qos = u8::try_from(node % 3).expect("small");
        for number in 0..COUNT {
            let topic = format!("up/{node}");
            let done = publisher.publish(&topic, qos, numbered(number)).await;
            assert!(done.is_ok(), "{done:?}");
        }
        let arrived = NumberedStream::receive(&mut far, COUNT - 1, SOON).await;
        arrived.assert_exactly(COUNT);
        publisher.disconnect().await;
    }
    assert_eq!(far.arrived(), [], "nothing comes twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_any_node_goes_out_once() {
    goes_out_once("mqtt_ver = 'v5'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_goes_out_once_in_mqtt_3_1_1() {
    goes_out_once("mqtt_ver = 'v4'").await;
}

async fn comes_in_once(keys: &str) {
    let mut bridged = Bridged::build(3, INGRESS);
    let mosquitto = Mosquitto::start(bridged.remote()).await;
    bridged.write(
        INGRESS,
        mosquitto.address(),
        keys,
        &[("down/#", "in/${remote.topic}")],
    );
    bridged.run().await;
    bridged.runner(INGRESS, &[1, 2, 3]).await;
    let mut near = Vec::new();
    for node in [1, 2, 3] {
        near.push(
            bridged
                .client(node, &format!("near-{node}"), "in/down/#")
                .await,
        );
    }
    let publisher = Connect::new(mosquitto.address(), "publisher").open().await;
    for qos in [0, 1, 2] {
        for number in 0..COUNT {
            let done = publisher.publish("down/a", qos, numbered(number)).await;
            assert!(done.is_ok(), "{done:?}");
        }
        for subscriber in &mut near {
            let arrived = NumberedStream::receive(subscriber, COUNT - 1, SOON).await;
            arrived.assert_exactly(COUNT);
        }
    }
    let metrics = bridged.cluster.node(1).http();
    let metrics = metrics.json("/api/v1/metrics/sum").await;
    assert_eq!(metrics["messages.publish.bridge"], 3 * COUNT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_the_other_broker_comes_in_once_and_reaches_every_node() {
    comes_in_once("mqtt_ver = 'v5'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_comes_in_once_in_mqtt_3_1_1() {
    comes_in_once("mqtt_ver = 'v4'").await;
}
