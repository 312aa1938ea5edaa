//! Publishes whose acknowledgement waits for others: links to other nodes, other shards, the journal, the
//! retained store.
//!
//! Each waits for a number of parts. Links acknowledge cumulatively, so per link there is a queue of
//! (position in the link, publish) that is emptied from the front.

use super::{
    Shard, ShardId,
    ledger::{Ledger, Wait},
    slots::SlotKey,
};
use crate::journal::record::Record;
use raftmq_api::counters::Metric;
use raftmq_mqtt::{
    codec::{QoS, ReasonCode},
    session::{AckTicket, Settled},
};
use slab::Slab;
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};
use tokio::sync::oneshot;

/// What became of a publish of the HTTP API, or of a delayed one.
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
    /// A request of the HTTP API, or the task that publishes delayed messages.
    Admin(oneshot::Sender<PublishOutcome>),
    /// What this node keeps for a session of another one, up to this number.
    Owed { client_id: Arc<str>, upto: u64 },
}

/// The same, once an acknowledgement has its place in the session's order.
enum Answerable {
    Client { key: SlotKey, ticket: AckTicket },
    Admin(oneshot::Sender<PublishOutcome>),
    Owed { client_id: Arc<str>, upto: u64 },
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
    by_link: Vec<Queue>,
    /// The same per other shard of this node.
    by_shard: Vec<Queue>,
}

/// Publishes with their numbers on one way, ascending.
type Queue = VecDeque<(u64, usize)>;

/// The next publish of the way that is acknowledged up to `position`.
fn pop_acknowledged(queue: &mut Queue, position: u64) -> Option<usize> {
    let (at, waiting) = *queue.front()?;
    if at > position {
        return None;
    }
    queue.pop_front();
    Some(waiting)
}

impl DeferredPublishes {
    pub fn new(shards: usize) -> DeferredPublishes {
        DeferredPublishes {
            waiting: Slab::new(),
            by_link: Vec::new(),
            by_shard: vec![Queue::new(); shards],
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

    /// The publish is message number `position` for the other shard.
    pub fn add_shard(&mut self, waiting: usize, shard: ShardId, position: u64) {
        self.add_part(waiting);
        self.by_shard[shard.index()].push_back((position, waiting));
    }
}

impl Shard {
    /// Reserves the publish's place in the order of acknowledgements. One part, the routing itself,
    /// is under way until [`Shard::deferred_begun`].
    pub(super) fn defer(&mut self, owner: Owner) -> usize {
        let owner = match owner {
            Owner::Admin(answer) => Answerable::Admin(answer),
            Owner::Owed { client_id, upto } => Answerable::Owed { client_id, upto },
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
            Answerable::Owed { client_id, upto } => {
                let part = match deferred.failed {
                    true => Part::Failed,
                    false => Part::Kept,
                };
                self.owed_arrived(&client_id, upto, part);
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
        let connection = slot.connection.as_deref_mut();
        let before = connection.as_ref().map_or(0, |c| c.out.len());
        // Before MQTT 5 an acknowledgement cannot say no: none is written, the client has to come back and
        // repeat.
        let cannot_say_no = failed && version.is_some_and(|v| v != Version::V5);
        let mut wire = connection.filter(|_| !cannot_say_no).map(|c| c.wire());
        let (journaled, ledger) = (slot.journaled, &mut self.ledger);
        let mut has_recorded = false;
        let settled = |settled| {
            has_recorded |= record_settled(ledger, journaled, settled);
        };
        let inbound = &mut slot.session.inbound;
        inbound.complete(ticket, reason, wire.as_mut(), settled);
        if has_recorded {
            // A PUBREC that the disk does not know would let the next life of this node route a repeat.
            self.hold_output(key, before);
            self.output.wake();
        }
        self.mark_dirty(key);
        // 3.1.1 [MQTT-4.8.0-2]
        if cannot_say_no {
            self.close(
                key,
                ReasonCode::QuotaExceeded,
                "a publish could not be kept",
            );
        }
    }

    /// Everything that has been staged for the journal is a part of the publish.
    pub(super) fn defer_to_journal(&mut self, waiting: usize) {
        self.deferred.add_part(waiting);
        self.after_journal(Wait::Publish(waiting));
    }

    /// It cannot be kept: refused.
    pub(super) fn refuse_deferred(&mut self, owner: Owner) {
        let waiting = self.defer(owner);
        self.deferred_part(waiting, Part::Failed);
    }

    /// Another shard has taken more.
    pub(super) fn shard_took(&mut self, by: ShardId, upto: u64) {
        while let Some(waiting) = pop_acknowledged(&mut self.deferred.by_shard[by.index()], upto) {
            self.deferred_part(waiting, Part::Kept);
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
            }
            | Owner::Owed { .. } => {}
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
            let way =
                |shard: &mut Shard| pop_acknowledged(&mut shard.deferred.by_link[index], position);
            while let Some(waiting) = way(self) {
                self.deferred_part(waiting, Part::Kept);
            }
        }
    }
}

fn record_settled(ledger: &mut Ledger, journaled: Option<u64>, settled: Settled) -> bool {
    let Some(session) = journaled else {
        return false;
    };
    ledger.record(&match settled {
        Settled::Received(packet_id) => Record::Received { session, packet_id },
        Settled::Forgotten(packet_id) => Record::Forgotten { session, packet_id },
    });
    true
}
