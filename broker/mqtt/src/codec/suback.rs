//! SUBACK (§3.9).

use super::read::Reader;
use super::{
    DecodeError, Diagnostics, EncodeError, Frame, PacketId, PacketType, ReasonCode, Version, write,
};

/// The answer to SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// That of the SUBSCRIBE `[MQTT-3.8.4-2]`, `[MQTT-2.2.1-6]`.
    pub packet_id: PacketId,
    /// Reason string and user properties, MQTT 5 only.
    pub diagnostics: Diagnostics<'a>,
    /// One for each topic filter, in their order `[MQTT-3.9.3-1]`.
    pub reason_codes: ReasonCodes<'a>,
}

/// The return code of MQTT 3.1.1 for every failure (§3.9.3 there).
const FAILURE: u8 = 0x80;

impl<'a> SubAck<'a> {
    pub(super) fn decode(version: Version, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let packet_id = reader.packet_id()?;
        let mut diagnostics = Diagnostics::default();
        if version == Version::V5 {
            diagnostics = Diagnostics::read(&mut reader)?;
        } else if let Some(&code) = reader
            .rest()
            .iter()
            .find(|&&code| !is_return_code(version, code))
        {
            let packet_type = PacketType::SubAck;
            return Err(DecodeError::ReasonCodeNotAllowed { packet_type, code });
        }
        Ok(SubAck {
            packet_id,
            diagnostics,
            reason_codes: ReasonCodes::decode(PacketType::SubAck, reader.rest())?,
        })
    }

    /// Appends the packet; before MQTT 5 without diagnostics. 3.1.1 has 0x80 for every failure; MQTT 3.1
    /// has no word for one and wants a positive answer all the same (SUBSCRIBE, §3.8 there), so the
    /// client is told QoS 0.
    ///
    /// # Errors
    ///
    /// No reason code; a field of more than 65,535 bytes; a packet of more than `max_packet_size` bytes
    /// also without the diagnostics.
    pub fn encode(
        &self,
        version: Version,
        max_packet_size: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.reason_codes.is_empty() {
            return Err(EncodeError::NoEntry);
        }
        self.diagnostics.shrink_to_fit(|diagnostics| {
            write::packet(out, PacketType::SubAck, max_packet_size, |out| {
                out.extend_from_slice(&self.packet_id.get().to_be_bytes());
                if version == Version::V5 {
                    write::property_block(out, |out| diagnostics.encode(out))?;
                }
                out.extend(
                    self.reason_codes
                        .iter()
                        .map(|code| wire_code(version, code)),
                );
                Ok(())
            })
        })
    }
}

fn is_return_code(version: Version, code: u8) -> bool {
    code <= 2 || code == FAILURE && version == Version::V4
}

fn wire_code(version: Version, code: ReasonCode) -> u8 {
    match version {
        Version::V3 if code.is_failure() => ReasonCode::Success.byte(),
        Version::V4 if code.is_failure() => FAILURE,
        _ => code.byte(),
    }
}

/// The reason codes of SUBACK or UNSUBACK: those of a decoded packet, checked when it was decoded, or the
/// caller's to be encoded. One cannot tell QoS 0 granted from success; it is the same number.
#[derive(Clone, Copy, Debug)]
pub struct ReasonCodes<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Decoded(&'a [u8]),
    List(&'a [ReasonCode]),
}

impl<'a> ReasonCodes<'a> {
    /// Reason codes to encode.
    pub const fn new(list: &'a [ReasonCode]) -> Self {
        ReasonCodes(Source::List(list))
    }

    pub(super) fn decode(packet_type: PacketType, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        for &byte in bytes {
            ReasonCode::read(packet_type, byte)?;
        }
        if bytes.is_empty() {
            return Err(DecodeError::NoReasonCode);
        }
        Ok(ReasonCodes(Source::Decoded(bytes)))
    }

    /// The codes in the order of the topic filters.
    pub fn iter(&self) -> ReasonCodesIter<'a> {
        ReasonCodesIter(self.0)
    }

    /// Number of codes.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Decoded(bytes) => bytes.len(),
            Source::List(list) => list.len(),
        }
    }

    /// Whether there is no code, as in UNSUBACK before MQTT 5.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for ReasonCodes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for ReasonCodes<'_> {}

impl<'a> IntoIterator for &ReasonCodes<'a> {
    type Item = ReasonCode;
    type IntoIter = ReasonCodesIter<'a>;

    fn into_iter(self) -> ReasonCodesIter<'a> {
        self.iter()
    }
}

/// Iterates over reason codes.
#[derive(Clone, Debug)]
pub struct ReasonCodesIter<'a>(Source<'a>);

impl Iterator for ReasonCodesIter<'_> {
    type Item = ReasonCode;

    fn next(&mut self) -> Option<ReasonCode> {
        match &mut self.0 {
            Source::Decoded(bytes) => {
                let (&first, rest) = bytes.split_first()?;
                *bytes = rest;
                ReasonCode::from_byte(first)
            }
            Source::List(list) => {
                let (&first, rest) = list.split_first()?;
                *list = rest;
                Some(first)
            }
        }
    }
}

#[cfg(test)]
mod tests;
