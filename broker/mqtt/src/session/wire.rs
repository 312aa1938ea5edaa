//! The outgoing half of a connection, as a session sees it: where packets go, and what the client
//! on the other side can take.

use crate::{
    codec::{Ack, AckType, PacketId, ReasonCode, Version},
    topic_alias::OutboundAliases,
};

/// Where a session writes its packets.
#[derive(Debug)]
pub struct Wire<'a> {
    /// Version that the connection speaks.
    pub version: Version,
    /// Bytes to be sent.
    pub out: &'a mut Vec<u8>,
    /// Deliveries with QoS 1 and 2 at a time: the lower of the client's Receive Maximum and ours.
    pub window: u16,
    /// The client's Maximum Packet Size, in bytes.
    pub max_packet_size: u32,
    /// Unsent bytes from which on the client counts as slow.
    pub congested_bytes: usize,
    /// Topic aliases towards the client; `None`: it takes none [MQTT-3.1.2-27].
    pub aliases: Option<&'a mut OutboundAliases>,
}

impl Wire<'_> {
    /// Whether the client reads slower than its messages arrive.
    pub fn is_congested(&self) -> bool {
        self.out.len() >= self.congested_bytes
    }

    pub(super) fn puback(&mut self, packet_id: u16, reason: ReasonCode) {
        self.ack(AckType::PubAck, packet_id, reason);
    }

    pub(super) fn pubrec(&mut self, packet_id: u16, reason: ReasonCode) {
        self.ack(AckType::PubRec, packet_id, reason);
    }

    pub(super) fn pubrel(&mut self, packet_id: u16, reason: ReasonCode) {
        self.ack(AckType::PubRel, packet_id, reason);
    }

    pub(super) fn pubcomp(&mut self, packet_id: u16, reason: ReasonCode) {
        self.ack(AckType::PubComp, packet_id, reason);
    }

    fn ack(&mut self, ack_type: AckType, packet_id: u16, reason: ReasonCode) {
        let Some(packet_id) = PacketId::new(packet_id) else {
            debug_assert!(false, "packet identifiers are not zero [MQTT-2.2.1-3]");
            return;
        };
        if reason == ReasonCode::Success || self.version != Version::V5 {
            Ack::encode_success(ack_type, packet_id, self.out);
            return;
        }
        // Five bytes: it fits every Maximum Packet Size that a client can work with; one that is
        // smaller gets nothing [MQTT-3.1.2-24].
        let _ = Ack::new(packet_id, reason).encode(
            ack_type,
            self.version,
            self.max_packet_size,
            self.out,
        );
    }
}
