//! What this shard has staged for the node's journal, and what waits until that is on the disk.
//!
//! Records are staged while the shard works and handed over once a turn, as one chunk; chunks are counted.
//! Whatever must not be said before a record is on the disk waits for the number of the record's chunk:
//! acknowledgements of publishes, answers to other shards and nodes, and bytes of connections.

use super::{ShardId, mailbox::Gate, slots::SlotKey};
use crate::journal::{
    Journal,
    record::{KeptDelivery, Name, Record, Role, Stage, State, StateDelivery},
};
use raftmq_mqtt::{
    publication::{Publication, Stored},
    session::{Delivery, Outbound, Session},
};
use rustc_hash::FxHashMap;
use std::{collections::VecDeque, sync::Arc};

/// What waits for a chunk.
pub(super) enum Wait {
    /// A part of a deferred publish.
    Publish(usize),
    /// Another shard or node, for publications that this shard has taken.
    Gate(Gate),
    /// The journal, for this shard's part of a checkpoint.
    Checkpoint,
    /// A node that handed a session out, for its new owner to have it.
    Imported(tokio::sync::oneshot::Sender<()>),
    /// Publishes that went to a node which is down, up to this one, and are kept here instead.
    Returned { peer: u64, upto: u64 },
}

/// One shard's end of the journal.
pub(super) struct Ledger {
    journal: Option<Arc<Journal>>,
    shard: ShardId,
    staged: Vec<u8>,
    /// Number of the last chunk that was handed over.
    handed_over: u64,
    /// Deliveries of the publication that is being delivered.
    deliveries: Vec<KeptDelivery>,
    /// Publications that were staged.
    kept: u64,
    waits: VecDeque<(u64, Wait)>,
    /// Connections with bytes that wait.
    held: Vec<SlotKey>,
}

/// Names of the frames that states refer to, as long as several states are written together.
#[derive(Default)]
pub(super) struct Frames {
    names: FxHashMap<usize, u64>,
    /// A message that is gone would leave its address to another one.
    pinned: Vec<Stored>,
}

impl Ledger {
    pub fn new(journal: Option<Arc<Journal>>, shard: ShardId) -> Ledger {
        Ledger {
            journal,
            shard,
            staged: Vec::new(),
            handed_over: 0,
            deliveries: Vec::new(),
            kept: 0,
            waits: VecDeque::new(),
            held: Vec::new(),
        }
    }

    /// A number for a session that is written from now on. `None`: nothing is written on this node.
    pub fn begin(&self) -> Option<u64> {
        self.journal.as_ref().map(|journal| journal.next_session())
    }

    /// Whether publishers have to wait.
    pub fn is_full(&self) -> bool {
        self.journal
            .as_ref()
            .is_some_and(|journal| journal.is_full())
    }

    /// Whether the disk has no room for anything new.
    pub fn is_out_of_room(&self) -> bool {
        let journal = self.journal.as_ref();
        journal.is_some_and(|journal| journal.is_out_of_room())
    }

    /// Number of the last chunk that is on the disk.
    pub fn durable(&self) -> u64 {
        let journal = self.journal.as_ref();
        journal.map_or(u64::MAX, |journal| journal.durable(self.shard))
    }

    /// Number of the chunk in which everything is that has been staged until now.
    pub fn position(&self) -> u64 {
        self.handed_over + u64::from(!self.staged.is_empty())
    }

    /// Number of the chunk in which the next record will be.
    pub fn next_position(&self) -> u64 {
        self.handed_over + 1
    }

    /// How many publications were staged; tells whether one of those that were just delivered was.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Stages a record.
    pub fn record(&mut self, record: &Record<'_>) {
        record.append_to(&mut self.staged);
    }

    /// The publication being delivered has been taken by this session's `outbound`, just now.
    pub fn deliver(
        &mut self,
        session: u64,
        outbound: &Outbound,
        packet_id: u16,
        delivery: Delivery<'_>,
    ) {
        let ids = delivery.subscription_ids.iter().map(|id| id.get());
        self.deliveries.push(KeptDelivery {
            session,
            number: outbound.last_number(),
            packet_id,
            qos: delivery.qos.number(),
            retain: delivery.retain,
            subscription_ids: ids.collect(),
        });
    }

