//! The fixed header (§2.1): cutting one packet out of a stream of bytes.

use super::DecodeError;

/// Largest packet that the format can express, in bytes: a remaining length of 268,435,455 (§2.1.4)
/// behind a fixed header of five bytes.
pub const PACKET_SIZE_MAX: u32 = 268_435_455 + 5;

/// The type of a packet (§2.1.2), with its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Client to server: connection request.
    Connect = 1,
    /// Server to client: connect acknowledgement.
    ConnAck = 2,
    /// Both ways: a message.
    Publish = 3,
    /// Both ways: QoS 1 acknowledgement.
    PubAck = 4,
    /// Both ways: QoS 2, part 1.
    PubRec = 5,
    /// Both ways: QoS 2, part 2.
    PubRel = 6,
    /// Both ways: QoS 2, part 3.
    PubComp = 7,
    /// Client to server: subscribe request.
    Subscribe = 8,
    /// Server to client: subscribe acknowledgement.
    SubAck = 9,
    /// Client to server: unsubscribe request.
    Unsubscribe = 10,
    /// Server to client: unsubscribe acknowledgement.
    UnsubAck = 11,
    /// Client to server: are you there?
    PingReq = 12,
    /// Server to client: I am.
    PingResp = 13,
    /// Both ways (client to server before MQTT 5): end of the connection.
    Disconnect = 14,
    /// Both ways, MQTT 5 only: authentication exchange.
    Auth = 15,
}

impl PacketType {
    const ALL: [PacketType; 15] = [
        PacketType::Connect,
        PacketType::ConnAck,
        PacketType::Publish,
        PacketType::PubAck,
        PacketType::PubRec,
        PacketType::PubRel,
        PacketType::PubComp,
        PacketType::Subscribe,
        PacketType::SubAck,
        PacketType::Unsubscribe,
        PacketType::UnsubAck,
        PacketType::PingReq,
        PacketType::PingResp,
        PacketType::Disconnect,
        PacketType::Auth,
    ];

    /// The type of a packet by its first byte; `None` for the reserved type 0.
    #[inline]
    pub fn of(first_byte: u8) -> Option<PacketType> {
        let index = usize::from(first_byte >> 4).checked_sub(1)?;
        PacketType::ALL.get(index).copied()
    }

    /// The first byte of a packet of this type with its required flags; for PUBLISH, whose flags
    /// are free, with none `[MQTT-2.1.3-1]`.
    pub(super) const fn first_byte(self) -> u8 {
        let flags = match self {
            PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 0b0010,
            _ => 0,
        };
        (self as u8) << 4 | flags
    }
}

/// One whole packet, cut out of the stream but not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Packet type in the high, flags in the low four bits.
    pub first_byte: u8,
    /// Variable header and payload.
    pub body: &'a [u8],
    /// Bytes of the stream that the packet takes, fixed header included.
    pub total_len: usize,
}

/// Cuts the first packet out of `buf`. `Ok(None)`: more bytes are needed.
///
/// `max_packet_size` is the Maximum Packet Size that the receiver announced, in bytes of the whole
/// packet. A larger packet is refused as soon as its fixed header is there.
///
/// # Errors
///
/// Reserved packet type 0, a remaining length of more than four bytes, a packet too large.
#[inline]
pub fn frame(buf: &[u8], max_packet_size: u32) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some((header_len, total_len)) = lengths(buf, max_packet_size)? else {
        return Ok(None);
    };
    let (Some(&first_byte), Some(body)) = (buf.first(), buf.get(header_len..total_len)) else {
        return Ok(None);
    };
    Ok(Some(Frame {
        first_byte,
        body,
        total_len,
    }))
}

/// Size in bytes of the packet that `buf` begins with, as soon as its fixed header is there; what a
/// connection reserves while it waits for the rest. `Ok(None)`: the fixed header is incomplete.
///
/// # Errors
///
/// As [`frame`].
pub fn packet_len(buf: &[u8], max_packet_size: u32) -> Result<Option<usize>, DecodeError> {
    Ok(lengths(buf, max_packet_size)?.map(|(_, total_len)| total_len))
}

#[inline]
fn lengths(buf: &[u8], max_packet_size: u32) -> Result<Option<(usize, usize)>, DecodeError> {
    let Some((&first_byte, rest)) = buf.split_first() else {
        return Ok(None);
    };
    if first_byte < 0x10 {
        return Err(DecodeError::ReservedPacketType(0));
    }
    let Some((remaining_len, len_bytes)) = variable_byte_integer(rest)? else {
        return Ok(None);
    };
    let header_len = 1 + len_bytes;
    let size = remaining_len + header_len as u32;
    if size > max_packet_size {
        return Err(DecodeError::PacketTooLarge {
            size,
            limit: max_packet_size,
        });
    }
    Ok(Some((header_len, size as usize)))
}

/// Reads a variable byte integer (§1.5.5): its value and the number of its bytes, or `None` if
/// `bytes` ends before it does.
#[inline]
pub(super) fn variable_byte_integer(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 4 {
        return Ok(None);
    }
    Err(DecodeError::VariableByteIntegerTooLong)
}

/// Bytes that a variable byte integer of this value needs (§1.5.5).
#[inline]
pub(super) const fn variable_byte_integer_len(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests;
