//! CONNACK (§3.2).

use std::num::{NonZeroU16, NonZeroU32};

use super::property::check::{self, Checked};
use super::read::Reader;
use super::write::optional;
use super::{
    DecodeError, Diagnostics, EncodeError, Frame, PacketType, Properties, Property, QoS,
    ReasonCode, UserProperties, Version, write,
};

/// The answer to CONNECT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server goes on with a session that it had `[MQTT-3.2.2-3]`. MQTT 3.1 cannot say it.
    pub session_present: bool,
    /// Success, or why the connection is refused.
    pub reason_code: ReasonCode,
    /// What MQTT 5 added.
    pub properties: ConnAckProperties<'a>,
    /// Reason string and user properties, MQTT 5 only.
    pub diagnostics: Diagnostics<'a>,
}

/// What the server grants and is able to take (§3.2.2.3). `None`: the property is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnAckProperties<'a> {
    /// Seconds that the session outlives the connection, if not what the client asked for (§3.2.2.3.2).
    pub session_expiry_interval: Option<u32>,
    /// QoS 1 and 2 messages that the server takes at a time; absent means 65,535 (§3.2.2.3.3).
    pub receive_maximum: Option<NonZeroU16>,
    /// Highest QoS of a PUBLISH, 0 or 1; absent means 2 `[MQTT-3.2.2-9]`. QoS 2 is not written.
    pub maximum_qos: Option<QoS>,
    /// Whether there are retained messages; absent means yes (§3.2.2.3.5).
    pub retain_available: Option<bool>,
    /// Largest packet that the server takes, in bytes; absent means no limit (§3.2.2.3.6).
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The identifier for a client that came without one `[MQTT-3.2.2-16]`.
    pub assigned_client_identifier: Option<&'a str>,
    /// Highest topic alias that the server takes; absent means 0, none (§3.2.2.3.8).
    pub topic_alias_maximum: Option<u16>,
    /// Whether filters may have wildcards; absent means yes (§3.2.2.3.11).
    pub wildcard_subscription_available: Option<bool>,
    /// Whether there are subscription identifiers; absent means yes (§3.2.2.3.12).
    pub subscription_identifier_available: Option<bool>,
    /// Whether there are shared subscriptions; absent means yes (§3.2.2.3.13).
    pub shared_subscription_available: Option<bool>,
    /// Keep Alive in seconds that the client is to use in place of its own `[MQTT-3.2.2-21]`.
    pub server_keep_alive: Option<u16>,
    /// Basis for response topics (§3.2.2.3.15).
    pub response_information: Option<&'a str>,
    /// Another server to use (§3.2.2.3.16).
    pub server_reference: Option<&'a str>,
    /// Name of the extended authentication (§3.2.2.3.17).
    pub authentication_method: Option<&'a str>,
    /// Its data (§3.2.2.3.18).
    pub authentication_data: Option<&'a [u8]>,
}

impl<'a> ConnAck<'a> {
    pub(super) fn decode(version: Version, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let session_present = session_present(version, reader.u8()?)?;
        let reason_code = reason_code(version, reader.u8()?)?;
        if session_present && reason_code != ReasonCode::Success {
            return Err(DecodeError::SessionPresentInRefusal);
        }
        let mut connack = ConnAck {
            session_present,
            reason_code,
            ..ConnAck::default()
        };
        if version == Version::V5 {
            connack.read_properties(reader.property_block()?)?;
        }
        reader.finish()?;
        Ok(connack)
    }

    fn read_properties(&mut self, block: &'a [u8]) -> Result<(), DecodeError> {
        for property in Checked::new(block, check::CONNACK) {
            match property? {
                Property::ReasonString(text) => self.diagnostics.reason_string = Some(text),
                other => self.properties.set(other),
            }
        }
        self.diagnostics.user_properties = UserProperties::Decoded(Properties::checked(block));
        Ok(())
    }

