//! Publications that end in this shard: into the sessions of its own subscribers.

use super::{
    Shard,
    journaling::name_of,
    ledger::Ledger,
    noticing::SentCopy,
    offering::{Offered, offer},
    publish::Route,
    shard_of,
    slots::{Slot, SlotKey, Slots},
};
use crate::{
    counting::{self, ShardCounters},
    engine::Engine,
    events::NoticeKind,
    journal::record::Role,
    router::LocalSubscriber,
};
use raftmq_api::{counters::Metric, event::EventClient};
use raftmq_mqtt::{
    codec::{QoS, SubscriptionIdentifier, SubscriptionOptions, Version},
    fanout::Fanout,
    publication::{Origin, Publication},
    session::{Delivery, DropReason, Session, Waiting},
};
use raftmq_store::table::Table;

/// A subscriber of this shard, found.
pub(crate) struct OwnSubscriber {
    key: SlotKey,
    subscription: Granted,
    subscription_ids: Vec<SubscriptionIdentifier>,
}

impl OwnSubscriber {
    pub(super) fn key(&self) -> SlotKey {
        self.key
    }
}

/// What a subscription asks for.
#[derive(Clone, Copy)]
struct Granted {
    qos: QoS,
    no_local: bool,
    retain_as_published: bool,
}

impl Granted {
    fn new(options: u8) -> Option<Granted> {
        let options = SubscriptionOptions::from_byte(Version::V5, options).ok()?;
        Some(Granted {
            qos: options.qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
        })
    }
}

/// Finds the session of a subscriber. One that the table knows and this shard does not (the node was
/// started anew) gets its slot here, so that messages wait for it.
pub(super) fn own_subscriber(
    slots: &mut Slots,
    table: &Table,
    engine: &Engine,
    ledger: &mut Ledger,
    subscriber: LocalSubscriber,
) -> Option<OwnSubscriber> {
    let known_slot = slots.find(&subscriber.client_id);
    Some(OwnSubscriber {
        key: match known_slot {
            Some(key) => key,
            None => known_session(slots, table, engine, ledger, &subscriber.client_id)?,
        },
        subscription: Granted::new(subscriber.options)?,
        subscription_ids: subscriber.subscription_ids,
    })
}

/// The slot of a session that this shard knows from the table only.
fn known_session(
    slots: &mut Slots,
    table: &Table,
    engine: &Engine,
    ledger: &mut Ledger,
    client_id: &str,
) -> Option<SlotKey> {
    let known = table.session(client_id)?;
    let session = Session::new(engine.settings.outbound_limits_of(client_id));
    let mut slot = Slot {
        epoch: known.epoch.into(),
        created_at_ms: known.created_at_ms,
        expiry_seconds: known.expiry_seconds,
        ..Slot::new(known.client_id.clone(), session)
    };
    if known.is_durable() {
        slot.journaled = ledger.begin();
    }
    if let Some(number) = slot.journaled {
        let (name, frames) = (name_of(&slot), &mut Default::default());
        ledger.state(number, name, Role::Session, &slot.session, frames);
    }
    Some(slots.insert(slot))
}

/// A subscriber that is to get one message that has waited for it elsewhere.
pub(super) fn directed(
    key: SlotKey,
    qos: QoS,
    subscription_ids: &[SubscriptionIdentifier],
) -> OwnSubscriber {
    OwnSubscriber {
        key,
        subscription: Granted {
            qos,
            no_local: false,
            retain_as_published: true,
        },
        subscription_ids: subscription_ids.to_vec(),
    }
}

/// What deliveries add to the counters, added once per publication.
#[derive(Default)]
struct Tally {
    delivered: u64,
    /// By reason.
    dropped: [u64; DropReason::ALL.len()],
    /// What listeners to the node's events are told: one for each subscriber that missed it.
    missed: Vec<(SlotKey, DropReason)>,
    /// Messages that had waited in full queues, and were dropped for this one.
    displaced: Vec<(SlotKey, Box<Waiting>)>,
    /// What plugins are told: the copies that were sent.
    sent: Vec<SentCopy>,
}

/// Whether what becomes of a message is written down for each subscriber.
#[derive(Clone, Copy)]
struct Noting {
    delivered: bool,
    dropped: bool,
}

impl Tally {
    fn offered(&mut self, key: SlotKey, offered: Offered, noting: Noting) {
        match offered {
            Offered::Dirty | Offered::Taken => {}
            Offered::Displaced(waiting) => self.displaced.push((key, waiting)),
            Offered::Dropped(reason) => self.dropped(key, reason, noting),
        }
    }

    fn dropped(&mut self, key: SlotKey, reason: DropReason, noting: Noting) {
        self.dropped[reason as usize] += 1;
        if noting.dropped {
            self.missed.push((key, reason));
        }
    }
}

