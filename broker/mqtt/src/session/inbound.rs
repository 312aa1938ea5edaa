//! Publishes from the client: which are new, and in which order they are acknowledged.
//!
//! A publish is routed when it arrives, also with QoS 2: PUBREC says that its owners keep it, and
//! the packet identifier is remembered until PUBREL, so a repeat is never routed twice
//! [MQTT-4.3.3-10]. Acknowledgements leave in the order of the publishes [MQTT-4.6.0-2],
//! [MQTT-4.6.0-3], though other nodes may answer in another order.

use super::Wire;
use crate::codec::{QoS, ReasonCode};
use std::collections::VecDeque;

/// What is to be done with a publish that has just arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// New: route it, then call [`Inbound::acknowledge`] or [`Inbound::defer`].
    Route,
    /// A QoS 2 publish that is known and kept: PUBREC has been written again, nothing else to do.
    Repeated,
    /// A QoS 2 publish that is known and still being routed: its PUBREC is to come.
    UnderWay,
}

/// Names one deferred acknowledgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckTicket(u64);

/// The session's unfinished publishes. Empty, it holds no memory on the heap.
#[derive(Debug, Default)]
pub struct Inbound {
    /// Acknowledgements not yet sent, oldest first.
    acks: VecDeque<PendingAck>,
    /// Ticket of the front of `acks`.
    front: u64,
    /// QoS 2 packet identifiers between PUBLISH and PUBREL, ascending.
    received: Vec<Received>,
}

#[derive(Debug)]
struct PendingAck {
    packet_id: u16,
    qos: QoS,
    /// Set when the publish is kept (or refused) by all who had to.
    outcome: Option<ReasonCode>,
    /// The connection that waited for it is gone; with QoS 2 the repeat on the next one waits again.
    abandoned: bool,
}

#[derive(Debug)]
struct Received {
    packet_id: u16,
    kept: bool,
    /// It has been said that it is to be recorded.
    recorded: bool,
}

/// A QoS 2 publish has been decided, which is to be recorded where the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Kept: its identifier is remembered until PUBREL.
    Received(u16),
    /// Refused: its identifier, which had been recorded, is free.
    Forgotten(u16),
}

impl Inbound {
    /// That of another session in the same place: no ticket of this one means anything to it.
    pub(super) fn successor(&self) -> Inbound {
        Inbound {
            front: self.front + self.acks.len() as u64,
            ..Inbound::default()
        }
    }

    /// Looks at a publish with QoS 1 or 2.
    pub fn accept(&mut self, qos: QoS, packet_id: u16, wire: &mut Wire<'_>) -> Acceptance {
        if qos != QoS::ExactlyOnce {
            return Acceptance::Route;
        }
        match self.find(packet_id) {
            Ok(at) if self.received[at].kept => {
                wire.pubrec(packet_id, ReasonCode::Success);
                Acceptance::Repeated
            }
            Ok(_) => {
                self.wait_again(packet_id);
                Acceptance::UnderWay
            }
            Err(at) => {
                self.received.insert(
                    at,
                    Received {
                        packet_id,
                        kept: false,
                        recorded: false,
                    },
                );
                Acceptance::Route
            }
        }
    }

    /// The publish is kept by all who had to, at once: acknowledges it, behind earlier ones.
    /// [MQTT-3.3.4-1], [MQTT-4.3.2-4], [MQTT-4.3.2-5], [MQTT-4.3.3-8]
    pub fn acknowledge(
        &mut self,
        qos: QoS,
        packet_id: u16,
        reason: ReasonCode,
        wire: &mut Wire<'_>,
    ) {
        if self.acks.is_empty() {
            let _ = self.settle(qos, packet_id, reason);
            write_ack(qos, packet_id, reason, wire);
        } else {
            self.acks.push_back(PendingAck {
                packet_id,
                qos,
                outcome: Some(reason),
                abandoned: false,
            });
        }
    }

    /// The publish waits for others: the ticket is to be given to [`Inbound::complete`].
    pub fn defer(&mut self, qos: QoS, packet_id: u16) -> AckTicket {
        self.acks.push_back(PendingAck {
            packet_id,
            qos,
            outcome: None,
            abandoned: false,
        });
        AckTicket(self.front + self.acks.len() as u64 - 1)
    }

    /// A deferred publish is kept or refused; writes every acknowledgement that is now in turn.
    /// Without a wire (client offline) QoS 2 identifiers are settled and nothing is written.
    /// `settled` is told of those that are to be recorded.
    pub fn complete(
        &mut self,
        ticket: AckTicket,
        reason: ReasonCode,
        mut wire: Option<&mut Wire<'_>>,
        mut settled: impl FnMut(Settled),
    ) {
        let Some(at) = ticket.0.checked_sub(self.front) else {
            return;
        };
        let Some(pending) = self.acks.get_mut(at as usize) else {
            return;
        };
        pending.outcome = Some(reason);
        while let Some(PendingAck {
            outcome: Some(reason),
            packet_id,
            qos,
            abandoned,
        }) = self.acks.front()
        {
            let (reason, packet_id, qos, abandoned) = (*reason, *packet_id, *qos, *abandoned);
            self.acks.pop_front();
            self.front += 1;
            self.settle(qos, packet_id, reason).map(&mut settled);
            if let (Some(wire), false) = (wire.as_deref_mut(), abandoned) {
                write_ack(qos, packet_id, reason, wire);
            }
        }
        if self.acks.is_empty() {
            self.acks = VecDeque::new();
        }
    }

