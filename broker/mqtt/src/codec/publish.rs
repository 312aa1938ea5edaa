//! PUBLISH (§3.3): the packet that everything else is for, and the hottest path of the broker.

mod outgoing;
mod properties;

pub use outgoing::OutgoingPublish;
pub use properties::PublishProperties;

use super::packet::check_remaining_length;
use super::read::Reader;
use super::{DecodeError, EncodeError, Frame, PacketId, QoS, Version};

/// The bits of the fixed header (§3.3.1).
mod flag {
    pub const RETAIN: u8 = 1;
    pub const DUP: u8 = 1 << 3;
}

/// A message, as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether it may have been sent before (§3.3.1.1).
    pub dup: bool,
    /// Its QoS.
    pub qos: QoS,
    /// RETAIN (§3.3.1.3).
    pub retain: bool,
    /// Topic name. Empty only if a topic alias stands for it; wildcards are not looked for here.
    pub topic: &'a str,
    /// Present exactly if the QoS is 1 or 2 `[MQTT-2.2.1-2]`.
    pub packet_id: Option<PacketId>,
    /// What MQTT 5 added; empty before it.
    pub properties: PublishProperties<'a>,
    /// Application message; may be empty.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Reads a PUBLISH, whose type the caller has looked at. MQTT 3.1 does not forbid DUP with QoS 0,
    /// where it means nothing and is not passed on.
    /// [MQTT-3.3.2-1]
    #[inline]
    pub(super) fn decode(version: Version, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        check_remaining_length(version, frame)?;
        let flags = frame.first_byte;
        let qos = QoS::from_number(flags >> 1 & 0b11).ok_or(DecodeError::PublishQos3)?;
        let dup = flags & flag::DUP != 0;
        if dup && qos == QoS::AtMostOnce && version != Version::V3 {
            return Err(DecodeError::DupOfQos0);
        }
        let mut reader = Reader::new(frame.body);
        let topic = reader.string()?;
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            _ => Some(reader.packet_id()?),
        };
        let properties = match version {
            Version::V5 => PublishProperties::read(&mut reader)?,
            _ => PublishProperties::default(),
        };
        if topic.is_empty() && properties.topic_alias().is_none() {
            return Err(DecodeError::TopicNameEmpty);
        }
        Ok(Publish {
            dup: dup && qos != QoS::AtMostOnce,
            qos,
            retain: flags & flag::RETAIN != 0,
            topic,
            packet_id,
            properties,
            payload: reader.rest(),
        })
    }

    /// Appends the packet with all its properties as they are; before MQTT 5, without them.
    ///
    /// # Errors
    ///
    /// As [`OutgoingPublish::encode`].
    pub fn encode(
        &self,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let mut packet = OutgoingPublish::new(self.topic, self.payload);
        packet.dup = self.dup;
        packet.qos = self.qos;
        packet.retain = self.retain;
        packet.packet_id = self.packet_id;
        packet.forwardable = self.properties.properties().as_bytes();
        packet.encode(version, max_packet_size, out)
    }
}

#[cfg(test)]
mod tests;
