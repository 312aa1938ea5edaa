//! Deliveries to the client: the inflight window, and the queue behind it.
//!
//! QoS 0 goes straight to the wire or is dropped. QoS 1 and 2 get a packet identifier and stay in
//! `inflight` until acknowledged; when the window (the client's Receive Maximum, MQTT 5 §4.9) is full
//! or the client is offline they wait in the bounded `queue`. Order is kept per topic and QoS
//! because identifiers are given in order of arrival and repeated in that order [MQTT-4.6.0-1].

use super::{
    Wire,
    waiting::{InflightState, Waiting},
};
use crate::{
    codec::{QoS, ReasonCode, SubscriptionIdentifier},
    fanout::Fanout,
    publication::Stored,
};
use std::collections::VecDeque;

/// How one session gets a publication.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The lower of publication's and subscription's QoS.
    pub qos: QoS,
    /// RETAIN flag to be sent.
    pub retain: bool,
    /// Subscription identifiers of all matching subscriptions [MQTT-3.3.4-3].
    pub subscription_ids: &'a [SubscriptionIdentifier],
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Written to the wire.
    Sent,
    /// Waits in the queue.
    Queued,
    /// Not delivered.
    Dropped(DropReason),
}

/// Why a delivery was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// QoS 0 and nobody connected.
    Offline,
    /// The queue holds as much as it may.
    QueueFull,
    /// The client reads slower than its messages arrive.
    SlowReader,
    /// The packet is larger than the client's Maximum Packet Size [MQTT-3.1.2-25].
    TooLarge,
    /// Its Message Expiry Interval has passed [MQTT-3.3.2-5].
    Expired,
}

