//! MQTT 5 packets with properties, written and read.

use raftmq_cluster_tests::{Cluster, Frame, RawClient, SOON, eventually, packet};

/// Identifiers of properties (§2.2.2.2).
pub(super) mod id {
    pub(in super::super) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(in super::super) const EXPIRY: u8 = 0x02;
    pub(in super::super) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(in super::super) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(in super::super) const RESPONSE_INFORMATION: u8 = 0x1A;
    pub(in super::super) const REASON_STRING: u8 = 0x1F;
    pub(in super::super) const ALIAS_MAXIMUM: u8 = 0x22;
    pub(in super::super) const ALIAS: u8 = 0x23;
    pub(in super::super) const WILDCARD_AVAILABLE: u8 = 0x28;
    pub(in super::super) const IDENTIFIER_AVAILABLE: u8 = 0x29;
    pub(in super::super) const SHARED_AVAILABLE: u8 = 0x2A;
}

/// One property: its identifier and its value as on the wire.
pub(super) type Property = (u8, Vec<u8>);

/// A property block with its length.
pub(super) fn block(properties: &[Property]) -> Vec<u8> {
    let bytes: Vec<u8> = properties
        .iter()
        .flat_map(|(id, value)| std::iter::once(*id).chain(value.iter().copied()))
        .collect();
    [packet::remaining_length(bytes.len()), bytes].concat()
}

/// CONNECT with clean start.
pub(super) fn connect(id: &str, properties: &[Property]) -> Vec<u8> {
    connect_with(id, 0b10, properties)
}

/// CONNECT with these flags; without anything that they could announce.
pub(super) fn connect_with(id: &str, flags: u8, properties: &[Property]) -> Vec<u8> {
    let header = [&packet::string("MQTT")[..], &[5, flags, 0, 60]].concat();
    let body = [header, block(properties), packet::string(id)].concat();
    packet::framed(0x10, &body)
}

pub(super) fn publish(
    topic: &str,
    qos: u8,
    packet_id: u16,
    properties: &[Property],
    payload: &[u8],
) -> Vec<u8> {
    let mut body = packet::string(topic);
    if qos > 0 {
        body.extend(packet_id.to_be_bytes());
    }
    body.extend(block(properties));
    body.extend(payload);
    packet::framed(0x30 | (qos << 1), &body)
}

pub(super) fn auth(reason: u8, properties: &[Property]) -> Vec<u8> {
    packet::framed(0xF0, &[vec![reason], block(properties)].concat())
}

/// A PUBLISH as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) topic: String,
    pub(super) packet_id: u16,
    pub(super) properties: Vec<Property>,
    pub(super) payload: Vec<u8>,
}

impl Published {
    pub(super) fn read(frame: &Frame) -> Self {
        assert_eq!(frame.kind(), 3, "PUBLISH expected: {frame:?}");
        let (topic, mut rest) = string(&frame.body);
        let mut packet_id = 0;
        if frame.first & 0b110 != 0 {
            packet_id = u16::from_be_bytes([rest[0], rest[1]]);
            rest = &rest[2..];
        }
        let (properties, payload) = properties(rest);
        Self {
            topic,
            packet_id,
            properties,
            payload: payload.to_vec(),
        }
    }

    pub(super) fn alias(&self) -> Option<u16> {
        let value = find(&self.properties, id::ALIAS)?;
        Some(u16::from_be_bytes([value[0], value[1]]))
    }
}

/// The value of a property.
pub(super) fn find(properties: &[Property], id: u8) -> Option<&[u8]> {
    let found = properties.iter().find(|(found, _)| *found == id);
    found.map(|(_, value)| &**value)
}

/// The text of a property.
pub(super) fn text(properties: &[Property], id: u8) -> Option<String> {
    find(properties, id).map(|value| string(value).0)
}

