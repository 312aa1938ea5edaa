//! Packets of an established connection: what each of them does.

use super::{Shard, connection::ConnectionId, slots::SlotKey};
use crate::counting;
use crate::journal::record::Record;
use raftmq_api::counters::Metric;
use raftmq_mqtt::{
    codec::{self, DecodeError, Disconnect, Packet, PacketType, ReasonCode},
    session::Waiting,
};

/// How a connection goes on.
pub(super) enum Next {
    /// With the next packet.
    More,
    /// Not now: this packet is looked at again later.
    Pause,
    /// Not now, because the client has sent as many as it may.
    Throttle,
    /// It is closed, with this reason.
    Close(ReasonCode, String),
    /// The client said DISCONNECT.
    Goodbye {
        discard_will: bool,
        expiry_seconds: Option<u32>,
    },
}

impl Shard {
    /// Handles the complete packets at the beginning of `bytes`. Returns how many bytes they were.
    /// [MQTT-4.13.1-1], [MQTT-3.3.4-10], [MQTT-4.9.0-3]
    pub(super) fn packets(
        &mut self,
        key: SlotKey,
        id: ConnectionId,
        bytes: &[u8],
    ) -> (usize, Next) {
        let Some(connection) = self.connection_of(key, id) else {
            return (bytes.len(), Next::More);
        };
        let version = connection.version;
        let max_packet_size = connection.listener.settings.max_packet_size;
        let is_limited = connection.rate.is_some();
        // Checked once per read: what was accepted while the lease was held counts as accepted then.
        if !self.engine.lease.is_held() {
            return (0, Next::Pause);
        }
        let mut used = 0;
        loop {
            let frame = match codec::frame(&bytes[used..], max_packet_size) {
                Ok(Some(frame)) => frame,
                Ok(None) => return (used, Next::More),
                Err(error) => {
                    self.count_malformed(bytes[used]);
                    return (used, close(error));
                }
            };
            let is_counted =
                is_limited && PacketType::of(frame.first_byte) == Some(PacketType::Publish);
            if is_counted && !self.has_message_left(key, id) {
                return (used, Next::Throttle);
            }
            let next = match codec::decode(version, &frame) {
                Ok(packet) => self.packet(key, &packet),
                Err(error) => {
                    self.count_malformed(frame.first_byte);
                    close(error)
                }
            };
            match next {
                Next::More => used += frame.total_len,
                Next::Pause => return (used, Next::Pause),
                Next::Throttle => return (used, Next::Throttle),
                end => return (used + frame.total_len, end),
            }
            // Handling a packet can end the connection, e.g. when a write fails.
            let Some(connection) = self.connection_of(key, id) else {
                return (bytes.len(), Next::More);
            };
            if let (true, Some(rate)) = (is_counted, &mut connection.rate) {
                rate.took_message();
            }
        }
    }

    fn has_message_left(&mut self, key: SlotKey, id: ConnectionId) -> bool {
        let now = self.clock.now;
        self.connection_of(key, id)
            .and_then(|connection| connection.rate.as_mut())
            .is_none_or(|rate| rate.has_message(now))
    }

    fn packet(&mut self, key: SlotKey, packet: &Packet<'_>) -> Next {
        match packet {
            Packet::Publish(publish) => {
                if self.must_wait(key) || (self.changes_table(key, publish) && self.table_is_busy())
                {
                    return Next::Pause;
                }
                match self.publish_packet(key, publish) {
                    Ok(()) => Next::More,
                    Err(reason) => {
                        self.counters.add(Metric::ClientPublishError, 1);
                        Next::Close(reason, refused_publish(reason).to_owned())
                    }
                }
            }
            Packet::PubAck(ack) => self.puback(key, ack.packet_id.get()),
            Packet::PubRec(ack) => self.pubrec(key, ack.packet_id.get(), ack.reason_code),
            Packet::PubRel(ack) => self.pubrel(key, ack.packet_id.get()),
            Packet::PubComp(ack) => self.pubcomp(key, ack.packet_id.get()),
            Packet::Subscribe(_) | Packet::Unsubscribe(_) if self.is_asking_much(key) => {
                Next::Pause
            }
            Packet::Subscribe(subscribe) => self.subscribe_packet(key, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe_packet(key, unsubscribe),
            Packet::PingReq => self.pingreq(key),
            Packet::Disconnect(disconnect) => self.disconnect_packet(key, disconnect),
            Packet::Connect(_) => broken("a second CONNECT [MQTT-3.1.0-2]"),
            Packet::Auth(auth) => self.auth_packet(key, auth),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                broken("a packet that only servers send")
            }
        }
    }

    /// A packet that cannot be read, or is too large.
    fn count_malformed(&self, first_byte: u8) {
        if PacketType::of(first_byte) == Some(PacketType::Publish) {
            self.counters.add(Metric::ClientPublishError, 1);
        }
    }

    /// Whether the client has as many requests to the table under way as it may.
    fn is_asking_much(&self, key: SlotKey) -> bool {
        let connection = self
            .slots
            .get(key)
            .and_then(|slot| slot.connection.as_deref());
        connection.is_some_and(|connection| connection.requests >= REQUESTS_PER_CLIENT_MAX)
    }

    /// Whether a publish has to wait: too many of its own are unacknowledged, or the ways to other
    /// shards or nodes are full.
    fn must_wait(&self, key: SlotKey) -> bool {
        let deferred = self
            .slots
            .get(key)
            .map_or(0, |slot| slot.session.inbound.deferred());
        deferred >= DEFERRED_PER_CLIENT_MAX || self.ways_are_full()
    }

    /// Whether a change of the table would have to wait for its turn.
    fn table_is_busy(&self) -> bool {
        self.engine.proposals.available_permits() == 0
    }

