//! What the tests of all packets need: bytes in, one packet out.

use super::{DecodeError, Packet, PacketId, Version, decode, frame};

/// A packet from its first byte and the parts of its body, which is shorter than 128 bytes.
pub fn packet(first_byte: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    assert!(body.len() < 128, "the length must fit into one byte");
    [&[first_byte, body.len() as u8], &body[..]].concat()
}

/// A string with its length.
pub fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// Decodes bytes that are one whole packet.
pub fn read(version: Version, bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let frame = frame(bytes, u32::MAX)?.expect("a whole packet");
    assert_eq!(frame.total_len, bytes.len(), "exactly one packet");
    decode(version, &frame)
}

/// What a packet that must not be decoded is refused for.
pub fn refusal(version: Version, bytes: &[u8]) -> DecodeError {
    read(version, bytes).expect_err("the packet breaks a rule")
}

/// The packet's bytes in a version.
pub fn written(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, u32::MAX, &mut out).expect("encodes");
    out
}

/// A packet identifier that is not zero.
pub fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("not zero")
}
