//! kill -9 at random moments under load, again and again, of one node or of all. `RAFTMQ_KILLS` says how often
//! (3 by default; a long run: `RAFTMQ_KILLS=300 cargo nextest run -p raftmq-cluster-tests -E 'test(kills)'`).
//!
//! The oracle knows of every message whether it was acknowledged, or is unknown. At the end, when all nodes are
//! back, every acknowledged one has arrived at every session.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raftmq_cluster_tests::{
    Cluster, Connect, Frame, RawClient, SOON, Seed, Setup, eventually, numbered, packet,
};

const KILLS_DEFAULT: usize = 3;
/// Between two attempts to connect, and between two looks whether it is over.
const RETRY: Duration = Duration::from_millis(50);
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
async fn publish(connect: Connect, qos: u8, stop: Arc<AtomicBool>) -> BTreeSet<u64> {
    let mut acknowledged = BTreeSet::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(client) = connect.clone().try_open().await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let answer = client.publish("load", qos, numbered(number));
            match tokio::time::timeout(SOON, answer).await {
                Ok(Ok(code)) if code < 0x80 => acknowledged.insert(number),
                _ => break,
            };
        }
    }
    acknowledged
}

/// Numbers that have arrived.
type Seen = Arc<Mutex<BTreeSet<u64>>>;

/// Where a session is, and whose.
#[derive(Clone)]
struct Place {
    address: SocketAddr,
    id: String,
}

/// Receives until told to stop, and connects again whenever the connection is gone. It goes on with what a
/// connection before it has begun, which rumqttc takes for a mistake of the broker's.
async fn receive(place: Place, seen: Seen, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        match RawClient::try_connect(place.address, 4, &place.id, false).await {
            Some((mut client, connack)) if connack.connack_code() == 0 => {
                receive_on(&mut client, &seen, &stop).await;
            }
            _ => tokio::time::sleep(RETRY).await,
        }
    }
}

async fn receive_on(client: &mut RawClient, seen: &Seen, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match tokio::time::timeout(RETRY, client.next_frame(SOON)).await {
            Err(_) => {}
            Ok(None) => return,
            Ok(Some(frame)) => client.send(&answer(&frame, seen)).await,
        }
    }
}

/// Takes a packet, and acknowledges it.
fn answer(frame: &Frame, seen: &Seen) -> Vec<u8> {
    let two = |at: usize| u16::from_be_bytes([frame.body[at], frame.body[at + 1]]);
    if frame.kind() == 6 {
        return packet::acknowledgement(0x70, two(0));
    }
    assert_eq!(frame.kind(), 3, "{frame:?}");
    let behind_topic = 2 + usize::from(two(0));
    let payload = std::str::from_utf8(&frame.body[behind_topic + 2..]).expect("a number");
    let number = payload.parse().expect("a number");
    seen.lock().expect("no panic").insert(number);
    let is_qos_2 = frame.first & 0b100 != 0;
    packet::acknowledgement(if is_qos_2 { 0x50 } else { 0x40 }, two(behind_topic))
}

struct Session {
    seen: Seen,
    place: Place,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Session {
    /// Made, and left.
    async fn begin(cluster: &Cluster, node: u64, id: String, qos: u8) -> Self {
        let client = cluster.connect(node, &id).v4().persistent().open().await;
        client.subscribed("load", qos).await;
        client.disconnect().await;
        let address = cluster.node(node).mqtt();
        Self {
            seen: Arc::default(),
            place: Place { address, id },
            task: None,
        }
    }

    /// From now on, if it did not before.
    fn receives(&mut self, stop: &Arc<AtomicBool>) {
        let (place, seen, stop) = (self.place.clone(), self.seen.clone(), stop.clone());
        let start = || tokio::spawn(receive(place, seen, stop));
        self.task.get_or_insert_with(start);
    }

    async fn has_all(&self, acknowledged: &BTreeSet<u64>) {
        let what = format!("all that was acknowledged, for {}", self.place.id);
        eventually(&what, ALL_ARRIVED, async || {
            let seen = self.seen.lock().expect("no panic");
            let missing: Vec<_> = acknowledged.difference(&seen).collect();
            match missing.first() {
                None => Ok(()),
                Some(first) => Err(format!("{} missing, first {first}", missing.len())),
            }
        })
        .await;
    }
}

async fn kill_at_random(cluster: &mut Cluster, seed: &mut Seed) {
    let ids = cluster.ids();
    for kill in 0..kills() {
        let load = Duration::from_millis(300 + seed.below(1_500) as u64);
        tokio::time::sleep(load).await;
        // One of them, or all.
        let victims = match ids.get(seed.below(ids.len() + 1)) {
            Some(one) => vec![*one],
            None => ids.clone(),
        };
        println!("kill {kill}: nodes {victims:?}");
        victims.iter().for_each(|id| cluster.node_mut(*id).kill9());
        let dead = Duration::from_millis(seed.below(3_000) as u64);
        tokio::time::sleep(dead).await;
        cluster.start_all();
        cluster.all_ready().await;
    }
}

async fn under_load(nodes: u64, qos: u8) {
    let mut seed = Seed::new();
    let mut cluster = Setup::nodes(nodes)
        .set("RAFTMQ_MQTT_MAX_QUEUED_MESSAGES", "1000000")
        .start()
        .await;
    let stop_publishing = Arc::new(AtomicBool::new(false));
    let stop_receiving = Arc::new(AtomicBool::new(false));
    let mut sessions = Vec::new();
    for node in cluster.ids() {
        let mut online = Session::begin(&cluster, node, format!("online-{node}"), qos).await;
        online.receives(&stop_receiving);
        sessions.push(online);
        sessions.push(Session::begin(&cluster, node, format!("offline-{node}"), qos).await);
    }
    // Of a session of its own, for it would have to remember its packet identifiers as the broker does.
    let connect = cluster.connect(1, "publisher");
    let publishing = tokio::spawn(publish(connect, qos, stop_publishing.clone()));
    kill_at_random(&mut cluster, &mut seed).await;
    stop_publishing.store(true, Ordering::Relaxed);
    let acknowledged = publishing.await.expect("the publisher");
    println!("{} acknowledged", acknowledged.len());
    assert!(!acknowledged.is_empty());
    for session in &mut sessions {
        session.receives(&stop_receiving);
    }
    for session in &sessions {
        session.has_all(&acknowledged).await;
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
