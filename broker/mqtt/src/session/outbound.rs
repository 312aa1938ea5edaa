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
}

#[derive(Debug)]
struct Inflight {
    packet_id: u16,
    state: InflightState,
}

/// One delivery of a session that moves to another node.
#[derive(Clone, Debug)]
pub struct TransferredDelivery {
    /// Packet identifier; 0: it was still queued.
    pub packet_id: u16,
    /// The publication; `None`: PUBREC has been received.
    pub message: Option<Stored>,
    /// QoS of the delivery.
    pub qos: QoS,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Subscription identifiers of the delivery.
    pub subscription_ids: Box<[SubscriptionIdentifier]>,
}

/// The session's deliveries. Empty, it holds no memory on the heap.
#[derive(Debug)]
pub struct Outbound {
    /// In the order in which identifiers were given, so identifiers rise from front to back (modulo
    /// wrap-around).
    inflight: VecDeque<Inflight>,
    queue: Queue,
    last_packet_id: u16,
}

impl Outbound {
    /// Nothing to deliver yet.
    pub fn new(limits: OutboundLimits) -> Outbound {
        Outbound {
            inflight: VecDeque::new(),
            queue: Queue::new(limits),
            last_packet_id: 0,
        }
    }

    /// From now on it goes by these; what is queued beyond them stays.
    pub fn set_limits(&mut self, limits: OutboundLimits) {
        self.queue.set_limits(limits);
    }

    /// Delivers `message` now if it can be, else queues it.
    pub fn offer(
        &mut self,
        wire: Option<&mut Wire<'_>>,
        message: &mut Fanout<'_, '_>,
        delivery: Delivery<'_>,
    ) -> Offer {
        let Some(wire) = wire else {
            return match (delivery.qos, self.queue.qos_0()) {
                (QoS::AtMostOnce, QueuedQos0::Dropped) => Offer::Dropped(DropReason::Offline),
                _ => self.queue.push(waiting(message.stored(), delivery)),
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
                return self.queue.push(waiting(message.stored(), delivery));
            }
            message.append_to(wire, delivery, 0);
            return Offer::Sent;
        }
        if !self.queue.is_empty() || wire.is_congested() {
            return self.queue.push(waiting(message.stored(), delivery));
        }
        let Some(packet_id) = self.next_packet_id(wire.window) else {
            return self.queue.push(waiting(message.stored(), delivery));
        };
        message.append_to(wire, delivery, packet_id);
        let waiting = waiting(message.stored(), delivery);
        self.inflight.push_back(Inflight {
            packet_id,
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

    /// PUBCOMP: the delivery is done. `false`: it did not wait for one.
    pub fn pubcomp(&mut self, packet_id: u16) -> bool {
        match self.find(packet_id) {
            Some(at) if matches!(self.inflight[at].state, InflightState::Released) => {
                self.remove(at);
                true
            }
            _ => false,
        }
    }

    /// Sends what the window allows from the queue. Calls `done` for each message that leaves it.
    pub fn pump(
        &mut self,
        wire: &mut Wire<'_>,
        now_ms: u64,
        scratch: &mut crate::fanout::Scratch,
        mut done: impl FnMut(Pumped<'_>),
    ) {
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
            self.inflight.push_back(Inflight {
                packet_id,
                state: InflightState::Published(delivery),
            });
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

    /// Everything owed to the client, in order, for another node.
    pub fn transfer(&self) -> impl Iterator<Item = TransferredDelivery> + '_ {
        let inflight = self.inflight.iter().map(|delivery| match &delivery.state {
            InflightState::Released => TransferredDelivery {
                packet_id: delivery.packet_id,
                message: None,
                qos: QoS::ExactlyOnce,
                retain: false,
                subscription_ids: Box::default(),
            },
            InflightState::Published(waiting) => transferred(delivery.packet_id, waiting),
        });
        inflight.chain(self.queue.iter().map(|waiting| transferred(0, waiting)))
    }

    /// Takes over what another node owed the client: it goes before everything that is here already.
    pub fn restore(&mut self, deliveries: Vec<TransferredDelivery>) {
        let mut queue = Vec::new();
        for delivery in deliveries {
            let state = match delivery.message {
                None => InflightState::Released,
                Some(message) => {
                    let waiting = Waiting {
                        message,
                        qos: delivery.qos,
                        retain: delivery.retain,
                        subscription_ids: boxed(&delivery.subscription_ids),
                    };
                    if delivery.packet_id == 0 {
                        queue.push(waiting);
                        continue;
                    }
                    InflightState::Published(waiting)
                }
            };
            self.last_packet_id = delivery.packet_id;
            self.inflight.push_back(Inflight {
                packet_id: delivery.packet_id,
                state,
            });
        }
        self.queue.put_before(queue);
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

fn boxed(ids: &[SubscriptionIdentifier]) -> Option<Box<[SubscriptionIdentifier]>> {
    (!ids.is_empty()).then(|| ids.into())
}

fn waiting(message: Stored, delivery: Delivery<'_>) -> Waiting {
    Waiting {
        message,
        qos: delivery.qos,
        retain: delivery.retain,
        subscription_ids: boxed(delivery.subscription_ids),
    }
}

fn transferred(packet_id: u16, waiting: &Waiting) -> TransferredDelivery {
    TransferredDelivery {
        packet_id,
        message: Some(waiting.message.clone()),
        qos: waiting.qos,
        retain: waiting.retain,
        subscription_ids: waiting.subscription_ids.clone().unwrap_or_default(),
    }
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
