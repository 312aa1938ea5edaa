//! CONNECT (§3.1), in the three versions.

mod properties;
mod will;

pub use properties::ConnectProperties;
pub use will::{Will, WillProperties};

use super::packet::check_fixed_header;
use super::read::Reader;
use super::{DecodeError, EncodeError, Frame, PacketType, Version, write};

/// The bits of the connect flags (§3.1.2.3).
mod flag {
    pub const RESERVED: u8 = 1;
    pub const CLEAN_START: u8 = 1 << 1;
    pub const WILL: u8 = 1 << 2;
    pub const WILL_QOS: u8 = 0b11 << 3;
    pub const WILL_RETAIN: u8 = 1 << 5;
    pub const PASSWORD: u8 = 1 << 6;
    pub const USER_NAME: u8 = 1 << 7;
}

/// A connection request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that the connection is to speak.
    pub version: Version,
    /// Clean Start; before MQTT 5, Clean Session (§3.1.2.4).
    pub clean_start: bool,
    /// Longest silence that the client allows itself, in seconds; 0 turns it off (§3.1.2.10).
    pub keep_alive: u16,
    /// May be empty (§3.1.3.1); whether that is accepted is the session's decision.
    pub client_id: &'a str,
    /// What to publish when the connection is lost (§3.1.2.5).
    pub will: Option<Will<'a>>,
    /// User name (§3.1.3.5).
    pub user_name: Option<&'a str>,
    /// Password (§3.1.3.6).
    pub password: Option<&'a [u8]>,
    /// What MQTT 5 added; the defaults before it.
    pub properties: ConnectProperties<'a>,
}

impl<'a> Connect<'a> {
    /// The version that a CONNECT asks for, read from its first fields only: what to answer in when
    /// the rest of it is malformed.
    ///
    /// # Errors
    ///
    /// A protocol name or level that is not spoken here.
    pub fn version_of(frame: &Frame<'_>) -> Result<Version, DecodeError> {
        version(&mut Reader::new(frame.body))
    }

    /// Reads a CONNECT.
    ///
    /// MQTT 3.1 leaves the reserved flag and the Will bits of a CONNECT without Will undefined, so
    /// they are not looked at there.
    /// [MQTT-3.1.2-9], [MQTT-3.1.3-1], [MQTT-3.1.3-3], [MQTT-3.1.3-4], [MQTT-3.1.3-12],
    /// [MQTT-3.1.4-1]
    pub(super) fn decode(frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame.body);
        let version = version(&mut reader)?;
        check_fixed_header(version, PacketType::Connect, frame)?;
        let flags = reader.u8()?;
        check_flags(version, flags)?;
        let keep_alive = reader.u16()?;
        let properties = match version {
            Version::V5 => ConnectProperties::read(&mut reader)?,
            _ => ConnectProperties::default(),
        };
        let client_id = reader.string()?;
        let will = match flags & flag::WILL {
            0 => None,
            _ => Some(Will::read(version, flags, &mut reader)?),
        };
        let user_name = login(
            version,
            flags & flag::USER_NAME,
            &mut reader,
            Reader::string,
        )?;
        let password = login(version, flags & flag::PASSWORD, &mut reader, Reader::binary)?;
        reader.finish()?;
        Ok(Connect {
            version,
            clean_start: flags & flag::CLEAN_START != 0,
            keep_alive,
            client_id,
            will,
            user_name,
            password,
            properties,
        })
    }

    /// Appends the packet.
    ///
    /// # Errors
    ///
    /// A field of more than 65,535 bytes; a packet of more than `max_packet_size` bytes.
    pub fn encode(&self, max_packet_size: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write::packet(out, PacketType::Connect, max_packet_size, |out| {
            write::string(out, self.version.protocol_name())?;
            out.extend_from_slice(&[self.version.level(), self.flags()]);
            out.extend_from_slice(&self.keep_alive.to_be_bytes());
            if self.version == Version::V5 {
                write::property_block(out, |out| self.properties.encode(out))?;
            }
            write::string(out, self.client_id)?;
            if let Some(will) = &self.will {
                will.encode(self.version, out)?;
            }
            if let Some(user_name) = self.user_name {
                write::string(out, user_name)?;
            }
            self.password
                .map_or(Ok(()), |password| write::binary(out, password))
        })
    }

    fn flags(&self) -> u8 {
        let mut flags = self.will.map_or(0, |will| will.flags());
        for (is_set, bit) in [
            (self.clean_start, flag::CLEAN_START),
            (self.user_name.is_some(), flag::USER_NAME),
            (self.password.is_some(), flag::PASSWORD),
        ] {
            flags |= if is_set { bit } else { 0 };
        }
        flags
    }
}

/// Protocol name and level `[MQTT-3.1.2-1]`, `[MQTT-3.1.2-2]`.
fn version(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let name = reader.binary()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(DecodeError::UnknownProtocolName);
    }
    let level = reader.u8()?;
    [Version::V3, Version::V4, Version::V5]
        .into_iter()
        .find(|version| version.level() == level && version.protocol_name().as_bytes() == name)
        .ok_or(DecodeError::UnsupportedProtocolVersion(level))
}

/// [MQTT-3.1.2-3], [MQTT-3.1.2-11], [MQTT-3.1.2-13], 3.1.1 [MQTT-3.1.2-22]
fn check_flags(version: Version, flags: u8) -> Result<(), DecodeError> {
    if version != Version::V5 && flags & (flag::USER_NAME | flag::PASSWORD) == flag::PASSWORD {
        return Err(DecodeError::PasswordWithoutUserName);
    }
    if version == Version::V3 {
        return Ok(());
    }
    if flags & flag::RESERVED != 0 {
        return Err(DecodeError::ConnectFlagReserved);
    }
    if flags & flag::WILL != 0 {
        return Ok(());
    }
    if flags & flag::WILL_QOS != 0 {
        return Err(DecodeError::WillQosWithoutWill);
    }
    if flags & flag::WILL_RETAIN != 0 {
        return Err(DecodeError::WillRetainWithoutWill);
    }
    Ok(())
}

/// User name or password, present if its flag is set (`[MQTT-3.1.2-16]`,
/// `[MQTT-3.1.2-17]`, `[MQTT-3.1.2-18]`, `[MQTT-3.1.2-19]`).
///
/// MQTT 3.1 (§3.1 there) wants both to be missing in silence when the packet ends before them, for the
/// sake of clients of its predecessor.
fn login<'a, T>(
    version: Version,
    is_set: u8,
    reader: &mut Reader<'a>,
    read: fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if is_set == 0 || version == Version::V3 && reader.is_empty() {
        return Ok(None);
    }
    read(reader).map(Some)
}

#[cfg(test)]
mod tests;
