//! kill -9 at random moments under load, again and again, of one node or of all. `RAFTMQ_KILLS` says how often
//! (3 by default; a long run: `RAFTMQ_KILLS=300 cargo nextest run -p raftmq-cluster-tests -E 'test(kills)'`).
//!
//! The oracle knows of every message whether it was acknowledged, or is unknown. At the end, when all nodes are
//! back, every acknowledged one has arrived at every session.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use raftmq_cluster_tests::{Cluster, Connect, SOON, Seed, Setup, eventually, number_of, numbered};

const KILLS_DEFAULT: usize = 3;
/// What was kept for a session elsewhere is looked for once a second; a state that nobody fetched is sent after
/// its session when 12 s have passed.
const ALL_ARRIVED: Duration = Duration::from_secs(60);

fn kills() -> usize {
    std::env::var("RAFTMQ_KILLS").map_or(KILLS_DEFAULT, |kills| {
        kills.parse().expect("RAFTMQ_KILLS is a number")
    })
}

/// Publishes numbers one after the other until told to stop, and connects again whenever the connection is gone.
/// Returns those that were acknowledged.
async fn publish(connect: Connect, topic: String, qos: u8, stop: Arc<AtomicBool>) -> BTreeSet<u64> {
    let mut acknowledged = BTreeSet::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(client) = connect.clone().try_open().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            let answer = client.publish(&topic, qos, numbered(number));
            // A node that is cut off acknowledges nothing: gone for this client, too.
            match tokio::time::timeout(SOON, answer).await {
                Ok(Ok(code)) if code < 0x80 => {
                    acknowledged.insert(number);
                    number += 1;
                }
                _ => {
                    number += 1;
                    break;
                }
            }
        }
    }
    acknowledged
}

/// Receives until told to stop, and connects again whenever the connection is gone.
async fn receive(
    connect: Connect,
    seen: Arc<std::sync::Mutex<BTreeSet<u64>>>,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut client) = connect.clone().try_open().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) && client.closed().is_none() {
            if let Some(message) = client.message_within(Duration::from_millis(100)).await {
                seen.lock().expect("no panic").insert(number_of(&message));
            }
        }
        // What has been acknowledged does not come again.
        let rest = client.arrived();
        seen.lock()
            .expect("no panic")
            .extend(rest.iter().map(number_of));
    }
}

struct Session {
    seen: Arc<std::sync::Mutex<BTreeSet<u64>>>,
    connect: Connect,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Session {
    fn missing(&self, acknowledged: &BTreeSet<u64>) -> Vec<u64> {
        let seen = self.seen.lock().expect("no panic");
        acknowledged.difference(&seen).copied().collect()
    }
}

async fn under_load(nodes: u64, qos: u8) {
    let mut seed = Seed::new();
    let mut cluster = Setup::nodes(nodes)
        .set("RAFTMQ_MQTT_MAX_QUEUED_MESSAGES", "1000000")
        .start()
        .await;
    let (stop_publishing, stop_receiving) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut sessions = Vec::new();
    for node in cluster.ids() {
        for (name, is_online) in [("online", true), ("offline", false)] {
            let connect = cluster
                .connect(node, &format!("{name}-{node}"))
                .persistent();
            let client = connect.clone().open().await;
            client.subscribed("load", qos).await;
            client.disconnect().await;
            let seen = Arc::default();
            let receiving = receive(
                connect.clone(),
                Arc::clone(&seen),
                Arc::clone(&stop_receiving),
            );
            let task = is_online.then(|| tokio::spawn(receiving));
            sessions.push(Session {
                seen,
                connect,
                task,
            });
        }
    }
    // Of a session of its own, for it would have to remember its packet identifiers as the broker does.
    let connect = cluster.connect(1, "publisher");
    let publishing = publish(connect, "load".into(), qos, Arc::clone(&stop_publishing));
    let publishing = tokio::spawn(publishing);
    let ids = cluster.ids();
    for kill in 0..kills() {
        let pause = Duration::from_millis(300 + seed.below(1_500) as u64);
        tokio::time::sleep(pause).await;
        // One of them, or all.
        let chosen = seed.below(ids.len() + 1);
        let victims = match ids.get(chosen) {
            Some(one) => vec![*one],
            None => ids.clone(),
        };
        println!("kill {kill}: nodes {victims:?}");
        victims.iter().for_each(|id| cluster.node_mut(*id).kill9());
        tokio::time::sleep(Duration::from_millis(seed.below(3_000) as u64)).await;
        cluster.start_all();
        cluster.all_ready().await;
    }
    stop_publishing.store(true, Ordering::Relaxed);
    let acknowledged = publishing.await.expect("the publisher");
    println!("{} acknowledged", acknowledged.len());
    assert!(!acknowledged.is_empty());
    for session in sessions.iter_mut().filter(|session| session.task.is_none()) {
        let receiving = receive(
            session.connect.clone(),
            Arc::clone(&session.seen),
            Arc::clone(&stop_receiving),
        );
        session.task = Some(tokio::spawn(receiving));
    }
    for session in &sessions {
        eventually("all that was acknowledged", ALL_ARRIVED, async || {
            let missing = session.missing(&acknowledged);
            match missing.len() {
                0 => Ok(()),
                count => Err(format!("{count} missing, first {:?}", missing.first())),
            }
        })
        .await;
    }
    stop_receiving.store(true, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_its_own_loses_nothing_of_qos_1() {
    under_load(1, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_its_own_loses_nothing_of_qos_2() {
    under_load(1, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_lose_nothing_of_qos_1() {
    under_load(3, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_lose_nothing_of_qos_2() {
    under_load(3, 2).await;
}
