//! Subscription options (§3.8.3.1).

use crate::codec::{DecodeError, QoS, Version};

/// How a subscriber wants its messages. The default is what MQTT 3.1.1 can say with QoS 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// Highest QoS to deliver with.
    pub qos: QoS,
    /// Whether the client's own messages are left out `[MQTT-3.8.3-3]`.
    pub no_local: bool,
    /// Whether RETAIN is forwarded as it was published `[MQTT-3.3.1-13]`.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When the retained messages that match a subscription are sent (§3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// With each SUBSCRIBE `[MQTT-3.3.1-9]`.
    #[default]
    SendAtSubscribe = 0,
    /// If the subscription is new `[MQTT-3.3.1-10]`.
    SendIfNew = 1,
    /// Never `[MQTT-3.3.1-11]`.
    DoNotSend = 2,
}

mod bit {
    pub const QOS: u8 = 0b11;
    pub const NO_LOCAL: u8 = 1 << 2;
    pub const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
    pub const RETAIN_HANDLING: u8 = 0b11 << 4;
    pub const RESERVED: u8 = 0b11 << 6;
}

impl SubscriptionOptions {
    /// Reads the byte behind a topic filter. Before MQTT 5 it holds a QoS; MQTT 3.1 does not use the
    /// other bits.
    ///
    /// # Errors
    ///
    /// Reserved bits `[MQTT-3.8.3-5]`, QoS 3, retain handling 3.
    pub fn from_byte(version: Version, byte: u8) -> Result<Self, DecodeError> {
        let reserved = match version {
            Version::V3 => 0,
            Version::V4 => !bit::QOS,
            Version::V5 => bit::RESERVED,
        };
        if byte & reserved != 0 {
            return Err(DecodeError::SubscriptionOptionsReserved);
        }
        let qos = QoS::from_number(byte & bit::QOS).ok_or(DecodeError::SubscriptionQos3)?;
        if version != Version::V5 {
            return Ok(SubscriptionOptions {
                qos,
                ..SubscriptionOptions::default()
            });
        }
        Ok(SubscriptionOptions {
            qos,
            no_local: byte & bit::NO_LOCAL != 0,
            retain_as_published: byte & bit::RETAIN_AS_PUBLISHED != 0,
            retain_handling: retain_handling((byte & bit::RETAIN_HANDLING) >> 4)?,
        })
    }

    /// The byte of MQTT 5; its two low bits are that of the other versions.
    pub const fn byte(self) -> u8 {
        let mut byte = self.qos.number() | (self.retain_handling as u8) << 4;
        if self.no_local {
            byte |= bit::NO_LOCAL;
        }
        if self.retain_as_published {
            byte |= bit::RETAIN_AS_PUBLISHED;
        }
        byte
    }
}

fn retain_handling(number: u8) -> Result<RetainHandling, DecodeError> {
    match number {
        0 => Ok(RetainHandling::SendAtSubscribe),
        1 => Ok(RetainHandling::SendIfNew),
        2 => Ok(RetainHandling::DoNotSend),
        _ => Err(DecodeError::RetainHandling3),
    }
}
