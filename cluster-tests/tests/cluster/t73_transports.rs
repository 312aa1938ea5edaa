//! MQTT over TLS, WebSocket, Unix sockets and QUIC: one conversation, whatever each client speaks.

mod certificates;
mod load_balancer;
mod programs;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;

use raftmq_cluster_tests::{
    Authority, Certificate, Cluster, Frame, Node, RawClient, SOON, Setup, over_quic, over_tls,
    over_websocket, packet, stream_of,
};
use tokio::net::{TcpStream, UnixStream};

const TLS_PORT: u16 = 25_001;
const WS_PORT: u16 = 25_002;
const WSS_PORT: u16 = 25_003;
const QUIC_PORT: u16 = 25_004;

/// Where a node's listener with this port is: on the node's own address.
fn at(node: &Node, port: u16) -> SocketAddr {
    // Nodes of one cluster share an address.
    let offset = u16::try_from(node.id()).expect("few nodes") * 10;
    SocketAddr::new(node.mqtt().ip(), port + offset)
}

/// Gives a node a listener of this transport before it is started, with more settings.
fn listen(node: &mut Node, name: &str, port: u16, settings: &[(&str, &str)]) {
    let addr = at(node, port).to_string();
    let mut set = |setting: &str, value: &str| {
        let variable = format!("RAFTMQ_LISTENER_{name}_{setting}").to_uppercase();
        node.set(&variable, value);
    };
    set("transport", name);
    set("addr", &addr);
    for (setting, value) in settings {
        set(setting, value);
    }
}

