//! Messages that this node keeps for sessions of other nodes: published while the session's node was
//! down, or left behind by a session that another node claimed while this one was down.
//!
//! They were acknowledged when they lay in this node's journal. As soon as the table shows the session on
//! a node that is up they go there, each directed at that one session, and are forgotten when that node
//! has them. If the session has ended, or its client has begun another one, they are dropped.
//!
//! A message that had been sent with QoS 2 from the node that is down goes as a new one, so it can arrive
//! a second time; what the client had answered with PUBREC does not go.

use super::{
    Shard,
    deferred::{Owner, Part},
    deliver::{self, count_dropped},
    ledger::Wait,
    slots::SlotKey,
};
use crate::{
    journal::record::{Name, Record, Role},
    link::Returned,
    router::LeftSubscriber,
};
use raftmq_api::counters::Metric;
use raftmq_mqtt::{
    codec::{QoS, SubscriptionIdentifier},
    fanout::Fanout,
    publication::{Publication, Target},
    session::{Delivery, DropReason, Offer, Session, Waiting},
};
use raftmq_store::table::NodeId;
use std::{collections::HashMap, sync::Arc};

/// What is owed to one session of another node.
pub(super) struct Owed {
    pub journaled: u64,
    pub created_at_ms: u64,
    /// Only its queue is used.
    pub session: Session,
    /// Some of it is on its way.
    under_way: bool,
}

/// By client identifier.
pub(super) type AllOwed = HashMap<Arc<str>, Owed>;

/// Messages on their way to one session at once.
const UNDER_WAY_MAX: usize = 256;

/// Where a session is that something is owed to.
enum Whereabouts {
    Gone,
    Here,
    At(NodeId),
    Unreachable,
}

impl Owed {
    pub fn new(journaled: u64, created_at_ms: u64, session: Session) -> Owed {
        Owed {
            journaled,
            created_at_ms,
            session,
            under_way: false,
        }
    }

    pub fn name<'a>(&self, client_id: &'a str) -> Name<'a> {
        Name {
            client_id,
            epoch: 0,
            created_at_ms: self.created_at_ms,
        }
    }
}

impl Shard {
    /// Keeps a publication for a session of a node that cannot take it now.
    pub(super) fn owe(
        &mut self,
        client_id: &Arc<str>,
        created_at_ms: u64,
        publication: &Publication<'_>,
        delivery: Delivery<'_>,
    ) {
        if delivery.qos == QoS::AtMostOnce {
            return;
        }
        if !self.owed.contains_key(client_id) {
            let Some(journaled) = self.ledger.begin() else {
                return;
            };
            let limits = self.engine.settings.outbound_limits_of(client_id);
            let owed = Owed::new(journaled, created_at_ms, Session::new(limits));
            let name = owed.name(client_id);
            let frames = &mut Default::default();
            self.ledger
                .state(journaled, name, Role::Owed, &owed.session, frames);
            self.owed.insert(client_id.clone(), owed);
        }
        let Some(owed) = self.owed.get_mut(client_id) else {
            return;
        };
        let now_ms = self.clock.unix_ms();
        let directed = Publication {
            target: None,
            ..*publication
        };
        let mut message = Fanout::new(directed, now_ms, &mut self.fanout);
        let outbound = &mut owed.session.outbound;
        let offer = outbound.offer(None, &mut message, delivery);
        let session = owed.journaled;
        match &offer {
            Offer::Dropped(reason) => count_dropped(&self.counters, *reason, 1),
            Offer::Displaced(waiting) => {
                count_dropped(&self.counters, DropReason::QueueFull, 1);
                let number = waiting.number();
                self.ledger.record(&Record::Done { session, number });
            }
            Offer::Sent | Offer::Queued => {}
        }
        if !matches!(offer, Offer::Dropped(_)) {
            self.ledger.deliver(session, outbound, 0, delivery);
            self.ledger.delivered(&directed, now_ms);
        }
        self.output.wake();
    }

