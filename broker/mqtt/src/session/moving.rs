//! A session's deliveries on their way to another place: another node, or the disk and back.

use super::{
    Outbound, OutboundLimits,
    inflight::Inflight,
    outbound::boxed,
    waiting::{InflightState, Waiting},
};
use crate::{
    codec::{QoS, SubscriptionIdentifier},
    publication::Stored,
};

/// One delivery of a session that moves to another node.
#[derive(Clone, Debug)]
pub struct TransferredDelivery {
    /// Number of the delivery in its session; of no meaning to another node.
    pub number: u64,
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

impl Outbound {
    /// As it was before the node was started anew. Deliveries have the numbers that they had.
    pub fn recovered(
        limits: OutboundLimits,
        deliveries: Vec<TransferredDelivery>,
        last_packet_id: u16,
        last_number: u64,
    ) -> Outbound {
        let mut outbound = Outbound::new(limits);
        let queue = outbound.take(deliveries);
        outbound.queue.put_before(queue);
        outbound.last_packet_id = last_packet_id;
        outbound.last_number = last_number;
        outbound
    }

    /// Everything owed to the client, in order, for another node or the disk.
    pub fn transfer(&self) -> impl Iterator<Item = TransferredDelivery> + '_ {
        let inflight = self.inflight.iter().map(|delivery| match &delivery.state {
            InflightState::Released => TransferredDelivery {
                number: delivery.number,
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
    /// All deliveries get new numbers.
    pub fn restore(&mut self, deliveries: Vec<TransferredDelivery>) {
        if let Some(sent_last) = deliveries.iter().rfind(|d| d.packet_id != 0) {
            self.last_packet_id = sent_last.packet_id;
        }
        let waited_there = self.take(deliveries);
        self.queue.put_before(waited_there);
        self.renumber();
    }

    /// What was sent to the client under an identifier that it may not know any more waits again, and is
    /// sent as new; what the client has said that it has is over.
    pub fn requeue(&mut self) {
        self.unrepeated = 0;
        let sent = std::mem::take(&mut self.inflight).into_iter();
        let sent = sent.filter_map(|d| d.state.published()).collect();
        self.queue.put_before(sent);
        self.renumber();
    }

    /// Forgets the first message of the queue, if its number is not above `upto`; its number.
    pub fn forget_queued(&mut self, upto: u64) -> Option<u64> {
        let number = self.queue.iter().next()?.number;
        if number > upto {
            return None;
        }
        self.queue.pop();
        Some(number)
    }

    /// Those under way; returned are those that waited.
    fn take(&mut self, deliveries: Vec<TransferredDelivery>) -> Vec<Waiting> {
        let mut queue = Vec::new();
        for delivery in deliveries {
            let state = match delivery.message {
                None => InflightState::Released,
                Some(message) => {
                    let waiting = Waiting {
                        message,
                        number: delivery.number,
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
            let inflight = Inflight::new(delivery.packet_id, delivery.number, state);
            self.inflight.push_back(inflight);
        }
        queue
    }

    fn renumber(&mut self) {
        for delivery in &mut self.inflight {
            self.last_number += 1;
            delivery.number = self.last_number;
            if let InflightState::Published(waiting) = &mut delivery.state {
                waiting.number = self.last_number;
            }
        }
        for waiting in self.queue.iter_mut() {
            self.last_number += 1;
            waiting.number = self.last_number;
        }
    }
}

fn transferred(packet_id: u16, waiting: &Waiting) -> TransferredDelivery {
    TransferredDelivery {
        number: waiting.number,
        packet_id,
        message: Some(waiting.message.clone()),
        qos: waiting.qos,
        retain: waiting.retain,
        subscription_ids: waiting.subscription_ids.clone().unwrap_or_default(),
    }
}
