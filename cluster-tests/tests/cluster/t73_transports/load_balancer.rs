//! HAProxy in front, which tells the client's address in both versions of the PROXY protocol.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use raftmq_cluster_tests::{
    Authority, Cluster, Node, RawClient, SOON, Setup, eventually, over_tls, over_websocket,
    stream_of,
};
use tokio::net::TcpStream;

use super::{TLS_PORT, WS_PORT, at, listen_everything, unix_socket};

/// A process of HAProxy, ended with the test.
struct Haproxy(Child);

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// Where HAProxy listens for what it sends to a server.
struct Way {
    port: u16,
    server: String,
    option: &'static str,
}

fn start(node: &Node, ways: &[Way]) -> Haproxy {
    let mut text = String::from(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n",
    );
    for way in ways {
        let (front, server, option) = (at(node, way.port), &way.server, way.option);
        write!(
            text,
            "listen l{}\n bind {front}\n server s {server} {option}\n",
            way.port
        )
        .expect("a String");
    }
    let file = node.data_dir().with_extension("haproxy");
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new("haproxy");
    command.arg("-f").arg(&file).arg("-db");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Haproxy(command.spawn().expect("it starts"))
}

/// Trusted, because it is a private network.
async fn reached(address: SocketAddr) -> TcpStream {
    eventually("HAProxy listens", SOON, async || {
        TcpStream::connect(address)
            .await
            .map_err(|error| error.to_string())
    })
    .await
}

/// The client's port, as the API shows it.
async fn port_shown(cluster: &Cluster, id: &str) -> u64 {
    let row = cluster
        .node(1)
        .http()
        .json(&format!("/api/v1/clients/{id}"))
        .await;
    row["port"].as_u64().unwrap_or_else(|| panic!("{row}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_own_address_comes_through_haproxy_in_both_versions() {
    if Command::new("haproxy").arg("-v").output().is_err() {
        println!("skipped: there is no haproxy on this machine");
        return;
    }
    let authority = Authority::new("ca");
    let certificate = authority.sign("server", "server", &["localhost"], 1);
    let mut cluster = Setup::nodes(1)
        .set("RAFTMQ_MQTT_PROXY_PROTOCOL", "any")
        .build();
    listen_everything(cluster.node_mut(1), &certificate);
    cluster.start_all();
    cluster.all_ready().await;
    let node = cluster.node(1);
    let servers = [
        node.mqtt().to_string(),
        at(node, TLS_PORT).to_string(),
        at(node, WS_PORT).to_string(),
        format!("unix@{}", unix_socket(node)),
    ];
    let mut ways = Vec::new();
    for (version, option) in ["send-proxy", "send-proxy-v2"].into_iter().enumerate() {
        for (kind, server) in servers.iter().enumerate() {
            let port = 26_000 + u16::try_from(version * 100 + kind).expect("few");
            ways.push(Way {
                port,
                server: server.clone(),
                option,
            });
        }
    }
    let _haproxy = start(node, &ways);
    for (number, way) in ways.iter().enumerate() {
        let socket = reached(at(node, way.port)).await;
        let own = socket.local_addr().expect("an address");
        let id = format!("behind-{number}");
        let client = match number % servers.len() {
            1 => {
                drop(socket);
                let config = std::sync::Arc::new(authority.client(None));
                let stream = over_tls(at(node, way.port), &config).await.expect("TLS");
                let own = stream.get_ref().0.local_addr().expect("an address");
                let client = RawClient::over(stream).connected(5, &id).await;
                assert_eq!(
                    port_shown(&cluster, &id).await,
                    u64::from(own.port()),
                    "{id}"
                );
                drop(client);
                continue;
            }
            2 => stream_of(
                over_websocket(socket, "/mqtt", "mqtt")
                    .await
                    .expect("WebSocket"),
            ),
            _ => RawClient::over(socket),
        };
        let _client = client.connected(5, &id).await;
        assert_eq!(
            port_shown(&cluster, &id).await,
            u64::from(own.port()),
            "{id}"
        );
    }
}
