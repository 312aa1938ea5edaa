//! What a shard tells about its clients to those who listen to the node's events.
//!
//! Everything here begins with the question whether somebody listens; while nobody does, that is all.

use super::{Shard, connection::Connection, slots::SlotKey};
use crate::events::{DropTally, NoticeKind, What};
use raftmq_api::event::{ClaimName, Event, EventClient, EventKind};
use raftmq_mqtt::{
    codec::{ReasonCode, Version},
    publication::Publication,
    session::DropReason,
    topic,
};
use raftmq_proto::v1;
use std::sync::Arc;

impl Shard {
    fn is_heard(&self) -> bool {
        self.engine.events.is_heard()
    }

    fn event(&self, client: EventClient, kind: EventKind) -> Event {
        Event {
            node_id: self.engine.node_id,
            at_ms: self.clock.unix_ms(),
            client,
            kind,
        }
    }

    fn tell(&self, client: EventClient, kind: EventKind) {
        self.engine.events.tell(self.event(client, kind));
    }

    /// The client of a slot as events name it; `None`: nobody listens, or there is no such slot.
    fn client_of(&self, key: SlotKey) -> Option<EventClient> {
        if !self.is_heard() {
            return None;
        }
        let slot = self.slots.get(key)?;
        Some(named(&slot.client_id, slot.connection.as_deref()))
    }

    pub(super) fn tell_connected(&self, key: SlotKey, version: Version, session_present: bool) {
        let Some(client) = self.client_of(key) else {
            return;
        };
        let kind = EventKind::Connected {
            protocol_version: version.level(),
            session_present,
            epoch: self.slots.get(key).map_or(0, |slot| slot.epoch),
        };
        self.tell(client, kind);
    }

    /// `connection` has been taken out of its slot.
    pub(super) fn tell_disconnected(
        &mut self,
        key: SlotKey,
        connection: &Connection,
        reason: &str,
        reason_code: Option<ReasonCode>,
    ) {
        self.note_disconnected(key, connection, reason);
        if !self.is_heard() {
            return;
        }
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        let kind = EventKind::Disconnected {
            reason: reason.to_owned(),
            reason_code: reason_code.map(ReasonCode::byte),
        };
        self.tell(named(&slot.client_id, Some(connection)), kind);
    }

    /// The connection that the slot still has is lost to another claim.
    pub(super) fn tell_taken_over(&self, key: SlotKey, previous_epoch: u64, new: ClaimName) {
        let Some(client) = self.client_of(key).filter(|client| client.peer.is_some()) else {
            return;
        };
        let previous = ClaimName {
            node_id: self.engine.node_id,
            epoch: previous_epoch,
        };
        self.tell(client, EventKind::TakenOver { previous, new });
    }

    pub(super) fn tell_subscribed(&mut self, key: SlotKey, subscription: &v1::Subscription) {
        self.note_about_filter(
            key,
            NoticeKind::SessionSubscribed,
            subscription,
            What::SessionSubscribed,
        );
        let Some(client) = self.client_of(key) else {
            return;
        };
        let kind = EventKind::Subscribed {
            filter: subscription.filter.clone(),
            share: share(&subscription.share),
            // The lower two bits of the options (MQTT 5 §3.8.3.1).
            qos: (subscription.options & 0b11) as u8,
        };
        self.tell(client, kind);
    }

    /// The filters of an UNSUBSCRIBE, kept until it is known which of them existed; nothing is kept
    /// while nobody listens.
    pub(super) fn to_be_told(&self, subscriptions: &[v1::Subscription]) -> Vec<v1::Subscription> {
        let listeners = &self.extensions.get().listeners;
        match self.is_heard() || listeners.have(NoticeKind::SessionUnsubscribed) {
            true => subscriptions.to_vec(),
            false => Vec::new(),
        }
    }

