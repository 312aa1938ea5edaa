//! The properties of a received message (§3.3.2.3).

use std::num::NonZeroU16;

use crate::codec::property::check::{self, Checked, FORWARDED};
use crate::codec::read::Reader;
use crate::codec::{
    DecodeError, PayloadFormat, Properties, Property, SubscriptionIdentifier, UserProperties,
};

/// The properties of a message: what its receiver acts on is parsed, what it only passes on stays bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishProperties<'a> {
    topic_alias: Option<NonZeroU16>,
    message_expiry_interval: Option<u32>,
    payload_format_indicator: Option<PayloadFormat>,
    has_subscription_identifier: bool,
    forwardable: Forwardable<'a>,
    properties: Properties<'a>,
}

/// The properties to pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forwardable<'a> {
    /// They are next to each other.
    Together(&'a [u8]),
    /// Something that is not to be passed on lies between them.
    Scattered,
}

impl Default for Forwardable<'_> {
    fn default() -> Self {
        Forwardable::Together(&[])
    }
}

impl<'a> PublishProperties<'a> {
    /// [MQTT-3.3.2-13], [MQTT-3.3.2-19]
    #[inline]
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let block = reader.property_block()?;
        if block.is_empty() {
            return Ok(PublishProperties::default());
        }
        PublishProperties::parse(block)
    }

    /// Checks a property block of a PUBLISH that is without its length.
    ///
    /// # Errors
    ///
    /// The rule that the block breaks.
    pub fn parse(block: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(PublishProperties::parse_set(block, Checked::new(block, check::PUBLISH))?.0)
    }

    /// The same for the block of a Will, with its Will Delay Interval.
    pub(in crate::codec) fn parse_will(
        block: &'a [u8],
    ) -> Result<(Self, Option<u32>), DecodeError> {
        PublishProperties::parse_set(block, Checked::new(block, check::WILL))
    }

    fn parse_set(
        block: &'a [u8],
        mut checked: Checked<'a>,
    ) -> Result<(Self, Option<u32>), DecodeError> {
        let mut parsed = PublishProperties::default();
        let mut will_delay_interval = None;
        // Where the run of properties to pass on begins and ends so far.
        let (mut start, mut end) = (0, 0);
        let mut is_scattered = false;
        let mut position = 0;
        while let Some(property) = checked.next() {
            let property = property?;
            let behind = block.len() - checked.unread();
            if is_forwarded(&property) {
                if start == end {
                    start = position;
                } else {
                    is_scattered |= end != position;
                }
                end = behind;
            }
            position = behind;
            match property {
                Property::TopicAlias(v) => parsed.topic_alias = Some(v),
                Property::MessageExpiryInterval(v) => parsed.message_expiry_interval = Some(v),
                Property::PayloadFormatIndicator(v) => parsed.payload_format_indicator = Some(v),
                Property::SubscriptionIdentifier(_) => parsed.has_subscription_identifier = true,
                Property::WillDelayInterval(v) => will_delay_interval = Some(v),
                _ => {}
            }
        }
        parsed.forwardable = match block.get(start..end) {
            Some(together) if !is_scattered => Forwardable::Together(together),
            _ => Forwardable::Scattered,
        };
        parsed.properties = Properties::checked(block);
        Ok((parsed, will_delay_interval))
    }

    /// Number that stands for the topic name on this connection (§3.3.2.3.4).
    pub fn topic_alias(&self) -> Option<NonZeroU16> {
        self.topic_alias
    }

    /// Seconds that the message is worth delivering; absent means for ever (§3.3.2.3.3).
    pub fn message_expiry_interval(&self) -> Option<u32> {
        self.message_expiry_interval
    }

    /// What the payload is (§3.3.2.3.2). That it really is UTF-8 is not checked.
    pub fn payload_format_indicator(&self) -> Option<PayloadFormat> {
        self.payload_format_indicator
    }

    /// Whether there is a subscription identifier, which a client must not send `[MQTT-3.3.4-6]`.
    pub fn has_subscription_identifier(&self) -> bool {
        self.has_subscription_identifier
    }

    /// The identifiers of the subscriptions that the message matched (§3.3.2.3.8).
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = SubscriptionIdentifier> + 'a {
        self.properties
            .iter()
            .filter_map(|property| match property {
                Property::SubscriptionIdentifier(identifier) => Some(identifier),
                _ => None,
            })
    }

    /// User properties, in their order `[MQTT-3.3.2-18]`.
    pub fn user_properties(&self) -> UserProperties<'a> {
        UserProperties::Decoded(self.properties)
    }

    /// All properties: how to get at content type, response topic and correlation data.
    pub fn properties(&self) -> Properties<'a> {
        self.properties
    }

    /// The bytes of the properties that go to the subscribers unaltered, in their order: payload format
    /// indicator, content type, response topic, correlation data and user properties
    /// (`[MQTT-3.3.2-4]`, `[MQTT-3.3.2-15]`, `[MQTT-3.3.2-16]`, `[MQTT-3.3.2-17]`,
    /// `[MQTT-3.3.2-18]`, `[MQTT-3.3.2-20]`, of a Will `[MQTT-3.1.3-10]`).
    ///
    /// `None` if they are not next to each other; then [`append_forwardable`](Self::append_forwardable)
    /// collects them.
    pub fn forwardable(&self) -> Option<&'a [u8]> {
        match self.forwardable {
            Forwardable::Together(bytes) => Some(bytes),
            Forwardable::Scattered => None,
        }
    }

    /// Appends what [`forwardable`](Self::forwardable) returns, also when it is scattered.
    pub fn append_forwardable(&self, out: &mut Vec<u8>) {
        if let Forwardable::Together(bytes) = self.forwardable {
            out.extend_from_slice(bytes);
            return;
        }
        let mut properties = self.properties.iter();
        loop {
            let before = properties.unread();
            let Some(property) = properties.next() else {
                return;
            };
            let len = before.len() - properties.unread().len();
            if is_forwarded(&property) {
                out.extend_from_slice(before.get(..len).unwrap_or_default());
            }
        }
    }
}

fn is_forwarded(property: &Property<'_>) -> bool {
    FORWARDED.contains(property.identifier())
}
