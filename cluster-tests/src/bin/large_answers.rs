//! How long lists over very many sessions take, what they cost in memory, and what they do to the
//! messages that pass meanwhile: publishing is timed without queries and with them. Prints JSON.
//!
//! `cargo run --release -p raftmq-cluster-tests --bin large_answers [clients] [filters of each]`

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, Crowd, Http, Way, percentiles};
use serde_json::{Value, json};

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
    let asking = ask_elsewhere(cluster.node(3).http_address(), ends.clone());
    let busy = way.times(&ends, usize::MAX).await;
    let questions = asking.join().expect("no panic");

    let report = json!({
        "clients": crowd.clients,
        "subscriptions": u64::from(crowd.clients) * u64::from(crowd.filters),
        "gathering_s": gathered.as_secs(),
        "questions_ms": questions,
        "publish_ms": {"without": percentiles(&quiet), "with": percentiles(&busy)},
        "peak_mib": {"before": resting, "after": peaks(&cluster)},
    });
    println!("{report:#}");
}

/// The largest resident memory of each node so far, MiB.
fn peaks(cluster: &Cluster) -> Vec<u64> {
    let nodes = cluster.nodes().iter();
    nodes.map(|node| node.peak_resident_bytes() >> 20).collect()
}

/// Who asks would be on another machine: here it gives way to those who are timed.
fn ask_elsewhere(node: SocketAddr, ends: Arc<AtomicBool>) -> JoinHandle<Value> {
    std::thread::spawn(move || {
        let _ = rustix::process::setpriority_process(None, 10);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let asking = ask(Http::new(node), ends);
        runtime.expect("a runtime").block_on(asking)
    })
}

/// Asks every question some times; for each, how long an answer took and how large it was.
async fn ask(http: Http, ends: Arc<AtomicBool>) -> Value {
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