/// The settings of a listener with this certificate.
fn with_certificate(certificate: &Certificate) -> [(&'static str, String); 2] {
    [
        (
            "tls_certificate",
            certificate.certificate.display().to_string(),
        ),
        ("tls_key", certificate.key.display().to_string()),
    ]
}

fn listen_encrypted(node: &mut Node, name: &str, port: u16, certificate: &Certificate) {
    let settings = with_certificate(certificate);
    let settings = settings.each_ref().map(|(name, value)| (*name, &**value));
    listen(node, name, port, &settings);
}

/// One node with all transports on.
async fn one_node(authority: &Authority) -> Cluster {
    let certificate = authority.sign("server", "server", &["localhost"], 1);
    let mut cluster = Setup::nodes(1).set("RAFTMQ_MQTT_SHARDS", "2").build();
    listen_everything(cluster.node_mut(1), &certificate);
    cluster.start_all();
    cluster.all_ready().await;
    cluster
}

fn listen_everything(node: &mut Node, certificate: &Certificate) {
    listen(node, "ws", WS_PORT, &[]);
    listen_encrypted(node, "tls", TLS_PORT, certificate);
    listen_encrypted(node, "wss", WSS_PORT, certificate);
    listen_encrypted(node, "quic", QUIC_PORT, certificate);
    node.set("RAFTMQ_LISTENER_LOCAL_TRANSPORT", "unix");
    let socket = unix_socket(node);
    node.set("RAFTMQ_LISTENER_LOCAL_SOCKET", &socket);
}

fn unix_socket(node: &Node) -> String {
    let beside = node.data_dir().with_extension("sock");
    beside.display().to_string()
}

async fn tls(node: &Node, authority: &Authority) -> RawClient {
    let config = Arc::new(authority.client(None));
    let stream = over_tls(at(node, TLS_PORT), &config).await;
    RawClient::over(stream.expect("TLS"))
}

async fn ws(node: &Node) -> RawClient {
    let socket = TcpStream::connect(at(node, WS_PORT)).await.expect("open");
    stream_of(
        over_websocket(socket, "/mqtt", "mqtt")
            .await
            .expect("WebSocket"),
    )
}

async fn wss(node: &Node, authority: &Authority) -> RawClient {
    let config = Arc::new(authority.client(None));
    let stream = over_tls(at(node, WSS_PORT), &config).await.expect("TLS");
    stream_of(
        over_websocket(stream, "/mqtt", "mqtt")
            .await
            .expect("WebSocket"),
    )
}

async fn quic(node: &Node, authority: &Authority) -> RawClient {
    let client = over_quic(at(node, QUIC_PORT), authority.client(None)).await;
    client.expect("QUIC")
}

async fn unix(node: &Node) -> RawClient {
    RawClient::over(UnixStream::connect(unix_socket(node)).await.expect("open"))
}

/// A connection of each kind, by number.
async fn opened(number: usize, node: &Node, authority: &Authority) -> RawClient {
    match number {
        0 => tls(node, authority).await,
        1 => ws(node).await,
        2 => wss(node, authority).await,
        3 => quic(node, authority).await,
        _ => unix(node).await,
    }
}

async fn subscribe(client: &mut RawClient, filter: &str) {
    client.send(&packet::subscribe(4, 1, filter, 1)).await;
    let suback = client.next_frame(SOON).await.expect("a SUBACK");
    assert_eq!((suback.kind(), suback.body[2]), (9, 1), "{suback:?}");
}

/// The next PUBLISH, with its acknowledgement if it wants one; PUBACKs on the way are skipped.
async fn message(client: &mut RawClient) -> Frame {
    loop {
        let frame = client.next_frame(SOON).await.expect("a message");
        if frame.kind() == 3 {
            let topic = usize::from(u16::from_be_bytes([frame.body[0], frame.body[1]]));
            if frame.first & 0b110 != 0 {
                let id = u16::from_be_bytes([frame.body[2 + topic], frame.body[3 + topic]]);
                client.send(&packet::acknowledgement(0x40, id)).await;
            }
            return frame;
        }
    }
}

/// Topic and payload of a PUBLISH of QoS 1.
fn said(frame: &Frame) -> String {
    String::from_utf8_lossy(&frame.body).replace(char::is_control, "|")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_all_transports_on_three_nodes_have_one_conversation() {
    let authority = Authority::new("ca");
    let certificate = authority.sign("server", "server", &["localhost"], 1);
    let mut cluster = Setup::nodes(3).build();
    for id in [1, 2, 3] {
        listen_everything(cluster.node_mut(id), &certificate);
    }
    cluster.start_all();
    cluster.all_ready().await;
    let mut clients = [
        tls(cluster.node(1), &authority)
            .await
            .connected(4, "by-tls")
            .await,
        ws(cluster.node(2)).await.connected(4, "by-ws").await,
        quic(cluster.node(3), &authority)
            .await
            .connected(4, "by-quic")
            .await,
        wss(cluster.node(3), &authority)
            .await
            .connected(4, "by-wss")
            .await,
        unix(cluster.node(1)).await.connected(4, "by-unix").await,
    ];
    for client in &mut clients {
        subscribe(client, "chat/#").await;
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let topic = format!("chat/{number}");
        client
            .send(&packet::publish(4, &topic, 1, 7, b"hello"))
            .await;
    }
    for client in &mut clients {
        let mut heard = Vec::new();
        for _ in 0..5 {
            heard.push(said(&message(client).await));
        }
        heard.sort();
        for (number, heard) in heard.iter().enumerate() {
            assert!(heard.contains(&format!("chat/{number}")), "{heard}");
            assert!(heard.ends_with("hello"), "{heard}");
        }
    }
}

/// Writes that a socket does not take at once, and reads that end in the middle of records and frames.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_pass_every_transport_to_a_slow_reader() {
    const MESSAGES: usize = 12;
    let authority = Authority::new("ca");
    let cluster = one_node(&authority).await;
    let node = cluster.node(1);
    let payload: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    for number in 0..5 {
        let reader = opened(number, node, &authority).await;
        let mut reader = reader.connected(4, &format!("reader-{number}")).await;
        let writer = opened(number, node, &authority).await;
        let mut writer = writer.connected(4, &format!("writer-{number}")).await;
        let topic = format!("large/{number}");
        subscribe(&mut reader, &topic).await;
        for id in 1..=MESSAGES {
            let id = u16::try_from(id).expect("few");
            writer
                .send(&packet::publish(4, &topic, 1, id, &payload))
                .await;
            let puback = writer.next_frame(SOON).await.expect("a PUBACK");
            assert_eq!(puback.kind(), 4, "{number}");
        }
        for received in 0..MESSAGES {
            println!("transport {number}: {received} received");
            let frame = message(&mut reader).await;
            assert!(frame.body.ends_with(&payload), "transport {number}");
        }
    }
}

/// The end of a stream is the end of the connection: the will says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_gone_is_noticed_on_every_transport() {
    let authority = Authority::new("ca");
    let cluster = one_node(&authority).await;
    let node = cluster.node(1);
    for number in 0..5 {
        let client = opened(number, node, &authority).await;
        let id = format!("gone-{number}");
        let client = client.connected(5, &id).await;
        let online = format!("/api/v1/clients/{id}/online");
        assert_eq!(node.http().json(&online).await, true, "{id}");
        drop(client);
        raftmq_cluster_tests::eventually(&id, SOON, async || {
            match node.http().try_json(&online).await? {
                serde_json::Value::Bool(false) => Ok(()),
                other => Err(other.to_string()),
            }
        })
        .await;
    }
}
