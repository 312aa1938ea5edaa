//! What a web hook that is told every message costs the messages: their way is timed without the plugin and with
//! it, in turn, while another publisher keeps the hook busy. Prints JSON.
//!
//! `cargo run --release -p raftmq-cluster-tests --bin hook_latency [rounds]`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use raftmq_cluster_tests::{Cluster, HookServer, RawClient, SOON, Setup, Way, packet, percentiles};
use serde_json::json;

const PLUGIN: &str = "rmqtt-web-hook";
const SERVER_PORT: u16 = 25_000;
/// Messages that are timed in a round.
const MESSAGES: usize = 2_000;
/// Messages that the hook is told beside those that are timed: 100 every 50 ms.
const BURST: u16 = 100;
const BURST_INTERVAL: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() {
    let rounds = std::env::args()
        .nth(1)
        .map_or(3, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
        .build();
    let address = cluster.address().port(SERVER_PORT);
    let file = format!(
        "urls = ['http://{address}/']\nrule.message_publish = [{{}}]\nrule.message_delivered = [{{}}]\n"
    );
    std::fs::write(folder.path().join(format!("{PLUGIN}.toml")), file).expect("a file");
    let server = HookServer::start(address).await;
    let cluster = run(cluster).await;
    let mut way = Way::open(&cluster).await;
    let never = AtomicBool::new(false);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let busy = Busy::start(&cluster).await;
    for _ in 0..rounds {
        command(&cluster, "unload").await;
        without.extend(way.times(&never, MESSAGES).await);
        command(&cluster, "load").await;
        with.extend(way.times(&never, MESSAGES).await);
    }
    busy.end().await;
    let report = json!({
        "publish_ms": {"without": percentiles(&without), "with": percentiles(&with)},
        "events_told": server.taken().len(),
    });
    println!("{report:#}");
}

async fn run(mut cluster: Cluster) -> Cluster {
    cluster.start_all();
    cluster.all_ready().await;
    cluster.links_up().await;
    cluster
}

/// Loads or unloads the plugin on every node.
async fn command(cluster: &Cluster, verb: &str) {
    for node in cluster.ids() {
        let path = format!("/api/v1/plugins/{node}/{PLUGIN}/{verb}");
        let answer = cluster.node(node).http().put(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// A publisher that gives the hook something to do.
struct Busy {
    ends: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Busy {
    async fn start(cluster: &Cluster) -> Busy {
        let (mut client, _) = RawClient::connect(cluster.node(1).mqtt(), 4, "busy", true).await;
        let ends = Arc::new(AtomicBool::new(false));
        let seen = ends.clone();
        let task = tokio::spawn(async move {
            let message = packet::publish(4, "busy", 0, 0, &[b'x'; 64]);
            let burst = message.repeat(usize::from(BURST));
            let mut ticks = tokio::time::interval(BURST_INTERVAL);
            while !seen.load(Ordering::Relaxed) {
                ticks.tick().await;
                client.send(&burst).await;
                client.send(&packet::PINGREQ).await;
                client.next_frame(SOON).await.expect("PINGRESP");
            }
        });
        Busy { ends, task }
    }

    async fn end(self) {
        self.ends.store(true, Ordering::Relaxed);
        self.task.await.expect("no panic");
    }
}
