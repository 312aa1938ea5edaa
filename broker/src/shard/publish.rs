//! Publications that begin in this shard: from its clients, from the HTTP API, as a will.

use super::{
    Shard,
    deferred::{Owner, Part},
    identifier::Identifier,
    permission::Admission,
    slots::SlotKey,
};
use crate::counting;
use crate::journal::record::Record;
use crate::router::{Destinations, GroupMember, LeftSubscriber, Lifetime};
use raftmq_mqtt::{
    codec::{Publish, QoS, ReasonCode},
    publication::{Expiry, Origin, Publication, Target},
    topic,
};
use raftmq_proto::v1;
use std::{rc::Rc, sync::Arc};
use tokio::sync::oneshot;

/// A topic that has been looked up, with the share groups' turns.
pub(crate) struct Route {
    pub own: Vec<super::deliver::OwnSubscriber>,
    pub others: Destinations,
    /// Links of the other nodes.
    pub links: Vec<usize>,
    /// Sessions of nodes that are down: what is for them is kept here.
    pub unreachable: Vec<LeftSubscriber>,
    turn: std::sync::atomic::AtomicUsize,
}

impl Route {
    pub fn new(
        own: Vec<super::deliver::OwnSubscriber>,
        others: Destinations,
        links: Vec<usize>,
        unreachable: Vec<LeftSubscriber>,
    ) -> Route {
        Route {
            own,
            others,
            links,
            unreachable,
            turn: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    fn is_empty(&self) -> bool {
        self.own.is_empty()
            && self.others.shards.is_empty()
            && self.links.is_empty()
            && self.others.groups.is_empty()
            && self.unreachable.is_empty()
    }

    /// Counts the choices of a group's member.
    fn take_turn(&self) -> usize {
        self.turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    /// The turn that the next publication gets.
    pub fn next_turn(&self) -> usize {
        self.turn.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Shard {
    /// A PUBLISH of a client. `Err`: the connection is to be closed with this reason.
    pub(super) fn publish_packet(
        &mut self,
        key: SlotKey,
        publish: &Publish<'_>,
    ) -> Result<(), ReasonCode> {
        let named = self.unaliased_name(key, publish)?;
        let name = named.as_deref().unwrap_or(publish.topic);
        let Ok((name, delay_seconds)) = self.undelayed_name(name) else {
            return self.refuse_name(key, publish);
        };
        let topic = self.rewritten_name(key, name);
        let publish = &Publish {
            topic: &topic,
            ..*publish
        };
        if self.limits_levels && !self.settings_of(key).allows_levels(publish.topic) {
            return Err(ReasonCode::TopicNameInvalid);
        }
        let route = match self.cached_route(publish.topic) {
            Some(route) => route,
            None => self.first_route(publish.topic)?,
        };
        self.check_publish(publish)?;
        let Some(slot) = self.slots.get(key) else {
            return Ok(());
        };
        let client_id = slot.client_id.clone();
        let origin = match &slot.connection {
            Some(connection) if connection.listener.is_internal => Origin::Bridge,
            _ => Origin::Client,
        };
        if self.accept_identifier(key, publish)? == Identifier::Known {
            return Ok(());
        }
        let retain = match self.admit_publish(key, publish) {
            Admission::Accepted => publish.retain,
            Admission::WithoutRetaining => false,
            Admission::Refused(reason) => return self.refuse_publish(key, publish, reason),
        };
        let mut collected = Vec::new();
        let publication = Publication {
            topic: publish.topic,
            payload: publish.payload,
            properties: match publish.properties.forwardable() {
                Some(bytes) => bytes,
                None => {
                    publish.properties.append_forwardable(&mut collected);
                    &collected
                }
            },
            qos: publish.qos,
            retain,
            expiry: self.expiry(publish.properties.message_expiry_interval()),
            origin,
            publisher: &client_id,
            target: None,
        };
        let owner = Owner::Client {
            key,
            qos: publish.qos,
            packet_id: publish.packet_id.map_or(0, |id| id.get()),
        };
        if delay_seconds > 0 {
            self.delay(&publication, delay_seconds, owner);
            return Ok(());
        }
        self.note_publish(key, publish, &publication);
        self.publish(&publication, &route, Some(key), owner);
        Ok(())
    }

    /// The topic name that the packet's alias stands for; `None`: it has no alias.
    fn unaliased_name(
        &mut self,
        key: SlotKey,
        publish: &Publish<'_>,
    ) -> Result<Option<Rc<str>>, ReasonCode> {
        let Some(alias) = publish.properties.topic_alias() else {
            return Ok(None);
        };
        let maximum = self.engine.settings.topic_alias_max;
        let slot = self.slots.get_mut(key);
        let Some(connection) = slot.and_then(|slot| slot.connection.as_deref_mut()) else {
            return Ok(None);
        };
        let aliases = connection.inbound_aliases.get_or_insert_default();
        aliases.resolve(alias, publish.topic, maximum).map(Some)
    }

    fn expiry(&self, seconds: Option<u32>) -> Option<Expiry> {
        Some(Expiry {
            seconds: seconds?,
            received_at_ms: self.clock.unix_ms(),
        })
    }

    /// The rules that hold for a PUBLISH whatever its topic.
    /// [MQTT-3.3.4-6]
    fn check_publish(&self, publish: &Publish<'_>) -> Result<(), ReasonCode> {
        let settings = &self.engine.settings;
        if publish.qos > settings.max_qos {
            return Err(ReasonCode::QosNotSupported);
        }
        if publish.retain && !self.retain_available() {
            return Err(ReasonCode::RetainNotSupported);
        }
        if publish.properties.has_subscription_identifier() {
            return Err(ReasonCode::ProtocolError);
        }
        Ok(())
    }

    /// Routes a publication and answers its owner when it is kept by all who have to.
    pub(super) fn publish(
        &mut self,
        publication: &Publication<'_>,
        route: &Route,
        from: Option<SlotKey>,
        owner: Owner,
    ) {
        self.counters
            .add(counting::published(publication.origin), 1);
        if publication.qos != QoS::AtMostOnce
            && self.ledger.is_out_of_room()
            && self.is_to_be_kept(route)
        {
            self.refuse_deferred(owner);
            return;
        }
        let kept_before = self.ledger.kept();
        self.deliver_own(publication, &route.own, from);
        self.owe_all(&route.unreachable, publication);
        let waits_for_others = has_to_wait(publication, route);
        let received = self.to_be_recorded(&owner);
        let has_to_wait =
            waits_for_others || received.is_some() || self.ledger.kept() != kept_before;
        let mut owner = Some(owner);
        let waiting = owner
            .take_if(|_| has_to_wait)
            .map(|owner| self.defer(owner));
        for (shard, lifetime) in route.others.shards.iter() {
            let waiting = waiting.filter(|_| lifetime > Lifetime::Connection);
            self.stage_for_shard(shard, publication, waiting);
        }
        for link in &route.links {
            self.stage_for_link(*link, publication, waiting);
        }
        for group in &route.others.groups {
            let (publisher, topic) = (publication.publisher, publication.topic);
            let member = self.chosen_member(group, route.take_turn(), publisher, topic);
            if let Some(member) = member {
                self.publish_to_member(publication, member, waiting);
            }
        }
        if publication.retain {
            self.retain(publication, waiting);
        }
        let reason = if route.is_empty() {
            ReasonCode::NoMatchingSubscribers
        } else {
            ReasonCode::Success
        };
        if route.is_empty() {
            self.counters
                .add(counting::nonsubscribed(publication.origin), 1);
        }
        let mut is_staged = self.ledger.kept() != kept_before;
        if let (Some(received), false) = (received, waits_for_others) {
            // In one chunk with what this shard's own sessions keep: both are on the disk, or neither.
            self.record_received(received);
            is_staged = true;
        }
        match (waiting, owner) {
            (Some(waiting), _) => {
                if is_staged {
                    self.defer_to_journal(waiting);
                }
                self.deferred_begun(waiting, reason);
            }
            (None, Some(owner)) => self.answer(owner, reason),
            (None, None) => {}
        }
    }

    /// Whether this node would have to write the publication down.
    fn is_to_be_kept(&self, route: &Route) -> bool {
        let mut own = route.own.iter().filter_map(|own| self.slots.get(own.key()));
        !route.unreachable.is_empty()
            || own.any(|slot| slot.journaled.is_some())
            || route
                .others
                .shards
                .iter()
                .any(|(_, lifetime)| lifetime == Lifetime::Durable)
    }

    /// A QoS 2 publish whose identifier has to outlive this process: its client's session does.
    fn to_be_recorded(&self, owner: &Owner) -> Option<(SlotKey, u16)> {
        match owner {
            Owner::Client {
                key,
                qos: QoS::ExactlyOnce,
                packet_id,
            } => {
                let journaled = self.slots.get(*key).and_then(|slot| slot.journaled);
                journaled.map(|_| (*key, *packet_id))
            }
            _ => None,
        }
    }

    fn record_received(&mut self, (key, packet_id): (SlotKey, u16)) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if let Some(session) = slot.journaled
            && slot.session.inbound.note_recorded(packet_id)
        {
            self.ledger.record(&Record::Received { session, packet_id });
        }
    }

    fn publish_to_member(
        &mut self,
        publication: &Publication<'_>,
        member: &GroupMember,
        waiting: Option<usize>,
    ) {
        let target = Target {
            client_id: &member.client_id,
            options: member.options,
            subscription_id: member.subscription_id,
        };
        let directed = Publication {
            target: Some(target),
            ..*publication
        };
        let node: u64 = member.node.into();
        if node == self.engine.node_id {
            let shard = super::shard_of(&member.client_id, self.engine.mailboxes.len());
            if shard == self.id {
                self.deliver_directed(&directed);
            } else {
                self.stage_for_shard(shard, &directed, waiting);
            }
        } else {
            let link = self.place_of_link(node);
            self.stage_for_link(link, &directed, waiting);
        }
    }

    /// Proposes the retained message; the publisher's acknowledgement waits for it.
    /// [MQTT-3.3.1-5], [MQTT-3.3.1-8]
    fn retain(&mut self, publication: &Publication<'_>, waiting: Option<usize>) {
        if let Some(waiting) = waiting {
            self.deferred.add_part(waiting);
        }
        let mut kept = *publication;
        let own = kept.expiry.map(|expiry| expiry.seconds);
        let received_at_ms = self.clock.unix_ms();
        kept.expiry = self.retained_expiry_seconds(own).map(|seconds| Expiry {
            seconds,
            received_at_ms,
        });
        let op = set_retained(&kept, received_at_ms);
        let (engine, me) = (self.engine.clone(), self.me.clone());
        tokio::task::spawn_local(async move {
            let outcome = engine.propose(op).await;
            if let Err(error) = &outcome {
                tracing::warn!(%error, "a message could not be retained");
            }
            if let (Some(waiting), Some(shard)) = (waiting, me.upgrade()) {
                let part = if outcome.is_ok() {
                    Part::Kept
                } else {
                    Part::Failed
                };
                shard.borrow_mut().deferred_part(waiting, part);
            }
        });
    }

    fn cached_route(&mut self, topic: &str) -> Option<Arc<Route>> {
        self.cache.get(topic)
    }

    /// A topic that is not in the cache: checks the name before asking the table.
    /// [MQTT-3.3.2-2]
    fn first_route(&mut self, topic: &str) -> Result<Arc<Route>, ReasonCode> {
        if topic::validate_name(topic).is_err() {
            return Err(ReasonCode::TopicNameInvalid);
        }
        Ok(self.route(topic))
    }

    /// Where a valid topic name goes.
    pub(super) fn route(&mut self, topic: &str) -> Arc<Route> {
        if let Some(route) = self.cached_route(topic) {
            return route;
        }
        let (engine, id, slots) = (&self.engine, self.id, &mut self.slots);
        let ledger = &mut self.ledger;
        let route = self.cache.resolve(topic, |table| {
            let mut found = engine.resolver().destinations(table, topic, id);
            let own = std::mem::take(&mut found.own)
                .into_iter()
                .filter_map(|subscriber| {
                    super::deliver::own_subscriber(slots, table, engine, ledger, subscriber)
                })
                .collect();
            let links = found
                .nodes
                .iter()
                .map(|node| engine.links.place_of((*node).into()))
                .collect();
            let unreachable = match ledger.journal() {
                Some(_) => engine.resolver().unreachable(table, topic),
                None => Vec::new(),
            };
            Route::new(own, found, links, unreachable)
        });
        self.refresh_links();
        route
    }

    /// A message of the HTTP API, as a frame, after this delay.
    pub(crate) fn publish_for_admin(
        &mut self,
        frame: &[u8],
        delay_seconds: u32,
        answer: oneshot::Sender<super::PublishOutcome>,
    ) {
        // A frame that cannot be read was not written by us; the dropped answer says "not done".
        let Ok((publication, _)) = Publication::parse(frame) else {
            return;
        };
        if publication.retain && !self.may_retain(publication.topic, publication.payload.len()) {
            let _ = answer.send(super::PublishOutcome::NotRetained);
            return;
        }
        if delay_seconds > 0 {
            self.delay(&publication, delay_seconds, Owner::Admin(answer));
            return;
        }
        let route = self.route(publication.topic);
        self.note_publish_of(&publication);
        self.publish(&publication, &route, None, Owner::Admin(answer));
    }

    /// A will of this node's was published. Every node delivers it to its own subscribers, sessions in
    /// share groups excepted.
    pub(crate) fn count_will(&mut self, will: &v1::Message) {
        let route = self.route(&will.topic);
        if let Some(publication) = super::publication_of(will, Origin::Will) {
            self.note_publish_of(&publication);
        }
        self.counters.add(counting::published(Origin::Will), 1);
        let is_wanted =
            !route.own.is_empty() || !route.others.shards.is_empty() || !route.links.is_empty();
        if !is_wanted {
            self.counters.add(counting::nonsubscribed(Origin::Will), 1);
        }
    }
}

/// Whether the acknowledgement depends on others than this shard.
fn has_to_wait(publication: &Publication<'_>, route: &Route) -> bool {
    let others = publication.retain
        || !route.links.is_empty()
        || !route.others.groups.is_empty()
        || route
            .others
            .shards
            .iter()
            .any(|(_, lifetime)| lifetime > Lifetime::Connection);
    publication.qos != QoS::AtMostOnce && others
}

fn set_retained(publication: &Publication<'_>, now_ms: u64) -> v1::Op {
    let message = v1::Message {
        topic: publication.topic.to_owned(),
        payload: publication.payload.to_vec().into(),
        qos: u32::from(publication.qos.number()),
        retain: true,
        properties: publication.properties.to_vec().into(),
        expiry_seconds: publication.expiry.map(|e| e.seconds),
        client_id: publication.publisher.to_owned(),
        received_at_ms: now_ms,
    };
    v1::Op {
        kind: Some(v1::op::Kind::SetRetained(v1::SetRetained {
            message: Some(message),
        })),
    }
}