    /// Appends the packet. Session Present is written only with success `[MQTT-3.2.2-6]`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NoReturnCode`] before MQTT 5 for a reason that has no return code there; a field
    /// of more than 65,535 bytes; a packet of more than `max_packet_size` bytes also without the
    /// diagnostics.
    pub fn encode(
        &self,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let success = self.reason_code == ReasonCode::Success;
        let flags = u8::from(self.session_present && success && version != Version::V3);
        if version != Version::V5 {
            let code = self.reason_code.connect_return_code();
            let code = code.ok_or(EncodeError::NoReturnCode)?;
            return write::packet(out, PacketType::ConnAck, max_packet_size, |out| {
                out.extend_from_slice(&[flags, code]);
                Ok(())
            });
        }
        self.diagnostics.shrink_to_fit(|diagnostics| {
            write::packet(out, PacketType::ConnAck, max_packet_size, |out| {
                out.extend_from_slice(&[flags, self.reason_code.byte()]);
                write::property_block(out, |out| {
                    self.properties.encode(out)?;
                    diagnostics.encode(out)
                })
            })
        })
    }
}

/// `[MQTT-3.2.2-1]`; MQTT 3.1 does not use the byte.
fn session_present(version: Version, flags: u8) -> Result<bool, DecodeError> {
    match flags {
        _ if version == Version::V3 => Ok(false),
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::ConnectAcknowledgeFlags),
    }
}

fn reason_code(version: Version, code: u8) -> Result<ReasonCode, DecodeError> {
    let packet_type = PacketType::ConnAck;
    if version == Version::V5 {
        return ReasonCode::read(packet_type, code);
    }
    ReasonCode::from_connect_return_code(code)
        .ok_or(DecodeError::ReasonCodeNotAllowed { packet_type, code })
}

impl<'a> ConnAckProperties<'a> {
    fn set(&mut self, property: Property<'a>) {
        use Property::*;
        match property {
            SessionExpiryInterval(v) => self.session_expiry_interval = Some(v),
            ReceiveMaximum(v) => self.receive_maximum = Some(v),
            MaximumQos(v) => self.maximum_qos = Some(v),
            RetainAvailable(v) => self.retain_available = Some(v),
            MaximumPacketSize(v) => self.maximum_packet_size = Some(v),
            AssignedClientIdentifier(v) => self.assigned_client_identifier = Some(v),
            TopicAliasMaximum(v) => self.topic_alias_maximum = Some(v),
            WildcardSubscriptionAvailable(v) => self.wildcard_subscription_available = Some(v),
            SubscriptionIdentifierAvailable(v) => self.subscription_identifier_available = Some(v),
            SharedSubscriptionAvailable(v) => self.shared_subscription_available = Some(v),
            ServerKeepAlive(v) => self.server_keep_alive = Some(v),
            ResponseInformation(v) => self.response_information = Some(v),
            ServerReference(v) => self.server_reference = Some(v),
            AuthenticationMethod(v) => self.authentication_method = Some(v),
            AuthenticationData(v) => self.authentication_data = Some(v),
            // User properties stay in the block; nothing else is in the set of CONNACK.
            _ => {}
        }
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        use Property::*;
        let maximum_qos = self.maximum_qos.filter(|qos| *qos != QoS::ExactlyOnce);
        for property in [
            self.session_expiry_interval.map(SessionExpiryInterval),
            self.receive_maximum.map(ReceiveMaximum),
            maximum_qos.map(MaximumQos),
            self.retain_available.map(RetainAvailable),
            self.maximum_packet_size.map(MaximumPacketSize),
            self.assigned_client_identifier
                .map(AssignedClientIdentifier),
            self.topic_alias_maximum.map(TopicAliasMaximum),
            self.wildcard_subscription_available
                .map(WildcardSubscriptionAvailable),
            self.subscription_identifier_available
                .map(SubscriptionIdentifierAvailable),
            self.shared_subscription_available
                .map(SharedSubscriptionAvailable),
            self.server_keep_alive.map(ServerKeepAlive),
            self.response_information.map(ResponseInformation),
            self.server_reference.map(ServerReference),
            self.authentication_method.map(AuthenticationMethod),
            self.authentication_data.map(AuthenticationData),
        ] {
            optional(out, property)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
