//! SUBSCRIBE (§3.8).

mod filters;
mod options;

pub use filters::{SubscribeFilter, SubscribeFilters, SubscribeFiltersIter};
pub use options::{RetainHandling, SubscriptionOptions};

use super::property::check::{self, Checked};
use super::read::Reader;
use super::{
    DecodeError, EncodeError, Frame, PacketId, PacketType, Properties, Property,
    SubscriptionIdentifier, UserProperties, Version, write,
};

/// A request for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// What SUBACK refers to.
    pub packet_id: PacketId,
    /// The client's number for all these subscriptions, MQTT 5 only (§3.8.2.1.2).
    pub subscription_identifier: Option<SubscriptionIdentifier>,
    /// User properties, MQTT 5 only.
    pub user_properties: UserProperties<'a>,
    /// At least one `[MQTT-3.8.3-2]`.
    pub filters: SubscribeFilters<'a>,
}

impl<'a> Subscribe<'a> {
    pub(super) fn decode(version: Version, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let packet_id = reader.packet_id()?;
        let mut subscription_identifier = None;
        let mut user_properties = UserProperties::default();
        if version == Version::V5 {
            let block = reader.property_block()?;
            for property in Checked::new(block, check::SUBSCRIBE) {
                if let Property::SubscriptionIdentifier(identifier) = property? {
                    subscription_identifier = Some(identifier);
                }
            }
            user_properties = UserProperties::Decoded(Properties::checked(block));
        }
        Ok(Subscribe {
            packet_id,
            subscription_identifier,
            user_properties,
            filters: SubscribeFilters::decode(version, reader)?,
        })
    }

    /// Appends the packet; before MQTT 5, without properties and with no option but the QoS.
    ///
    /// # Errors
    ///
    /// No filter; a field of more than 65,535 bytes; a packet of more than `max_packet_size` bytes.
    pub fn encode(
        &self,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        write::packet(out, PacketType::Subscribe, max_packet_size, |out| {
            out.extend_from_slice(&self.packet_id.get().to_be_bytes());
            if version == Version::V5 {
                write::property_block(out, |out| self.encode_properties(out))?;
            }
            self.filters.encode(version, out)
        })
    }

    fn encode_properties(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let identifier = self.subscription_identifier;
        write::optional(out, identifier.map(Property::SubscriptionIdentifier))?;
        self.user_properties.encode(out)
    }
}

#[cfg(test)]
mod tests;