    /// How many messages are kept for sessions of other nodes. What a session left behind is among them until
    /// its new node has it.
    pub(super) fn owed_messages(&self) -> u64 {
        let owed = self.owed.values().map(|owed| &owed.session);
        let departed = self.departed.values().map(|departed| &departed.session);
        let kept = owed.chain(departed).map(|session| {
            let outbound = &session.outbound;
            (outbound.queue_len() + outbound.inflight_len()) as u64
        });
        kept.sum()
    }

    /// Looks where the sessions are now, and sends what can go.
    pub(super) fn forward_owed(&mut self) {
        if self.owed.is_empty() || !self.engine.lease.is_held() {
            return;
        }
        let waiting = self.owed.iter().filter(|(_, owed)| !owed.under_way);
        let clients: Vec<_> = waiting.map(|(client_id, _)| client_id.clone()).collect();
        for client_id in clients {
            match self.whereabouts(&client_id) {
                Whereabouts::Gone => self.drop_owed(&client_id),
                Whereabouts::Here => self.take_owed(&client_id),
                Whereabouts::At(node) => self.send_owed(&client_id, node),
                Whereabouts::Unreachable => {}
            }
        }
    }

    fn whereabouts(&self, client_id: &str) -> Whereabouts {
        let table = self.engine.store.table().read();
        let created_at_ms = self
            .owed
            .get(client_id)
            .map_or(0, |owed| owed.created_at_ms);
        let Some(session) = table.session(client_id) else {
            return Whereabouts::Gone;
        };
        if created_at_ms != 0 && session.created_at_ms != created_at_ms {
            return Whereabouts::Gone;
        }
        match session.node {
            node if u64::from(node) == self.engine.node_id => Whereabouts::Here,
            node if table.is_node_up(node) => Whereabouts::At(node),
            _ => Whereabouts::Unreachable,
        }
    }

    fn drop_owed(&mut self, client_id: &str) {
        if let Some(owed) = self.owed.remove(client_id) {
            let count = owed.session.outbound.queue_len() as u64;
            self.counters.add(Metric::MessagesDropped, count);
            self.record_ended(Some(owed.journaled));
        }
    }

    /// The session is this node's now. Both changes are in one chunk, so a crash does not double them.
    fn take_owed(&mut self, client_id: &Arc<str>) {
        let Some(key) = self.slot_of(client_id) else {
            return;
        };
        let Some(owed) = self.owed.remove(client_id) else {
            return;
        };
        for waiting in owed.session.outbound.queue() {
            self.deliver_waiting(key, waiting);
        }
        self.record_ended(Some(owed.journaled));
    }

    fn deliver_waiting(&mut self, key: SlotKey, waiting: &Waiting) {
        let publication = Publication {
            qos: waiting.qos(),
            retain: waiting.retain(),
            ..waiting.message().publication()
        };
        let own = deliver::directed(key, waiting.qos(), waiting.subscription_ids());
        self.deliver_own(&publication, std::slice::from_ref(&own), None);
    }

    fn send_owed(&mut self, client_id: &Arc<str>, node: NodeId) {
        let link = self.place_of_link(node.into());
        if self.links[link].is_full() {
            return;
        }
        let Some(owed) = self.owed.get_mut(client_id) else {
            return;
        };
        owed.under_way = true;
        let queue = owed.session.outbound.queue().take(UNDER_WAY_MAX);
        let messages: Vec<Waiting> = queue.cloned().collect();
        let upto = messages.last().map_or(0, Waiting::number);
        let waiting = self.defer(Owner::Owed {
            client_id: client_id.clone(),
            upto,
        });
        for message in &messages {
            let ids = message.subscription_ids();
            let directed = Publication {
                qos: message.qos(),
                retain: message.retain(),
                target: Some(Target {
                    client_id,
                    options: message.qos().number() | RETAIN_AS_PUBLISHED,
                    subscription_id: ids.first().map_or(0, |id| id.get()),
                }),
                ..message.message().publication()
            };
            self.stage_for_link(link, &directed, Some(waiting));
        }
        self.deferred_begun(waiting, raftmq_mqtt::codec::ReasonCode::Success);
    }