    /// Its record is written together with the publish itself. `false`: there is no such identifier.
    pub fn note_recorded(&mut self, packet_id: u16) -> bool {
        let found = self.find(packet_id);
        if let Ok(at) = found {
            self.received[at].recorded = true;
        }
        found.is_ok()
    }

    /// PUBREL: forgets the packet identifier and answers PUBCOMP [MQTT-4.3.3-11]. `false`: there is no
    /// such identifier.
    /// [MQTT-4.3.3-12], [MQTT-4.3.3-13]
    pub fn release(&mut self, packet_id: u16, wire: &mut Wire<'_>) -> bool {
        let found = self.find(packet_id);
        let reason = match found {
            Ok(at) => {
                self.received.remove(at);
                if self.received.is_empty() {
                    self.received = Vec::new();
                }
                ReasonCode::Success
            }
            Err(_) => ReasonCode::PacketIdentifierNotFound,
        };
        wire.pubcomp(packet_id, reason);
        found.is_ok()
    }

    /// The connection ended: acknowledgements have nobody to go to. A PUBREC that came before the repeat of its
    /// PUBLISH would be followed by another one.
    pub fn connection_lost(&mut self) {
        for ack in &mut self.acks {
            ack.abandoned = true;
        }
    }

    /// Publishes that are not acknowledged yet: the client's use of our Receive Maximum. What an earlier
    /// connection waited for is not: the client's quota begins anew with each (MQTT 5 §4.9).
    pub fn unacknowledged(&self) -> usize {
        let qos_1 = self
            .acks
            .iter()
            .filter(|ack| ack.qos == QoS::AtLeastOnce && !ack.abandoned);
        qos_1.count() + self.received.len()
    }

    /// Whether this publish exceeds our Receive Maximum [MQTT-3.3.4-7]. A QoS 2 publish that is known
    /// already is counted already: a client that comes back repeats as many as it may have under way.
    pub fn exceeds(&self, qos: QoS, packet_id: u16, receive_maximum: u16) -> bool {
        self.acks.len() + self.received.len() >= usize::from(receive_maximum)
            && self.unacknowledged() >= usize::from(receive_maximum)
            && (qos != QoS::ExactlyOnce || self.find(packet_id).is_err())
    }

    /// Number of deferred acknowledgements.
    pub fn deferred(&self) -> usize {
        self.acks.len()
    }

    /// QoS 2 publishes that are received and not released.
    pub fn unreleased(&self) -> usize {
        self.received.len()
    }

    /// QoS 2 packet identifiers that are kept and not released, ascending.
    pub fn kept_qos2(&self) -> impl Iterator<Item = u16> + '_ {
        let recorded = self.received.iter().filter(|r| r.recorded);
        recorded.map(|r| r.packet_id)
    }

    /// QoS 2 packet identifiers that are received and not released, ascending.
    pub fn received_qos2(&self) -> impl Iterator<Item = u16> + '_ {
        self.received.iter().map(|r| r.packet_id)
    }

    /// Takes over the identifiers of a session that has moved here.
    pub fn restore_qos2(&mut self, packet_ids: impl IntoIterator<Item = u16>) {
        for packet_id in packet_ids {
            if let Err(at) = self.find(packet_id) {
                self.received.insert(
                    at,
                    Received {
                        packet_id,
                        kept: true,
                        recorded: true,
                    },
                );
            }
        }
    }

    /// The client has repeated a QoS 2 publish that is still being routed.
    fn wait_again(&mut self, packet_id: u16) {
        let is_it =
            |ack: &&mut PendingAck| ack.qos == QoS::ExactlyOnce && ack.packet_id == packet_id;
        if let Some(ack) = self.acks.iter_mut().find(is_it) {
            ack.abandoned = false;
        }
    }

    fn find(&self, packet_id: u16) -> Result<usize, usize> {
        // Identifiers mostly rise: look at the end before searching.
        match self.received.last() {
            Some(last) if last.packet_id < packet_id => Err(self.received.len()),
            None => Err(0),
            _ => self
                .received
                .binary_search_by_key(&packet_id, |r| r.packet_id),
        }
    }

    /// A refused QoS 2 publish frees its identifier at once [MQTT-4.3.3-9].
    fn settle(&mut self, qos: QoS, packet_id: u16, reason: ReasonCode) -> Option<Settled> {
        if qos != QoS::ExactlyOnce {
            return None;
        }
        let at = self.find(packet_id).ok()?;
        if reason.is_failure() {
            let refused = self.received.remove(at);
            return refused.recorded.then_some(Settled::Forgotten(packet_id));
        }
        let received = &mut self.received[at];
        received.kept = true;
        let is_new = !std::mem::replace(&mut received.recorded, true);
        is_new.then_some(Settled::Received(packet_id))
    }
}

fn write_ack(qos: QoS, packet_id: u16, reason: ReasonCode, wire: &mut Wire<'_>) {
    match qos {
        QoS::AtMostOnce => {}
        QoS::AtLeastOnce => wire.puback(packet_id, reason),
        QoS::ExactlyOnce => wire.pubrec(packet_id, reason),
    }
}
