//! Checking a property block: which property may be in which packet, and how often (§2.2.2.2).

use super::{Property, id};
use crate::codec::DecodeError;
use crate::codec::read::Reader;

/// A set of property identifiers, one bit each; all identifiers are below 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec) struct PropertySet(u64);

impl PropertySet {
    const fn of(identifiers: &[u8]) -> PropertySet {
        let mut bits = 0;
        let mut index = 0;
        while index < identifiers.len() {
            bits |= 1 << identifiers[index];
            index += 1;
        }
        PropertySet(bits)
    }

    const fn and(self, identifiers: &[u8]) -> PropertySet {
        PropertySet(self.0 | PropertySet::of(identifiers).0)
    }

    pub fn contains(self, identifier: u8) -> bool {
        identifier < 64 && self.0 & (1 << identifier) != 0
    }

    /// Whether it was not in the set before.
    fn insert(&mut self, identifier: u8) -> bool {
        let new = !self.contains(identifier);
        self.0 |= 1 << (identifier & 63);
        new
    }
}

/// The properties of a message that go along with it from publisher to subscriber, except its expiry
/// interval, which shrinks on the way.
pub(in crate::codec) const FORWARDED: PropertySet = PropertySet::of(&[
    id::PAYLOAD_FORMAT_INDICATOR,
    id::CONTENT_TYPE,
    id::RESPONSE_TOPIC,
    id::CORRELATION_DATA,
    id::USER_PROPERTY,
]);

/// §3.3.2.3
pub(in crate::codec) const PUBLISH: PropertySet = FORWARDED.and(&[
    id::MESSAGE_EXPIRY_INTERVAL,
    id::TOPIC_ALIAS,
    id::SUBSCRIPTION_IDENTIFIER,
]);

/// §3.1.3.2
pub(in crate::codec) const WILL: PropertySet =
    FORWARDED.and(&[id::MESSAGE_EXPIRY_INTERVAL, id::WILL_DELAY_INTERVAL]);

/// §3.1.2.11
pub(in crate::codec) const CONNECT: PropertySet = PropertySet::of(&[
    id::SESSION_EXPIRY_INTERVAL,
    id::RECEIVE_MAXIMUM,
    id::MAXIMUM_PACKET_SIZE,
    id::TOPIC_ALIAS_MAXIMUM,
    id::REQUEST_RESPONSE_INFORMATION,
    id::REQUEST_PROBLEM_INFORMATION,
    id::USER_PROPERTY,
    id::AUTHENTICATION_METHOD,
    id::AUTHENTICATION_DATA,
]);

/// §3.2.2.3
pub(in crate::codec) const CONNACK: PropertySet = PropertySet::of(&[
    id::SESSION_EXPIRY_INTERVAL,
    id::RECEIVE_MAXIMUM,
    id::MAXIMUM_QOS,
    id::RETAIN_AVAILABLE,
    id::MAXIMUM_PACKET_SIZE,
    id::ASSIGNED_CLIENT_IDENTIFIER,
    id::TOPIC_ALIAS_MAXIMUM,
    id::REASON_STRING,
    id::USER_PROPERTY,
    id::WILDCARD_SUBSCRIPTION_AVAILABLE,
    id::SUBSCRIPTION_IDENTIFIER_AVAILABLE,
    id::SHARED_SUBSCRIPTION_AVAILABLE,
    id::SERVER_KEEP_ALIVE,
    id::RESPONSE_INFORMATION,
    id::SERVER_REFERENCE,
    id::AUTHENTICATION_METHOD,
    id::AUTHENTICATION_DATA,
]);

/// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK (§3.4.2.2 and its like)
pub(in crate::codec) const ACKNOWLEDGEMENT: PropertySet =
    PropertySet::of(&[id::REASON_STRING, id::USER_PROPERTY]);

/// §3.8.2.1
pub(in crate::codec) const SUBSCRIBE: PropertySet =
    PropertySet::of(&[id::SUBSCRIPTION_IDENTIFIER, id::USER_PROPERTY]);

/// §3.10.2.1
pub(in crate::codec) const UNSUBSCRIBE: PropertySet = PropertySet::of(&[id::USER_PROPERTY]);

/// §3.14.2.2
pub(in crate::codec) const DISCONNECT: PropertySet =
    ACKNOWLEDGEMENT.and(&[id::SESSION_EXPIRY_INTERVAL, id::SERVER_REFERENCE]);

/// §3.15.2.2
pub(in crate::codec) const AUTH: PropertySet =
    ACKNOWLEDGEMENT.and(&[id::AUTHENTICATION_METHOD, id::AUTHENTICATION_DATA]);

const KNOWN: PropertySet = PropertySet(CONNECT.0 | CONNACK.0 | PUBLISH.0 | WILL.0 | SUBSCRIBE.0);

/// Reads a block property by property and checks each one; stops at the first error.
pub(in crate::codec) struct Checked<'a> {
    reader: Reader<'a>,
    allowed: PropertySet,
    seen: PropertySet,
}

impl<'a> Checked<'a> {
    /// `block` is without its length; `allowed` is the set of its packet.
    pub fn new(block: &'a [u8], allowed: PropertySet) -> Self {
        Checked {
            reader: Reader::new(block),
            allowed,
            seen: PropertySet(0),
        }
    }

    /// Bytes of the block that have not been read yet.
    pub fn unread(&self) -> usize {
        self.reader.rest().len()
    }

    fn read(&mut self, identifier: u8) -> Result<Property<'a>, DecodeError> {
        if !KNOWN.contains(identifier) {
            return Err(DecodeError::PropertyUnknown(identifier));
        }
        if !self.allowed.contains(identifier) {
            return Err(DecodeError::PropertyNotAllowed(identifier));
        }
        if !self.seen.insert(identifier) && !self.may_repeat(identifier) {
            return Err(DecodeError::PropertyDuplicate(identifier));
        }
        Property::read(&mut self.reader)
    }

    /// A PUBLISH carries the identifiers of all subscriptions that it matched (§3.3.2.3.8).
    fn may_repeat(&self, identifier: u8) -> bool {
        identifier == id::USER_PROPERTY
            || identifier == id::SUBSCRIPTION_IDENTIFIER && self.allowed == PUBLISH
    }
}

impl<'a> Iterator for Checked<'a> {
    type Item = Result<Property<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let identifier = *self.reader.rest().first()?;
        let property = self.read(identifier);
        if property.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(property)
    }
}