    /// What was under way has arrived, or has not.
    pub(super) fn owed_arrived(&mut self, client_id: &str, upto: u64, part: Part) {
        let Some(owed) = self.owed.get_mut(client_id) else {
            return;
        };
        owed.under_way = false;
        if part == Part::Failed {
            return;
        }
        let session = owed.journaled;
        while let Some(number) = owed.session.outbound.forget_queued(upto) {
            self.ledger.record(&Record::Done { session, number });
        }
        if owed.session.outbound.queue_len() == 0 {
            self.owed.remove(client_id);
            self.record_ended(Some(session));
        }
        self.output.wake();
    }

    /// Publications came back that had been sent to a node which is down: what its sessions would have
    /// kept is kept here. Whoever waits for them waits for this node's disk now.
    pub(super) fn returned(&mut self, returned: &Returned) {
        let mut frames = &returned.chunk.frames[..];
        while let Ok((publication, rest)) = Publication::parse(frames) {
            frames = rest;
            match publication.target {
                _ if publication.qos == QoS::AtMostOnce => {}
                Some(target) => self.owe_target(&publication, target),
                None => self.owe_returned(returned, &publication),
            }
        }
        let (peer, upto) = (returned.peer, returned.chunk.upto);
        self.after_journal(Wait::Returned { peer, upto });
    }

    /// What was sent to the peer up to `upto` is kept here, as far as it had to be.
    pub(super) fn give_up(&mut self, peer: u64, upto: u64) {
        if let Some(link) = self.engine.links.find(peer) {
            link.give_up(self.id, upto);
        }
        self.links_moved();
    }

    /// To the sessions that the peer has, and to those that have left it since this was routed.
    fn owe_returned(&mut self, returned: &Returned, publication: &Publication<'_>) {
        if self.ledger.journal().is_none() {
            return;
        }
        let left = {
            let table = self.engine.store.table().read();
            let resolver = self.engine.resolver();
            let (peer, routed_at) = (returned.peer.into(), returned.chunk.routed_at);
            let mut left = resolver.left_on(&table, publication.topic, peer);
            let moved = resolver.moved_from(&table, publication.topic, peer, routed_at);
            left.extend(
                moved
                    .into_iter()
                    .filter(|left| returned.has_moved(&left.subscriber.client_id)),
            );
            left
        };
        self.owe_all(&left, publication);
    }

    /// Keeps a publication for these.
    pub(super) fn owe_all(&mut self, left: &[LeftSubscriber], publication: &Publication<'_>) {
        for LeftSubscriber {
            subscriber,
            created_at_ms,
        } in left
        {
            if let Some(delivery) = deliver::delivery_for(subscriber, publication) {
                self.owe(&subscriber.client_id, *created_at_ms, publication, delivery);
            }
        }
    }

    /// A publication for one session, which is not here.
    pub(super) fn owe_target(&mut self, publication: &Publication<'_>, target: Target<'_>) {
        let known = {
            let table = self.engine.store.table().read();
            let session = table.session(target.client_id);
            // What is in memory ends with its node.
            let session = session.filter(|session| session.expiry_seconds > 0);
            session
                .filter(|session| session.is_durable() || table.is_node_up(session.node))
                .map(|s| (s.client_id.clone(), s.created_at_ms))
        };
        let Some((client_id, created_at_ms)) = known else {
            self.counters.add(Metric::MessagesDropped, 1);
            return;
        };
        let ids: Vec<_> = SubscriptionIdentifier::new(target.subscription_id)
            .into_iter()
            .collect();
        if let Some(delivery) = deliver::delivery_of(target.options, &ids, publication) {
            self.owe(&client_id, created_at_ms, publication, delivery);
        }
    }
}

const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
