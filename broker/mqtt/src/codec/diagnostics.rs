//! What a packet says to a human: Reason String and User Properties (§3.2.2.3.9 and its like).

use super::{EncodeError, Property, UserProperties, write};

/// Reason String and User Properties of an acknowledgement, of DISCONNECT or AUTH.
///
/// An encoder leaves them out, the User Properties first, when they would make the packet exceed the
/// receiver's Maximum Packet Size: `[MQTT-3.2.2-19]`, `[MQTT-3.2.2-20]`, `[MQTT-3.4.2-2]`,
/// `[MQTT-3.4.2-3]`, `[MQTT-3.5.2-2]`, `[MQTT-3.5.2-3]`, `[MQTT-3.6.2-2]`, `[MQTT-3.6.2-3]`,
/// `[MQTT-3.7.2-2]`, `[MQTT-3.7.2-3]`, `[MQTT-3.9.2-1]`, `[MQTT-3.9.2-2]`, `[MQTT-3.11.2-1]`,
/// `[MQTT-3.11.2-2]`, `[MQTT-3.14.2-3]`, `[MQTT-3.14.2-4]`, `[MQTT-3.15.2-2]`, `[MQTT-3.15.2-3]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics<'a> {
    /// Text for logs and people, not for programs.
    pub reason_string: Option<&'a str>,
    /// What the user properties mean is the peers' affair.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Diagnostics<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.reason_string.is_none() && self.user_properties.is_empty()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write::optional(out, self.reason_string.map(Property::ReasonString))?;
        self.user_properties.encode(out)
    }

    /// Tries `encode` with less and less of the diagnostics until the packet is small enough.
    pub(super) fn shrink_to_fit(
        self,
        mut encode: impl FnMut(&Diagnostics<'a>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let without_user_properties = Diagnostics {
            user_properties: UserProperties::default(),
            ..self
        };
        let mut result = encode(&self);
        for less in [without_user_properties, Diagnostics::default()] {
            if result != Err(EncodeError::PacketTooLarge) {
                break;
            }
            result = encode(&less);
        }
        result
    }
}
