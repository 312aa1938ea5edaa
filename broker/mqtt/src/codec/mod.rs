//! MQTT packets on the wire: bytes in, packets out, and back.
//!
//! The problem: every byte that a client sends passes here, and most of them are PUBLISH packets of
//! well-behaved clients, while a few come from peers that break every rule there is. So decoding
//! borrows from the input (no copy, no allocation), checks each rule of the standard once, and names
//! the rule that was broken ([`DecodeError`]). Encoding appends to a buffer that the caller owns.
//!
//! Three versions are spoken: MQTT 3.1 (protocol level 3), MQTT 3.1.1 (4) and MQTT 5.0 (5). Rule ids in
//! brackets, `[MQTT-3.3.1-2]`, are those of MQTT 5.0 unless they say 3.1.1. Both directions of every
//! packet are here, so that a client in a test reads what the broker writes.
//!
//! [`frame`] cuts one packet out of a stream (§2.1), [`decode`] reads it (§3), and each packet's module
//! has its decoder beside its encoder. What is *not* here: everything that needs to know more than one
//! packet. Who may send which packet and when, subscription identifiers in a client's PUBLISH
//! `[MQTT-3.3.4-6]`, topic aliases beyond the maximum, and the rules of topic names and filters
//! (§4.7) belong to the session and to [`crate::topic`].

mod ack;
mod auth;
mod connack;
mod connect;
mod diagnostics;
mod disconnect;
mod error;
mod frame;
mod packet;
mod ping;
mod property;
mod publish;
mod qos;
mod read;
mod reason_code;
mod suback;
mod subscribe;
#[cfg(test)]
mod testing;
mod unsuback;
mod unsubscribe;
mod version;
mod write;

pub use ack::{Ack, AckType};
pub use auth::Auth;
pub use connack::{ConnAck, ConnAckProperties};
pub use connect::{Connect, ConnectProperties, Will, WillProperties};
pub use diagnostics::Diagnostics;
pub use disconnect::Disconnect;
pub use error::{DecodeError, EncodeError};
pub use frame::{Frame, PACKET_SIZE_MAX, PacketType, frame, packet_len};
pub use packet::{Packet, decode};
pub use ping::{pingreq, pingresp};
pub use property::{
    PayloadFormat, Properties, PropertiesIter, Property, SubscriptionIdentifier, UserProperties,
    UserPropertiesIter,
};
pub use publish::{OutgoingPublish, Publish, PublishProperties};
pub use qos::QoS;
pub use reason_code::ReasonCode;
pub use suback::{ReasonCodes, ReasonCodesIter, SubAck};
pub use subscribe::{
    RetainHandling, Subscribe, SubscribeFilter, SubscribeFilters, SubscribeFiltersIter,
    SubscriptionOptions,
};
pub use unsuback::UnsubAck;
pub use unsubscribe::{Unsubscribe, UnsubscribeFilters, UnsubscribeFiltersIter};
pub use version::Version;

/// A packet identifier (§2.2.1). Zero is not one `[MQTT-2.2.1-3]`, so the type has no zero.
pub type PacketId = std::num::NonZeroU16;
