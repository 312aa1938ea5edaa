//! Reason codes (§2.4), which packet may carry which, and their shadows in MQTT 3.1.1.

use super::{DecodeError, PacketType};

/// The outcome of an operation, with its number on the wire (§2.4). Below 0x80 it succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the table in §2.4")]
pub enum ReasonCode {
    /// Also "normal disconnection" in DISCONNECT and "granted QoS 0" in SUBACK.
    #[default]
    Success = 0x00,
    GrantedQos1 = 0x01,
    GrantedQos2 = 0x02,
    DisconnectWithWillMessage = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    ContinueAuthentication = 0x18,
    ReAuthenticate = 0x19,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerBusy = 0x89,
    Banned = 0x8a,
    ServerShuttingDown = 0x8b,
    BadAuthenticationMethod = 0x8c,
    KeepAliveTimeout = 0x8d,
    SessionTakenOver = 0x8e,
    TopicFilterInvalid = 0x8f,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    MessageRateTooHigh = 0x96,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9a,
    QosNotSupported = 0x9b,
    UseAnotherServer = 0x9c,
    ServerMoved = 0x9d,
    SharedSubscriptionsNotSupported = 0x9e,
    ConnectionRateExceeded = 0x9f,
    MaximumConnectTime = 0xa0,
    SubscriptionIdentifiersNotSupported = 0xa1,
    WildcardSubscriptionsNotSupported = 0xa2,
}

use ReasonCode::*;

const LOW: [ReasonCode; 8] = [
    Success,
    GrantedQos1,
    GrantedQos2,
    DisconnectWithWillMessage,
    NoMatchingSubscribers,
    NoSubscriptionExisted,
    ContinueAuthentication,
    ReAuthenticate,
];

/// 0x80 and up, without a gap.
const FAILURES: [ReasonCode; 35] = [
    UnspecifiedError,
    MalformedPacket,
    ProtocolError,
    ImplementationSpecificError,
    UnsupportedProtocolVersion,
    ClientIdentifierNotValid,
    BadUserNameOrPassword,
    NotAuthorized,
    ServerUnavailable,
    ServerBusy,
    Banned,
    ServerShuttingDown,
    BadAuthenticationMethod,
    KeepAliveTimeout,
    SessionTakenOver,
    TopicFilterInvalid,
    TopicNameInvalid,
    PacketIdentifierInUse,
    PacketIdentifierNotFound,
    ReceiveMaximumExceeded,
    TopicAliasInvalid,
    PacketTooLarge,
    MessageRateTooHigh,
    QuotaExceeded,
    AdministrativeAction,
    PayloadFormatInvalid,
    RetainNotSupported,
    QosNotSupported,
    UseAnotherServer,
    ServerMoved,
    SharedSubscriptionsNotSupported,
    ConnectionRateExceeded,
    MaximumConnectTime,
    SubscriptionIdentifiersNotSupported,
    WildcardSubscriptionsNotSupported,
];

impl ReasonCode {
    /// The reason code of a byte; `None` if the standard assigns none to it.
    pub fn from_byte(byte: u8) -> Option<ReasonCode> {
        match byte.checked_sub(0x80) {
            Some(index) => FAILURES.get(usize::from(index)).copied(),
            None => LOW.into_iter().find(|code| code.byte() == byte),
        }
    }

    /// The number on the wire.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// 0x80 and above: the operation failed.
    pub const fn is_failure(self) -> bool {
        self.byte() >= 0x80
    }

    /// Reads the reason code of a packet, which must be one of the packet's.
    pub(super) fn read(packet_type: PacketType, byte: u8) -> Result<ReasonCode, DecodeError> {
        ReasonCode::from_byte(byte)
            .filter(|code| code.is_allowed_in(packet_type))
            .ok_or(DecodeError::ReasonCodeNotAllowed {
                packet_type,
                code: byte,
            })
    }

    /// Whether the table in §2.4 names the packet at this code, in either direction.
    pub fn is_allowed_in(self, packet_type: PacketType) -> bool {
        match packet_type {
            PacketType::ConnAck => self.is_allowed_in_connack(),
            PacketType::PubAck | PacketType::PubRec => self.is_allowed_in_puback(),
            PacketType::PubRel | PacketType::PubComp => {
                matches!(self, Success | PacketIdentifierNotFound)
            }
            PacketType::SubAck => self.is_allowed_in_suback(),
            PacketType::UnsubAck => self.is_allowed_in_unsuback(),
            PacketType::Disconnect => self.is_allowed_in_disconnect(),
            PacketType::Auth => matches!(self, Success | ContinueAuthentication | ReAuthenticate),
            _ => false,
        }
    }

