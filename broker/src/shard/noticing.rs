//! What a shard tells plugins about its clients and their messages.
//!
//! Everything here begins with the question whether a plugin wants it; while none does, that comparison
//! is all. Notices of a turn are collected and handed over together at its end.

use super::{
    Shard,
    connection::Connection,
    slots::{Slot, SlotKey},
    telling::{drop_name, named},
};
use crate::{
    connect::ConnectRequest,
    events::{Copied, Introduction, Notice, NoticeKind, NoticedMessage, What},
};
use raftmq_api::event::EventClient;
use raftmq_mqtt::{
    codec::{Publish, QoS, ReasonCode, SubscriptionIdentifier, SubscriptionOptions},
    publication::Publication,
    session::{DropReason, Session, Waiting},
    topic,
};
use raftmq_proto::v1;
use std::{net::SocketAddr, sync::Arc};

/// Notices that are collected before the end of a turn.
const NOTICES_MAX: usize = 1024;

/// One copy of a message that was sent to a subscriber.
#[derive(Clone, Copy)]
pub(super) struct SentCopy {
    pub to: SlotKey,
    /// 0: none.
    pub packet_id: u16,
    pub qos: QoS,
    pub retain: bool,
}

impl Shard {
    fn wants(&self, kind: NoticeKind) -> bool {
        self.extensions.get().listeners.have(kind)
    }

    /// Whether a plugin wants to be told of this kind, with this topic.
    pub(super) fn wants_about(&self, kind: NoticeKind, topic: &str) -> bool {
        self.extensions.get().listeners.want(kind, Some(topic))
    }

    fn note(&mut self, client: Option<EventClient>, what: What) {
        let notice = Notice {
            node_id: self.engine.node_id,
            at_ms: self.clock.unix_ms(),
            client,
            what,
        };
        self.take_notice(notice);
    }

    /// Collects a notice for the end of the turn.
    pub(crate) fn take_notice(&mut self, notice: Notice) {
        self.notices.push(Arc::new(notice));
        if self.notices.len() >= NOTICES_MAX {
            self.hand_over_notices();
        }
        self.output.wake();
    }

    /// Tells the plugins what has happened in this turn.
    pub(super) fn hand_over_notices(&mut self) {
        if self.notices.is_empty() {
            return;
        }
        self.extensions.get().listeners.tell(&self.notices);
        self.notices.clear();
    }

    pub(super) fn note_connect(&mut self, request: &ConnectRequest, peer: SocketAddr) {
        self.begin_turn();
        if self.wants(NoticeKind::ClientConnect) {
            let client = Some(introduced(request, peer));
            self.note(client, What::Connect(introduction(request)));
        }
    }

    pub(super) fn note_connack(
        &mut self,
        request: &ConnectRequest,
        peer: SocketAddr,
        reason: ReasonCode,
    ) {
        if self.wants(NoticeKind::ClientConnack) {
            let client = Some(introduced(request, peer));
            self.note(client, What::Connack(introduction(request), reason));
        }
    }

    pub(super) fn note_connected(
        &mut self,
        request: &ConnectRequest,
        peer: SocketAddr,
        session_present: bool,
    ) {
        if self.wants(NoticeKind::ClientConnected) {
            let introduction = introduction(request);
            let what = What::Connected {
                introduction,
                session_present,
            };
            self.note(Some(introduced(request, peer)), what);
        }
    }

    /// `connection` has been taken out of its slot.
    pub(super) fn note_disconnected(
        &mut self,
        key: SlotKey,
        connection: &Connection,
        reason: &str,
    ) {
        if !self.wants(NoticeKind::ClientDisconnected) {
            return;
        }
        if let Some(slot) = self.slots.get(key) {
            let client = named(&slot.client_id, Some(connection));
            let reason = reason.to_owned();
            self.note(Some(client), What::Disconnected { reason });
        }
    }

    /// Something about a topic filter of a client. `what` is only made when it is wanted.
    pub(super) fn note_about_filter(
        &mut self,
        key: SlotKey,
        kind: NoticeKind,
        subscription: &v1::Subscription,
        what: fn(v1::Subscription) -> What,
    ) {
        if !self.wants_about(kind, &subscription.filter) {
            return;
        }
        if let Some(slot) = self.slots.get(key) {
            let client = client_of(slot);
            self.note(Some(client), what(subscription.clone()));
        }
    }

