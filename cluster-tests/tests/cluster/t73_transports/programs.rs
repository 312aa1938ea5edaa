//! The clients of mosquitto, over everything that they speak.

use std::process::Stdio;

use raftmq_cluster_tests::{Authority, Cluster, Node, SOON, eventually, within};
use tokio::process::{Child, Command};

use super::{TLS_PORT, at, one_node, unix_socket};

fn program(name: &str, address: &[String], rest: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(address).args(rest).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Whether such a program is on this machine.
fn is_there(name: &str) -> bool {
    std::process::Command::new(name)
        .arg("--help")
        .output()
        .is_ok()
}

async fn subscribed(node: &Node, client: &str) {
    eventually("the subscription", SOON, async || {
        let path = format!("/api/v1/subscriptions/{client}");
        let rows = node.http().try_json(&path).await?;
        match rows.as_array().is_some_and(|rows| !rows.is_empty()) {
            true => Ok(()),
            false => Err(rows.to_string()),
        }
    })
    .await;
}

/// `mosquitto_sub` gets what `mosquitto_pub` sends, both with these arguments.
async fn talk(cluster: &Cluster, name: &str, address: &[String]) {
    let id = format!("sub-{name}");
    let listening = ["-i", &id, "-t", "from/#", "-C", "1", "-q", "1", "-v"];
    let listener: Child = program("mosquitto_sub", address, &listening)
        .spawn()
        .expect("it starts");
    subscribed(cluster.node(1), &id).await;
    let topic = format!("from/{name}");
    let speaking = ["-t", &topic, "-m", "hello", "-q", "2"];
    let spoken = program("mosquitto_pub", address, &speaking).output();
    let spoken = within("mosquitto_pub", SOON, spoken).await.expect("it ran");
    assert!(spoken.status.success(), "{name}: {spoken:?}");
    let heard = within("mosquitto_sub", SOON, listener.wait_with_output()).await;
    let heard = heard.expect("it ran");
    assert_eq!(
        String::from_utf8_lossy(&heard.stdout),
        format!("{topic} hello\n"),
        "{heard:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mosquittos_clients_talk_over_tcp_tls_and_unix_sockets() {
    if !is_there("mosquitto_pub") {
        println!("skipped: there is no mosquitto_pub on this machine");
        return;
    }
    let authority = Authority::new("ca");
    let cluster = one_node(&authority).await;
    let node = cluster.node(1);
    let tcp = |address: std::net::SocketAddr| {
        [
            "-h".to_owned(),
            address.ip().to_string(),
            "-p".to_owned(),
            address.port().to_string(),
        ]
    };
    talk(&cluster, "tcp", &tcp(node.mqtt())).await;
    let ca = authority.ca().display().to_string();
    let mut tls = tcp(at(node, TLS_PORT)).to_vec();
    // The certificate names localhost, and the test's node has another address.
    tls.extend(["--cafile".to_owned(), ca, "--insecure".to_owned()]);
    talk(&cluster, "tls", &tls).await;
    talk(&cluster, "unix", &["--unix".to_owned(), unix_socket(node)]).await;
}
