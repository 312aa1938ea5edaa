//! PUBACK (§3.4), PUBREC (§3.5), PUBREL (§3.6) and PUBCOMP (§3.7): four packets, one format.

use super::property::check::{self, Checked};
use super::read::Reader;
use super::{
    DecodeError, Diagnostics, EncodeError, Frame, PacketId, PacketType, Properties, Property,
    ReasonCode, UserProperties, Version, write,
};

/// Which of the four packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AckType {
    /// QoS 1: received.
    PubAck,
    /// QoS 2, part 1: received.
    PubRec,
    /// QoS 2, part 2: release the packet identifier.
    PubRel,
    /// QoS 2, part 3: released.
    PubComp,
}

/// An acknowledgement of a PUBLISH or of another acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// That of the PUBLISH `[MQTT-2.2.1-5]`.
    pub packet_id: PacketId,
    /// Success before MQTT 5, which had no other.
    pub reason_code: ReasonCode,
    /// Reason string and user properties, MQTT 5 only.
    pub diagnostics: Diagnostics<'a>,
}

impl AckType {
    /// The type in the fixed header.
    pub const fn packet_type(self) -> PacketType {
        match self {
            AckType::PubAck => PacketType::PubAck,
            AckType::PubRec => PacketType::PubRec,
            AckType::PubRel => PacketType::PubRel,
            AckType::PubComp => PacketType::PubComp,
        }
    }
}

impl<'a> Ack<'a> {
    /// An acknowledgement without diagnostics.
    #[inline]
    pub fn new(packet_id: PacketId, reason_code: ReasonCode) -> Self {
        Ack {
            packet_id,
            reason_code,
            diagnostics: Diagnostics::default(),
        }
    }

    /// MQTT 5 leaves out the property length if there are no properties, and the reason code too if
    /// it is 0x00 (§3.4.2.1, §3.4.2.2.1).
    #[inline]
    pub(super) fn decode(
        ack_type: AckType,
        version: Version,
        frame: &Frame<'a>,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let mut ack = Ack::new(reader.packet_id()?, ReasonCode::Success);
        if version == Version::V5 && !reader.is_empty() {
            ack.reason_code = ReasonCode::read(ack_type.packet_type(), reader.u8()?)?;
            if !reader.is_empty() {
                ack.diagnostics = Diagnostics::read(&mut reader)?;
            }
        }
        reader.finish()?;
        Ok(ack)
    }

    /// Appends the packet. Before MQTT 5 it can say nothing but success, so a failure is written as
    /// that: it ends the exchange all the same.
    ///
    /// # Errors
    ///
    /// A field of more than 65,535 bytes; a packet of more than `max_packet_size` bytes also without
    /// the diagnostics.
    pub fn encode(
        &self,
        ack_type: AckType,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let packet_id = self.packet_id.get().to_be_bytes();
        self.diagnostics.shrink_to_fit(|diagnostics| {
            write::packet(out, ack_type.packet_type(), max_packet_size, |out| {
                out.extend_from_slice(&packet_id);
                if version != Version::V5 {
                    return Ok(());
                }
                if self.reason_code != ReasonCode::Success || !diagnostics.is_empty() {
                    out.push(self.reason_code.byte());
                }
                if diagnostics.is_empty() {
                    return Ok(());
                }
                write::property_block(out, |out| diagnostics.encode(out))
            })
        })
    }

    /// Appends the packet of four bytes that says success in every version.
    pub fn encode_success(ack_type: AckType, packet_id: PacketId, out: &mut Vec<u8>) {
        let [high, low] = packet_id.get().to_be_bytes();
        out.extend_from_slice(&[ack_type.packet_type().first_byte(), 2, high, low]);
    }
}

impl<'a> Diagnostics<'a> {
    /// Reads a property block that has nothing else in it, with its length.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let block = reader.property_block()?;
        let mut reason_string = None;
        for property in Checked::new(block, check::ACKNOWLEDGEMENT) {
            if let Property::ReasonString(text) = property? {
                reason_string = Some(text);
            }
        }
        Ok(Diagnostics {
            reason_string,
            user_properties: UserProperties::Decoded(Properties::checked(block)),
        })
    }
}

#[cfg(test)]
mod tests;
