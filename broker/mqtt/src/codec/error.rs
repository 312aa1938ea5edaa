//! What can be wrong with a packet: one variant per rule that a peer can break, so that a test
//! asserts the rule and a log names it.

use super::{PacketType, ReasonCode};

/// The rule that the peer broke. The connection is to be closed, after a DISCONNECT (or CONNACK) with
/// [`DecodeError::reason_code`] where the version has one `[MQTT-4.13.1-1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The packet type is 0, or 15 (AUTH) before MQTT 5 (§2.1.2).
    #[error("packet type {0} is reserved")]
    ReservedPacketType(u8),
    /// The low four bits of the first byte have a value that the packet type does not allow
    /// `[MQTT-2.1.3-1]`, `[MQTT-3.6.1-1]`, `[MQTT-3.8.1-1]`, `[MQTT-3.10.1-1]`, `[MQTT-3.14.1-1]`,
    /// `[MQTT-3.15.1-1]`.
    #[error("fixed header flags {flags:#06b} are not allowed in {packet_type:?}")]
    FixedHeaderFlags {
        /// The packet's type.
        packet_type: PacketType,
        /// The four bits.
        flags: u8,
    },
    /// A variable byte integer, such as the remaining length, goes on after its fourth byte (§1.5.5).
    #[error("a variable byte integer has more than four bytes")]
    VariableByteIntegerTooLong,
    /// A variable byte integer has more bytes than its value needs `[MQTT-1.5.5-1]`.
    #[error("a variable byte integer has more bytes than its value needs")]
    VariableByteIntegerNotMinimal,
    /// The packet is larger than the Maximum Packet Size that its receiver announced
    /// `[MQTT-3.2.2-15]`. Known from the fixed header, before the rest has arrived.
    #[error("a packet of {size} bytes, at most {limit} are accepted")]
    PacketTooLarge {
        /// Size of the whole packet, in bytes.
        size: u32,
        /// The limit, in bytes.
        limit: u32,
    },
    /// A field runs past the end of the packet or of its property block.
    #[error("the packet ends inside a field")]
    Truncated,
    /// Bytes are left after the last field of the packet.
    #[error("bytes are left behind the last field")]
    TrailingBytes,
    /// A string is not well-formed UTF-8 `[MQTT-1.5.4-1]`; this includes surrogates.
    #[error("a string is not well-formed UTF-8")]
    StringNotUtf8,
    /// A string contains U+0000 `[MQTT-1.5.4-2]`.
    #[error("a string contains U+0000")]
    StringHasNull,
    /// A packet identifier is zero `[MQTT-2.2.1-3]`.
    #[error("the packet identifier is zero")]
    PacketIdZero,

    /// CONNECT's protocol name is neither `MQTT` nor `MQIsdp` `[MQTT-3.1.2-1]`.
    #[error("unknown protocol name")]
    UnknownProtocolName,
    /// CONNECT's protocol level is none of those spoken here, or does not go with its protocol name
    /// `[MQTT-3.1.2-2]`.
    #[error("protocol level {0} is not supported")]
    UnsupportedProtocolVersion(u8),
    /// Bit 0 of the connect flags is set `[MQTT-3.1.2-3]`.
    #[error("the reserved connect flag is set")]
    ConnectFlagReserved,
    /// Will QoS is not 0 without a Will `[MQTT-3.1.2-11]`.
    #[error("Will QoS is set without a Will")]
    WillQosWithoutWill,
    /// Will QoS is 3 `[MQTT-3.1.2-12]`.
    #[error("Will QoS is 3")]
    WillQos3,
    /// Will Retain is set without a Will `[MQTT-3.1.2-13]`.
    #[error("Will Retain is set without a Will")]
    WillRetainWithoutWill,
    /// A password without a user name, before MQTT 5 (3.1.1 `[MQTT-3.1.2-22]`).
    #[error("a password without a user name")]
    PasswordWithoutUserName,
    /// Authentication Data without an Authentication Method (§3.1.2.11.10).
    #[error("authentication data without an authentication method")]
    AuthenticationDataWithoutMethod,

    /// Bits 7 to 1 of CONNACK's flags are not zero `[MQTT-3.2.2-1]`.
    #[error("reserved connect acknowledge flags are set")]
    ConnectAcknowledgeFlags,
    /// Session Present is set in a CONNACK that refuses `[MQTT-3.2.2-6]`.
    #[error("session present in a refusing CONNACK")]
    SessionPresentInRefusal,

    /// Both QoS bits of a PUBLISH are set `[MQTT-3.3.1-4]`.
    #[error("PUBLISH with QoS 3")]
    PublishQos3,
    /// DUP is set in a PUBLISH of QoS 0 `[MQTT-3.3.1-2]`.
    #[error("PUBLISH with QoS 0 and DUP")]
    DupOfQos0,
    /// The topic name is empty `[MQTT-4.7.3-1]` and no topic alias stands for it (§3.3.2.1).
    #[error("PUBLISH with neither a topic name nor a topic alias")]
    TopicNameEmpty,
    /// The topic alias is zero `[MQTT-3.3.2-8]`.
    #[error("the topic alias is zero")]
    TopicAliasZero,
    /// The Response Topic contains a wildcard character `[MQTT-3.3.2-14]`.
    #[error("the response topic contains a wildcard")]
    ResponseTopicHasWildcard,

    /// No property has this identifier (§2.2.2.2).
    #[error("unknown property {0:#04x}")]
    PropertyUnknown(u8),
    /// The property does not belong into this packet (§2.2.2.2).
    #[error("property {0:#04x} is not allowed in this packet")]
    PropertyNotAllowed(u8),
    /// The property is there twice, and only User Property (and Subscription Identifier in PUBLISH) may
    /// be (§3.1.2.11 and its like).
    #[error("property {0:#04x} is included more than once")]
    PropertyDuplicate(u8),
    /// A property whose value is 0 or 1 has another value, also Maximum QoS (§3.2.2.3.4).
    #[error("property {0:#04x} is neither 0 nor 1")]
    PropertyNotZeroOrOne(u8),
    /// Receive Maximum is zero (§3.1.2.11.3).
    #[error("receive maximum is zero")]
    ReceiveMaximumZero,
    /// Maximum Packet Size is zero (§3.1.2.11.4).
    #[error("maximum packet size is zero")]
    MaximumPacketSizeZero,
    /// A subscription identifier is zero (§3.3.2.3.8, §3.8.2.1.2).
    #[error("the subscription identifier is zero")]
    SubscriptionIdentifierZero,

    /// The reason code is not one of the packet's `[MQTT-3.2.2-8]`, `[MQTT-3.4.2-1]`,
    /// `[MQTT-3.5.2-1]`, `[MQTT-3.6.2-1]`, `[MQTT-3.7.2-1]`, `[MQTT-3.9.3-2]`, `[MQTT-3.11.3-2]`,
    /// `[MQTT-3.14.2-1]`, `[MQTT-3.15.2-1]`.
    #[error("reason code {code:#04x} is not allowed in {packet_type:?}")]
    ReasonCodeNotAllowed {
        /// The packet's type.
        packet_type: PacketType,
        /// The code on the wire.
        code: u8,
    },

    /// SUBSCRIBE or UNSUBSCRIBE without a topic filter `[MQTT-3.8.3-2]`, `[MQTT-3.10.3-2]`.
    #[error("no topic filter")]
    NoTopicFilter,
    /// Reserved bits of the subscription options are set `[MQTT-3.8.3-5]`.
    #[error("reserved subscription options are set")]
    SubscriptionOptionsReserved,
    /// A subscription asks for QoS 3 (§3.8.3.1; 3.1.1 `[MQTT-3.8.3-4]`).
    #[error("subscription with QoS 3")]
    SubscriptionQos3,
    /// Retain Handling is 3 (§3.8.3.1).
    #[error("subscription with retain handling 3")]
    RetainHandling3,
    /// No Local on a shared subscription `[MQTT-3.8.3-4]`.
    #[error("no local on a shared subscription")]
    NoLocalOnSharedSubscription,
    /// SUBACK, or UNSUBACK of MQTT 5, without a reason code `[MQTT-3.8.4-6]`.
    #[error("an acknowledgement without reason codes")]
    NoReasonCode,
    /// AUTH without an Authentication Method (§3.15.2.2.2).
    #[error("AUTH without an authentication method")]
    AuthenticationMethodMissing,
}