impl Shard {
    /// Delivers to this shard's subscribers; `from` is the publisher's session, for No Local.
    /// [MQTT-4.5.0-1], [MQTT-4.6.0-5], [MQTT-4.6.0-6], 3.1.1 [MQTT-3.1.2-5]
    pub(super) fn deliver_own(
        &mut self,
        publication: &Publication<'_>,
        own: &[OwnSubscriber],
        from: Option<SlotKey>,
    ) {
        if own.is_empty() {
            return;
        }
        let mut tally = Tally::default();
        let noting = self.noting(publication.topic);
        let mut message = Fanout::new(*publication, self.clock.unix_ms(), &mut self.fanout);
        for subscriber in own {
            if subscriber.subscription.no_local && from == Some(subscriber.key) {
                continue;
            }
            let Some(slot) = self.slots.get_mut(subscriber.key) else {
                continue;
            };
            let delivery = delivery(
                subscriber.subscription,
                &subscriber.subscription_ids,
                publication,
            );
            let before = tally.delivered;
            match offer(
                slot,
                &mut message,
                delivery,
                &mut self.ledger,
                &mut tally.delivered,
            ) {
                Offered::Dirty => self.output.add(subscriber.key),
                other => tally.offered(subscriber.key, other, noting),
            }
            if noting.delivered && tally.delivered > before {
                tally.sent.push(sent_copy(subscriber.key, slot, delivery));
            }
        }
        self.journal_delivered(publication);
        self.count_delivered(publication.origin, &tally);
        self.tell_missed(publication, &tally);
        self.note_delivered(publication, &tally.sent);
    }

    /// What the sessions have kept of this publication is to be written.
    fn journal_delivered(&mut self, publication: &Publication<'_>) {
        let kept_before = self.ledger.kept();
        self.ledger.delivered(publication, self.clock.unix_ms());
        if self.ledger.kept() != kept_before {
            self.output.wake();
        }
    }

    fn noting(&self, topic: &str) -> Noting {
        let dropped = self.wants_about(NoticeKind::MessageDropped, topic);
        Noting {
            delivered: self.wants_about(NoticeKind::MessageDelivered, topic),
            dropped: dropped || self.engine.events.is_heard(),
        }
    }

    /// Publications from another shard or node, back to back, that were routed when the log entry
    /// `routed_at` had been applied there.
    pub(super) fn deliver_frames(&mut self, mut frames: &[u8], routed_at: u64) {
        while !frames.is_empty() {
            let (publication, rest) = match Publication::parse(frames) {
                Ok(parsed) => parsed,
                Err(error) => {
                    // Frames are checked where they enter the node.
                    tracing::error!(%error, "a batch of publications ends early");
                    return;
                }
            };
            frames = rest;
            if publication.target.is_some() {
                self.deliver_directed(&publication);
                continue;
            }
            let route = self.route(publication.topic);
            let from = self.publisher_slot(&publication, &route);
            self.deliver_own(&publication, &route.own, from);
            if routed_at < self.cache.routed_at() {
                self.deliver_late(&publication, routed_at);
            }
        }
    }

    /// The publisher's slot, looked for only if some subscriber wants to be spared its own messages.
    pub(super) fn publisher_slot(
        &self,
        publication: &Publication<'_>,
        route: &Route,
    ) -> Option<SlotKey> {
        let wanted = route.own.iter().any(|s| s.subscription.no_local);
        if wanted {
            self.slots.find(publication.publisher)
        } else {
            None
        }
    }

    /// To the one member of a share group that was chosen for it.
    /// [MQTT-4.8.2-4], [MQTT-4.8.2-5], [MQTT-4.8.2-6]
    pub(super) fn deliver_directed(&mut self, publication: &Publication<'_>) {
        let Some(target) = publication.target else {
            return;
        };
        let found = self.slot_of(target.client_id);
        let Some((key, subscription)) = found.zip(Granted::new(target.options)) else {
            if self.ledger.journal().is_some() && publication.qos != QoS::AtMostOnce {
                self.owe_target(publication, target);
                return;
            }
            self.counters.add(Metric::MessagesDropped, 1);
            self.tell_drop_of(target.client_id, publication, "no_session");
            self.note_lost(Some(target.client_id), publication, "no_session");
            return;
        };
        let ids: Vec<_> = SubscriptionIdentifier::new(target.subscription_id)
            .into_iter()
            .collect();
        let own = OwnSubscriber {
            key,
            subscription,
            subscription_ids: ids,
        };
        self.deliver_own(publication, std::slice::from_ref(&own), None);
    }

    /// The slot of a session that is this node's, made when this shard knows it from the table only.
    pub(super) fn slot_of(&mut self, client_id: &str) -> Option<SlotKey> {
        if let Some(key) = self.slots.find(client_id) {
            return Some(key);
        }
        let engine = self.engine.clone();
        let table = engine.store.table().read();
        let session = table.session(client_id)?;
        if u64::from(session.node) != engine.node_id
            || shard_of(client_id, engine.mailboxes.len()) != self.id
        {
            return None;
        }
        let (slots, ledger) = (&mut self.slots, &mut self.ledger);
        known_session(slots, &table, &engine, ledger, client_id)
    }

