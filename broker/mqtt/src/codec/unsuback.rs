//! UNSUBACK (§3.11).

use super::read::Reader;
use super::{
    DecodeError, Diagnostics, EncodeError, Frame, PacketId, PacketType, ReasonCodes, Version, write,
};

/// The answer to UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// That of the UNSUBSCRIBE `[MQTT-3.10.4-5]`, `[MQTT-2.2.1-6]`.
    pub packet_id: PacketId,
    /// Reason string and user properties, MQTT 5 only.
    pub diagnostics: Diagnostics<'a>,
    /// One for each topic filter, in their order `[MQTT-3.11.3-1]`; none before MQTT 5.
    pub reason_codes: ReasonCodes<'a>,
}

impl<'a> UnsubAck<'a> {
    pub(super) fn decode(version: Version, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let packet_id = reader.packet_id()?;
        if version != Version::V5 {
            reader.finish()?;
            return Ok(UnsubAck {
                packet_id,
                diagnostics: Diagnostics::default(),
                reason_codes: ReasonCodes::new(&[]),
            });
        }
        Ok(UnsubAck {
            packet_id,
            diagnostics: Diagnostics::read(&mut reader)?,
            reason_codes: ReasonCodes::decode(PacketType::UnsubAck, reader.rest())?,
        })
    }

    /// Appends the packet; before MQTT 5, nothing but the packet identifier.
    ///
    /// # Errors
    ///
    /// No reason code, in MQTT 5; a field of more than 65,535 bytes; a packet of more than
    /// `max_packet_size` bytes also without the diagnostics.
    pub fn encode(
        &self,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if version == Version::V5 && self.reason_codes.is_empty() {
            return Err(EncodeError::NoEntry);
        }
        self.diagnostics.shrink_to_fit(|diagnostics| {
            write::packet(out, PacketType::UnsubAck, max_packet_size, |out| {
                out.extend_from_slice(&self.packet_id.get().to_be_bytes());
                if version == Version::V5 {
                    write::property_block(out, |out| diagnostics.encode(out))?;
                    out.extend(self.reason_codes.iter().map(|code| code.byte()));
                }
                Ok(())
            })
        })
    }
}

#[cfg(test)]
mod tests;