    pub(super) fn tell_unsubscribed(
        &mut self,
        key: SlotKey,
        subscriptions: Vec<v1::Subscription>,
        existed: &[bool],
    ) {
        let ended = subscriptions.into_iter().zip(existed);
        for (subscription, _) in ended.filter(|(_, existed)| **existed) {
            self.note_about_filter(
                key,
                NoticeKind::SessionUnsubscribed,
                &subscription,
                What::SessionUnsubscribed,
            );
            let Some(client) = self.client_of(key) else {
                continue;
            };
            let kind = EventKind::Unsubscribed {
                filter: subscription.filter,
                share: share(&subscription.share),
            };
            self.tell(client, kind);
        }
    }

    /// Messages for a subscriber of this shard were dropped. `topic`: `None` when it is not known.
    pub(super) fn tell_drops(
        &mut self,
        key: SlotKey,
        topic: Option<&str>,
        reason: DropReason,
        count: u64,
    ) {
        if let Some(client) = self.client_of(key) {
            self.note_drops(client, topic, drop_name(reason), count);
        }
    }

    /// A message was dropped on its way, for no subscriber of this shard in particular.
    pub(super) fn tell_drop_of(
        &mut self,
        client_id: &str,
        publication: &Publication<'_>,
        reason: &'static str,
    ) {
        if self.is_heard() {
            let connection = self
                .slots
                .find(client_id)
                .and_then(|key| self.slots.get(key));
            let connection = connection.and_then(|slot| slot.connection.as_deref());
            let client = named(&client_id.into(), connection);
            self.note_drops(client, Some(publication.topic), reason, 1);
        }
    }

    fn note_drops(
        &mut self,
        client: EventClient,
        topic: Option<&str>,
        reason: &'static str,
        count: u64,
    ) {
        let mut drops = std::mem::take(&mut self.drops);
        let client_id = client.client_id.clone();
        drops.add(&client_id, topic, reason, count, || {
            let kind = EventKind::Dropped {
                reason: reason.into(),
                topic: topic.map(str::to_owned),
                count,
            };
            self.event(client, kind)
        });
        self.drops = drops;
    }

    /// Once a second: the drops since the last time.
    pub(super) fn tell_noted_drops(&mut self) {
        if self.drops.is_empty() {
            return;
        }
        let (events, beyond) = DropTally::take(&mut self.drops);
        for event in events {
            self.engine.events.tell(event);
        }
        if beyond > 0 {
            self.engine.events.lose(beyond);
        }
    }
}

pub(super) fn named(client_id: &Arc<str>, connection: Option<&Connection>) -> EventClient {
    EventClient {
        client_id: client_id.clone(),
        username: connection.and_then(|connection| connection.identity.user_name.clone()),
        peer: connection.map(|connection| connection.identity.peer),
    }
}

fn share(group: &str) -> Option<String> {
    (!group.is_empty()).then(|| group.to_owned())
}

pub(super) fn drop_name(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Offline => "offline",
        DropReason::QueueFull => "queue_full",
        DropReason::SlowReader => "slow_reader",
        DropReason::TooLarge => "too_large",
        DropReason::Expired => "expired",
    }
}

/// Why the broker itself ended a connection, for people.
pub(super) fn ended_because(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::SessionTakenOver => "taken over by another connection",
        ReasonCode::AdministrativeAction => "ended by an administrator",
        ReasonCode::ServerShuttingDown => "the node stops",
        ReasonCode::ServerBusy => "the cluster had given up this node",
        ReasonCode::UseAnotherServer => "sent to another node: this one is draining",
        _ => "ended by the broker",
    }
}

/// What the table is told of a topic filter that the HTTP API subscribed.
pub(super) fn subscription_named(filter: &str, qos: u8) -> Option<v1::Subscription> {
    let parsed = topic::SharedFilter::parse(filter).ok()?;
    Some(v1::Subscription {
        filter: parsed.filter.to_owned(),
        share: parsed.share.unwrap_or_default().to_owned(),
        options: u32::from(qos),
        id: 0,
    })
}
