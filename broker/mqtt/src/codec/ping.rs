//! PINGREQ (§3.12) and PINGRESP (§3.13): two bytes each, the same in every version.

use super::{DecodeError, Frame, Packet, PacketType};

/// A ping has no body; `packet` is what to return for one that keeps to that.
pub(super) fn decode<'a>(frame: &Frame<'a>, packet: Packet<'a>) -> Result<Packet<'a>, DecodeError> {
    if !frame.body.is_empty() {
        return Err(DecodeError::TrailingBytes);
    }
    Ok(packet)
}

/// Appends a PINGREQ.
pub fn pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::PingReq.first_byte(), 0]);
}

/// Appends a PINGRESP `[MQTT-3.12.4-1]`.
pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::PingResp.first_byte(), 0]);
}
