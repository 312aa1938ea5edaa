//! SUBSCRIBE and UNSUBSCRIBE: proposed to the replicated table, answered when every serving node has
//! applied them (guarantee G2).

use super::{Shard, ShardRef, connection::ConnectionId, packets::Next, slots::SlotKey, suback};
use raftmq_api::counters::Metric;
use raftmq_mqtt::{
    codec::{
        Diagnostics, PacketId, QoS, ReasonCode, ReasonCodes, RetainHandling, SubAck, Subscribe,
        SubscriptionIdentifier, SubscriptionOptions, UnsubAck, Unsubscribe, Version,
    },
    publication::{Expiry, Origin, Publication},
    topic,
};
use raftmq_proto::v1;
use raftmq_store::{ProposeError, table::Outcome};
use std::sync::Arc;

/// One topic filter of a request, checked.
pub(super) struct Entry {
    /// What goes to the table; `Err`: refused with this reason.
    pub subscription: Result<v1::Subscription, ReasonCode>,
    pub options: SubscriptionOptions,
}

/// A SUBSCRIBE under way.
pub(super) struct Request {
    pub key: SlotKey,
    pub connection: ConnectionId,
    pub version: Version,
    pub packet_id: PacketId,
    pub entries: Vec<Entry>,
    pub identifier: Option<SubscriptionIdentifier>,
}

impl Shard {
    pub(super) fn subscribe_packet(&mut self, key: SlotKey, subscribe: &Subscribe<'_>) -> Next {
        let Some(slot) = self.slots.get(key) else {
            return Next::More;
        };
        let Some(connection) = slot.connection.as_deref() else {
            return Next::More;
        };
        let (client_id, epoch) = (slot.client_id.clone(), slot.epoch);
        let (version, connection) = (connection.version, connection.id);
        let identifier = subscribe.subscription_identifier;
        if version == Version::V5
            && let Some(reason) = self.not_offered(subscribe)
        {
            return Next::Close(
                reason,
                "SUBSCRIBE asks for what CONNACK said is not offered".into(),
            );
        }
        for wanted in &subscribe.filters {
            self.note_subscribe(key, wanted.filter, wanted.options, identifier);
        }
        let entries: Vec<_> = subscribe
            .filters
            .iter()
            .map(|wanted| self.entry(key, &client_id, wanted.filter, wanted.options, identifier))
            .collect();
        self.counters
            .add(Metric::ClientSubscribe, entries.len() as u64);
        let request = Request {
            key,
            connection,
            version,
            packet_id: subscribe.packet_id,
            entries,
            identifier,
        };
        let op = subscribe_op(&client_id, epoch, &request.entries, self.clock.unix_ms());
        let (engine, me) = (self.engine.clone(), self.me.clone());
        self.request_begun(key);
        tokio::task::spawn_local(async move {
            let outcome = match op {
                Some(op) => Some(engine.propose(op).await),
                None => None,
            };
            let Some(shard) = me.upgrade() else { return };
            shard
                .borrow_mut()
                .request_ended(request.key, request.connection);
            shard.borrow_mut().subscribed(request, outcome);
        });
        Next::More
    }

    fn request_begun(&mut self, key: SlotKey) {
        if let Some(connection) = self
            .slots
            .get_mut(key)
            .and_then(|s| s.connection.as_deref_mut())
        {
            connection.requests += 1;
        }
    }

    /// The table has decided; a client that waited for that may go on.
    fn request_ended(&mut self, key: SlotKey, id: ConnectionId) {
        let Some(connection) = self.connection_of(key, id) else {
            return;
        };
        connection.requests -= 1;
        if connection.requests == 0 && connection.paused {
            self.unpause(key, id);
        }
    }

