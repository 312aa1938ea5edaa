//! Sessions by client identifier, in order, and by the time when something of theirs is due.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use raftmq_proto::v1::{ClientAttributes, Will};
use rustc_hash::{FxHashMap, FxHasher};

use super::{Epoch, NodeId};

/// A session's lifetime that never ends, in seconds (MQTT 5 §3.1.2.11.2).
pub(super) const NEVER: u32 = u32::MAX;
/// Parts that a frozen table shares with the living one until they are changed.
pub(super) const SHARDS: usize = 256;

/// One subscription of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Topic filter without `$share/<group>/`.
    pub filter: Arc<str>,
    /// Share group; `None`: an ordinary subscription.
    pub share: Option<Arc<str>>,
    /// Subscription options, MQTT 5 §3.8.3.1.
    pub options: u8,
    /// Subscription identifier; 0: none.
    pub id: u32,
}

/// A session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Node that owns it.
    pub node: NodeId,
    /// The claim by which it does.
    pub epoch: Epoch,
    /// Whether the client is connected.
    pub connected: bool,
    /// Clean start of the last CONNECT.
    pub clean_start: bool,
    /// Whether the last CONNECT found a session.
    pub session_present: bool,
    /// Lifetime after the connection in seconds; 0: none, 0xFFFFFFFF: for ever.
    pub expiry_seconds: u32,
    /// What it is owed is kept in memory only: it ends with its node's process.
    pub in_memory: bool,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Unix milliseconds; 0: connected.
    pub disconnected_at_ms: u64,
    /// Why the last connection ended.
    pub disconnected_reason: Arc<str>,
    /// What is known of the client.
    pub attributes: ClientAttributes,
    /// Its will: of the connection, or waiting for its delay.
    pub will: Option<Will>,
    /// When the will of an offline session is due, Unix milliseconds.
    pub will_due_ms: Option<u64>,
    /// In order of (filter, share).
    pub(super) subscriptions: Vec<Subscription>,
}

impl Session {
    /// Number of its subscriptions.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// Its subscriptions, in order of (filter, share group).
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// Whether what it is owed has to outlive its connection and its node's process.
    pub fn is_durable(&self) -> bool {
        self.expiry_seconds > 0 && !self.in_memory
    }

    /// When an offline session expires, Unix milliseconds.
    pub fn expires_at_ms(&self) -> Option<u64> {
        let expires = !self.connected && self.expiry_seconds != NEVER;
        expires.then(|| {
            self.disconnected_at_ms
                .saturating_add(u64::from(self.expiry_seconds) * 1000)
        })
    }

    fn due_ms(&self) -> Option<u64> {
        [self.expires_at_ms(), self.will_due_ms]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn find(&self, filter: &str, share: Option<&str>) -> Result<usize, usize> {
        self.subscriptions
            .binary_search_by(|s| (&*s.filter, s.share.as_deref()).cmp(&(filter, share)))
    }
}

type Shard = FxHashMap<Arc<str>, Arc<Session>>;

#[derive(Clone)]
pub(super) struct Sessions {
    shards: Vec<Arc<Shard>>,
    order: BTreeSet<Arc<str>>,
    due: BTreeSet<(u64, Arc<str>)>,
    on_nodes: FxHashMap<NodeId, usize>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            shards: vec![Arc::default(); SHARDS],
            order: BTreeSet::new(),
            due: BTreeSet::new(),
            on_nodes: FxHashMap::default(),
        }
    }
}

/// Which of the [`SHARDS`] holds a key.
pub(super) fn shard_of(key: &str) -> usize {
    let mut hasher = FxHasher::default();
    key.hash(&mut hasher);
    (hasher.finish() >> 40) as usize % SHARDS
}

impl Sessions {
    pub fn get(&self, client_id: &str) -> Option<&Session> {
        self.shards[shard_of(client_id)]
            .get(client_id)
            .map(Arc::as_ref)
    }

    /// Changes a session; what is due is found anew afterwards.
    pub fn update<T>(
        &mut self,
        client_id: &str,
        change: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        let shard = Arc::make_mut(&mut self.shards[shard_of(client_id)]);
        let session = Arc::make_mut(shard.get_mut(client_id)?);
        let before = (session.due_ms(), session.node);
        let result = change(session);
        let (after, key) = ((session.due_ms(), session.node), session.client_id.clone());
        self.count(Some(before.1), Some(after.1));
        self.move_due(before.0, after.0, key);
        Some(result)
    }

    /// Puts a session in the place of the one that the client had, and returns it.
    pub fn insert(&mut self, session: Session) -> Arc<Session> {
        let key = session.client_id.clone();
        let after = session.due_ms();
        let shard = Arc::make_mut(&mut self.shards[shard_of(&key)]);
        let node = session.node;
        let session = Arc::new(session);
        let old = shard.insert(key.clone(), session.clone());
        let before = old.as_ref().and_then(|old| old.due_ms());
        self.count(old.map(|old| old.node), Some(node));
        self.order.insert(key.clone());
        self.move_due(before, after, key);
        session
    }

    pub fn remove(&mut self, client_id: &str) -> Option<Arc<Session>> {
        let shard = Arc::make_mut(&mut self.shards[shard_of(client_id)]);
        let session = shard.remove(client_id)?;
        self.order.remove(client_id);
        self.count(Some(session.node), None);
        self.move_due(session.due_ms(), None, session.client_id.clone());
        Some(session)
    }

    /// Client identifiers that are connected on a node, in order.
    pub fn connected_on(&self, node: NodeId) -> Vec<Arc<str>> {
        let connected = self
            .behind(None)
            .filter(|session| session.node == node && session.connected);
        connected.map(|session| session.client_id.clone()).collect()
    }

    /// Number of sessions of a node.
    pub fn on_node(&self, node: NodeId) -> usize {
        self.on_nodes.get(&node).copied().unwrap_or(0)
    }

    fn count(&mut self, left: Option<NodeId>, joined: Option<NodeId>) {
        if left == joined {
            return;
        }
        if let Some(count) = left.and_then(|node| self.on_nodes.get_mut(&node)) {
            *count -= 1;
        }
        if let Some(node) = joined {
            *self.on_nodes.entry(node).or_default() += 1;
        }
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// In order of client identifier, behind `after`.
    pub fn behind<'a>(&'a self, after: Option<&'a str>) -> impl Iterator<Item = &'a Session> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.order
            .range::<str, _>((from, Bound::Unbounded))
            .filter_map(|id| self.get(id))
    }

    /// The earliest time when something is due.
    pub fn first_due_ms(&self) -> Option<u64> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The first session for which something is due at `now_ms`.
    pub fn first_due(&self, now_ms: u64) -> Option<Arc<str>> {
        self.due
            .first()
            .filter(|(due, _)| *due <= now_ms)
            .map(|(_, client_id)| client_id.clone())
    }

    pub fn shards(&self) -> Vec<Arc<Shard>> {
        self.shards.clone()
    }

    fn move_due(&mut self, before: Option<u64>, after: Option<u64>, key: Arc<str>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, key.clone()));
        }
        if let Some(after) = after {
            self.due.insert((after, key));
        }
    }
}
