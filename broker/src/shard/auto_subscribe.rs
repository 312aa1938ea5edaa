//! Subscriptions that every client gets when it connects, because the operator says so.

use super::{
    Shard,
    connection::ConnectionId,
    slots::SlotKey,
    subscribe::{Entry, Request, subscribe_op},
};
use crate::plugin::{AutoSubscription, Extensions};
use raftmq_api::counters::Metric;
use raftmq_mqtt::{codec::PacketId, topic};
use raftmq_proto::v1;
use raftmq_store::table::Outcome;

impl Shard {
    /// The subscriptions that every client gets: proposed in the background, because CONNACK does not
    /// promise them.
    pub(super) fn auto_subscribe(&mut self, key: SlotKey, connection: ConnectionId) {
        let extensions = self.extensions.get().clone();
        if extensions.auto_subscriptions.is_empty() {
            return;
        }
        let Some(request) = self.auto_subscriptions(key, connection, &extensions) else {
            return;
        };
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        let now_ms = self.clock.unix_ms();
        let op = subscribe_op(&slot.client_id, slot.epoch, &request.entries, now_ms);
        let (engine, me) = (self.engine.clone(), self.me.clone());
        let Some(op) = op else { return };
        tokio::task::spawn_local(async move {
            let outcome = engine.propose(op).await;
            let (Some(shard), Ok(Outcome::Subscribed { existed })) = (me.upgrade(), outcome) else {
                return;
            };
            let mut shard = shard.borrow_mut();
            for subscription in request.entries.iter().flat_map(|e| &e.subscription) {
                shard.tell_subscribed(request.key, subscription);
            }
            if shard
                .connection_of(request.key, request.connection)
                .is_some()
            {
                shard
                    .counters
                    .add(Metric::SessionSubscribed, existed.len() as u64);
                shard.send_retained(&request, &existed);
                shard.mark_dirty(request.key);
            }
        });
    }

    fn auto_subscriptions(
        &self,
        key: SlotKey,
        id: ConnectionId,
        extensions: &Extensions,
    ) -> Option<Request> {
        let slot = self.slots.get(key)?;
        let connection = slot.connection.as_deref()?;
        let user_name = connection.identity.user_name.as_deref();
        let entry = |wanted: &AutoSubscription| {
            let filter = wanted.filter_for(&slot.client_id, user_name)?;
            let parsed = topic::SharedFilter::parse(&filter).ok()?;
            let mut options = wanted.options;
            options.qos = options.qos.min(self.engine.settings.max_qos);
            let subscription = v1::Subscription {
                filter: parsed.filter.to_owned(),
                share: parsed.share.unwrap_or_default().to_owned(),
                options: u32::from(options.byte()),
                id: 0,
            };
            Some(Entry {
                subscription: Ok(subscription),
                options,
            })
        };
        Some(Request {
            key,
            connection: id,
            version: connection.version,
            packet_id: PacketId::MIN,
            entries: extensions
                .auto_subscriptions
                .iter()
                .filter_map(entry)
                .collect(),
            identifier: None,
        })
    }
}