    /// A client asks for a topic filter; whether it is valid or allowed is not known yet.
    pub(super) fn note_subscribe(
        &mut self,
        key: SlotKey,
        filter: &str,
        options: SubscriptionOptions,
        identifier: Option<SubscriptionIdentifier>,
    ) {
        if !self.wants(NoticeKind::ClientSubscribe) {
            return;
        }
        let mut asked = asked(filter);
        asked.options = u32::from(options.byte());
        asked.id = identifier.map_or(0, |id| id.get());
        self.note_about_filter(key, NoticeKind::ClientSubscribe, &asked, What::Subscribe);
    }

    /// A client gives a topic filter back.
    pub(super) fn note_unsubscribe(&mut self, key: SlotKey, filter: &str) {
        if self.wants(NoticeKind::ClientUnsubscribe) {
            let kind = NoticeKind::ClientUnsubscribe;
            self.note_about_filter(key, kind, &asked(filter), What::Unsubscribe);
        }
    }

    /// A client's PUBLISH has been accepted.
    pub(super) fn note_publish(
        &mut self,
        key: SlotKey,
        publish: &Publish<'_>,
        publication: &Publication<'_>,
    ) {
        if !self.wants_about(NoticeKind::MessagePublish, publication.topic) {
            return;
        }
        let client = self.slots.get(key).map(client_of);
        self.note_published(
            client,
            publication,
            publish.dup,
            publish.packet_id.map_or(0, |id| id.get()),
        );
    }

    /// A message of the HTTP API or a will is about to be routed.
    pub(super) fn note_publish_of(&mut self, publication: &Publication<'_>) {
        if self.wants_about(NoticeKind::MessagePublish, publication.topic) {
            let client = EventClient {
                client_id: publication.publisher.into(),
                username: None,
                peer: None,
            };
            self.note_published(Some(client), publication, false, 0);
        }
    }

    fn note_published(
        &mut self,
        client: Option<EventClient>,
        publication: &Publication<'_>,
        dup: bool,
        packet_id: u16,
    ) {
        let Some(message) = NoticedMessage::of(publication, self.clock.unix_ms()) else {
            return;
        };
        let copy = Copied {
            message,
            qos: publication.qos.number(),
            retain: publication.retain,
            dup,
            packet_id,
        };
        self.note(client, What::Publish(copy));
    }

    /// Copies of one message have been sent to subscribers.
    pub(super) fn note_delivered(&mut self, publication: &Publication<'_>, copies: &[SentCopy]) {
        if copies.is_empty() {
            return;
        }
        let Some(message) = NoticedMessage::of(publication, self.clock.unix_ms()) else {
            return;
        };
        for copy in copies {
            let copied = Copied {
                message: message.clone(),
                qos: copy.qos.number(),
                retain: copy.retain,
                dup: false,
                packet_id: copy.packet_id,
            };
            if let Some(client) = self.slots.get(copy.to).map(client_of) {
                self.note(Some(client), What::Delivered(copied));
            }
        }
    }

    /// What became of messages that had waited, as far as plugins want to know.
    pub(super) fn note_pumped(&mut self, key: SlotKey, pumped: Vec<PumpedNotice>) {
        for notice in pumped {
            let Some(client) = self.slots.get(key).map(client_of) else {
                return;
            };
            self.note_waiting(client, &notice.waiting, notice.packet_id, notice.dropped);
        }
    }

    pub(super) fn note_acked(&mut self, key: SlotKey, packet_id: u16, waiting: &Waiting) {
        if !self.wants(NoticeKind::MessageAcked) {
            return;
        }
        let publication = waiting.message().publication();
        if !self.wants_about(NoticeKind::MessageAcked, publication.topic) {
            return;
        }
        let Some(copied) = copied(waiting, packet_id) else {
            return;
        };
        if let Some(client) = self.slots.get(key).map(client_of) {
            self.note(Some(client), What::Acked(copied));
        }
    }