    /// A retained message for a new subscription, which has RETAIN set: 3.1.1 [MQTT-3.3.1-8].
    pub(super) fn deliver_retained(
        &mut self,
        key: SlotKey,
        publication: &Publication<'_>,
        qos: QoS,
        subscription_ids: &[SubscriptionIdentifier],
    ) {
        let mut tally = Tally::default();
        let noting = self.noting(publication.topic);
        let mut message = Fanout::new(*publication, self.clock.unix_ms(), &mut self.fanout);
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let delivery = Delivery {
            qos: qos.min(publication.qos),
            retain: true,
            subscription_ids,
        };
        match offer(
            slot,
            &mut message,
            delivery,
            &mut self.ledger,
            &mut tally.delivered,
        ) {
            Offered::Dirty => self.output.add(key),
            other => tally.offered(key, other, noting),
        }
        if noting.delivered && tally.delivered > 0 {
            tally.sent.push(sent_copy(key, slot, delivery));
        }
        self.journal_delivered(publication);
        self.counters.add(Metric::MessagesPublishRetain, 1);
        self.count_delivered(Origin::Retained, &tally);
        self.tell_missed(publication, &tally);
        self.note_delivered(publication, &tally.sent);
    }

    /// What waited for a session was dropped for something newer.
    fn tell_displaced(&mut self, displaced: &[(SlotKey, Box<Waiting>)]) {
        for (key, waiting) in displaced {
            self.count_dropped(DropReason::QueueFull, 1);
            let publication = waiting.message().publication();
            self.tell_drops(*key, Some(publication.topic), DropReason::QueueFull, 1);
            self.note_missed(&publication, &[(*key, DropReason::QueueFull)]);
        }
    }

    fn tell_missed(&mut self, publication: &Publication<'_>, tally: &Tally) {
        for (key, reason) in &tally.missed {
            self.tell_drops(*key, Some(publication.topic), *reason, 1);
        }
        self.note_missed(publication, &tally.missed);
        self.tell_displaced(&tally.displaced);
    }

    fn count_delivered(&self, origin: Origin, tally: &Tally) {
        self.counters
            .add(counting::delivered(origin), tally.delivered);
        for (reason, count) in DropReason::ALL.into_iter().zip(tally.dropped) {
            self.count_dropped(reason, count);
        }
    }

    fn count_dropped(&self, reason: DropReason, count: u64) {
        count_dropped(&self.counters, reason, count);
    }

    /// The session is over: what still waits in its queue is dropped. What was sent and not
    /// acknowledged counts as delivered.
    pub(super) fn count_discarded(&mut self, client: EventClient, session: &Session) {
        let waiting = session.outbound.queue_len() as u64;
        self.counters.add(Metric::MessagesDropped, waiting);
        self.note_discarded(client, session);
    }
}

pub(super) fn count_dropped(counters: &ShardCounters, reason: DropReason, count: u64) {
    counters.add(Metric::MessagesDropped, count);
    counters.add(counting::dropped(reason), count);
}

/// The copy that has just been sent to this subscriber.
fn sent_copy(to: SlotKey, slot: &Slot, delivery: Delivery<'_>) -> SentCopy {
    SentCopy {
        to,
        packet_id: match delivery.qos {
            QoS::AtMostOnce => 0,
            _ => slot.session.outbound.last_packet_id(),
        },
        qos: delivery.qos,
        retain: delivery.retain,
    }
}

/// What a subscriber that is not this shard's any more would have got.
pub(super) fn delivery_for<'a>(
    subscriber: &'a LocalSubscriber,
    publication: &Publication<'_>,
) -> Option<Delivery<'a>> {
    let subscription = Granted::new(subscriber.options)?;
    let is_own = subscription.no_local && *subscriber.client_id == *publication.publisher;
    let delivery = delivery(subscription, &subscriber.subscription_ids, publication);
    (!is_own).then_some(delivery)
}

/// How a subscription with these options gets it.
pub(super) fn delivery_of<'a>(
    options: u8,
    subscription_ids: &'a [SubscriptionIdentifier],
    publication: &Publication<'_>,
) -> Option<Delivery<'a>> {
    Some(delivery(
        Granted::new(options)?,
        subscription_ids,
        publication,
    ))
}

/// [MQTT-3.8.4-8], [MQTT-3.3.1-12], [MQTT-3.3.1-13], [MQTT-4.8.2-3]
fn delivery<'a>(
    subscription: Granted,
    subscription_ids: &'a [SubscriptionIdentifier],
    publication: &Publication<'_>,
) -> Delivery<'a> {
    Delivery {
        qos: subscription.qos.min(publication.qos),
        retain: publication.retain && subscription.retain_as_published,
        subscription_ids,
    }
}
