//! How long lists over very many sessions take, what they cost in memory, and what they do to the
//! messages that pass meanwhile: publishing is timed without queries and with them. Prints JSON.
//!
//! `cargo run --release -p raftmq-cluster-tests --bin large_answers [clients] [filters of each]`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, Crowd, RawClient, SOON, packet};
use serde_json::{Value, json};

/// Time between two messages whose way is timed.
const MESSAGE_INTERVAL: Duration = Duration::from_millis(5);
/// Messages that are timed without queries.
const MESSAGES: usize = 4_000;
/// How often each question is asked.
const ROUNDS: u32 = 5;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| {
        let text = arguments.next();
        text.map_or(default, |text| text.parse().expect("a number"))
    };
    let crowd = Crowd {
        clients: number(100_000),
        filters: number(10),
    };
    let cluster = Cluster::start(3).await;
    let begun = Instant::now();
    crowd.gather(&cluster).await;
    let gathered = begun.elapsed();
    let resting = peaks(&cluster);

    let mut way = Way::open(&cluster).await;
    let ends = AtomicBool::new(false);
    let quiet = way.times(&ends, MESSAGES).await;
    let ends = Arc::new(ends);
    let asking = tokio::spawn(ask(cluster.node(3).http().clone(), ends.clone()));
    let busy = way.times(&ends, usize::MAX).await;
    let questions = asking.await.expect("no panic");

    let report = json!({
        "clients": crowd.clients,
        "subscriptions": u64::from(crowd.clients) * u64::from(crowd.filters),
        "gathering_s": gathered.as_secs(),
        "questions_ms": questions,
        "publish_ms": {"without": percentiles(quiet), "with": percentiles(busy)},
        "peak_mib": {"before": resting, "after": peaks(&cluster)},
    });
    println!("{report:#}");
}

/// The largest resident memory of each node so far, MiB.
fn peaks(cluster: &Cluster) -> Vec<u64> {
    let nodes = cluster.nodes().iter();
    nodes.map(|node| node.peak_resident_bytes() >> 20).collect()
}

/// A publisher on node 1 and a subscriber on node 2.
struct Way {
    publisher: RawClient,
    subscriber: RawClient,
}

impl Way {
    async fn open(cluster: &Cluster) -> Way {
        let (subscriber, publisher) = (cluster.node(2).mqtt(), cluster.node(1).mqtt());
        let (mut subscriber, _) = RawClient::connect(subscriber, 4, "timed-sub", true).await;
        subscriber
            .send(&packet::subscribe(4, 1, "timed/way", 0))
            .await;
        subscriber.next_frame(SOON).await.expect("SUBACK");
        let (publisher, _) = RawClient::connect(publisher, 4, "timed-pub", true).await;
        Way {
            publisher,
            subscriber,
        }
    }

    /// Times of single messages from PUBLISH to PUBLISH, until `ends` or so many.
    async fn times(&mut self, ends: &AtomicBool, count: usize) -> Vec<Duration> {
        let message = packet::publish(4, "timed/way", 0, 0, &[b'x'; 64]);
        let mut ticks = tokio::time::interval(MESSAGE_INTERVAL);
        let mut times = Vec::new();
        while times.len() < count && !ends.load(Ordering::Relaxed) {
            ticks.tick().await;
            let sent = Instant::now();
            self.publisher.send(&message).await;
            self.subscriber.next_frame(SOON).await.expect("PUBLISH");
            times.push(sent.elapsed());
            if times.len() % 1_000 == 0 {
                self.publisher.send(&packet::PINGREQ).await;
                self.publisher.next_frame(SOON).await.expect("PINGRESP");
                self.subscriber.send(&packet::PINGREQ).await;
                self.subscriber.next_frame(SOON).await.expect("PINGRESP");
            }
        }
        times
    }
}

/// Asks every question some times; for each, how long an answer took and how large it was.
async fn ask(http: raftmq_cluster_tests::Http, ends: Arc<AtomicBool>) -> Value {
    let questions = [
        "/api/v1/clients?_limit=10000",
        "/api/v1/clients?clientid=crowd-000042",
        "/api/v1/clients?_like_clientid=nobody",
        "/api/v1/clients?_gte_mqueue_len=1",
        "/api/v1/subscriptions?_match_topic=all",
        "/api/v1/subscriptions?_match_topic=own%2F42%2F3",
        "/api/v1/subscriptions?topic=hundred%2F42",
        "/api/v1/subscriptions?clientid=crowd-000042",
        "/api/v1/subscriptions?qos=2",
        "/api/v1/routes",
        "/api/v1/routes/own%2F42%2F3",
    ];
    let _ends = Ends(ends);
    let mut report = serde_json::Map::new();
    for question in questions {
        let (mut worst, mut sum, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
        for _ in 0..ROUNDS {
            let asked = Instant::now();
            let answer = http.get(question).await;
            let took = asked.elapsed();
            assert_eq!(answer.status, 200, "{question}: {}", answer.body);
            (worst, sum, bytes) = (worst.max(took), sum + took, answer.body.len());
        }
        let row = json!({
            "mean": (sum / ROUNDS).as_millis() as u64,
            "worst": worst.as_millis() as u64,
            "bytes": bytes,
        });
        report.insert(question.to_owned(), row);
    }
    Value::Object(report)
}

/// Ends the timing of messages when the questions have ended, whatever ended them.
struct Ends(Arc<AtomicBool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn percentiles(mut times: Vec<Duration>) -> Value {
    times.sort();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share) as usize).min(times.len() - 1);
        (times[index].as_secs_f64() * 100_000.0).round() / 100.0
    };
    json!({"count": times.len(), "p50": at(0.5), "p99": at(0.99), "worst": at(1.0)})
}
