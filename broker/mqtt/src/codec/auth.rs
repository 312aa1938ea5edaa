//! AUTH (§3.15), MQTT 5 only.

use super::property::check::{self, Checked};
use super::read::Reader;
use super::write::optional;
use super::{
    DecodeError, Diagnostics, EncodeError, Frame, PacketType, Properties, Property, ReasonCode,
    UserProperties, write,
};

/// A step of an extended authentication exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue authentication, or re-authenticate `[MQTT-3.15.2-1]`.
    pub reason_code: ReasonCode,
    /// The method; absent only in the packet without any content (§3.15.2.1).
    pub authentication_method: Option<&'a str>,
    /// Its data.
    pub authentication_data: Option<&'a [u8]>,
    /// Reason string and user properties.
    pub diagnostics: Diagnostics<'a>,
}

impl<'a> Auth<'a> {
    /// The whole content may be left out if it is success without properties (§3.15.2.1); in every
    /// other form the method must be there (§3.15.2.2.2).
    pub(super) fn decode(frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let mut auth = Auth::default();
        if reader.is_empty() {
            return Ok(auth);
        }
        auth.reason_code = ReasonCode::read(PacketType::Auth, reader.u8()?)?;
        auth.read_properties(reader.property_block()?)?;
        reader.finish()?;
        Ok(auth)
    }

    fn read_properties(&mut self, block: &'a [u8]) -> Result<(), DecodeError> {
        for property in Checked::new(block, check::AUTH) {
            match property? {
                Property::AuthenticationMethod(v) => self.authentication_method = Some(v),
                Property::AuthenticationData(v) => self.authentication_data = Some(v),
                Property::ReasonString(v) => self.diagnostics.reason_string = Some(v),
                _ => {}
            }
        }
        self.diagnostics.user_properties = UserProperties::Decoded(Properties::checked(block));
        match self.authentication_method {
            Some(_) => Ok(()),
            None => Err(DecodeError::AuthenticationMethodMissing),
        }
    }

    /// Appends the packet.
    ///
    /// # Errors
    ///
    /// A field of more than 65,535 bytes; a packet of more than `max_packet_size` bytes also without
    /// the diagnostics.
    pub fn encode(&self, max_packet_size: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.diagnostics.shrink_to_fit(|diagnostics| {
            write::packet(out, PacketType::Auth, max_packet_size, |out| {
                if self.reason_code == ReasonCode::Success && self.authentication_method.is_none() {
                    return Ok(());
                }
                out.push(self.reason_code.byte());
                write::property_block(out, |out| self.encode_properties(diagnostics, out))
            })
        })
    }

    fn encode_properties(
        &self,
        diagnostics: &Diagnostics<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let method = self.authentication_method;
        optional(out, method.map(Property::AuthenticationMethod))?;
        optional(
            out,
            self.authentication_data.map(Property::AuthenticationData),
        )?;
        diagnostics.encode(out)
    }
}

#[cfg(test)]
mod tests;
