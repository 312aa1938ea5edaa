//! What a client of WebSocket may do wrong, and what it may do that looks wrong.

use futures::{SinkExt, StreamExt};
use raftmq_cluster_tests::{Authority, SOON, over_websocket, packet, within};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{WS_PORT, at, one_node};

async fn opened(address: std::net::SocketAddr) -> WebSocketStream<TcpStream> {
    let socket = TcpStream::connect(address).await.expect("open");
    let opened = over_websocket(socket, "/mqtt", "mqtt").await;
    opened.expect("WebSocket")
}

async fn status(address: std::net::SocketAddr, path: &str, subprotocol: &str) -> u16 {
    let socket = TcpStream::connect(address).await.expect("open");
    match over_websocket(socket, path, subprotocol).await {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("{:?}", other.err()),
    }
}

async fn next(websocket: &mut WebSocketStream<TcpStream>) -> Message {
    let next = within("a message", SOON, websocket.next()).await;
    next.expect("not the end").expect("a message")
}

/// [MQTT-6.0.0-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_path_and_another_subprotocol_are_refused() {
    let cluster = one_node(&Authority::new("ca")).await;
    let address = at(cluster.node(1), WS_PORT);
    assert_eq!(status(address, "/other", "mqtt").await, 404);
    assert_eq!(status(address, "/mqtt", "").await, 400);
    assert_eq!(status(address, "/mqtt", "soap").await, 400);
}

/// [MQTT-6.0.0-1], 3.1.1 [MQTT-6.0.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_frame_closes_the_connection() {
    let cluster = one_node(&Authority::new("ca")).await;
    let mut websocket = opened(at(cluster.node(1), WS_PORT)).await;
    let connect = packet::connect(5, "texter", true, 30);
    websocket
        .send(Message::binary(connect))
        .await
        .expect("sent");
    assert!(matches!(next(&mut websocket).await, Message::Binary(_)));
    websocket.send(Message::text("hello")).await.expect("sent");
    match next(&mut websocket).await {
        Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 1003),
        other => panic!("{other:?}"),
    }
}

/// [MQTT-6.0.0-2], 3.1.1 [MQTT-6.0.0-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_share_frames_and_are_split_over_them() {
    let cluster = one_node(&Authority::new("ca")).await;
    let mut websocket = opened(at(cluster.node(1), WS_PORT)).await;
    let bytes = [
        packet::connect(4, "splitter", true, 30),
        packet::subscribe(4, 1, "a", 0),
        packet::PINGREQ.to_vec(),
    ]
    .concat();
    for piece in bytes.chunks(5) {
        websocket
            .send(Message::binary(piece.to_vec()))
            .await
            .expect("sent");
    }
    let together = [packet::PINGREQ, packet::PINGREQ].concat();
    websocket
        .send(Message::binary(together))
        .await
        .expect("sent");
    let mut answers = Vec::new();
    while answers.len() < 15 {
        match next(&mut websocket).await {
            Message::Binary(bytes) => answers.extend_from_slice(&bytes),
            other => panic!("{other:?}"),
        }
    }
    // CONNACK comes first; SUBACK waits for the cluster, PINGRESP for nobody.
    let (connack, mut rest) = (&answers[..4], answers[4..].to_vec());
    assert_eq!(connack, [0x20, 2, 0, 0]);
    let suback = rest.windows(5).position(|part| part == [0x90, 3, 0, 1, 0]);
    rest.drain(suback.expect("a SUBACK")..)
        .take(5)
        .for_each(drop);
    assert!(rest.chunks(2).all(|pong| pong == [0xD0, 0]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered_and_a_close_is_too() {
    let cluster = one_node(&Authority::new("ca")).await;
    let mut websocket = opened(at(cluster.node(1), WS_PORT)).await;
    let connect = packet::connect(4, "pinger", true, 30);
    websocket
        .send(Message::binary(connect))
        .await
        .expect("sent");
    assert!(matches!(next(&mut websocket).await, Message::Binary(_)));
    websocket
        .send(Message::Ping(b"there?"[..].into()))
        .await
        .expect("sent");
    assert_eq!(
        next(&mut websocket).await,
        Message::Pong(b"there?"[..].into())
    );
    websocket.send(Message::Close(None)).await.expect("sent");
    assert!(matches!(next(&mut websocket).await, Message::Close(_)));
    let end = within("the end", SOON, websocket.next()).await;
    assert!(matches!(end, None | Some(Err(_))), "{end:?}");
}
