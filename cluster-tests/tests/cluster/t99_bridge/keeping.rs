//! What was acknowledged to its publisher arrives on the other side, whoever dies meanwhile.

use std::time::Duration;

use raftmq_cluster_tests::{
    Client, Connect, Mosquitto, NumberedStream, SOON, START, eventually, number_of, numbered,
};

use super::{Bridged, EGRESS, INGRESS, subscribed};

const COUNT: u64 = 200;
/// Node takeover, the lease of the dead one, and its journal's way to the new runner.
const LONG: Duration = Duration::from_secs(30);

async fn publish_all(publisher: &Client, topic: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let done = publisher.publish(topic, 1, numbered(number)).await;
        assert!(done.is_ok(), "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_out_waits_for_a_broker_that_was_killed_and_outlives_the_own_node() {
    let mut bridged = Bridged::build(1, EGRESS);
    let mut mosquitto = Mosquitto::start(bridged.remote()).await;
    let keys = "message_channel_capacity = 1000";
    bridged.write(
        EGRESS,
        mosquitto.address(),
        keys,
        &[("#", "site/${local.topic}")],
    );
    bridged.run().await;
    bridged.runner(EGRESS, &[1]).await;
    let persistent = Connect::new(mosquitto.address(), "far").persistent();
    subscribed(persistent.clone(), "site/#")
        .await
        .disconnect()
        .await;
    mosquitto.save().await;
    mosquitto.kill9();
    let publisher = bridged.cluster.connect(1, "publisher").open().await;
    publish_all(&publisher, "a", 0..COUNT).await;
    bridged.cluster.node_mut(1).restart();
    bridged.cluster.all_ready().await;
    let publisher = bridged.cluster.connect(1, "publisher").open().await;
    publish_all(&publisher, "a", COUNT..2 * COUNT).await;
    mosquitto.run().await;
    let mut far = persistent.open().await;
    let arrived = NumberedStream::receive(&mut far, 2 * COUNT - 1, START).await;
    let mut numbers = arrived.numbers().to_vec();
    numbers.dedup();
    assert_eq!(numbers, (0..2 * COUNT).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_waits_there_while_the_cluster_is_away_and_that_broker_is_killed() {
    let mut bridged = Bridged::build(1, INGRESS);
    let mut mosquitto = Mosquitto::start(bridged.remote()).await;
    let entries = [("down/#", "${remote.topic}")];
    bridged.write(INGRESS, mosquitto.address(), "", &entries);
    bridged.run().await;
    bridged.runner(INGRESS, &[1]).await;
    let persistent = bridged.cluster.connect(1, "near").persistent();
    subscribed(persistent.clone(), "down/#")
        .await
        .disconnect()
        .await;
    bridged.cluster.node_mut(1).kill9();
    let publisher = Connect::new(mosquitto.address(), "publisher").open().await;
    publish_all(&publisher, "down/a", 0..COUNT).await;
    mosquitto.save().await;
    mosquitto.kill9();
    mosquitto.run().await;
    bridged.cluster.node_mut(1).start();
    bridged.cluster.all_ready().await;
    let mut near = persistent.open().await;
    let arrived = NumberedStream::receive(&mut near, COUNT - 1, START).await;
    let mut numbers = arrived.numbers().to_vec();
    numbers.dedup();
    assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>());
}

/// Between two messages of a steady load: while nobody takes them fewer wait than mosquitto's queue holds (1,000).
const PACE: Duration = Duration::from_millis(10);

/// Publishes steadily until told to stop; what was acknowledged.
fn publishing(
    publisher: Client,
    topic: &'static str,
) -> (
    tokio::sync::oneshot::Sender<()>,
    tokio::task::JoinHandle<Vec<u64>>,
) {
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        let mut pace = tokio::time::interval(PACE);
        for number in 0.. {
            pace.tick().await;
            if stopped.try_recv().is_ok() {
                break;
            }
            if publisher.publish(topic, 1, numbered(number)).await.is_ok() {
                acknowledged.push(number);
            }
        }
        acknowledged
    });
    (stop, task)
}

/// Takes messages until all of `wanted` have come.
async fn take_all(client: &mut Client, wanted: &[u64]) -> Vec<u64> {
    let mut missing: std::collections::BTreeSet<u64> = wanted.iter().copied().collect();
    let mut numbers = Vec::new();
    while !missing.is_empty() {
        let Some(message) = client.message_within(LONG).await else {
            panic!("missing: {missing:?}");
        };
        let number = number_of(&message);
        missing.remove(&number);
        numbers.push(number);
    }
    numbers
}

