//! DISCONNECT (§3.14).

use super::property::check::{self, Checked};
use super::read::Reader;
use super::write::optional;
use super::{
    DecodeError, Diagnostics, EncodeError, Frame, PacketType, Properties, Property, ReasonCode,
    UserProperties, Version, write,
};

/// The last packet of a connection. Before MQTT 5 only a client sends it, and it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; "normal disconnection" is [`ReasonCode::Success`].
    pub reason_code: ReasonCode,
    /// A client's new Session Expiry Interval in seconds; a server must not send it
    /// `[MQTT-3.14.2-2]`.
    pub session_expiry_interval: Option<u32>,
    /// Another server for the client to use (§3.14.2.2.5).
    pub server_reference: Option<&'a str>,
    /// Reason string and user properties.
    pub diagnostics: Diagnostics<'a>,
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT with nothing but a reason code.
    pub fn new(reason_code: ReasonCode) -> Self {
        Disconnect {
            reason_code,
            ..Disconnect::default()
        }
    }

    /// MQTT 5 leaves out the property length if there are no properties, and the reason code too if
    /// it is 0x00 (§3.14.2.1, §3.14.2.2.1).
    pub(super) fn decode(version: Version, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let mut disconnect = Disconnect::default();
        if version == Version::V5 && !reader.is_empty() {
            disconnect.reason_code = ReasonCode::read(PacketType::Disconnect, reader.u8()?)?;
            if !reader.is_empty() {
                disconnect.read_properties(reader.property_block()?)?;
            }
        }
        reader.finish()?;
        Ok(disconnect)
    }

    fn read_properties(&mut self, block: &'a [u8]) -> Result<(), DecodeError> {
        for property in Checked::new(block, check::DISCONNECT) {
            match property? {
                Property::SessionExpiryInterval(v) => self.session_expiry_interval = Some(v),
                Property::ServerReference(v) => self.server_reference = Some(v),
                Property::ReasonString(v) => self.diagnostics.reason_string = Some(v),
                _ => {}
            }
        }
        self.diagnostics.user_properties = UserProperties::Decoded(Properties::checked(block));
        Ok(())
    }

    /// Appends the packet; before MQTT 5, its two bytes whatever the reason.
    ///
    /// # Errors
    ///
    /// A field of more than 65,535 bytes; a packet of more than `max_packet_size` bytes also without
    /// the diagnostics.
    pub fn encode(
        &self,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.diagnostics.shrink_to_fit(|diagnostics| {
            write::packet(out, PacketType::Disconnect, max_packet_size, |out| {
                let has_properties = self.has_own_properties() || !diagnostics.is_empty();
                let says_nothing = self.reason_code == ReasonCode::Success && !has_properties;
                if version != Version::V5 || says_nothing {
                    return Ok(());
                }
                // The property length could be left out too, but rumqttc 0.25 needs it.
                out.push(self.reason_code.byte());
                write::property_block(out, |out| self.encode_properties(diagnostics, out))
            })
        })
    }

    fn has_own_properties(&self) -> bool {
        self.session_expiry_interval.is_some() || self.server_reference.is_some()
    }

    fn encode_properties(
        &self,
        diagnostics: &Diagnostics<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let expiry = self.session_expiry_interval;
        optional(out, expiry.map(Property::SessionExpiryInterval))?;
        optional(out, self.server_reference.map(Property::ServerReference))?;
        diagnostics.encode(out)
    }
}

#[cfg(test)]
mod tests;
