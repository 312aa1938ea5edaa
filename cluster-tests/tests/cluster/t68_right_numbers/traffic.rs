//! Clients that do one thing at a time and wait for its answer.

use raftmq_cluster_tests::{Cluster, Frame, RawClient, SOON, packet};

/// MQTT 5 CONNECT with Session Expiry Interval and Maximum Packet Size.
pub(super) fn connect_v5(id: &str, expiry_seconds: u32, packet_bytes_max: u32) -> Vec<u8> {
    let mut body = packet::string("MQTT");
    body.extend([5, 0b10, 0, 30, 10, 0x11]);
    body.extend(expiry_seconds.to_be_bytes());
    body.push(0x27);
    body.extend(packet_bytes_max.to_be_bytes());
    body.extend(packet::string(id));
    packet::framed(0x10, &body)
}

pub(super) async fn raw(
    cluster: &Cluster,
    node: u64,
    level: u8,
    id: &str,
    clean: bool,
) -> RawClient {
    let (client, connack) = RawClient::connect(cluster.node(node).mqtt(), level, id, clean).await;
    assert_eq!(connack.connack_code(), 0, "{id}");
    client
}

pub(super) async fn refused(cluster: &Cluster, node: u64, connect: &[u8]) -> Vec<Frame> {
    let mut client = RawClient::open(cluster.node(node).mqtt()).await;
    client.send(connect).await;
    client.frames_until_closed(SOON).await
}

/// Sends and waits for a packet of this kind.
pub(super) async fn asked(client: &mut RawClient, request: &[u8], kind: u8) -> Frame {
    client.send(request).await;
    let frame = client.next_frame(SOON).await.expect("an answer");
    assert_eq!(frame.kind(), kind, "{frame:?}");
    frame
}

pub(super) async fn subscribed(client: &mut RawClient, level: u8, filter: &str, qos: u8) -> Frame {
    asked(client, &packet::subscribe(level, 1, filter, qos), 9).await
}

pub(super) async fn published(client: &mut RawClient, level: u8, topic: &str, payload: &[u8]) {
    asked(client, &packet::publish(level, topic, 1, 7, payload), 4).await;
}

/// Takes a QoS 1 PUBLISH and acknowledges it.
pub(super) async fn took(client: &mut RawClient) {
    let frame = client.next_frame(SOON).await.expect("PUBLISH");
    assert_eq!((frame.kind(), frame.first >> 1 & 3), (3, 1), "{frame:?}");
    let topic_length = usize::from(frame.body[0]) << 8 | usize::from(frame.body[1]);
    let id = &frame.body[2 + topic_length..];
    let id = u16::from_be_bytes([id[0], id[1]]);
    client.send(&packet::acknowledgement(0x40, id)).await;
}
