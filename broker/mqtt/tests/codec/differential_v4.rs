//! MQTT 3.1.1: the same packets, byte for byte, as rumqttc's codec.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use raftmq_mqtt::codec::{self, AckType, Packet, ReasonCode, Version, decode, frame};
use rumqttc::mqttbytes::v4::{
    self, ConnectReturnCode, LastWill, Login, SubscribeFilter, SubscribeReasonCode,
};
use rumqttc::mqttbytes::{Protocol, QoS};

use super::generate::packet;

const SIZE_MAX: usize = 1 << 20;

/// The packet as rumqttc has it; `None` if it cannot say it.
fn theirs(packet: &Packet<'_>) -> Option<v4::Packet> {
    Some(match packet {
        Packet::Connect(packet) => v4::Packet::Connect(connect(packet)?),
        Packet::ConnAck(packet) => v4::Packet::ConnAck(v4::ConnAck {
            session_present: packet.session_present,
            code: return_code(packet.reason_code),
        }),
        Packet::Publish(packet) => v4::Packet::Publish(publish(packet)),
        Packet::PubAck(ack) => v4::Packet::PubAck(v4::PubAck::new(ack.packet_id.get())),
        Packet::PubRec(ack) => v4::Packet::PubRec(v4::PubRec::new(ack.packet_id.get())),
        Packet::PubRel(ack) => v4::Packet::PubRel(v4::PubRel::new(ack.packet_id.get())),
        Packet::PubComp(ack) => v4::Packet::PubComp(v4::PubComp::new(ack.packet_id.get())),
        Packet::Subscribe(packet) => {
            let filters = packet.filters.iter();
            let mut subscribe = v4::Subscribe::new_many(filters.map(|entry| SubscribeFilter {
                path: entry.filter.to_owned(),
                qos: qos(entry.options.qos),
            }));
            subscribe.pkid = packet.packet_id.get();
            v4::Packet::Subscribe(subscribe)
        }
        Packet::SubAck(packet) => v4::Packet::SubAck(v4::SubAck {
            pkid: packet.packet_id.get(),
            return_codes: packet.reason_codes.iter().map(suback_code).collect(),
        }),
        Packet::Unsubscribe(packet) => v4::Packet::Unsubscribe(v4::Unsubscribe {
            pkid: packet.packet_id.get(),
            topics: packet.filters.iter().map(str::to_owned).collect(),
        }),
        Packet::UnsubAck(packet) => v4::Packet::UnsubAck(v4::UnsubAck::new(packet.packet_id.get())),
        Packet::PingReq => v4::Packet::PingReq,
        Packet::PingResp => v4::Packet::PingResp,
        Packet::Disconnect(_) => v4::Packet::Disconnect,
        Packet::Auth(_) => return None,
    })
}

fn qos(qos: codec::QoS) -> QoS {
    rumqttc::mqttbytes::qos(qos.number()).expect("a QoS")
}

/// rumqttc cannot tell an empty user name or password from none, nor send a password that is not UTF-8.
fn connect(packet: &codec::Connect<'_>) -> Option<v4::Connect> {
    if packet.user_name == Some("") || packet.password == Some(b"") {
        return None;
    }
    let password = std::str::from_utf8(packet.password.unwrap_or_default()).ok()?;
    let user_name = packet.user_name.unwrap_or_default();
    Some(v4::Connect {
        protocol: Protocol::V4,
        keep_alive: packet.keep_alive,
        client_id: packet.client_id.to_owned(),
        clean_session: packet.clean_start,
        last_will: packet
            .will
            .map(|will| LastWill::new(will.topic, will.payload, qos(will.qos), will.retain)),
        login: packet.user_name.map(|_| Login::new(user_name, password)),
    })
}

fn publish(packet: &codec::Publish<'_>) -> v4::Publish {
    let payload = Bytes::copy_from_slice(packet.payload);
    let mut publish = v4::Publish::from_bytes(packet.topic, qos(packet.qos), payload);
    publish.dup = packet.dup;
    publish.retain = packet.retain;
    publish.pkid = packet.packet_id.map_or(0, |id| id.get());
    publish
}

fn return_code(code: ReasonCode) -> ConnectReturnCode {
    match code.connect_return_code().expect("a return code") {
        0 => ConnectReturnCode::Success,
        1 => ConnectReturnCode::RefusedProtocolVersion,
        2 => ConnectReturnCode::BadClientId,
        3 => ConnectReturnCode::ServiceUnavailable,
        4 => ConnectReturnCode::BadUserNamePassword,
        _ => ConnectReturnCode::NotAuthorized,
    }
}

fn suback_code(code: ReasonCode) -> SubscribeReasonCode {
    match codec::QoS::from_number(code.byte()) {
        Some(granted) => SubscribeReasonCode::Success(qos(granted)),
        None => SubscribeReasonCode::Failure,
    }
}

fn read_by_rumqttc(bytes: &[u8]) -> Option<v4::Packet> {
    v4::Packet::read(&mut BytesMut::from(bytes), SIZE_MAX).ok()
}

proptest! {
    #![proptest_config(super::cases(4096))]

    #[test]
    fn rumqttc_writes_what_we_write_and_reads_it(model in packet(Version::V4)) {
        let ours = model.bytes(Version::V4);
        if let Some(theirs) = model.with(Version::V4, theirs) {
            let mut written = BytesMut::new();
            theirs.write(&mut written, SIZE_MAX).unwrap();
            prop_assert_eq!(&written[..], &ours[..]);
            prop_assert_eq!(read_by_rumqttc(&ours), Some(theirs));
        }
    }

    /// rumqttc checks less than we do, so it must accept, as the same packet, what we accept.
    #[test]
    fn rumqttc_reads_damaged_packets_as_we_do_if_we_accept_them(
        model in packet(Version::V4),
        index in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = model.bytes(Version::V4);
        let index = index.index(bytes.len());
        bytes[index] = byte;
        let Ok(Some(frame)) = frame(&bytes, SIZE_MAX as u32) else {
            return Ok(());
        };
        let Ok(packet) = decode(Version::V4, &frame) else {
            return Ok(());
        };
        let is_other_version = matches!(packet, Packet::Connect(connect) if connect.version != Version::V4);
        if let Some(theirs) = theirs(&packet).filter(|_| !is_other_version) {
            prop_assert_eq!(read_by_rumqttc(&bytes), Some(theirs));
        }
    }
}

#[test]
fn an_acknowledgement_of_success_is_read_by_rumqttc() {
    let mut bytes = Vec::new();
    let id = codec::PacketId::MIN;
    codec::Ack::encode_success(AckType::PubAck, id, &mut bytes);
    assert_eq!(
        read_by_rumqttc(&bytes),
        Some(v4::Packet::PubAck(v4::PubAck::new(1)))
    );
}
