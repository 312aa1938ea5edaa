//! What waits for a session: bounded, with a rule for what is dropped when it is full.
//!
//! QoS 0 promises nothing, so it makes room first; of the rest [`QueueDrop`] says whether what arrives
//! or what has waited longest is dropped.

use super::{
    outbound::{DropReason, Offer},
    waiting::Waiting,
};
use crate::codec::QoS;
use std::collections::VecDeque;

/// What a full queue of QoS 1 and 2 messages drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueDrop {
    /// The message that arrives: what waits is a whole beginning.
    #[default]
    Newest,
    /// The message that has waited longest: what waits is the present.
    Oldest,
}

/// What becomes of QoS 0 messages for a session whose client is offline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueuedQos0 {
    /// They are dropped, as the standard lets a server do (§3.1.2.11.2).
    #[default]
    Dropped,
    /// They wait with the others.
    Kept,
}

/// Bounds of one session.
#[derive(Clone, Copy, Debug)]
pub struct OutboundLimits {
    /// Messages that may wait behind the window.
    pub queue_messages_max: u32,
    /// What is dropped when there are as many.
    pub queue_drop: QueueDrop,
    /// Whether QoS 0 may be among them.
    pub queue_qos_0: QueuedQos0,
}

/// Messages that wait, oldest first. Empty, it holds no memory on the heap.
#[derive(Debug)]
pub(super) struct Queue {
    limits: OutboundLimits,
    messages: VecDeque<Waiting>,
    /// How many of them have QoS 0.
    qos_0: usize,
}

impl Queue {
    pub fn new(limits: OutboundLimits) -> Queue {
        Queue {
            limits,
            messages: VecDeque::new(),
            qos_0: 0,
        }
    }

    /// What is queued beyond new limits stays.
    pub fn set_limits(&mut self, limits: OutboundLimits) {
        self.limits = limits;
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub fn has_qos_0(&self) -> bool {
        self.qos_0 > 0
    }

    /// What becomes of QoS 0 while nobody is connected.
    pub fn qos_0(&self) -> QueuedQos0 {
        self.limits.queue_qos_0
    }

    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.messages.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Waiting> {
        self.messages.iter_mut()
    }

    /// QoS of the message that has waited longest.
    pub fn next_qos(&self) -> Option<QoS> {
        Some(self.messages.front()?.qos)
    }

    /// Takes the message that has waited longest.
    pub fn pop(&mut self) -> Option<Waiting> {
        let next = self.messages.pop_front()?;
        self.uncount(&next);
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        Some(next)
    }

    /// A message waits from now on, or is dropped, or another one is dropped for it.
    pub fn push(&mut self, message: Waiting) -> Offer {
        if self.messages.len() < self.limits.queue_messages_max as usize {
            self.append(message);
            return Offer::Queued;
        }
        match self.make_room_for(message.qos) {
            Some(displaced) => {
                self.append(message);
                Offer::Displaced(Box::new(displaced))
            }
            None => Offer::Dropped(DropReason::QueueFull),
        }
    }

    fn make_room_for(&mut self, qos: QoS) -> Option<Waiting> {
        if qos != QoS::AtMostOnce && self.has_qos_0() {
            let oldest = self
                .messages
                .iter()
                .position(|m| m.qos == QoS::AtMostOnce)?;
            let displaced = self.messages.remove(oldest)?;
            self.uncount(&displaced);
            return Some(displaced);
        }
        // Among equals of QoS 0, too, the setting decides; a QoS 0 message displaces nothing better.
        let is_among_equals = qos != QoS::AtMostOnce || self.next_qos() == Some(QoS::AtMostOnce);
        match self.limits.queue_drop {
            QueueDrop::Oldest if is_among_equals => self.pop(),
            _ => None,
        }
    }

    /// These have waited longer than all that is here.
    pub fn put_before(&mut self, messages: Vec<Waiting>) {
        for message in messages.into_iter().rev() {
            self.count(&message);
            self.messages.push_front(message);
        }
    }

    fn append(&mut self, message: Waiting) {
        self.count(&message);
        self.messages.push_back(message);
    }

    fn count(&mut self, message: &Waiting) {
        self.qos_0 += usize::from(message.qos == QoS::AtMostOnce);
    }

    fn uncount(&mut self, message: &Waiting) {
        self.qos_0 -= usize::from(message.qos == QoS::AtMostOnce);
    }
}
