//! Messages that are to be published later, by their place in the log and by their time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raftmq_proto::v1::{Message, TableDelayed};
use rustc_hash::FxHashMap;

use super::{NodeId, sessions::SHARDS};

/// A message that is to be published later.
#[derive(Clone, Debug, PartialEq)]
pub struct DelayedMessage {
    /// Place of its command in the log; see [`super::Epoch`].
    pub id: u64,
    /// When it is due, Unix milliseconds.
    pub due_ms: u64,
    /// What is published, with the topic that it is published to.
    pub message: Arc<Message>,
    /// Whether it came by the HTTP API.
    pub by_api: bool,
    pub(super) due: Due,
}

/// Whether a message is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Later,
    /// This node publishes it; `None`: none was up.
    Now(Option<NodeId>),
}

/// How many one entry makes due: more wait for the next, so that none holds up the log.
const DUE_AT_ONCE_MAX: usize = 4096;

type Shard = FxHashMap<u64, Arc<DelayedMessage>>;

/// (time, place in the log): the order in which they are published.
type Order = BTreeSet<(u64, u64)>;

#[derive(Clone)]
pub(super) struct Delayed {
    shards: Vec<Arc<Shard>>,
    waiting: Order,
    due: BTreeMap<Option<NodeId>, Order>,
    len: usize,
}

impl Default for Delayed {
    fn default() -> Self {
        Self {
            shards: vec![Arc::default(); SHARDS],
            waiting: Order::new(),
            due: BTreeMap::new(),
            len: 0,
        }
    }
}

/// Which of the [`SHARDS`] holds a message. Neighbours lie in different ones.
fn shard_of(id: u64) -> usize {
    (id ^ id >> 12) as usize % SHARDS
}

impl Delayed {
    /// Adds a message; one with the same id is replaced.
    pub fn insert(&mut self, message: DelayedMessage) {
        self.remove(message.id);
        self.order_of(message.due)
            .insert((message.due_ms, message.id));
        let shard = Arc::make_mut(&mut self.shards[shard_of(message.id)]);
        shard.insert(message.id, Arc::new(message));
        self.len += 1;
    }

    fn remove(&mut self, id: u64) -> Option<Arc<DelayedMessage>> {
        // What is not there leaves the shard as it is, shared with frozen tables.
        self.get(id)?;
        let message = Arc::make_mut(&mut self.shards[shard_of(id)]).remove(&id)?;
        self.order_of(message.due)
            .remove(&(message.due_ms, message.id));
        self.due.retain(|_, order| !order.is_empty());
        self.len -= 1;
        Some(message)
    }

    /// Removes a message that is due in this way; says whether it was there.
    pub fn remove_if(&mut self, id: u64, due: Due) -> bool {
        let is_so = self.get(id).is_some_and(|message| message.due == due);
        is_so && self.remove(id).is_some()
    }

    /// Makes it due, for one of these nodes.
    pub fn set_due(&mut self, id: u64, up: &[NodeId]) {
        let Some(message) = self.remove(id) else {
            return;
        };
        let at = publisher_number(&message.message.client_id).checked_rem(up.len() as u64);
        let node = at.and_then(|at| up.get(at as usize)).copied();
        self.insert(DelayedMessage {
            due: Due::Now(node),
            ..(*message).clone()
        });
    }

    /// The first of those that are not due yet and are at `now_ms`, in their order.
    pub fn waiting_until(&self, now_ms: u64) -> Vec<u64> {
        let due = self.waiting.range(..=(now_ms, u64::MAX));
        due.take(DUE_AT_ONCE_MAX).map(|(_, id)| *id).collect()
    }

    /// Those that are due, by the node that publishes them, in their order.
    pub fn due_where(&self, is_wanted: impl Fn(Option<NodeId>) -> bool) -> Vec<u64> {
        let wanted = self.due.iter().filter(|(node, _)| is_wanted(**node));
        let mut found: Vec<_> = wanted.flat_map(|(_, order)| order).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| *id).collect()
    }

    /// What a node is to publish, in its order.
    pub fn due_for(&self, node: NodeId) -> impl Iterator<Item = &Arc<DelayedMessage>> {
        let order = self.due.get(&Some(node)).into_iter().flatten();
        order.filter_map(|(_, id)| self.get(*id))
    }

    pub fn get(&self, id: u64) -> Option<&Arc<DelayedMessage>> {
        self.shards[shard_of(id)].get(&id)
    }

    pub fn first_due_ms(&self) -> Option<u64> {
        self.waiting.first().map(|(due_ms, _)| *due_ms)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn shards(&self) -> Vec<Arc<Shard>> {
        self.shards.clone()
    }

    fn order_of(&mut self, due: Due) -> &mut Order {
        match due {
            Due::Later => &mut self.waiting,
            Due::Now(node) => self.due.entry(node).or_default(),
        }
    }
}

/// The same number on every node and in every version (FNV-1a, 64 bits).
fn publisher_number(client_id: &str) -> u64 {
    client_id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl DelayedMessage {
    pub(super) fn stored(&self) -> TableDelayed {
        let publishing_node = match self.due {
            Due::Now(Some(node)) => node.0,
            Due::Now(None) | Due::Later => 0,
        };
        TableDelayed {
            id: self.id,
            due_ms: self.due_ms,
            message: Some((*self.message).clone()),
            by_api: self.by_api,
            publishing_node,
            is_due: self.due != Due::Later,
        }
    }

    pub(super) fn restored(stored: TableDelayed) -> Option<DelayedMessage> {
        let node = stored.publishing_node;
        Some(DelayedMessage {
            id: stored.id,
            due_ms: stored.due_ms,
            message: Arc::new(stored.message?),
            by_api: stored.by_api,
            due: match stored.is_due {
                true => Due::Now((node != 0).then_some(NodeId(node))),
                false => Due::Later,
            },
        })
    }
}
