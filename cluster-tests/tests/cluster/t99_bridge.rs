//! Bridges: a message goes over once, waits while the other side is away, outlives whoever forwards it, and does
//! not run in circles.

mod circles;
mod forwarding;
mod keeping;
mod plugin;

use std::net::SocketAddr;

use raftmq_cluster_tests::{Client, Cluster, Connect, START, Setup, eventually};
use serde_json::Value;
use tempfile::TempDir;

const EGRESS: &str = "rmqtt-bridge-egress-mqtt";
const INGRESS: &str = "rmqtt-bridge-ingress-mqtt";

/// Above those of the nodes, below the ephemeral ports.
const REMOTE_PORT: u16 = 25_000;

/// A cluster with its plugins' folder.
struct Bridged {
    cluster: Cluster,
    folder: TempDir,
}

impl Bridged {
    fn build(nodes: u64, startups: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cluster = Setup::nodes(nodes)
            .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
            .set("RAFTMQ_PLUGINS_DEFAULT_STARTUPS", startups)
            .build();
        Self { cluster, folder }
    }

    async fn run(&mut self) {
        self.cluster.start_all();
        self.cluster.all_ready().await;
        self.cluster.links_up().await;
    }

    /// `entries`: (from, to), with the placeholder in `to` that its direction has.
    fn write(&self, plugin: &str, server: SocketAddr, keys: &str, entries: &[(&str, &str)]) {
        let text = file(plugin, server, keys, entries);
        std::fs::write(self.folder.path().join(format!("{plugin}.toml")), text).expect("a file");
    }

    fn remote(&self) -> SocketAddr {
        self.cluster.address().port(REMOTE_PORT)
    }

    async fn command(&self, of: u64, plugin: &str, command: &str) -> (u16, String) {
        let path = format!("/api/v1/plugins/{of}/{plugin}/{command}");
        let answer = self.cluster.node(of).http().put(&path).await;
        (answer.status, answer.body)
    }

    async fn entry(&self, of: u64, plugin: &str) -> Result<Value, String> {
        let path = format!("/api/v1/plugins/{of}/{plugin}");
        let row = self.cluster.node(of).http().try_json(&path).await?;
        Ok(row["attrs"]["entries"][0].clone())
    }

    /// The one of these nodes that runs the first entry of the plugin, when it is connected with the remote broker.
    async fn runner(&self, plugin: &str, among: &[u64]) -> u64 {
        eventually("one node runs the bridge", START, async || {
            let mut running = Vec::new();
            let mut seen = Vec::new();
            for &node in among {
                let entry = self.entry(node, plugin).await?;
                if entry["role"] == "running" && entry["remote_connected"] == true {
                    running.push(node);
                }
                seen.push(entry.to_string());
            }
            match running[..] {
                [one] => Ok(one),
                _ => Err(seen.join("\n")),
            }
        })
        .await
    }

    async fn client(&self, node: u64, id: &str, filter: &str) -> Client {
        subscribed(self.cluster.connect(node, id), filter).await
    }
}

fn file(plugin: &str, server: SocketAddr, keys: &str, entries: &[(&str, &str)]) -> String {
    let mut text = format!(
        "[[bridges]]\nname = 'b'\nserver = '{server}'\nreconnect_interval = '400ms'\n{keys}\n"
    );
    for (from, to) in entries {
        text += "[[bridges.entries]]\n";
        text += &match plugin {
            EGRESS => format!("local.topic_filter = '{from}'\nremote.topic = '{to}'\n"),
            _ => format!("remote.topic = '{from}'\nremote.qos = 2\nlocal.topic = '{to}'\n"),
        };
    }
    text
}

async fn subscribed(connect: Connect, filter: &str) -> Client {
    let client = connect.open().await;
    client.subscribed(filter, 1).await;
    client
}
