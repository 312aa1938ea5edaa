//! Deliveries to the client: the inflight window, and the queue behind it.
//!
//! QoS 0 goes straight to the wire or is dropped; while the client is offline it may be queued, too. QoS 1
//! and 2 get a packet identifier and stay in `inflight` until acknowledged; when the window (the
//! client's Receive Maximum, MQTT 5 §4.9) is full or the client is offline they wait in the bounded
//! `queue`. When that is full, QoS 0 makes room first, then [`QueueDrop`] decides. Order is kept per
//! topic and QoS
//! because identifiers are given in order of arrival and repeated in that order [MQTT-4.6.0-1].

use super::{
    Wire,
    inflight::{Inflight, Repeat, write},
    queue::{OutboundLimits, Queue, QueuedQos0},
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
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// Written to the wire.
    Sent,
    /// Waits in the queue.
    Queued,
    /// Waits in the queue, which was full: this message was dropped for it.
    Displaced(Box<Waiting>),
    /// Not delivered.
    Dropped(DropReason),
}

/// Why a delivery was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// QoS 0 and nobody connected.
    Offline = 0,
    /// The queue holds as much as it may.
    QueueFull,
    /// The client reads slower than its messages arrive.
    SlowReader,
    /// The packet is larger than the client's Maximum Packet Size [MQTT-3.1.2-25].
    TooLarge,
    /// Its Message Expiry Interval has passed [MQTT-3.3.2-5].
    Expired,
}

impl DropReason {
    /// All of them, each at the place of its number.
    pub const ALL: [DropReason; 5] = [
        DropReason::Offline,
        DropReason::QueueFull,
        DropReason::SlowReader,
        DropReason::TooLarge,
        DropReason::Expired,
    ];
}

