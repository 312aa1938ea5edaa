//! Properties (§2.2.2): one type for all of them, with its decoder beside its encoder.
//!
//! A property block is checked once, when its packet is decoded ([`check::Checked`]); a
//! [`Properties`] is the proof, and its iterator cannot fail.

mod block;
pub(super) mod check;
mod user;

use std::num::{NonZeroU16, NonZeroU32};

pub use block::{Properties, PropertiesIter};
pub use user::{UserProperties, UserPropertiesIter};

use super::read::Reader;
use super::{DecodeError, EncodeError, QoS, write};

/// What the payload of a message is (§3.3.2.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PayloadFormat {
    /// Unspecified bytes, 0; also what an absent property means.
    #[default]
    Unspecified,
    /// UTF-8 text, 1.
    Utf8,
}

/// A number that a subscriber gives to a subscription and gets back with its messages (§3.8.2.1.2):
/// 1 to 268,435,455.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionIdentifier(NonZeroU32);

impl SubscriptionIdentifier {
    /// Largest identifier: what a variable byte integer holds (§1.5.5).
    pub const MAX: u32 = 268_435_455;

    /// `None` if `number` is 0 or beyond [`SubscriptionIdentifier::MAX`].
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) if number.get() <= Self::MAX => Some(SubscriptionIdentifier(number)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// One property (§2.2.2.2). Names and meanings are those of the standard's table; times are in
/// seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the table in §2.2.2.2")]
pub enum Property<'a> {
    PayloadFormatIndicator(PayloadFormat),
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionIdentifier(SubscriptionIdentifier),
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(NonZeroU16),
    TopicAliasMaximum(u16),
    TopicAlias(NonZeroU16),
    /// QoS 0 or 1; 2 is said by leaving the property out (§3.2.2.3.4).
    MaximumQos(QoS),
    RetainAvailable(bool),
    UserProperty(&'a str, &'a str),
    MaximumPacketSize(NonZeroU32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifierAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

/// The identifiers of §2.2.2.2.
pub(super) mod id {
    pub const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
    pub const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const RESPONSE_TOPIC: u8 = 0x08;
    pub const CORRELATION_DATA: u8 = 0x09;
    pub const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
    pub const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
    pub const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub const AUTHENTICATION_METHOD: u8 = 0x15;
    pub const AUTHENTICATION_DATA: u8 = 0x16;
    pub const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub const WILL_DELAY_INTERVAL: u8 = 0x18;
    pub const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub const RESPONSE_INFORMATION: u8 = 0x1a;
    pub const SERVER_REFERENCE: u8 = 0x1c;
    pub const REASON_STRING: u8 = 0x1f;
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const MAXIMUM_QOS: u8 = 0x24;
    pub const RETAIN_AVAILABLE: u8 = 0x25;
    pub const USER_PROPERTY: u8 = 0x26;
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
    pub const SUBSCRIPTION_IDENTIFIER_AVAILABLE: u8 = 0x29;
    pub const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2a;
}

impl<'a> Property<'a> {
    /// Reads one property and checks its value.
    ///
    /// The identifier is a variable byte integer, but all that exist fit into one byte (§2.2.2.2).
    fn read(reader: &mut Reader<'a>) -> Result<Property<'a>, DecodeError> {
        use Property::*;
        let identifier = reader.u8()?;
        Ok(match identifier {
            id::PAYLOAD_FORMAT_INDICATOR => {
                PayloadFormatIndicator(match zero_or_one(reader, identifier)? {
                    false => PayloadFormat::Unspecified,
                    true => PayloadFormat::Utf8,
                })
            }
            id::MESSAGE_EXPIRY_INTERVAL => MessageExpiryInterval(reader.u32()?),
            id::CONTENT_TYPE => ContentType(reader.string()?),
            id::RESPONSE_TOPIC => ResponseTopic(response_topic(reader)?),
            id::CORRELATION_DATA => CorrelationData(reader.binary()?),
            id::SUBSCRIPTION_IDENTIFIER => SubscriptionIdentifier(subscription_identifier(reader)?),
            id::SESSION_EXPIRY_INTERVAL => SessionExpiryInterval(reader.u32()?),
            id::ASSIGNED_CLIENT_IDENTIFIER => AssignedClientIdentifier(reader.string()?),
            id::SERVER_KEEP_ALIVE => ServerKeepAlive(reader.u16()?),
            id::AUTHENTICATION_METHOD => AuthenticationMethod(reader.string()?),
            id::AUTHENTICATION_DATA => AuthenticationData(reader.binary()?),
            id::REQUEST_PROBLEM_INFORMATION => {
                RequestProblemInformation(zero_or_one(reader, identifier)?)
            }
            id::WILL_DELAY_INTERVAL => WillDelayInterval(reader.u32()?),
            id::REQUEST_RESPONSE_INFORMATION => {
                RequestResponseInformation(zero_or_one(reader, identifier)?)
            }
            id::RESPONSE_INFORMATION => ResponseInformation(reader.string()?),
            id::SERVER_REFERENCE => ServerReference(reader.string()?),
            id::REASON_STRING => ReasonString(reader.string()?),
            id::RECEIVE_MAXIMUM => {
                let value = NonZeroU16::new(reader.u16()?);
                ReceiveMaximum(value.ok_or(DecodeError::ReceiveMaximumZero)?)
            }
            id::TOPIC_ALIAS_MAXIMUM => TopicAliasMaximum(reader.u16()?),
            id::TOPIC_ALIAS => {
                let value = NonZeroU16::new(reader.u16()?);
                TopicAlias(value.ok_or(DecodeError::TopicAliasZero)?)
            }
            id::MAXIMUM_QOS => MaximumQos(match zero_or_one(reader, identifier)? {
                false => QoS::AtMostOnce,
                true => QoS::AtLeastOnce,
            }),
            id::RETAIN_AVAILABLE => RetainAvailable(zero_or_one(reader, identifier)?),
            id::USER_PROPERTY => UserProperty(reader.string()?, reader.string()?),
            id::MAXIMUM_PACKET_SIZE => {
                let value = NonZeroU32::new(reader.u32()?);
                MaximumPacketSize(value.ok_or(DecodeError::MaximumPacketSizeZero)?)
            }
            id::WILDCARD_SUBSCRIPTION_AVAILABLE => {
                WildcardSubscriptionAvailable(zero_or_one(reader, identifier)?)
            }
            id::SUBSCRIPTION_IDENTIFIER_AVAILABLE => {
                SubscriptionIdentifierAvailable(zero_or_one(reader, identifier)?)
            }
            id::SHARED_SUBSCRIPTION_AVAILABLE => {
                SharedSubscriptionAvailable(zero_or_one(reader, identifier)?)
            }
            unknown => return Err(DecodeError::PropertyUnknown(unknown)),
        })
    }

    /// Appends the property with its identifier. Several in a row are a property block without its
    /// length, as [`PublishProperties::parse`](super::PublishProperties::parse) takes it.
    ///
    /// # Errors
    ///
    /// A string or binary value of more than 65,535 bytes; `out` then holds a part of the property.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        use Property::*;
        out.push(self.identifier());
        match *self {
            PayloadFormatIndicator(format) => out.push((format == PayloadFormat::Utf8).into()),
            SubscriptionIdentifier(identifier) => {
                write::variable_byte_integer(out, identifier.get() as usize);
            }
            MaximumQos(qos) => out.push(qos.number()),
            RequestProblemInformation(flag)
            | RequestResponseInformation(flag)
            | RetainAvailable(flag)
            | WildcardSubscriptionAvailable(flag)
            | SubscriptionIdentifierAvailable(flag)
            | SharedSubscriptionAvailable(flag) => out.push(flag.into()),
            ServerKeepAlive(number) | TopicAliasMaximum(number) => {
                out.extend_from_slice(&number.to_be_bytes());
            }
            ReceiveMaximum(number) | TopicAlias(number) => {
                out.extend_from_slice(&number.get().to_be_bytes());
            }
            MessageExpiryInterval(number)
            | SessionExpiryInterval(number)
            | WillDelayInterval(number) => out.extend_from_slice(&number.to_be_bytes()),
            MaximumPacketSize(number) => out.extend_from_slice(&number.get().to_be_bytes()),
            CorrelationData(bytes) | AuthenticationData(bytes) => write::binary(out, bytes)?,
            ContentType(text)
            | ResponseTopic(text)
            | AssignedClientIdentifier(text)
            | AuthenticationMethod(text)
            | ResponseInformation(text)
            | ServerReference(text)
            | ReasonString(text) => write::string(out, text)?,
            UserProperty(name, value) => {
                write::string(out, name)?;
                write::string(out, value)?;
            }
        }
        Ok(())
    }

    /// The identifier on the wire (§2.2.2.2).
    pub const fn identifier(&self) -> u8 {
        use Property::*;
        match self {
            PayloadFormatIndicator(_) => id::PAYLOAD_FORMAT_INDICATOR,
            MessageExpiryInterval(_) => id::MESSAGE_EXPIRY_INTERVAL,
            ContentType(_) => id::CONTENT_TYPE,
            ResponseTopic(_) => id::RESPONSE_TOPIC,
            CorrelationData(_) => id::CORRELATION_DATA,
            SubscriptionIdentifier(_) => id::SUBSCRIPTION_IDENTIFIER,
            SessionExpiryInterval(_) => id::SESSION_EXPIRY_INTERVAL,
            AssignedClientIdentifier(_) => id::ASSIGNED_CLIENT_IDENTIFIER,
            ServerKeepAlive(_) => id::SERVER_KEEP_ALIVE,
            AuthenticationMethod(_) => id::AUTHENTICATION_METHOD,
            AuthenticationData(_) => id::AUTHENTICATION_DATA,
            RequestProblemInformation(_) => id::REQUEST_PROBLEM_INFORMATION,
            WillDelayInterval(_) => id::WILL_DELAY_INTERVAL,
            RequestResponseInformation(_) => id::REQUEST_RESPONSE_INFORMATION,
            ResponseInformation(_) => id::RESPONSE_INFORMATION,
            ServerReference(_) => id::SERVER_REFERENCE,
            ReasonString(_) => id::REASON_STRING,
            ReceiveMaximum(_) => id::RECEIVE_MAXIMUM,
            TopicAliasMaximum(_) => id::TOPIC_ALIAS_MAXIMUM,
            TopicAlias(_) => id::TOPIC_ALIAS,
            MaximumQos(_) => id::MAXIMUM_QOS,
            RetainAvailable(_) => id::RETAIN_AVAILABLE,
            UserProperty(..) => id::USER_PROPERTY,
            MaximumPacketSize(_) => id::MAXIMUM_PACKET_SIZE,
            WildcardSubscriptionAvailable(_) => id::WILDCARD_SUBSCRIPTION_AVAILABLE,
            SubscriptionIdentifierAvailable(_) => id::SUBSCRIPTION_IDENTIFIER_AVAILABLE,
            SharedSubscriptionAvailable(_) => id::SHARED_SUBSCRIPTION_AVAILABLE,
        }
    }
}

fn zero_or_one(reader: &mut Reader<'_>, identifier: u8) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::PropertyNotZeroOrOne(identifier)),
    }
}

fn response_topic<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let topic = reader.string()?;
    if topic.contains(['+', '#']) {
        return Err(DecodeError::ResponseTopicHasWildcard);
    }
    Ok(topic)
}

fn subscription_identifier(reader: &mut Reader<'_>) -> Result<SubscriptionIdentifier, DecodeError> {
    let number = reader.variable_byte_integer()?;
    SubscriptionIdentifier::new(number).ok_or(DecodeError::SubscriptionIdentifierZero)
}

#[cfg(test)]
mod tests;
