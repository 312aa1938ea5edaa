//! The Will of a CONNECT (§3.1.2.5, §3.1.3.2 to §3.1.3.4).

use super::flag;
use crate::codec::publish::PublishProperties;
use crate::codec::read::Reader;
use crate::codec::{DecodeError, EncodeError, QoS, Version, write};

/// The message to publish when the connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Its QoS `[MQTT-3.1.2-12]`.
    pub qos: QoS,
    /// Whether it is to be retained `[MQTT-3.1.2-15]`.
    pub retain: bool,
    /// Its topic; the rules of topic names are not checked here.
    /// [MQTT-3.1.3-11]
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// What MQTT 5 added; empty before it.
    pub properties: WillProperties<'a>,
}

/// The properties of a Will (§3.1.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WillProperties<'a> {
    message: PublishProperties<'a>,
    will_delay_interval: Option<u32>,
}

impl<'a> WillProperties<'a> {
    /// Checks a property block of a Will that is without its length.
    ///
    /// # Errors
    ///
    /// The rule that the block breaks.
    pub fn parse(block: &'a [u8]) -> Result<Self, DecodeError> {
        let (message, will_delay_interval) = PublishProperties::parse_will(block)?;
        Ok(WillProperties {
            message,
            will_delay_interval,
        })
    }

    /// The properties of the message; it has neither a topic alias nor subscription identifiers.
    pub fn message(&self) -> &PublishProperties<'a> {
        &self.message
    }

    /// Seconds between the loss of the connection and the Will; absent means 0 (§3.1.3.2.2).
    pub fn will_delay_interval(&self) -> Option<u32> {
        self.will_delay_interval
    }
}

impl<'a> Will<'a> {
    pub(super) fn read(
        version: Version,
        flags: u8,
        reader: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let qos = QoS::from_number((flags & flag::WILL_QOS) >> 3).ok_or(DecodeError::WillQos3)?;
        let properties = match version {
            Version::V5 => WillProperties::parse(reader.property_block()?)?,
            _ => WillProperties::default(),
        };
        Ok(Will {
            qos,
            retain: flags & flag::WILL_RETAIN != 0,
            topic: reader.string()?,
            payload: reader.binary()?,
            properties,
        })
    }

    pub(super) fn flags(&self) -> u8 {
        let retain = if self.retain { flag::WILL_RETAIN } else { 0 };
        flag::WILL | self.qos.number() << 3 | retain
    }

    pub(super) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if version == Version::V5 {
            let block = self.properties.message.properties().as_bytes();
            write::variable_byte_integer(out, block.len());
            out.extend_from_slice(block);
        }
        write::string(out, self.topic)?;
        write::binary(out, self.payload)
    }
}
