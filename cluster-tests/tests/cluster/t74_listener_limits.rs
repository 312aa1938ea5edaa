//! What a listener's clients may do: connections, rates, sizes, levels, keep alive.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use raftmq_cluster_tests::{Cluster, Frame, RawClient, SOON, Setup, eventually, packet};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const PORT: u16 = 25_100;

/// One node with a second TCP listener that has these settings.
async fn limited(settings: &[(&str, &str)]) -> Cluster {
    let mut cluster = Setup::nodes(1).build();
    let addr = at(&cluster).to_string();
    let node = cluster.node_mut(1);
    node.set("RAFTMQ_LISTENER_SECOND_ADDR", &addr);
    for (setting, value) in settings {
        node.set(
            &format!("RAFTMQ_LISTENER_SECOND_{setting}").to_uppercase(),
            value,
        );
    }
    cluster.start_all();
    cluster.all_ready().await;
    cluster
}

fn at(cluster: &Cluster) -> SocketAddr {
    SocketAddr::new(cluster.node(1).mqtt().ip(), PORT)
}

async fn connected(cluster: &Cluster, id: &str) -> (RawClient, Frame) {
    RawClient::connect(at(cluster), 5, id, true).await
}

async fn metric(cluster: &Cluster, name: &str) -> u64 {
    let metrics = cluster.node(1).http().json("/api/v1/metrics/sum").await;
    metrics[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

/// Shards count behind what their clients see.
async fn counts(cluster: &Cluster, name: &str, expected: u64) {
    eventually(name, SOON, async || match metric(cluster, name).await {
        counted if counted == expected => Ok(()),
        counted => Err(format!("{counted}, not {expected}")),
    })
    .await;
}

fn has(frame: &Frame, property: &[u8]) -> bool {
    frame
        .body
        .windows(property.len())
        .any(|part| part == property)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_has_as_many_connections_as_it_may_and_the_other_is_not_concerned() {
    let cluster = limited(&[("max_connections", "2")]).await;
    let (first, _) = connected(&cluster, "first").await;
    let (_second, _) = connected(&cluster, "second").await;
    let mut third = RawClient::open(at(&cluster)).await;
    third.send(&packet::connect(5, "third", true, 30)).await;
    assert_eq!(third.next_frame(SOON).await, None);
    counts(&cluster, "listener.connections.refused", 1).await;
    let (_other, connack) = RawClient::connect(cluster.node(1).mqtt(), 5, "other", true).await;
    assert_eq!(connack.connack_code(), 0);
    drop(first);
    eventually("a place is free again", SOON, async || {
        let mut again = RawClient::open(at(&cluster)).await;
        again.send(&packet::connect(5, "again", true, 30)).await;
        let connack = again.frame_within(SOON).await;
        connack
            .map(|frame| frame.connack_code())
            .ok_or_else(|| "refused".to_owned())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_in_a_second_wait_for_their_turn() {
    let cluster = limited(&[("max_connects_per_second", "5")]).await;
    let begun = Instant::now();
    for number in 0..12 {
        let (_, connack) = connected(&cluster, &format!("client-{number}")).await;
        assert_eq!(connack.connack_code(), 0);
    }
    // Five at once, seven more at five a second.
    assert!(
        begun.elapsed() > Duration::from_millis(1_300),
        "{:?}",
        begun.elapsed()
    );
    assert!(metric(&cluster, "listener.connections.delayed").await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_beyond_the_rate_are_taken_later_and_none_is_lost() {
    let cluster = limited(&[("max_messages_per_second", "10")]).await;
    let (mut client, _) = connected(&cluster, "eager").await;
    let begun = Instant::now();
    let all: Vec<u8> = (1..=40)
        .flat_map(|id| packet::publish(5, "t", 1, id, b"x"))
        .collect();
    client.send(&all).await;
    for id in 1..=40_u16 {
        let puback = client.next_frame(SOON).await.expect("a PUBACK");
        assert_eq!(
            (puback.kind(), &puback.body[..2]),
            (4, &id.to_be_bytes()[..])
        );
    }
    assert!(
        begun.elapsed() > Duration::from_millis(2_800),
        "{:?}",
        begun.elapsed()
    );
    assert!(metric(&cluster, "client.throttled").await > 0);
    client.send(&packet::PINGREQ).await;
    assert_eq!(client.next_frame(SOON).await.expect("PINGRESP").kind(), 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_beyond_the_rate_are_taken_later_and_none_is_lost() {
    let cluster = limited(&[("max_bytes_per_second", "20KiB")]).await;
    let (mut client, _) = connected(&cluster, "large").await;
    let begun = Instant::now();
    for id in 1..=8 {
        client
            .send(&packet::publish(5, "t", 1, id, &[0; 10_000]))
            .await;
    }
    for _ in 1..=8 {
        assert_eq!(client.next_frame(SOON).await.expect("a PUBACK").kind(), 4);
    }
    // 80 kB; a second's worth at once, and 32 KiB with the last read.
    assert!(
        begun.elapsed() > Duration::from_millis(1_200),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_levels_and_windows_are_those_of_the_listener() {
    let cluster = limited(&[
        ("max_packet_size", "2KiB"),
        ("max_inflight", "7"),
        ("max_topic_levels", "3"),
    ])
    .await;
    let (mut client, connack) = connected(&cluster, "small").await;
    assert!(
        has(&connack, &[0x27, 0, 0, 8, 0]),
        "Maximum Packet Size: {connack:?}"
    );
    assert!(has(&connack, &[0x21, 0, 7]), "Receive Maximum: {connack:?}");
    client.send(&packet::subscribe(5, 1, "a/b/c/d", 0)).await;
    let suback = client.next_frame(SOON).await.expect("a SUBACK");
    assert_eq!(suback.body.last(), Some(&0x8F));
    client
        .send(&packet::publish(5, "a/b/c/d", 0, 0, b"x"))
        .await;
    let end = client.next_frame(SOON).await.expect("a DISCONNECT");
    assert_eq!(end.disconnect_code(), 0x90);
    let (mut client, _) = connected(&cluster, "small").await;
    client
        .send(&packet::publish(5, "a", 0, 0, &[0; 3_000]))
        .await;
    let end = client.next_frame(SOON).await.expect("a DISCONNECT");
    assert_eq!(end.disconnect_code(), 0x95);
    // The other listener has other limits, also for a topic that is known already.
    let (mut other, connack) = RawClient::connect(cluster.node(1).mqtt(), 5, "other", true).await;
    assert!(!has(&connack, &[0x27, 0, 0, 8, 0]));
    other
        .send(&packet::publish(5, "a/b/c/d", 1, 1, &[0; 3_000]))
        .await;
    assert_eq!(other.next_frame(SOON).await.expect("a PUBACK").kind(), 4);
    let (mut client, _) = connected(&cluster, "small").await;
    client
        .send(&packet::publish(5, "a/b/c/d", 0, 0, b"x"))
        .await;
    let end = client.next_frame(SOON).await.expect("a DISCONNECT");
    assert_eq!(end.disconnect_code(), 0x90);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sessions_queue_is_that_of_the_listener() {
    let cluster = limited(&[("max_queued_messages", "3"), ("max_inflight", "1")]).await;
    let (mut slow, _) = connected(&cluster, "slow").await;
    slow.send(&packet::subscribe(5, 1, "q", 1)).await;
    assert_eq!(slow.next_frame(SOON).await.expect("a SUBACK").kind(), 9);
    let (mut writer, _) = RawClient::connect(cluster.node(1).mqtt(), 5, "writer", true).await;
    for id in 1..=10 {
        writer.send(&packet::publish(5, "q", 1, id, b"x")).await;
        assert_eq!(writer.next_frame(SOON).await.expect("a PUBACK").kind(), 4);
    }
    // One in flight, three in the queue, six dropped.
    counts(&cluster, "messages.dropped", 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_alive_is_within_the_listeners_range() {
    let cluster = limited(&[("min_keep_alive", "20s"), ("max_keep_alive", "60s")]).await;
    for (asked, granted) in [(5, Some(20)), (30, None), (600, Some(60)), (0, Some(60))] {
        let mut client = RawClient::open(at(&cluster)).await;
        client.send(&packet::connect(5, "k", true, asked)).await;
        let connack = client.next_frame(SOON).await.expect("a CONNACK");
        let told = [20_u8, 60]
            .into_iter()
            .find(|seconds| has(&connack, &[0x13, 0, *seconds]));
        assert_eq!(told, granted, "{asked} s: {connack:?}");
    }
}

/// Who opens a connection and says nothing has the time that a CONNECT may take, also before TLS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_does_not_come_ends_at_the_deadline() {
    let authority = raftmq_cluster_tests::Authority::new("ca");
    let certificate = authority.sign("server", "server", &["localhost"], 1);
    let mut cluster = Setup::nodes(1)
        .set("RAFTMQ_MQTT_CONNECT_TIMEOUT", "500ms")
        .build();
    let addr = at(&cluster);
    let settings = [
        ("TRANSPORT", "wss".to_owned()),
        ("ADDR", addr.to_string()),
        (
            "TLS_CERTIFICATE",
            certificate.certificate.display().to_string(),
        ),
        ("TLS_KEY", certificate.key.display().to_string()),
    ];
    for (setting, value) in settings {
        cluster
            .node_mut(1)
            .set(&format!("RAFTMQ_LISTENER_SECOND_{setting}"), &value);
    }
    cluster.start_all();
    cluster.all_ready().await;
    let mut silent = TcpStream::connect(addr).await.expect("open");
    let end = tokio::time::timeout(SOON, silent.read(&mut [0; 1])).await;
    assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    counts(&cluster, "client.handshaking.timeout", 1).await;
}

/// The kernel's timer of the established socket on our side of a connection from this port (proc(5): 2 is that of
/// TCP keep-alive, 0 is none).
fn timer(server: SocketAddr, client_port: u16) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("proc");
    // Other tests have the same ports on other addresses.
    let std::net::IpAddr::V4(ip) = server.ip() else {
        return None;
    };
    let ip = u32::from_ne_bytes(ip.octets());
    let server = format!("{ip:08X}:{:04X}", server.port());
    let client = format!(":{client_port:04X}");
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_ours =
            fields.len() > 5 && fields[1].ends_with(&server) && fields[2].ends_with(&client);
        is_ours.then(|| fields[5][..2].to_owned())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_asks_silent_clients_where_the_listener_says_so() {
    let cluster = limited(&[("tcp_keepalive", "60s")]).await;
    for (address, expected) in [(at(&cluster), "02"), (cluster.node(1).mqtt(), "00")] {
        let socket = TcpStream::connect(address).await.expect("open");
        let port = socket.local_addr().expect("an address").port();
        let _client = RawClient::over(socket).connected(5, "silent").await;
        eventually(
            "nothing under way but keep-alive",
            SOON,
            async || match timer(address, port) {
                Some(timer) if timer == expected => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await;
    }
}