    pub(super) fn ways_are_full(&self) -> bool {
        self.links.iter().any(|link| link.is_full())
            || self.ledger.is_full()
            || self
                .engine
                .mailboxes
                .iter()
                .any(|mailbox| mailbox.is_full())
    }

    fn puback(&mut self, key: SlotKey, packet_id: u16) -> Next {
        let Some(slot) = self.slots.get_mut(key) else {
            return Next::More;
        };
        let acked = slot.session.outbound.puback(packet_id);
        if let Some(delivery) = &acked {
            self.record_done(key, delivery.number());
        }
        self.acked(key, packet_id, acked);
        self.pump(key);
        Next::More
    }

    fn pubrec(&mut self, key: SlotKey, packet_id: u16, reason: ReasonCode) -> Next {
        let Some(slot) = self.slots.get_mut(key) else {
            return Next::More;
        };
        let Some(connection) = slot.connection.as_deref_mut() else {
            return Next::More;
        };
        let before = connection.out.len();
        let acked = slot
            .session
            .outbound
            .pubrec(packet_id, reason, &mut connection.wire());
        if let Some(session) = slot.journaled {
            if let Some(number) = acked.as_ref().map(|delivery| delivery.number()) {
                self.ledger.record(&match reason.is_failure() {
                    true => Record::Done { session, number },
                    false => Record::Released { session, number },
                });
                self.output.wake();
            }
            // After PUBREL the client forgets the identifier: it must not get the message again.
            self.hold_output(key, before);
        }
        self.acked(key, packet_id, acked);
        self.mark_dirty(key);
        self.pump(key);
        Next::More
    }

    fn acked(&mut self, key: SlotKey, packet_id: u16, delivery: Option<Waiting>) {
        if let Some(delivery) = delivery {
            let origin = delivery.message().origin();
            self.counters.add(counting::acked(origin), 1);
            self.note_acked(key, packet_id, &delivery);
        }
    }

    fn pubrel(&mut self, key: SlotKey, packet_id: u16) -> Next {
        let Some(slot) = self.slots.get_mut(key) else {
            return Next::More;
        };
        let Some(connection) = slot.connection.as_deref_mut() else {
            return Next::More;
        };
        let before = connection.out.len();
        let inbound = &mut slot.session.inbound;
        let is_known = inbound.release(packet_id, &mut connection.wire());
        if let Some(session) = slot.journaled {
            if is_known {
                self.ledger
                    .record(&Record::Forgotten { session, packet_id });
                self.output.wake();
            }
            // After PUBCOMP the client gives the identifier to another message, which must not be taken for
            // a repeat.
            self.hold_output(key, before);
        }
        self.mark_dirty(key);
        Next::More
    }

    fn pubcomp(&mut self, key: SlotKey, packet_id: u16) -> Next {
        let slot = self.slots.get_mut(key);
        let done = slot.and_then(|slot| slot.session.outbound.pubcomp(packet_id));
        if let Some(number) = done {
            self.record_done(key, number);
        }
        self.pump(key);
        Next::More
    }

    /// [MQTT-3.12.4-1]
    fn pingreq(&mut self, key: SlotKey) -> Next {
        if let Some(connection) = self
            .slots
            .get_mut(key)
            .and_then(|s| s.connection.as_deref_mut())
        {
            codec::pingresp(&mut connection.out);
        }
        self.mark_dirty(key);
        Next::More
    }

    fn disconnect_packet(&mut self, key: SlotKey, disconnect: &Disconnect<'_>) -> Next {
        let expiry = disconnect.session_expiry_interval;
        let ends_with_connection = self
            .slots
            .get(key)
            .is_some_and(|slot| slot.expiry_seconds == 0);
        if ends_with_connection && expiry.is_some_and(|seconds| seconds > 0) {
            return broken(
                "a session that ends with its connection cannot be prolonged (§3.14.2.2.2)",
            );
        }
        // Only "normal disconnection" takes the will back [MQTT-3.14.4-3].
        Next::Goodbye {
            discard_will: disconnect.reason_code == ReasonCode::Success,
            expiry_seconds: expiry
                .map(|seconds| self.engine.settings.limited_expiry_seconds(seconds)),
        }
    }
}

/// SUBSCRIBE and UNSUBSCRIBE packets of one client that may be under way.
const REQUESTS_PER_CLIENT_MAX: u16 = 16;
/// Publishes of one client that may wait for other nodes before it is not read from any more.
const DEFERRED_PER_CLIENT_MAX: usize = 4096;

fn close(error: DecodeError) -> Next {
    Next::Close(error.reason_code(), error.to_string())
}

/// Why a PUBLISH ends its connection, for people.
fn refused_publish(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::TopicNameInvalid => {
            "PUBLISH: no topic name, one with too many levels, or a wrong delay"
        }
        ReasonCode::QosNotSupported => "PUBLISH: a QoS above the Maximum QoS",
        ReasonCode::RetainNotSupported => "PUBLISH: messages are not retained",
        ReasonCode::TopicAliasInvalid => "PUBLISH: a topic alias above the Topic Alias Maximum",
        ReasonCode::ProtocolError => {
            "PUBLISH: a topic alias without a topic name, or a subscription identifier"
        }
        ReasonCode::ReceiveMaximumExceeded => "PUBLISH: more of them than the Receive Maximum",
        ReasonCode::PayloadFormatInvalid => "PUBLISH: the payload is not UTF-8, as it says",
        ReasonCode::NotAuthorized => "PUBLISH: not allowed to this topic",
        _ => "PUBLISH: refused",
    }
}

fn broken(rule: &str) -> Next {
    Next::Close(ReasonCode::ProtocolError, rule.to_owned())
}
