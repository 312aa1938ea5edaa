//! Publications that end in this shard: into the sessions of its own subscribers.

use super::{
    Shard,
    noticing::{PumpedNotice, SentCopy},
    publish::Route,
    slots::{Slot, SlotKey, Slots},
    telling::drop_name,
};
use crate::{
    counting::{self, ShardCounters},
    engine::Engine,
    events::NoticeKind,
    router::LocalSubscriber,
};
use raftmq_api::{counters::Metric, event::EventClient};
use raftmq_mqtt::{
    codec::{QoS, SubscriptionIdentifier, SubscriptionOptions, Version},
    fanout::Fanout,
    publication::{Origin, Publication},
    session::{Delivery, DropReason, Offer, Pumped, Session, Waiting},
};
use raftmq_store::table::Table;

/// A subscriber of this shard, found.
pub(crate) struct OwnSubscriber {
    key: SlotKey,
    subscription: Granted,
    subscription_ids: Vec<SubscriptionIdentifier>,
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
    subscriber: LocalSubscriber,
) -> Option<OwnSubscriber> {
    let key = match slots.find(&subscriber.client_id) {
        Some(key) => key,
        None => {
            let known = table.session(&subscriber.client_id)?;
            slots.insert(Slot {
                client_id: subscriber.client_id.clone(),
                epoch: known.epoch.into(),
                lost_epoch: 0,
                claims: 0,
                importing: false,
                expiry_seconds: known.expiry_seconds,
                session: Session::new(engine.settings.outbound_limits),
                connection: None,
            })
        }
    };
    Some(OwnSubscriber {
        key,
        subscription: Granted::new(subscriber.options)?,
        subscription_ids: subscriber.subscription_ids,
    })
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

/// Messages of a queue that could not be sent any more.
#[derive(Default)]
struct QueueDrops {
    count: u64,
    /// Why the last one was dropped: told for all of them.
    last: Option<DropReason>,
}

impl QueueDrops {
    fn add(&mut self, pumped: Pumped<'_>) {
        if let Pumped::Dropped(reason, _) = pumped {
            self.count += 1;
            self.last = Some(reason);
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
            match offer(slot, &mut message, delivery, &mut tally.delivered) {
                Offered::Dirty => self.output.add(subscriber.key),
                other => tally.offered(subscriber.key, other, noting),
            }
            if noting.delivered && tally.delivered > before {
                tally.sent.push(sent_copy(subscriber.key, slot, delivery));
            }
        }
        self.count_delivered(publication.origin, &tally);
        self.tell_missed(publication, &tally);
        self.note_delivered(publication, &tally.sent);
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
    fn publisher_slot(&self, publication: &Publication<'_>, route: &Route) -> Option<SlotKey> {
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
        let found = self
            .slots
            .find(target.client_id)
            .zip(Granted::new(target.options));
        let Some((key, subscription)) = found else {
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
        match offer(slot, &mut message, delivery, &mut tally.delivered) {
            Offered::Dirty => self.output.add(key),
            other => tally.offered(key, other, noting),
        }
        if noting.delivered && tally.delivered > 0 {
            tally.sent.push(sent_copy(key, slot, delivery));
        }
        self.counters.add(Metric::MessagesPublishRetain, 1);
        self.count_delivered(Origin::Retained, &tally);
        self.tell_missed(publication, &tally);
        self.note_delivered(publication, &tally.sent);
    }

    /// A client came back: repeats what is under way and goes on with its queue.
    /// [MQTT-4.4.0-1]
    pub(super) fn resume_deliveries(&mut self, key: SlotKey) {
        let now_ms = self.clock.unix_ms();
        let noting = self.wants_pumped();
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Some(connection) = slot.connection.as_deref_mut() else {
            return;
        };
        let mut dropped = QueueDrops::default();
        let mut noted = Vec::new();
        let counters = &self.counters;
        slot.session
            .outbound
            .resume(&mut connection.wire(), now_ms, &mut self.fanout, |pumped| {
                dropped.add(pumped);
                note_pumped(&mut noted, noting, pumped);
                count_pumped(counters, pumped);
            });
        self.tell_queue_drops(key, dropped);
        self.note_pumped(key, noted);
    }

    /// The window has room again, or the socket took what waited: goes on with the queue.
    pub(super) fn pump(&mut self, key: SlotKey) {
        let now_ms = self.clock.unix_ms();
        let noting = self.wants_pumped();
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if !slot.session.outbound.has_waiting() {
            return;
        }
        let Some(connection) = slot.connection.as_deref_mut() else {
            return;
        };
        let mut dropped = QueueDrops::default();
        let mut noted = Vec::new();
        let counters = &self.counters;
        slot.session
            .outbound
            .pump(&mut connection.wire(), now_ms, &mut self.fanout, |pumped| {
                dropped.add(pumped);
                note_pumped(&mut noted, noting, pumped);
                count_pumped(counters, pumped);
            });
        self.tell_queue_drops(key, dropped);
        self.note_pumped(key, noted);
        self.mark_dirty(key);
    }

    fn tell_queue_drops(&mut self, key: SlotKey, dropped: QueueDrops) {
        if let Some(reason) = dropped.last {
            self.tell_drops(key, None, reason, dropped.count);
        }
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

fn count_pumped(counters: &ShardCounters, pumped: Pumped<'_>) {
    match pumped {
        Pumped::Sent(_, waiting) => {
            counters.add(counting::delivered(waiting.message().origin()), 1);
        }
        Pumped::Dropped(reason, _) => count_dropped(counters, reason, 1),
    }
}

pub(super) fn count_dropped(counters: &ShardCounters, reason: DropReason, count: u64) {
    counters.add(Metric::MessagesDropped, count);
    counters.add(counting::dropped(reason), count);
}

fn note_pumped(noted: &mut Vec<PumpedNotice>, noting: bool, pumped: Pumped<'_>) {
    if !noting {
        return;
    }
    let (packet_id, waiting, dropped) = match pumped {
        Pumped::Sent(packet_id, waiting) => (packet_id, waiting, None),
        Pumped::Dropped(reason, waiting) => (0, waiting, Some(drop_name(reason))),
    };
    noted.push(PumpedNotice {
        waiting: waiting.clone(),
        packet_id,
        dropped,
    });
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

/// What became of a delivery.
enum Offered {
    /// Sent; the connection has become one to be written this turn.
    Dirty,
    /// Sent or queued.
    Taken,
    /// Queued, and this message was dropped for it.
    Displaced(Box<Waiting>),
    Dropped(DropReason),
}

/// Offers to one session, and counts what is sent.
fn offer(
    slot: &mut Slot,
    message: &mut Fanout<'_, '_>,
    delivery: Delivery<'_>,
    delivered: &mut u64,
) -> Offered {
    let Slot {
        session,
        connection,
        ..
    } = slot;
    let mut wire = connection.as_deref_mut().map(|c| c.wire());
    match session.outbound.offer(wire.as_mut(), message, delivery) {
        Offer::Sent => {
            *delivered += 1;
            let was_dirty = connection
                .as_deref_mut()
                .is_none_or(|connection| std::mem::replace(&mut connection.dirty, true));
            if was_dirty {
                Offered::Taken
            } else {
                Offered::Dirty
            }
        }
        Offer::Queued => Offered::Taken,
        Offer::Displaced(waiting) => Offered::Displaced(waiting),
        Offer::Dropped(reason) => Offered::Dropped(reason),
    }
}
