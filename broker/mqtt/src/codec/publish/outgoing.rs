//! Writing a message to a subscriber (§3.3), in any version.

use std::num::NonZeroU16;

use super::flag;
use crate::codec::frame::variable_byte_integer_len;
use crate::codec::{
    EncodeError, PACKET_SIZE_MAX, PacketId, PacketType, Property, QoS, SubscriptionIdentifier,
    Version, write,
};

/// The parts of a PUBLISH to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingPublish<'a> {
    /// Whether it may have been sent before `[MQTT-3.3.1-1]`. Not written with QoS 0 `[MQTT-3.3.1-2]`.
    pub dup: bool,
    /// Its QoS.
    pub qos: QoS,
    /// RETAIN (§3.3.1.3).
    pub retain: bool,
    /// Topic name; empty only together with a topic alias.
    pub topic: &'a str,
    /// Needed with QoS 1 and 2, not written with QoS 0 `[MQTT-2.2.1-2]`.
    pub packet_id: Option<PacketId>,
    /// Properties as [`PublishProperties::forwardable`](super::PublishProperties::forwardable) has
    /// them, or as [`Property::encode`] wrote them. They are not checked again.
    pub forwardable: &'a [u8],
    /// Seconds that are left `[MQTT-3.3.2-6]`.
    pub message_expiry_interval: Option<u32>,
    /// Identifiers of all subscriptions that this copy is for `[MQTT-3.3.4-4]`.
    pub subscription_identifiers: &'a [SubscriptionIdentifier],
    /// Number that stands for the topic name on this connection (§3.3.2.3.4).
    pub topic_alias: Option<NonZeroU16>,
    /// Application message.
    pub payload: &'a [u8],
}

/// Lengths of the parts that a PUBLISH is made of, in bytes.
struct Lengths {
    properties: usize,
    remaining: usize,
    packet: usize,
}

impl<'a> OutgoingPublish<'a> {
    /// A message of QoS 0, not retained, without properties.
    pub const fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        OutgoingPublish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            forwardable: &[],
            message_expiry_interval: None,
            subscription_identifiers: &[],
            topic_alias: None,
            payload,
        }
    }

    /// Appends the packet; before MQTT 5, without any property. Its length is known before the first
    /// byte is written, so a packet that is too large costs nothing.
    ///
    /// # Errors
    ///
    /// [`EncodeError::PacketTooLarge`] if it has more than `max_packet_size` bytes: such a message is
    /// dropped for this subscriber and counts as delivered `[MQTT-3.1.2-25]`. A topic name of more than
    /// 65,535 bytes; QoS 1 or 2 without a packet identifier.
    #[inline]
    pub fn encode(
        &self,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let packet_id = self.required_packet_id()?;
        let topic_len = u16::try_from(self.topic.len()).map_err(|_| EncodeError::FieldTooLong)?;
        let lengths = self.lengths(version);
        if lengths.packet > max_packet_size.min(PACKET_SIZE_MAX) as usize {
            return Err(EncodeError::PacketTooLarge);
        }
        out.reserve(lengths.packet);
        out.push(self.first_byte());
        write::variable_byte_integer(out, lengths.remaining);
        out.extend_from_slice(&topic_len.to_be_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        if let Some(packet_id) = packet_id {
            out.extend_from_slice(&packet_id.get().to_be_bytes());
        }
        if version == Version::V5 {
            write::variable_byte_integer(out, lengths.properties);
            self.encode_properties(out)?;
        }
        out.extend_from_slice(self.payload);
        Ok(())
    }

    /// Size of the whole packet, in bytes.
    pub fn encoded_len(&self, version: Version) -> usize {
        self.lengths(version).packet
    }

    fn required_packet_id(&self) -> Result<Option<PacketId>, EncodeError> {
        match (self.qos, self.packet_id) {
            (QoS::AtMostOnce, _) => Ok(None),
            (_, None) => Err(EncodeError::PacketIdMissing),
            (_, packet_id) => Ok(packet_id),
        }
    }

    fn first_byte(&self) -> u8 {
        let dup = self.dup && self.qos != QoS::AtMostOnce;
        PacketType::Publish.first_byte()
            | if dup { flag::DUP } else { 0 }
            | self.qos.number() << 1
            | if self.retain { flag::RETAIN } else { 0 }
    }

    #[inline]
    fn lengths(&self, version: Version) -> Lengths {
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let mut remaining = 2 + self.topic.len() + packet_id + self.payload.len();
        let mut properties = 0;
        if version == Version::V5 {
            properties = self.properties_len();
            remaining += variable_byte_integer_len(properties) + properties;
        }
        Lengths {
            properties,
            remaining,
            packet: 1 + variable_byte_integer_len(remaining) + remaining,
        }
    }

    fn properties_len(&self) -> usize {
        let identifiers = self.subscription_identifiers.iter();
        self.forwardable.len()
            + self.message_expiry_interval.map_or(0, |_| 5)
            + self.topic_alias.map_or(0, |_| 3)
            + identifiers
                .map(|identifier| 1 + variable_byte_integer_len(identifier.get() as usize))
                .sum::<usize>()
    }

    fn encode_properties(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let expiry = self.message_expiry_interval;
        write::optional(out, expiry.map(Property::MessageExpiryInterval))?;
        write::optional(out, self.topic_alias.map(Property::TopicAlias))?;
        out.extend_from_slice(self.forwardable);
        // Last, because rumqttc 0.25 miscounts what follows them.
        for identifier in self.subscription_identifiers {
            Property::SubscriptionIdentifier(*identifier).encode(out)?;
        }
        Ok(())
    }
}