/// What waited on the node that dies comes when it is back, which can be behind newer messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_runner_is_killed_under_load_another_node_sends_all_that_was_acknowledged() {
    let mut bridged = Bridged::build(3, EGRESS);
    let mosquitto = Mosquitto::start(bridged.remote()).await;
    let entries = [("up/#", "${local.topic}")];
    bridged.write(EGRESS, mosquitto.address(), "", &entries);
    bridged.run().await;
    let runner = bridged.runner(EGRESS, &[1, 2, 3]).await;
    let others = bridged.cluster.others(runner);
    let mut far = subscribed(Connect::new(mosquitto.address(), "far"), "up/#").await;
    let publisher = bridged.cluster.connect(others[0], "publisher").open().await;
    let (stop, task) = publishing(publisher, "up/a");
    let mut numbers = take_all(&mut far, &(0..COUNT).collect::<Vec<_>>()).await;
    bridged.cluster.node_mut(runner).kill9();
    let next = bridged.runner(EGRESS, &others).await;
    assert_ne!(next, runner);
    stop.send(()).expect("it runs");
    let acknowledged = task.await.expect("no panic");
    bridged.cluster.node_mut(runner).start();
    bridged.cluster.all_ready().await;
    let rest = without(&acknowledged, &numbers);
    numbers.extend(take_all(&mut far, &rest).await);
    assert!(without(&acknowledged, &numbers).is_empty());
}

/// Those of `all` that are not in `known`.
fn without(all: &[u64], known: &[u64]) -> Vec<u64> {
    let known: std::collections::BTreeSet<_> = known.iter().collect();
    all.iter().filter(|n| !known.contains(n)).copied().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_runner_is_killed_under_load_another_node_takes_all_that_comes_in_order() {
    let mut bridged = Bridged::build(3, INGRESS);
    let mosquitto = Mosquitto::start(bridged.remote()).await;
    let entries = [("down/#", "${remote.topic}")];
    bridged.write(INGRESS, mosquitto.address(), "", &entries);
    bridged.run().await;
    let runner = bridged.runner(INGRESS, &[1, 2, 3]).await;
    let others = bridged.cluster.others(runner);
    let mut near = bridged.client(others[0], "near", "down/#").await;
    let publisher = Connect::new(mosquitto.address(), "publisher").open().await;
    let (stop, task) = publishing(publisher, "down/a");
    let mut numbers = take_all(&mut near, &(0..COUNT).collect::<Vec<_>>()).await;
    bridged.cluster.node_mut(runner).kill9();
    bridged.runner(INGRESS, &others).await;
    stop.send(()).expect("it runs");
    let acknowledged = task.await.expect("no panic");
    let rest = without(&acknowledged, &numbers);
    numbers.extend(take_all(&mut near, &rest).await);
    let mut highest = None;
    let firsts: Vec<_> = numbers
        .into_iter()
        .filter(|number| {
            let is_first = highest.is_none_or(|highest| *number > highest);
            highest = highest.max(Some(*number));
            is_first
        })
        .collect();
    assert_eq!(firsts, (0..firsts.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_counted_nowhere_as_lost_when_the_plugin_is_unloaded_and_loaded_again() {
    let mut bridged = Bridged::build(1, EGRESS);
    let mosquitto = Mosquitto::start(bridged.remote()).await;
    bridged.write(
        EGRESS,
        mosquitto.address(),
        "",
        &[("up/#", "${local.topic}")],
    );
    bridged.run().await;
    bridged.runner(EGRESS, &[1]).await;
    let (status, _) = bridged.command(1, EGRESS, "unload").await;
    assert_eq!(status, 200);
    eventually("its client is offline", SOON, async || {
        let path = "/api/v1/clients?_limit=10";
        let clients = bridged.cluster.node(1).http().try_json(path).await?;
        let clients = clients.as_array().cloned().unwrap_or_default();
        let is_off = clients.iter().any(|client| {
            let id = client["clientid"].as_str().unwrap_or_default();
            id.starts_with("$bridge:egress:b:") && client["connected"] == false
        });
        is_off.then_some(()).ok_or(format!("{clients:?}"))
    })
    .await;
    let publisher = bridged.cluster.connect(1, "publisher").open().await;
    publish_all(&publisher, "up/a", 0..COUNT).await;
    let mut far = subscribed(Connect::new(mosquitto.address(), "far"), "up/#").await;
    let (status, _) = bridged.command(1, EGRESS, "load").await;
    assert_eq!(status, 200);
    let arrived = NumberedStream::receive(&mut far, COUNT - 1, SOON).await;
    arrived.assert_exactly(COUNT);
}