    /// The publication has been delivered to everybody here: stages it, once, if a session keeps it.
    pub fn delivered(&mut self, publication: &Publication<'_>, now_ms: u64) {
        if self.deliveries.is_empty() {
            return;
        }
        let mut frame = Vec::with_capacity(publication.frame_len());
        publication.append_to(&mut frame);
        let record = Record::Kept {
            kept_at_ms: now_ms,
            frame: &frame,
            deliveries: std::mem::take(&mut self.deliveries),
        };
        record.append_to(&mut self.staged);
        if let Record::Kept { mut deliveries, .. } = record {
            deliveries.clear();
            self.deliveries = deliveries;
        }
        self.kept += 1;
    }

    /// Stages all of a session.
    pub fn state(
        &mut self,
        number: u64,
        name: Name<'_>,
        role: Role,
        session: &Session,
        frames: &mut Frames,
    ) {
        let mut deliveries = Vec::new();
        for delivery in session.outbound.transfer() {
            let frame = match &delivery.message {
                Some(message) => self.frame(message, frames),
                None => 0,
            };
            let stage = match (&delivery.message, delivery.packet_id) {
                (None, _) => Stage::Released,
                (Some(_), 0) => Stage::Queued,
                (Some(_), _) => Stage::Published,
            };
            let ids = delivery.subscription_ids.iter().map(|id| id.get());
            deliveries.push(StateDelivery {
                delivery: KeptDelivery {
                    session: number,
                    number: delivery.number,
                    packet_id: delivery.packet_id,
                    qos: delivery.qos.number(),
                    retain: delivery.retain,
                    subscription_ids: ids.collect(),
                },
                stage,
                frame,
            });
        }
        self.record(&Record::State(State {
            session: number,
            name,
            role,
            last_packet_id: session.outbound.last_packet_id(),
            last_number: session.outbound.last_number(),
            received: session.inbound.kept_qos2().collect(),
            deliveries,
        }));
    }

    fn frame(&mut self, message: &Stored, frames: &mut Frames) -> u64 {
        if let Some(name) = frames.names.get(&message.address()) {
            return *name;
        }
        let name = self.journal.as_ref().map_or(0, |j| j.next_frame());
        frames.names.insert(message.address(), name);
        frames.pinned.push(message.clone());
        self.record(&Record::Frame {
            frame: name,
            kept_at_ms: message.kept_at_ms(),
            bytes: message.frame(),
        });
        name
    }

    /// `wait` waits until everything that has been staged until now is on the disk.
    pub fn wait(&mut self, wait: Wait) {
        self.waits.push_back((self.position(), wait));
    }

    /// The same, if there is anything to wait for; else `wait` is returned.
    pub fn wait_if_behind(&mut self, wait: Wait) -> Option<Wait> {
        if self.position() <= self.durable() && self.waits.is_empty() {
            return Some(wait);
        }
        self.wait(wait);
        None
    }

    /// Whether anybody waits.
    pub fn is_waited_for(&self) -> bool {
        !self.waits.is_empty()
    }

    /// The next that need not wait any more.
    pub fn pop_done(&mut self, durable: u64) -> Option<Wait> {
        let (position, _) = self.waits.front()?;
        if *position > durable {
            return None;
        }
        self.waits.pop_front().map(|(_, wait)| wait)
    }

    /// The connection has bytes that wait.
    pub fn hold(&mut self, key: SlotKey) {
        self.held.push(key);
    }

    /// Connections with bytes that waited.
    pub fn take_held(&mut self) -> Vec<SlotKey> {
        std::mem::take(&mut self.held)
    }

    /// Whether there is something to be handed over.
    pub fn has_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Bytes staged.
    pub fn staged_bytes(&self) -> usize {
        self.staged.len()
    }

    /// Hands over what has been staged.
    pub fn hand_over(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        let staged = std::mem::take(&mut self.staged);
        if let Some(journal) = &self.journal {
            self.handed_over += 1;
            journal.put(self.shard, self.handed_over, staged);
        }
    }

    /// The journal.
    pub fn journal(&self) -> Option<&Arc<Journal>> {
        self.journal.as_ref()
    }
}
