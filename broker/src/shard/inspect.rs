//! What the HTTP API asks a shard: the live state of its sessions, and to act inside one.

use super::{Shard, ShardRef, slots::SlotKey, subscribe, telling};
use raftmq_api::counters::Metric;
use raftmq_mqtt::codec::QoS;
use raftmq_store::table::Outcome;
use std::sync::Arc;

/// The live side of one session; the table has the rest.
#[derive(Clone, Debug)]
pub struct LiveSession {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Deliveries under way.
    pub inflight: usize,
    /// How many there may be.
    pub inflight_max: u16,
    /// Messages that wait behind them.
    pub queue: usize,
}

/// What the sessions of one shard hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Deliveries under way.
    pub inflight: u64,
    /// Messages in queues.
    pub queued: u64,
    /// QoS 2 publishes received and not released.
    pub unreleased: u64,
    /// Messages kept for sessions of other nodes.
    pub owed: u64,
}

/// Why the HTTP API cannot subscribe for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeRefusal {
    /// This node has no such session.
    UnknownClient,
    /// The client is not connected.
    Offline,
    /// The table could not be changed.
    NotReplicated,
}

impl Shard {
    /// The live side of a session.
    pub fn live_session(&self, client_id: &str) -> Option<LiveSession> {
        let slot = self.slots.get(self.slots.find(client_id)?)?;
        let window = slot
            .connection
            .as_ref()
            .map_or(self.engine.settings.max_inflight, |c| c.window);
        Some(LiveSession {
            client_id: slot.client_id.clone(),
            inflight: slot.session.outbound.inflight_len(),
            inflight_max: window,
            queue: slot.session.outbound.queue_len(),
        })
    }

    /// Clients connected.
    pub fn connections(&self) -> usize {
        self.slots.connected()
    }

    /// The live side of these sessions, as far as they are here.
    pub fn live_sessions(&self, client_ids: &[Arc<str>]) -> Vec<LiveSession> {
        let live = client_ids.iter().filter_map(|id| self.live_session(id));
        live.collect()
    }

    /// The `count` sessions with the longest queues, in no particular order; none whose queue is empty.
    pub fn longest_queues(&self, count: usize) -> Vec<LiveSession> {
        let queues = self.slots.iter().filter_map(|(_, slot)| {
            let queue = slot.session.outbound.queue_len();
            (queue > 0).then_some((queue, &slot.client_id))
        });
        let mut queues: Vec<_> = queues.collect();
        if queues.len() > count {
            queues.select_nth_unstable_by(count, |a, b| b.cmp(a));
            queues.truncate(count);
        }
        let longest = queues.into_iter();
        longest
            .filter_map(|(_, client_id)| self.live_session(client_id))
            .collect()
    }

    /// How much this shard's sessions hold.
    pub fn load(&self) -> Load {
        let mut load = Load::default();
        for (_, slot) in self.slots.iter() {
            load.inflight += slot.session.outbound.inflight_len() as u64;
            load.queued += slot.session.outbound.queue_len() as u64;
            load.unreleased += slot.session.inbound.unreleased() as u64;
        }
        load.owed = self.owed_messages();
        load
    }

    fn online(&self, client_id: &str) -> Result<SlotKey, SubscribeRefusal> {
        let key = self
            .slots
            .find(client_id)
            .ok_or(SubscribeRefusal::UnknownClient)?;
        match self.slots.get(key) {
            Some(slot) if slot.connection.is_some() => Ok(key),
            Some(_) => Err(SubscribeRefusal::Offline),
            None => Err(SubscribeRefusal::UnknownClient),
        }
    }
}

/// SUBSCRIBE inside a client's session: whether each filter is subscribed now.
pub(crate) async fn subscribe(
    shard: ShardRef,
    client_id: String,
    filters: Vec<String>,
    qos: QoS,
) -> Result<Vec<bool>, SubscribeRefusal> {
    let (key, granted, op, engine) = {
        let mut shard = shard.borrow_mut();
        let key = shard.online(&client_id)?;
        let (granted, op) = shard
            .subscribe_for_admin(key, &filters, qos)
            .ok_or(SubscribeRefusal::UnknownClient)?;
        (key, granted, op, shard.engine.clone())
    };
    let failed = granted.iter().filter(|ok| !**ok).count();
    let Some(op) = op else {
        shard.borrow().count_subscribed(0, failed);
        return Ok(granted);
    };
    match engine.propose(op).await {
        Ok(Outcome::Subscribed { .. }) => {
            shard
                .borrow()
                .count_subscribed(granted.len() - failed, failed);
            let accepted: Vec<_> = filters
                .into_iter()
                .zip(&granted)
                .filter(|(_, ok)| **ok)
                .map(|(filter, _)| filter)
                .collect();
            for filter in &accepted {
                if let Some(subscription) = telling::subscription_named(filter, qos.number()) {
                    shard.borrow_mut().tell_subscribed(key, &subscription);
                }
            }
            Shard::retained_for_admin(&shard, key, &accepted, qos);
            Ok(granted)
        }
        _ => {
            shard.borrow().count_subscribed(0, granted.len());
            Err(SubscribeRefusal::NotReplicated)
        }
    }
}

/// UNSUBSCRIBE inside a client's session: whether there was such a subscription.
pub(crate) async fn unsubscribe(
    shard: ShardRef,
    client_id: String,
    filter: String,
) -> Result<bool, SubscribeRefusal> {
    let (key, told, op, engine) = {
        let mut shard = shard.borrow_mut();
        let key = shard.online(&client_id)?;
        shard.note_unsubscribe(key, &filter);
        let slot = shard
            .slots
            .get(key)
            .ok_or(SubscribeRefusal::UnknownClient)?;
        shard.counters.add(Metric::ClientUnsubscribe, 1);
        let filters = vec![shard.unsubscription(key, &filter)];
        (
            key,
            shard.to_be_told(&filters),
            subscribe::unsubscribe_op(&slot.client_id, slot.epoch, filters),
            shard.engine.clone(),
        )
    };
    match engine.propose(op).await {
        Ok(Outcome::Unsubscribed { existed }) => {
            let mut shard = shard.borrow_mut();
            shard.tell_unsubscribed(key, told, &existed);
            shard.count_unsubscribed(&existed);
            Ok(existed.first().copied().unwrap_or(false))
        }
        _ => Err(SubscribeRefusal::NotReplicated),
    }
}