/// What became of a message that had waited.
#[derive(Clone, Copy, Debug)]
pub enum Pumped<'a> {
    /// Sent for the first time, with this packet identifier.
    Sent(u16, &'a Waiting),
    /// Not delivered.
    Dropped(DropReason, &'a Waiting),
    /// A repeat with QoS 2 that this connection does not take: PUBREL ends it instead.
    Forgone(DropReason, &'a Waiting),
}

/// The session's deliveries. Empty, it holds no memory on the heap.
#[derive(Debug)]
pub struct Outbound {
    /// In the order in which identifiers were given, so identifiers rise from front to back (modulo
    /// wrap-around).
    pub(super) inflight: VecDeque<Inflight>,
    /// How many of them wait for their repeat.
    pub(super) unrepeated: usize,
    pub(super) queue: Queue,
    pub(super) last_packet_id: u16,
    /// Deliveries that are queued, or wait for an acknowledgement, are counted: their numbers rise in
    /// their order.
    pub(super) last_number: u64,
}

impl Outbound {
    /// Nothing to deliver yet.
    pub fn new(limits: OutboundLimits) -> Outbound {
        Outbound {
            inflight: VecDeque::new(),
            unrepeated: 0,
            queue: Queue::new(limits),
            last_packet_id: 0,
            last_number: 0,
        }
    }

    /// From now on it goes by these; what is queued beyond them stays.
    pub fn set_limits(&mut self, limits: OutboundLimits) {
        self.queue.set_limits(limits);
    }

    /// Delivers `message` now if it can be, else queues it.
    /// [MQTT-3.3.1-3], [MQTT-4.3.1-1], [MQTT-4.3.2-2], [MQTT-4.3.3-2]
    pub fn offer(
        &mut self,
        wire: Option<&mut Wire<'_>>,
        message: &mut Fanout<'_, '_>,
        delivery: Delivery<'_>,
    ) -> Offer {
        let Some(wire) = wire else {
            return match (delivery.qos, self.queue.qos_0()) {
                (QoS::AtMostOnce, QueuedQos0::Dropped) => Offer::Dropped(DropReason::Offline),
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
            // Nothing overtakes a message of its own topic and QoS [MQTT-4.6.0-5].
            if self.queue.has_qos_0() {
                return self.enqueue(message.stored(), delivery);
            }
            message.append_to(wire, delivery, 0);
            return Offer::Sent;
        }
        if self.has_waiting() || wire.is_congested() {
            return self.enqueue(message.stored(), delivery);
        }
        let Some(packet_id) = self.next_packet_id(wire.window) else {
            return self.enqueue(message.stored(), delivery);
        };
        message.append_to(wire, delivery, packet_id);
        let waiting = self.numbered(message.stored(), delivery);
        self.inflight
            .push_back(Inflight::published(packet_id, waiting));
        Offer::Sent
    }

    /// PUBACK: the delivery is done, and returned. `None`: no such QoS 1 delivery.
    /// [MQTT-4.4.0-2]
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
    /// [MQTT-4.3.3-3], [MQTT-4.3.3-6], [MQTT-4.4.0-2]
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
        let delivery = &mut self.inflight[at];
        self.unrepeated -= usize::from(std::mem::take(&mut delivery.awaits_repeat));
        let state = &mut delivery.state;
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

    /// Sends what the window allows: repeats that still wait, then the queue. Calls `done` for each message
    /// that leaves it.
    pub fn pump(
        &mut self,
        wire: &mut Wire<'_>,
        now_ms: u64,
        scratch: &mut crate::fanout::Scratch,
        mut done: impl FnMut(Pumped<'_>),
    ) {
        self.repeat(wire, now_ms, scratch, &mut done);
        if self.unrepeated > 0 {
            return;
        }
        while let Some(qos) = self.queue.next_qos() {
            if wire.is_congested() {
                return;
            }
            let packet_id = match qos {
                QoS::AtMostOnce => 0,
                _ => match self.next_packet_id(wire.window) {
                    Some(packet_id) => packet_id,
                    None => return,
                },
            };
            let Some(next) = self.queue.pop() else {
                return;
            };
            match write(&next, packet_id, Repeat::First, wire, now_ms, scratch) {
                Ok(()) => {
                    done(Pumped::Sent(packet_id, &next));
                    self.sent(packet_id, next);
                }
                Err(reason) => done(Pumped::Dropped(reason, &next)),
            }
        }
    }

    /// QoS 1 and 2 stay until they are acknowledged.
    fn sent(&mut self, packet_id: u16, delivery: Waiting) {
        if delivery.qos != QoS::AtMostOnce {
            self.inflight
                .push_back(Inflight::published(packet_id, delivery));
        }
    }

    /// A connection took the session up again: repeats everything under way, in its order
    /// [MQTT-4.4.0-1], then goes on with the queue as [`Outbound::pump`] does. The window is that of the new
    /// connection, and may be smaller than the one before: what is too much for it waits [MQTT-3.3.4-9].
    pub fn resume(
        &mut self,
        wire: &mut Wire<'_>,
        now_ms: u64,
        scratch: &mut crate::fanout::Scratch,
        mut done: impl FnMut(Pumped<'_>),
    ) {
        let is_released = |d: &&Inflight| matches!(d.state, InflightState::Released);
        let released = self.inflight.iter().filter(is_released).count();
        let mut room = usize::from(wire.window).saturating_sub(released);
        self.unrepeated = 0;
        self.inflight.retain_mut(|delivery| {
            if matches!(delivery.state, InflightState::Released) {
                wire.pubrel(delivery.packet_id, ReasonCode::Success);
                return true;
            }
            delivery.awaits_repeat = room == 0;
            if delivery.awaits_repeat {
                self.unrepeated += 1;
                return true;
            }
            room -= 1;
            delivery.repeat(wire, now_ms, scratch, &mut done)
        });
        self.pump(wire, now_ms, scratch, done);
    }

    /// Repeats what had no room when the connection began.
    fn repeat(
        &mut self,
        wire: &mut Wire<'_>,
        now_ms: u64,
        scratch: &mut crate::fanout::Scratch,
        done: &mut impl FnMut(Pumped<'_>),
    ) {
        let window = usize::from(wire.window);
        while self.unrepeated > 0 && self.inflight.len() - self.unrepeated < window {
            let next = self.inflight.iter().position(|d| d.awaits_repeat);
            let Some(at) = next.filter(|_| !wire.is_congested()) else {
                return;
            };
            let delivery = &mut self.inflight[at];
            delivery.awaits_repeat = false;
            self.unrepeated -= 1;
            if !delivery.repeat(wire, now_ms, scratch, done) {
                self.remove(at);
            }
        }
    }

    /// Whether [`Outbound::pump`] has something to send when there is room.
    pub fn has_waiting(&self) -> bool {
        self.unrepeated > 0 || !self.queue.is_empty()
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
        let waiting = self.numbered(message, delivery);
        self.queue.push(waiting)
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
    /// [MQTT-2.2.1-4], [MQTT-4.3.2-1], [MQTT-4.3.3-1], [MQTT-4.9.0-1], [MQTT-4.9.0-2]
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
        let delivery = removed?;
        self.unrepeated -= usize::from(delivery.awaits_repeat);
        Some(delivery.state)
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