impl DecodeError {
    /// The reason code to close the connection with (§4.13).
    pub const fn reason_code(&self) -> ReasonCode {
        use DecodeError::*;
        match self {
            PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            UnknownProtocolName | UnsupportedProtocolVersion(_) => {
                ReasonCode::UnsupportedProtocolVersion
            }
            TopicAliasZero => ReasonCode::TopicAliasInvalid,
            PacketIdZero
            | AuthenticationDataWithoutMethod
            | SessionPresentInRefusal
            | TopicNameEmpty
            | ResponseTopicHasWildcard
            | PropertyDuplicate(_)
            | PropertyNotZeroOrOne(_)
            | ReceiveMaximumZero
            | MaximumPacketSizeZero
            | SubscriptionIdentifierZero
            | ReasonCodeNotAllowed { .. }
            | NoTopicFilter
            | SubscriptionQos3
            | RetainHandling3
            | NoLocalOnSharedSubscription
            | NoReasonCode
            | AuthenticationMethodMissing => ReasonCode::ProtocolError,
            _ => ReasonCode::MalformedPacket,
        }
    }
}

/// Why a packet cannot be written. The buffer is then as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The packet would exceed the receiver's Maximum Packet Size, `[MQTT-3.1.2-24]` and
    /// `[MQTT-3.2.2-15]`, or what the format can express at all
    /// ([`PACKET_SIZE_MAX`](super::PACKET_SIZE_MAX)).
    #[error("the packet is too large for its receiver")]
    PacketTooLarge,
    /// A string or binary field has more than 65,535 bytes (§1.5.4, §1.5.6).
    #[error("a field has more than 65,535 bytes")]
    FieldTooLong,
    /// A PUBLISH with QoS 1 or 2 needs a packet identifier `[MQTT-2.2.1-4]`.
    #[error("QoS 1 and 2 need a packet identifier")]
    PacketIdMissing,
    /// The version has no code for this outcome; CONNACK must then not be sent at all (3.1.1
    /// `[MQTT-3.2.2-6]`), the connection is just closed.
    #[error("the version has no return code for this reason")]
    NoReturnCode,
    /// SUBSCRIBE, UNSUBSCRIBE, SUBACK and UNSUBACK need at least one entry `[MQTT-3.8.3-2]`.
    #[error("the packet needs at least one entry")]
    NoEntry,
}
