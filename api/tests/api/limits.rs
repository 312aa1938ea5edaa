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
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("request_timeout"), "{answer}");
}

#[tokio::test]
async fn a_connection_that_is_idle_between_two_requests_is_closed_without_a_word() {
    let config = ApiConfig {
        header_timeout: Duration::from_millis(100),
        ..ApiConfig::default()
    };
    let world = world(config).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test]
async fn headers_that_are_too_many_or_too_long_are_answered_with_431() {
    let world = world(ApiConfig::default()).await;
    let line = |length: usize| format!("X-Filler: {}\r\n", "x".repeat(length));
    for headers in [line(1).repeat(99), line(70_000), line(7_000).repeat(10)] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let request =
            format!("GET /live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        assert!(answer.contains(r#""code":"header_too_large""#), "{answer}");
    }
}

#[tokio::test]
async fn a_path_that_is_too_long_is_answered_with_414() {
    let world = world(ApiConfig::default()).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let path = "x".repeat(62_000);
    let request =
        format!("GET /api/v1/routes/{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer}");
    assert!(answer.contains(r#""code":"target_too_long""#), "{answer}");
}

#[tokio::test]
async fn what_not_even_the_server_reads_is_refused_without_a_body() {
    let world = world(ApiConfig::default()).await;
    let filler = |length: usize| "x".repeat(length);
    let heads = [
        (
            format!("GET /live HTTP/1.1\r\nHost: {}\r\n\r\n", filler(200_000)),
            431,
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", filler(70_000)),
            414,
        ),
    ];
    for (head, status) in heads {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn as_many_headers_as_browsers_and_proxies_send_are_fine() {
    let world = world(ApiConfig::default()).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let headers = "X-Filler: x\r\n".repeat(95);
    let request = format!("GET /live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
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
