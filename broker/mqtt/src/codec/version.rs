//! The protocol version of a connection (§3.1.2.2).

/// The version that a connection speaks; CONNECT fixes it for the connection's whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1, protocol level 3, protocol name `MQIsdp`.
    V3,
    /// MQTT 3.1.1, protocol level 4, protocol name `MQTT`.
    V4,
    /// MQTT 5.0, protocol level 5, protocol name `MQTT`.
    V5,
}

impl Version {
    /// The protocol level (MQTT 5 says "protocol version") as CONNECT carries it.
    pub const fn level(self) -> u8 {
        match self {
            Version::V3 => 3,
            Version::V4 => 4,
            Version::V5 => 5,
        }
    }

    /// The protocol name as CONNECT carries it `[MQTT-3.1.2-1]`.
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Version::V3 => "MQIsdp",
            Version::V4 | Version::V5 => "MQTT",
        }
    }
}