/// What became of a message that had waited.
#[derive(Clone, Copy, Debug)]
pub enum Pumped<'a> {
    /// Sent for the first time, with this packet identifier.
    Sent(u16, &'a Waiting),
    /// Not delivered.
    Dropped(DropReason, &'a Waiting),
}

/// Bounds of one session.
#[derive(Clone, Copy, Debug)]
pub struct OutboundLimits {
    /// Messages that may wait behind the window.
    pub queue_messages_max: u32,
}

#[derive(Debug)]
pub(super) struct Inflight {
    pub(super) packet_id: u16,
    pub(super) number: u64,
    pub(super) state: InflightState,
}

/// The session's deliveries. Empty, it holds no memory on the heap.
#[derive(Debug)]
pub struct Outbound {
    limits: OutboundLimits,
    /// In the order in which identifiers were given, so identifiers rise from front to back (modulo
    /// wrap-around).
    pub(super) inflight: VecDeque<Inflight>,
    pub(super) queue: VecDeque<Waiting>,
    pub(super) last_packet_id: u16,
    /// Deliveries with QoS 1 and 2 are counted: their numbers rise in their order.
    pub(super) last_number: u64,
}

impl Outbound {
    /// Nothing to deliver yet.
    pub fn new(limits: OutboundLimits) -> Outbound {
        Outbound {
            limits,
            inflight: VecDeque::new(),
            queue: VecDeque::new(),
            last_packet_id: 0,
            last_number: 0,
        }
    }

    /// Delivers `message` now if it can be, else queues it.
    pub fn offer(
        &mut self,
        wire: Option<&mut Wire<'_>>,
        message: &mut Fanout<'_, '_>,
        delivery: Delivery<'_>,
    ) -> Offer {
        let Some(wire) = wire else {
            return match delivery.qos {
                QoS::AtMostOnce => Offer::Dropped(DropReason::Offline),
                _ => self.enqueue(message.stored(), delivery),
            };
        };
        if !message.fits(wire, delivery) {
            return Offer::Dropped(DropReason::TooLarge);
        }
        if delivery.qos == QoS::AtMostOnce {
            if wire.is_congested() {
                return Offer::Dropped(DropReason::SlowReader);
            }
            message.append_to(wire, delivery, 0);
            return Offer::Sent;
        }
        if !self.queue.is_empty() || wire.is_congested() {
            return self.enqueue(message.stored(), delivery);
        }
        let Some(packet_id) = self.next_packet_id(wire.window) else {
            return self.enqueue(message.stored(), delivery);
        };
        message.append_to(wire, delivery, packet_id);
        let waiting = self.numbered(message.stored(), delivery);
        self.inflight.push_back(Inflight {
            packet_id,
            number: waiting.number,
            state: InflightState::Published(waiting),
        });
        Offer::Sent
    }

    /// PUBACK: the delivery is done, and returned. `None`: no such QoS 1 delivery.
    pub fn puback(&mut self, packet_id: u16) -> Option<Waiting> {
        let at = self.find(packet_id)?;
        match self.is_first(at, QoS::AtLeastOnce) {
            true => self.remove(at).and_then(InflightState::published),
            false => None,
        }
    }

    /// Whether the delivery at this place has this QoS and waits for its first acknowledgement.
    fn is_first(&self, at: usize, qos: QoS) -> bool {
        matches!(&self.inflight[at].state, InflightState::Published(waiting) if waiting.qos == qos)
    }

    /// PUBREC: answers PUBREL, also for a repeat [MQTT-4.3.3-4]; a refusal ends the delivery.
    /// The delivery if this PUBREC is the first for it.
    pub fn pubrec(
        &mut self,
        packet_id: u16,
        reason: ReasonCode,
        wire: &mut Wire<'_>,
    ) -> Option<Waiting> {
        let Some(at) = self.find(packet_id) else {
            if !reason.is_failure() {
                wire.pubrel(packet_id, ReasonCode::PacketIdentifierNotFound);
            }
            return None;
        };
        let is_first = self.is_first(at, QoS::ExactlyOnce);
        if reason.is_failure() {
            return match is_first {
                true => self.remove(at).and_then(InflightState::published),
                false => None,
            };
        }
        wire.pubrel(packet_id, ReasonCode::Success);
        let state = &mut self.inflight[at].state;
        match is_first {
            true => std::mem::replace(state, InflightState::Released).published(),
            false => None,
        }
    }

    /// PUBCOMP: the delivery is done; its number. `None`: it did not wait for one.
    pub fn pubcomp(&mut self, packet_id: u16) -> Option<u64> {
        let at = self.find(packet_id)?;
        let Inflight { number, state, .. } = &self.inflight[at];
        if !matches!(state, InflightState::Released) {
            return None;
        }
        let number = *number;
        self.remove(at);
        Some(number)
    }

    /// Sends what the window allows from the queue. Calls `done` for each message that leaves it.
    pub fn pump(
        &mut self,
        wire: &mut Wire<'_>,
        now_ms: u64,
        scratch: &mut crate::fanout::Scratch,
        mut done: impl FnMut(Pumped<'_>),
    ) {
        while !self.queue.is_empty() && !wire.is_congested() {
            let Some(packet_id) = self.next_packet_id(wire.window) else {
                return;
            };
            let Some(next) = self.queue.pop_front() else {
                return;
            };
            match write(&next, packet_id, Repeat::First, wire, now_ms, scratch) {
                Ok(()) => {
                    done(Pumped::Sent(packet_id, &next));
                    self.inflight.push_back(Inflight {
                        packet_id,
                        number: next.number,
                        state: InflightState::Published(next),
                    });
                }
                Err(reason) => done(Pumped::Dropped(reason, &next)),
            }
        }
        if self.queue.is_empty() && self.queue.capacity() > 0 {
            self.queue = VecDeque::new();
        }
    }

    /// A connection took the session up again: repeats everything under way, in its order
    /// [MQTT-4.4.0-1], then goes on with the queue as [`Outbound::pump`] does.
    pub fn resume(
        &mut self,
        wire: &mut Wire<'_>,
        now_ms: u64,
        scratch: &mut crate::fanout::Scratch,
        mut done: impl FnMut(Pumped<'_>),
    ) {
        self.inflight.retain(|delivery| match &delivery.state {
            InflightState::Released => {
                wire.pubrel(delivery.packet_id, ReasonCode::Success);
                true
            }
            InflightState::Published(waiting) => {
                match write(
                    waiting,
                    delivery.packet_id,
                    Repeat::Again,
                    wire,
                    now_ms,
                    scratch,
                ) {
                    Ok(()) => true,
                    Err(reason) => {
                        done(Pumped::Dropped(reason, waiting));
                        false
                    }
                }
            }
        });
        self.pump(wire, now_ms, scratch, done);
    }

    /// Deliveries under way.
    pub fn inflight_len(&self) -> usize {
        self.inflight.len()
    }

    /// Messages that wait behind the window.
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// The messages that wait behind the window, in order.
    pub fn queue(&self) -> impl Iterator<Item = &Waiting> {
        self.queue.iter()
    }

    /// The packet identifier that was given last; 0: none yet.
    pub fn last_packet_id(&self) -> u16 {
        self.last_packet_id
    }

    /// The number that a delivery was given last; 0: none yet.
    pub fn last_number(&self) -> u64 {
        self.last_number
    }

    fn enqueue(&mut self, message: Stored, delivery: Delivery<'_>) -> Offer {
        if self.queue.len() >= self.limits.queue_messages_max as usize {
            return Offer::Dropped(DropReason::QueueFull);
        }
        let waiting = self.numbered(message, delivery);
        self.queue.push_back(waiting);
        Offer::Queued
    }

    fn numbered(&mut self, message: Stored, delivery: Delivery<'_>) -> Waiting {
        self.last_number += 1;
        Waiting {
            message,
            number: self.last_number,
            qos: delivery.qos,
            retain: delivery.retain,
            subscription_ids: boxed(delivery.subscription_ids),
        }
    }

    /// The next free identifier, `None` while the window is full. Identifiers in use lie between the
    /// front's and the last one given, so only the front's can be met.
    fn next_packet_id(&mut self, window: u16) -> Option<u16> {
        if self.inflight.len() >= usize::from(window) {
            return None;
        }
        let next = following(self.last_packet_id);
        if self
            .inflight
            .front()
            .is_some_and(|oldest| oldest.packet_id == next)
        {
            return None;
        }
        self.last_packet_id = next;
        Some(next)
    }

    /// Acknowledgements mostly come in order: guess the place before searching.
    fn find(&self, packet_id: u16) -> Option<usize> {
        let front = self.inflight.front()?.packet_id;
        let guess = usize::from(packet_id.wrapping_sub(front));
        if self
            .inflight
            .get(guess)
            .is_some_and(|d| d.packet_id == packet_id)
        {
            return Some(guess);
        }
        self.inflight.iter().position(|d| d.packet_id == packet_id)
    }

    fn remove(&mut self, at: usize) -> Option<InflightState> {
        let removed = match at {
            0 => self.inflight.pop_front(),
            _ => self.inflight.remove(at),
        };
        if self.inflight.is_empty() && self.inflight.capacity() > INFLIGHT_KEPT {
            self.inflight = VecDeque::new();
        }
        removed.map(|delivery| delivery.state)
    }
}

/// Room for deliveries that an emptied window keeps, so that a steady trickle does not allocate.
const INFLIGHT_KEPT: usize = 8;

fn following(packet_id: u16) -> u16 {
    packet_id.checked_add(1).unwrap_or(1)
}

pub(super) fn boxed(ids: &[SubscriptionIdentifier]) -> Option<Box<[SubscriptionIdentifier]>> {
    (!ids.is_empty()).then(|| ids.into())
}

/// Whether a PUBLISH is sent for the first time: the DUP flag [MQTT-3.3.1-1].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    First,
    Again,
}

fn write(
    waiting: &Waiting,
    packet_id: u16,
    repeat: Repeat,
    wire: &mut Wire<'_>,
    now_ms: u64,
    scratch: &mut crate::fanout::Scratch,
) -> Result<(), DropReason> {
    let publication = waiting.message.publication();
    // Once its delivery has begun a message is completed, expired or not (§4.5).
    if repeat == Repeat::First
        && publication
            .expiry
            .is_some_and(|e| e.remaining_seconds(now_ms).is_none())
    {
        return Err(DropReason::Expired);
    }
    let mut message = Fanout::new(publication, now_ms, scratch);
    if !message.fits(wire, waiting.delivery()) {
        return Err(DropReason::TooLarge);
    }
    let at = message.append_to(wire, waiting.delivery(), packet_id);
    if repeat == Repeat::Again {
        wire.out[at] |= DUP;
    }
    Ok(())
}

const DUP: u8 = 1 << 3;
