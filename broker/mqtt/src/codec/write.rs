//! The data types of the wire (§1.5), appended to a buffer.

use super::frame::variable_byte_integer_len;
use super::{EncodeError, PACKET_SIZE_MAX, PacketType, Property};

/// Variable Byte Integer (§1.5.5). Values beyond 268,435,455 are the caller's to refuse.
pub(super) fn variable_byte_integer(out: &mut Vec<u8>, value: usize) {
    let mut left = value;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// Binary Data (§1.5.6).
#[inline]
pub(super) fn binary(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), EncodeError> {
    let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// UTF-8 Encoded String (§1.5.4).
#[inline]
pub(super) fn string(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    binary(out, text.as_bytes())
}

/// A property that may be absent.
pub(super) fn optional(
    out: &mut Vec<u8>,
    property: Option<Property<'_>>,
) -> Result<(), EncodeError> {
    property.map_or(Ok(()), |property| property.encode(out))
}

/// A whole packet whose body `body` appends. If it fails or grows beyond `max_packet_size`, `out` is
/// as it was before.
pub(super) fn packet(
    out: &mut Vec<u8>,
    packet_type: PacketType,
    max_packet_size: u32,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.push(packet_type.first_byte());
    let limit = max_packet_size.min(PACKET_SIZE_MAX) as usize;
    let written = length_prefixed(out, body);
    let result = match written {
        Ok(()) if out.len() - start > limit => Err(EncodeError::PacketTooLarge),
        other => other,
    };
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// A property block with its length (§2.2.2), whose properties `properties` appends.
pub(super) fn property_block(
    out: &mut Vec<u8>,
    properties: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    length_prefixed(out, properties)
}

/// Writes the content first and its length in front of it afterwards. Most contents are shorter than
/// 128 bytes, so the one byte that is kept free for the length nearly always is enough; otherwise
/// the content moves up by one to three bytes.
fn length_prefixed(
    out: &mut Vec<u8>,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let position = out.len();
    out.push(0);
    content(out)?;
    let len = out.len() - position - 1;
    if len + 5 > PACKET_SIZE_MAX as usize {
        return Err(EncodeError::PacketTooLarge);
    }
    let (prefix, prefix_len) = length_bytes(len);
    out.splice(position..=position, prefix.into_iter().take(prefix_len));
    Ok(())
}

fn length_bytes(len: usize) -> ([u8; 4], usize) {
    let count = variable_byte_integer_len(len);
    let mut bytes = [0; 4];
    for (index, byte) in bytes.iter_mut().enumerate().take(count) {
        let more = if index + 1 < count { 0x80 } else { 0 };
        *byte = (len >> (7 * index)) as u8 & 0x7f | more;
    }
    (bytes, count)
}

#[cfg(test)]
mod tests;