    /// A session is over, or is given up: so are the messages in its queue.
    pub(super) fn note_discarded(&mut self, client: EventClient, session: &Session) {
        if !self.wants(NoticeKind::MessageDropped) {
            return;
        }
        for waiting in session.outbound.queue() {
            self.note_waiting(client.clone(), waiting, 0, Some("session_ended"));
        }
    }

    fn note_waiting(
        &mut self,
        client: EventClient,
        waiting: &Waiting,
        packet_id: u16,
        dropped: Option<&'static str>,
    ) {
        let publication = waiting.message().publication();
        let kind = match dropped {
            None => NoticeKind::MessageDelivered,
            Some(_) => NoticeKind::MessageDropped,
        };
        if !self.wants_about(kind, publication.topic) {
            return;
        }
        let Some(copy) = copied(waiting, packet_id) else {
            return;
        };
        let what = match dropped {
            None => What::Delivered(copy),
            Some(reason) => What::Dropped { copy, reason },
        };
        self.note(Some(client), what);
    }

    /// A message is lost to a subscriber of this shard.
    pub(super) fn note_missed(
        &mut self,
        publication: &Publication<'_>,
        missed: &[(SlotKey, DropReason)],
    ) {
        if missed.is_empty() || !self.wants_about(NoticeKind::MessageDropped, publication.topic) {
            return;
        }
        for (key, reason) in missed {
            let client = self.slots.get(*key).map(client_of);
            self.note_dropped(client, publication, drop_name(*reason));
        }
    }

    /// A message is lost on its way. `client_id`: of its subscriber, if it is known.
    pub(super) fn note_lost(
        &mut self,
        client_id: Option<&str>,
        publication: &Publication<'_>,
        reason: &'static str,
    ) {
        if !self.wants_about(NoticeKind::MessageDropped, publication.topic) {
            return;
        }
        let client = client_id.map(|client_id| EventClient {
            client_id: client_id.into(),
            username: None,
            peer: None,
        });
        self.note_dropped(client, publication, reason);
    }

    fn note_dropped(
        &mut self,
        client: Option<EventClient>,
        publication: &Publication<'_>,
        reason: &'static str,
    ) {
        let Some(message) = NoticedMessage::of(publication, self.clock.unix_ms()) else {
            return;
        };
        let copy = Copied {
            message,
            qos: publication.qos.number(),
            retain: publication.retain,
            dup: false,
            packet_id: 0,
        };
        self.note(client, What::Dropped { copy, reason });
    }

    /// Whether anything about messages that had waited is wanted, whatever their topics are.
    pub(super) fn wants_pumped(&self) -> bool {
        self.wants(NoticeKind::MessageDelivered) || self.wants(NoticeKind::MessageDropped)
    }
}

/// What became of a message that had waited.
pub(super) struct PumpedNotice {
    pub waiting: Waiting,
    pub packet_id: u16,
    /// Why it was dropped; `None`: it was sent.
    pub dropped: Option<&'static str>,
}

fn copied(waiting: &Waiting, packet_id: u16) -> Option<Copied> {
    let stored = waiting.message();
    let message = NoticedMessage::of(&stored.publication(), stored.kept_at_ms())?;
    Some(Copied {
        message,
        qos: waiting.qos().number(),
        retain: waiting.retain(),
        dup: false,
        packet_id,
    })
}

/// The client of a slot, connected or not.
pub(super) fn client_of(slot: &Slot) -> EventClient {
    named(&slot.client_id, slot.connection.as_deref())
}

/// A topic filter as a client names it.
fn asked(filter: &str) -> v1::Subscription {
    let (share, filter) = match topic::SharedFilter::parse(filter) {
        Ok(parsed) => (parsed.share.unwrap_or_default(), parsed.filter),
        Err(_) => ("", filter),
    };
    v1::Subscription {
        filter: filter.to_owned(),
        share: share.to_owned(),
        ..Default::default()
    }
}

fn introduced(request: &ConnectRequest, peer: SocketAddr) -> EventClient {
    EventClient {
        client_id: request.client_id.as_str().into(),
        username: request.user_name.as_deref().map(Into::into),
        peer: Some(peer),
    }
}

fn introduction(request: &ConnectRequest) -> Introduction {
    Introduction {
        version: request.version,
        clean_start: request.clean_start,
        keep_alive_seconds: request.keep_alive_seconds,
    }
}