/// Reads a property block; the properties, and what follows.
pub(super) fn properties(bytes: &[u8]) -> (Vec<Property>, &[u8]) {
    let (len, header) = number(bytes);
    let (mut block, rest) = bytes[header..].split_at(len);
    let mut properties = Vec::new();
    while let Some((&id, value)) = block.split_first() {
        let len = match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => 1,
            0x13 | 0x21 | 0x22 | 0x23 => 2,
            0x02 | 0x11 | 0x18 | 0x27 => 4,
            0x0B => number(value).1,
            0x26 => {
                let name = 2 + string(value).0.len();
                name + 2 + string(&value[name..]).0.len()
            }
            _ => 2 + usize::from(u16::from_be_bytes([value[0], value[1]])),
        };
        properties.push((id, value[..len].to_vec()));
        block = &value[len..];
    }
    (properties, rest)
}

/// Properties of a CONNACK.
pub(super) fn of_connack(frame: &Frame) -> Vec<Property> {
    assert_eq!(frame.kind(), 2, "CONNACK expected: {frame:?}");
    properties(&frame.body[2..]).0
}

/// Properties of a DISCONNECT or an AUTH.
pub(super) fn of_reason(frame: &Frame) -> Vec<Property> {
    assert!(matches!(frame.kind(), 14 | 15), "{frame:?}");
    match frame.body.len() {
        0 | 1 => Vec::new(),
        _ => properties(&frame.body[1..]).0,
    }
}

/// Properties of a SUBACK.
pub(super) fn of_suback(frame: &Frame) -> Vec<Property> {
    assert_eq!(frame.kind(), 9, "SUBACK expected: {frame:?}");
    properties(&frame.body[2..]).0
}

fn number(bytes: &[u8]) -> (usize, usize) {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return (value, index + 1);
        }
    }
    panic!("no variable byte integer: {bytes:?}");
}

fn string(bytes: &[u8]) -> (String, &[u8]) {
    let len = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let text = String::from_utf8_lossy(&bytes[2..2 + len]).into_owned();
    (text, &bytes[2 + len..])
}

/// Connects and is accepted.
pub(super) async fn open(
    cluster: &Cluster,
    node: u64,
    id: &str,
    properties: &[Property],
) -> (RawClient, Frame) {
    let mut client = RawClient::open(cluster.node(node).mqtt()).await;
    let connack = asked(&mut client, &connect(id, properties), 2).await;
    assert_eq!(connack.connack_code(), 0, "{id}: {connack:?}");
    (client, connack)
}

/// Sends, and waits for a packet of this type.
pub(super) async fn asked(client: &mut RawClient, request: &[u8], kind: u8) -> Frame {
    client.send(request).await;
    let frame = client.next_frame(SOON).await.expect("an answer");
    assert_eq!(frame.kind(), kind, "{frame:?}");
    frame
}

/// Sends, and is disconnected; the last packet.
pub(super) async fn disconnected(client: &mut RawClient, request: &[u8]) -> Frame {
    client.send(request).await;
    let frames = client.frames_until_closed(SOON).await;
    frames.last().expect("a DISCONNECT").clone()
}

pub(super) async fn subscribed(client: &mut RawClient, filter: &str, qos: u8) -> Frame {
    asked(client, &packet::subscribe(5, 1, filter, qos), 9).await
}

/// More than so many seconds pass, by the cluster's own clock: a session that begins to wait now for so long is
/// gone.
pub(super) async fn time_passes(cluster: &Cluster, seconds: u32) {
    let lifetime: Property = (0x11, seconds.to_be_bytes().to_vec());
    let (mut witness, _) = open(cluster, 1, "witness", &[lifetime]).await;
    witness.send(&packet::DISCONNECT).await;
    witness.frames_until_closed(SOON).await;
    eventually("the time has passed", SOON, async || {
        let answer = cluster.node(1).http().try_get("/api/v1/clients/witness");
        match answer.await?.status {
            404 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
}