    /// `[MQTT-3.2.2-8]`
    fn is_allowed_in_connack(self) -> bool {
        matches!(
            self,
            Success
                | UnspecifiedError
                | MalformedPacket
                | ProtocolError
                | ImplementationSpecificError
                | UnsupportedProtocolVersion
                | ClientIdentifierNotValid
                | BadUserNameOrPassword
                | NotAuthorized
                | ServerUnavailable
                | ServerBusy
                | Banned
                | BadAuthenticationMethod
                | TopicNameInvalid
                | PacketTooLarge
                | QuotaExceeded
                | PayloadFormatInvalid
                | RetainNotSupported
                | QosNotSupported
                | UseAnotherServer
                | ServerMoved
                | ConnectionRateExceeded
        )
    }

    /// `[MQTT-3.4.2-1]`, `[MQTT-3.5.2-1]`
    fn is_allowed_in_puback(self) -> bool {
        matches!(
            self,
            Success
                | NoMatchingSubscribers
                | UnspecifiedError
                | ImplementationSpecificError
                | NotAuthorized
                | TopicNameInvalid
                | PacketIdentifierInUse
                | QuotaExceeded
                | PayloadFormatInvalid
        )
    }

    /// `[MQTT-3.9.3-2]`
    fn is_allowed_in_suback(self) -> bool {
        matches!(
            self,
            Success
                | GrantedQos1
                | GrantedQos2
                | UnspecifiedError
                | ImplementationSpecificError
                | NotAuthorized
                | TopicFilterInvalid
                | PacketIdentifierInUse
                | QuotaExceeded
                | SharedSubscriptionsNotSupported
                | SubscriptionIdentifiersNotSupported
                | WildcardSubscriptionsNotSupported
        )
    }

    /// `[MQTT-3.11.3-2]`
    fn is_allowed_in_unsuback(self) -> bool {
        matches!(
            self,
            Success
                | NoSubscriptionExisted
                | UnspecifiedError
                | ImplementationSpecificError
                | NotAuthorized
                | TopicFilterInvalid
                | PacketIdentifierInUse
        )
    }

    /// `[MQTT-3.14.2-1]`: everything that ends a connection after it began.
    fn is_allowed_in_disconnect(self) -> bool {
        match self {
            Success | DisconnectWithWillMessage => true,
            UnsupportedProtocolVersion
            | ClientIdentifierNotValid
            | BadUserNameOrPassword
            | ServerUnavailable
            | Banned
            | PacketIdentifierInUse
            | PacketIdentifierNotFound => false,
            _ => self.is_failure(),
        }
    }

    /// The return code of MQTT 3.1 and 3.1.1 (§3.2.2.3 there), 0 to 5; `None` if none fits, and then
    /// CONNACK must not be sent (3.1.1 `[MQTT-3.2.2-6]`).
    pub const fn connect_return_code(self) -> Option<u8> {
        match self {
            Success => Some(0),
            UnsupportedProtocolVersion => Some(1),
            ClientIdentifierNotValid => Some(2),
            ServerUnavailable
            | ServerBusy
            | ServerShuttingDown
            | QuotaExceeded
            | UseAnotherServer
            | ServerMoved
            | ConnectionRateExceeded => Some(3),
            BadUserNameOrPassword => Some(4),
            NotAuthorized | Banned | BadAuthenticationMethod => Some(5),
            _ => None,
        }
    }

    /// The reason code of a CONNACK of MQTT 3.1 or 3.1.1; `None` for its reserved return codes.
    pub const fn from_connect_return_code(code: u8) -> Option<ReasonCode> {
        match code {
            0 => Some(Success),
            1 => Some(UnsupportedProtocolVersion),
            2 => Some(ClientIdentifierNotValid),
            3 => Some(ServerUnavailable),
            4 => Some(BadUserNameOrPassword),
            5 => Some(NotAuthorized),
            _ => None,
        }
    }
}

impl From<super::QoS> for ReasonCode {
    /// The reason code of SUBACK that grants this QoS `[MQTT-3.8.4-7]`.
    fn from(granted: super::QoS) -> Self {
        match granted {
            super::QoS::AtMostOnce => Success,
            super::QoS::AtLeastOnce => GrantedQos1,
            super::QoS::ExactlyOnce => GrantedQos2,
        }
    }
}

#[cfg(test)]
mod tests;
