//! Publishes whose acknowledgement waits for others: links to other nodes, the retained store.
//!
//! Each waits for a number of parts. Links acknowledge cumulatively, so per link there is a queue of
//! (position in the link, publish) that is emptied from the front.

use super::{Shard, slots::SlotKey};
use raftmq_api::counters::Metric;
use raftmq_mqtt::{
    codec::{QoS, ReasonCode},
    session::AckTicket,
};
use slab::Slab;
use std::{collections::VecDeque, sync::atomic::Ordering};
use tokio::sync::oneshot;

/// What became of a publish of the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// Routed, and with QoS 1 and 2 kept by its owners.
    Kept,
    /// Some owner could not keep it.
    Failed,
    /// It was to be retained, and may not be: nothing was done.
    NotRetained,
}

/// Who is told when a publish is kept.
pub(crate) enum Owner {
    /// A client's PUBLISH.
    Client {
        key: SlotKey,
        qos: QoS,
        packet_id: u16,
    },
    /// A request of the HTTP API.
    Admin(oneshot::Sender<PublishOutcome>),
}

/// The same, once an acknowledgement has its place in the session's order.
enum Answerable {
    Client { key: SlotKey, ticket: AckTicket },
    Admin(oneshot::Sender<PublishOutcome>),
}

/// The outcome of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Kept,
    Failed,
}

struct Deferred {
    owner: Answerable,
    parts: u32,
    reason: ReasonCode,
    failed: bool,
}

/// All publishes of this shard that wait.
pub(super) struct DeferredPublishes {
    waiting: Slab<Deferred>,
    /// Per link: publishes in the order in which they went there.
    by_link: Vec<VecDeque<(u64, usize)>>,
}

impl DeferredPublishes {
    pub fn new() -> DeferredPublishes {
        DeferredPublishes {
            waiting: Slab::new(),
            by_link: Vec::new(),
        }
    }

    /// There are so many links now.
    pub fn grow(&mut self, links: usize) {
        self.by_link.resize_with(links, VecDeque::new);
    }

    /// One more part has to be kept.
    pub fn add_part(&mut self, waiting: usize) {
        if let Some(deferred) = self.waiting.get_mut(waiting) {
            deferred.parts += 1;
        }
    }

    /// The publish is message number `position` of the link.
    pub fn add_link(&mut self, waiting: usize, link: usize, position: u64) {
        self.add_part(waiting);
        self.by_link[link].push_back((position, waiting));
    }

    /// The next publish of the link that is acknowledged up to `position`.
    fn pop_acknowledged(&mut self, link: usize, position: u64) -> Option<usize> {
        let queue = &mut self.by_link[link];
        let (at, waiting) = *queue.front()?;
        if at > position {
            return None;
        }
        queue.pop_front();
        Some(waiting)
    }
}

impl Shard {
    /// Reserves the publish's place in the order of acknowledgements. One part, the routing itself,
    /// is under way until [`Shard::deferred_begun`].
    pub(super) fn defer(&mut self, owner: Owner) -> usize {
        let owner = match owner {
            Owner::Admin(answer) => Answerable::Admin(answer),
            Owner::Client {
                key,
                qos,
                packet_id,
            } => {
                let ticket = self
                    .slots
                    .get_mut(key)
                    .map(|slot| slot.session.inbound.defer(qos, packet_id));
                // A slot that is gone has nobody to be told; the ticket is then never asked for.
                Answerable::Client {
                    key,
                    ticket: ticket.unwrap_or_default(),
                }
            }
        };
        let deferred = Deferred {
            owner,
            parts: 1,
            reason: ReasonCode::Success,
            failed: false,
        };
        self.deferred.waiting.insert(deferred)
    }

    /// The routing is done; `reason` is the answer if all parts succeed.
    pub(super) fn deferred_begun(&mut self, waiting: usize, reason: ReasonCode) {
        if let Some(deferred) = self.deferred.waiting.get_mut(waiting) {
            deferred.reason = reason;
        }
        self.deferred_part(waiting, Part::Kept);
    }

    /// One part is done; answers when it was the last.
    pub(super) fn deferred_part(&mut self, waiting: usize, part: Part) {
        let Some(deferred) = self.deferred.waiting.get_mut(waiting) else {
            return;
        };
        deferred.parts -= 1;
        deferred.failed |= part == Part::Failed;
        if deferred.parts > 0 {
            return;
        }
        let deferred = self.deferred.waiting.remove(waiting);
        match deferred.owner {
            Answerable::Admin(answer) => {
                let _ = answer.send(if deferred.failed {
                    PublishOutcome::Failed
                } else {
                    PublishOutcome::Kept
                });
            }
            Answerable::Client { key, ticket } => {
                self.complete(key, ticket, deferred.reason, deferred.failed)
            }
        }
    }

    fn complete(&mut self, key: SlotKey, ticket: AckTicket, reason: ReasonCode, failed: bool) {
        use raftmq_mqtt::codec::Version;
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if failed {
            self.counters.add(Metric::ClientPublishError, 1);
        }
        let version = slot.connection.as_ref().map(|c| c.version);
        let reason = if failed {
            ReasonCode::QuotaExceeded
        } else {
            reason
        };
        let mut wire = slot.connection.as_deref_mut().map(|c| c.wire());
        slot.session.inbound.complete(ticket, reason, wire.as_mut());
        self.mark_dirty(key);
        // Before MQTT 5 an acknowledgement cannot say no: the client has to come back and repeat
        // (3.1.1 [MQTT-4.8.0-2]).
        if failed && version.is_some_and(|v| v != Version::V5) {
            self.close(
                key,
                ReasonCode::QuotaExceeded,
                "a publish could not be kept",
            );
        }
    }

    /// Nothing has to be waited for: answers at once.
    pub(super) fn answer(&mut self, owner: Owner, reason: ReasonCode) {
        match owner {
            Owner::Admin(answer) => {
                let _ = answer.send(PublishOutcome::Kept);
            }
            Owner::Client {
                qos: QoS::AtMostOnce,
                ..
            } => {}
            Owner::Client {
                key,
                qos,
                packet_id,
            } => {
                let Some(slot) = self.slots.get_mut(key) else {
                    return;
                };
                let Some(connection) = slot.connection.as_deref_mut() else {
                    return;
                };
                slot.session
                    .inbound
                    .acknowledge(qos, packet_id, reason, &mut connection.wire());
                self.mark_dirty(key);
            }
        }
    }

    /// Links have acknowledged more: answers what waited for it.
    pub(super) fn links_moved(&mut self) {
        let links = self.links.clone();
        for (index, link) in links.iter().enumerate() {
            let position = link.acknowledged(self.id).load(Ordering::Acquire);
            while let Some(waiting) = self.deferred.pop_acknowledged(index, position) {
                self.deferred_part(waiting, Part::Kept);
            }
        }
    }
}