    /// Checks one topic filter and what it asks for.
    /// [MQTT-3.2.2-10]
    fn entry(
        &self,
        key: SlotKey,
        client_id: &str,
        filter: &str,
        options: SubscriptionOptions,
        identifier: Option<SubscriptionIdentifier>,
    ) -> Entry {
        let mut granted = options;
        granted.qos = options.qos.min(self.engine.settings.max_qos);
        let subscription = self
            .checked(key, client_id, filter)
            .and_then(|(share, filter)| {
                let filter = self.rewritten_filter(key, filter);
                if !self.may_subscribe(key, &filter) {
                    return Err(ReasonCode::NotAuthorized);
                }
                Ok(v1::Subscription {
                    filter: filter.into_owned(),
                    share: share.to_owned(),
                    options: u32::from(granted.byte()),
                    id: identifier.map_or(0, |id| id.get()),
                })
            });
        Entry {
            subscription,
            options: granted,
        }
    }

    /// Share group (empty: none) and topic filter.
    fn checked<'f>(
        &self,
        key: SlotKey,
        client_id: &str,
        filter: &'f str,
    ) -> Result<(&'f str, &'f str), ReasonCode> {
        let settings = self.settings_of(key);
        let parsed =
            topic::SharedFilter::parse(filter).map_err(|_| ReasonCode::TopicFilterInvalid)?;
        if !settings.allows_levels(parsed.filter) {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        if let Some(reason) = settings.not_offered(&parsed) {
            return Err(reason);
        }
        if settings.max_subscriptions > 0 {
            let table = self.engine.store.table().read();
            if table
                .session(client_id)
                .is_some_and(|s| s.subscription_count() >= settings.max_subscriptions)
            {
                return Err(ReasonCode::QuotaExceeded);
            }
        }
        Ok((parsed.share.unwrap_or_default(), parsed.filter))
    }

    /// The table has decided: answers SUBACK, then the retained messages.
    /// [MQTT-3.8.4-1], [MQTT-3.8.4-5]
    fn subscribed(&mut self, mut request: Request, outcome: Option<Result<Outcome, ProposeError>>) {
        self.clock.tick();
        let existed = match outcome {
            None => Vec::new(),
            Some(Ok(Outcome::Subscribed { existed })) => existed,
            Some(Err(ProposeError::TooLarge { .. })) => {
                request.refuse(ReasonCode::QuotaExceeded);
                Vec::new()
            }
            Some(other) => {
                tracing::debug!(?other, "SUBSCRIBE was not applied");
                return self.refuse_subscribe(&request);
            }
        };
        let codes: Vec<_> = request.entries.iter().map(suback::reason_code).collect();
        let failed = codes.iter().filter(|code| code.is_failure()).count();
        self.count_subscribed(codes.len() - failed, failed);
        for subscription in request.entries.iter().flat_map(|e| &e.subscription) {
            self.tell_subscribed(request.key, subscription);
        }
        let Some(connection) = self.connection_of(request.key, request.connection) else {
            return;
        };
        let suback = SubAck {
            packet_id: request.packet_id,
            diagnostics: suback::diagnostics(connection, &codes),
            reason_codes: ReasonCodes::new(&codes),
        };
        let max_packet_size = connection.max_packet_size;
        let written = suback.encode(request.version, max_packet_size, &mut connection.out);
        if written.is_err() {
            return self.cannot_acknowledge(request.key);
        }
        self.send_retained(&request, &existed);
        self.mark_dirty(request.key);
    }

    /// The table has decided, whether or not the client is still there to hear it.
    pub(super) fn count_subscribed(&self, subscribed: usize, failed: usize) {
        self.counters
            .add(Metric::SessionSubscribed, subscribed as u64);
        self.counters
            .add(Metric::ClientSubscribeError, failed as u64);
    }

    pub(super) fn count_unsubscribed(&self, existed: &[bool]) {
        let gone = existed.iter().filter(|had| **had).count() as u64;
        self.counters.add(Metric::SessionUnsubscribed, gone);
    }

    /// The table could not be changed: MQTT 5 says so per filter, older clients come back.
    fn refuse_subscribe(&mut self, request: &Request) {
        self.count_subscribed(0, request.entries.len());
        if self
            .connection_of(request.key, request.connection)
            .is_some()
        {
            let why = "SUBSCRIBE could not be replicated";
            self.close(request.key, ReasonCode::ServerBusy, why);
        }
    }

    /// Retained messages for each new subscription (§3.3.1.3): never for shared ones, and as Retain
    /// Handling says.
    /// [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11], [MQTT-3.8.4-4]
    pub(super) fn send_retained(&mut self, request: &Request, existed: &[bool]) {
        let mut existed = existed.iter();
        let ids: Vec<_> = request.identifier.into_iter().collect();
        for entry in &request.entries {
            let Ok(subscription) = &entry.subscription else {
                continue;
            };
            let had = existed.next().copied().unwrap_or(false);
            let wanted = match entry.options.retain_handling {
                RetainHandling::SendAtSubscribe => true,
                RetainHandling::SendIfNew => !had,
                RetainHandling::DoNotSend => false,
            };
            if !wanted || !subscription.share.is_empty() {
                continue;
            }
            for message in self.retained_matching(&subscription.filter) {
                if let Some(publication) = publication_of(&message, Origin::Retained) {
                    self.deliver_retained(request.key, &publication, entry.options.qos, &ids);
                }
            }
        }
    }

    fn retained_matching(&self, filter: &str) -> Vec<Arc<v1::Message>> {
        let mut messages = Vec::new();
        let table = self.engine.store.table().read();
        table.retained_matching(filter, |message| messages.push(message.clone()));
        messages
    }

    pub(super) fn unsubscribe_packet(
        &mut self,
        key: SlotKey,
        unsubscribe: &Unsubscribe<'_>,
    ) -> Next {
        for filter in &unsubscribe.filters {
            self.note_unsubscribe(key, filter);
        }
        let Some(slot) = self.slots.get(key) else {
            return Next::More;
        };
        let Some(connection) = slot.connection.as_deref() else {
            return Next::More;
        };
        let (version, connection, packet_id) =
            (connection.version, connection.id, unsubscribe.packet_id);
        let subscriptions: Vec<_> = unsubscribe
            .filters
            .iter()
            .map(|filter| self.unsubscription(key, filter))
            .collect();
        self.counters
            .add(Metric::ClientUnsubscribe, subscriptions.len() as u64);
        let told = self.to_be_told(&subscriptions);
        let op = unsubscribe_op(&slot.client_id, slot.epoch, subscriptions);
        let (engine, me) = (self.engine.clone(), self.me.clone());
        self.request_begun(key);
        tokio::task::spawn_local(async move {
            let outcome = engine.propose(op).await;
            let Some(shard) = me.upgrade() else { return };
            let mut shard = shard.borrow_mut();
            shard.request_ended(key, connection);
            match outcome {
                Ok(Outcome::Unsubscribed { existed }) => {
                    shard.tell_unsubscribed(key, told, &existed);
                    shard.unsubscribed(key, connection, version, packet_id, &existed);
                }
                other => {
                    tracing::debug!(?other, "UNSUBSCRIBE was not applied");
                    if shard.connection_of(key, connection).is_some() {
                        shard.close(
                            key,
                            ReasonCode::ServerBusy,
                            "UNSUBSCRIBE could not be replicated",
                        );
                    }
                }
            }
        });
        Next::More
    }

    /// A filter to be removed. An invalid one is nowhere in the table, which says so.
    pub(super) fn unsubscription(&self, key: SlotKey, filter: &str) -> v1::Subscription {
        let (share, filter) = match topic::SharedFilter::parse(filter) {
            Ok(parsed) => (parsed.share.unwrap_or_default(), parsed.filter),
            Err(_) => ("", filter),
        };
        v1::Subscription {
            filter: self.rewritten_filter(key, filter).into_owned(),
            share: share.to_owned(),
            options: 0,
            id: 0,
        }
    }

    /// [MQTT-3.10.4-4], [MQTT-3.10.4-6]
    fn unsubscribed(
        &mut self,
        key: SlotKey,
        id: ConnectionId,
        version: Version,
        packet_id: PacketId,
        existed: &[bool],
    ) {
        self.count_unsubscribed(existed);
        let Some(connection) = self.connection_of(key, id) else {
            return;
        };
        let codes: Vec<_> = existed
            .iter()
            .map(|had| {
                if *had {
                    ReasonCode::Success
                } else {
                    ReasonCode::NoSubscriptionExisted
                }
            })
            .collect();
        let unsuback = UnsubAck {
            packet_id,
            diagnostics: Diagnostics::default(),
            reason_codes: ReasonCodes::new(&codes),
        };
        let max_packet_size = connection.max_packet_size;
        let written = unsuback.encode(version, max_packet_size, &mut connection.out);
        if written.is_err() {
            return self.cannot_acknowledge(key);
        }
        self.mark_dirty(key);
    }

    /// SUBSCRIBE on behalf of the HTTP API, inside the client's session.
    pub(super) fn subscribe_for_admin(
        &mut self,
        key: SlotKey,
        filters: &[String],
        qos: QoS,
    ) -> Option<(Vec<bool>, Option<v1::Op>)> {
        let options = SubscriptionOptions {
            qos,
            ..SubscriptionOptions::default()
        };
        for filter in filters {
            self.note_subscribe(key, filter, options, None);
        }
        let slot = self.slots.get(key)?;
        self.counters
            .add(Metric::ClientSubscribe, filters.len() as u64);
        let entries: Vec<_> = filters
            .iter()
            .map(|filter| self.entry(key, &slot.client_id, filter, options, None))
            .collect();
        let granted = entries
            .iter()
            .map(|entry| entry.subscription.is_ok())
            .collect();
        Some((
            granted,
            subscribe_op(&slot.client_id, slot.epoch, &entries, self.clock.unix_ms()),
        ))
    }

    /// The retained messages of a subscription that the HTTP API made.
    pub(super) fn retained_for_admin(shard: &ShardRef, key: SlotKey, filters: &[String], qos: QoS) {
        let mut shard = shard.borrow_mut();
        for filter in filters {
            for message in shard.retained_matching(filter) {
                if let Some(publication) = publication_of(&message, Origin::Retained) {
                    shard.deliver_retained(key, &publication, qos, &[]);
                }
            }
        }
    }
}

