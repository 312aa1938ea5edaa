//! The server's own limits: slow clients, too many connections, stopping.

use std::time::Duration;

use raftmq_api::ApiConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Setup, World};

const DEADLINE: Duration = Duration::from_secs(10);

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer).unwrap()
}

async fn world(config: ApiConfig) -> World {
    Setup {
        config,
        ..Setup::default()
    }
    .start()
    .await
}

#[tokio::test]
async fn a_header_that_does_not_come_ends_the_connection() {
    let config = ApiConfig {
        header_timeout: Duration::from_millis(100),
        ..ApiConfig::default()
    };
    let world = world(config).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream
        .write_all(b"GET /live HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_with_408() {
    let config = ApiConfig {
        request_timeout: Duration::from_millis(100),
        ..ApiConfig::default()
    };
    let world = world(config).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = b"POST /api/v1/mqtt/publish HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{";
    stream.write_all(head).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("request_timeout"), "{answer}");
}

#[tokio::test]
async fn a_client_that_sends_a_large_body_before_it_reads_gets_the_answer() {
    let world = world(ApiConfig::default()).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let body = vec![b'x'; 32 << 20];
    let head = format!(
        "POST /api/v1/mqtt/publish HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_for_a_word_before_its_large_body_is_refused_at_once() {
    let world = world(ApiConfig::default()).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = b"POST /api/v1/mqtt/publish HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
        Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_connection_above_the_limit_waits_for_its_turn() {
    let world = world(ApiConfig {
        max_connections: 1,
        ..ApiConfig::default()
    })
    .await;
    let mut first = TcpStream::connect(world.address).await.unwrap();
    first
        .write_all(b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();
    let mut second = TcpStream::connect(world.address).await.unwrap();
    second
        .write_all(b"GET /live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let waited =
        tokio::time::timeout(Duration::from_millis(200), second.read_exact(&mut byte)).await;
    assert!(waited.is_err());
    drop(first);
    assert!(until_closed(&mut second).await.ends_with("ok"));
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_ends_the_server() {
    let mut world = world(ApiConfig::default()).await;
    let mut idle = TcpStream::connect(world.address).await.unwrap();
    idle.write_all(b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    idle.read_exact(&mut [0]).await.unwrap();
    world.stop.take().unwrap().send(()).unwrap();
    until_closed(&mut idle).await;
    tokio::time::timeout(DEADLINE, &mut world.server)
        .await
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(world.address).await.is_err());
}
