//! One packet of any type: the dispatch by the fixed header (§2.1).

use super::frame::variable_byte_integer_len;
use super::{
    Ack, AckType, Auth, ConnAck, Connect, DecodeError, Disconnect, EncodeError, Frame, PacketType,
    Publish, SubAck, Subscribe, UnsubAck, Unsubscribe, Version, ping,
};

/// A packet, borrowed from the bytes it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Packet<'a> {
    /// CONNECT (§3.1).
    Connect(Connect<'a>),
    /// CONNACK (§3.2).
    ConnAck(ConnAck<'a>),
    /// PUBLISH (§3.3).
    Publish(Publish<'a>),
    /// PUBACK (§3.4).
    PubAck(Ack<'a>),
    /// PUBREC (§3.5).
    PubRec(Ack<'a>),
    /// PUBREL (§3.6).
    PubRel(Ack<'a>),
    /// PUBCOMP (§3.7).
    PubComp(Ack<'a>),
    /// SUBSCRIBE (§3.8).
    Subscribe(Subscribe<'a>),
    /// SUBACK (§3.9).
    SubAck(SubAck<'a>),
    /// UNSUBSCRIBE (§3.10).
    Unsubscribe(Unsubscribe<'a>),
    /// UNSUBACK (§3.11).
    UnsubAck(UnsubAck<'a>),
    /// PINGREQ (§3.12).
    PingReq,
    /// PINGRESP (§3.13).
    PingResp,
    /// DISCONNECT (§3.14).
    Disconnect(Disconnect<'a>),
    /// AUTH (§3.15).
    Auth(Auth<'a>),
}

/// Reads the packet that [`frame`](super::frame()) cut out. `version` is that of the connection; a
/// CONNECT says its own, and `version` is not looked at.
///
/// # Errors
///
/// The rule that the peer broke.
#[inline]
pub fn decode<'a>(version: Version, frame: &Frame<'a>) -> Result<Packet<'a>, DecodeError> {
    // The hottest path first, in its own branch.
    if frame.first_byte >> 4 == PacketType::Publish as u8 {
        return Publish::decode(version, frame).map(Packet::Publish);
    }
    decode_control(version, frame)
}

fn decode_control<'a>(version: Version, frame: &Frame<'a>) -> Result<Packet<'a>, DecodeError> {
    let reserved = DecodeError::ReservedPacketType(frame.first_byte >> 4);
    let packet_type = PacketType::of(frame.first_byte).ok_or(reserved)?;
    if packet_type != PacketType::Connect {
        check_fixed_header(version, packet_type, frame)?;
    }
    match packet_type {
        PacketType::Connect => Connect::decode(frame).map(Packet::Connect),
        PacketType::ConnAck => ConnAck::decode(version, frame).map(Packet::ConnAck),
        PacketType::Publish => Publish::decode(version, frame).map(Packet::Publish),
        PacketType::PubAck => Ack::decode(AckType::PubAck, version, frame).map(Packet::PubAck),
        PacketType::PubRec => Ack::decode(AckType::PubRec, version, frame).map(Packet::PubRec),
        PacketType::PubRel => Ack::decode(AckType::PubRel, version, frame).map(Packet::PubRel),
        PacketType::PubComp => Ack::decode(AckType::PubComp, version, frame).map(Packet::PubComp),
        PacketType::Subscribe => Subscribe::decode(version, frame).map(Packet::Subscribe),
        PacketType::SubAck => SubAck::decode(version, frame).map(Packet::SubAck),
        PacketType::Unsubscribe => Unsubscribe::decode(version, frame).map(Packet::Unsubscribe),
        PacketType::UnsubAck => UnsubAck::decode(version, frame).map(Packet::UnsubAck),
        PacketType::PingReq => ping::decode(frame, Packet::PingReq),
        PacketType::PingResp => ping::decode(frame, Packet::PingResp),
        PacketType::Disconnect => Disconnect::decode(version, frame).map(Packet::Disconnect),
        PacketType::Auth if version == Version::V5 => Auth::decode(frame).map(Packet::Auth),
        PacketType::Auth => Err(reserved),
    }
}

/// Checks the flags of a packet other than PUBLISH `[MQTT-2.1.3-1]` and the encoding of its length.
///
/// MQTT 3.1 leaves most flags unused and lets DUP be set on SUBSCRIBE, UNSUBSCRIBE and PUBREL, so
/// nothing is checked there.
pub(super) fn check_fixed_header(
    version: Version,
    packet_type: PacketType,
    frame: &Frame<'_>,
) -> Result<(), DecodeError> {
    if version != Version::V3 && frame.first_byte != packet_type.first_byte() {
        return Err(DecodeError::FixedHeaderFlags {
            packet_type,
            flags: frame.first_byte & 0x0f,
        });
    }
    check_remaining_length(version, frame)
}

/// MQTT 5 wants the shortest remaining length `[MQTT-1.5.5-1]`; before it, padding was not
/// forbidden.
#[inline]
pub(super) fn check_remaining_length(
    version: Version,
    frame: &Frame<'_>,
) -> Result<(), DecodeError> {
    let shortest = 1 + variable_byte_integer_len(frame.body.len()) + frame.body.len();
    if version == Version::V5 && frame.total_len != shortest {
        return Err(DecodeError::VariableByteIntegerNotMinimal);
    }
    Ok(())
}

impl Packet<'_> {
    /// Appends the packet to `out`. `max_packet_size` is the receiver's Maximum Packet Size in bytes,
    /// `u32::MAX` if it named none. A CONNECT is written in its own version.
    ///
    /// # Errors
    ///
    /// As the encoder of the packet's type; `out` is then unchanged.
    pub fn encode(
        &self,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let max = max_packet_size;
        match self {
            Packet::Connect(packet) => packet.encode(max, out),
            Packet::ConnAck(packet) => packet.encode(version, max, out),
            Packet::Publish(packet) => packet.encode(version, max, out),
            Packet::PubAck(packet) => packet.encode(AckType::PubAck, version, max, out),
            Packet::PubRec(packet) => packet.encode(AckType::PubRec, version, max, out),
            Packet::PubRel(packet) => packet.encode(AckType::PubRel, version, max, out),
            Packet::PubComp(packet) => packet.encode(AckType::PubComp, version, max, out),
            Packet::Subscribe(packet) => packet.encode(version, max, out),
            Packet::SubAck(packet) => packet.encode(version, max, out),
            Packet::Unsubscribe(packet) => packet.encode(version, max, out),
            Packet::UnsubAck(packet) => packet.encode(version, max, out),
            Packet::PingReq => ping_encoded(ping::pingreq, out),
            Packet::PingResp => ping_encoded(ping::pingresp, out),
            Packet::Disconnect(packet) => packet.encode(version, max, out),
            Packet::Auth(packet) => packet.encode(max, out),
        }
    }

    /// The packet's type.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Packet::Connect(_) => PacketType::Connect,
            Packet::ConnAck(_) => PacketType::ConnAck,
            Packet::Publish(_) => PacketType::Publish,
            Packet::PubAck(_) => PacketType::PubAck,
            Packet::PubRec(_) => PacketType::PubRec,
            Packet::PubRel(_) => PacketType::PubRel,
            Packet::PubComp(_) => PacketType::PubComp,
            Packet::Subscribe(_) => PacketType::Subscribe,
            Packet::SubAck(_) => PacketType::SubAck,
            Packet::Unsubscribe(_) => PacketType::Unsubscribe,
            Packet::UnsubAck(_) => PacketType::UnsubAck,
            Packet::PingReq => PacketType::PingReq,
            Packet::PingResp => PacketType::PingResp,
            Packet::Disconnect(_) => PacketType::Disconnect,
            Packet::Auth(_) => PacketType::Auth,
        }
    }
}

fn ping_encoded(write: fn(&mut Vec<u8>), out: &mut Vec<u8>) -> Result<(), EncodeError> {
    write(out);
    Ok(())
}