/// `None`: no entry is to be proposed.
pub(super) fn subscribe_op(
    client_id: &str,
    epoch: u64,
    entries: &[Entry],
    now_ms: u64,
) -> Option<v1::Op> {
    let subscriptions: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.subscription.as_ref().ok().cloned())
        .collect();
    if subscriptions.is_empty() {
        return None;
    }
    let subscribe = v1::Subscribe {
        client_id: client_id.to_owned(),
        epoch,
        subscriptions,
        now_ms,
    };
    Some(v1::Op {
        kind: Some(v1::op::Kind::Subscribe(subscribe)),
    })
}

/// UNSUBSCRIBE of one client.
pub(super) fn unsubscribe_op(
    client_id: &str,
    epoch: u64,
    subscriptions: Vec<v1::Subscription>,
) -> v1::Op {
    let unsubscribe = v1::Unsubscribe {
        client_id: client_id.to_owned(),
        epoch,
        subscriptions,
    };
    v1::Op {
        kind: Some(v1::op::Kind::Unsubscribe(unsubscribe)),
    }
}

/// The view of a message that the table keeps.
pub(crate) fn publication_of(message: &v1::Message, origin: Origin) -> Option<Publication<'_>> {
    Some(Publication {
        topic: &message.topic,
        payload: &message.payload,
        properties: &message.properties,
        qos: QoS::from_number(message.qos.min(2) as u8)?,
        retain: message.retain,
        expiry: message.expiry_seconds.map(|seconds| Expiry {
            seconds,
            received_at_ms: message.received_at_ms,
        }),
        origin,
        publisher: &message.client_id,
        target: None,
    })
}
