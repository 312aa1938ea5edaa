//! Publications that wait for their time: into the replicated table, and out of it when it has come.

use super::{
    Shard,
    deferred::{Owner, Part},
    identifier::Identifier,
    slots::SlotKey,
    subscribe::publication_of,
};
use raftmq_api::counters::Metric;
use raftmq_mqtt::{
    codec::{Publish, QoS, ReasonCode, Version},
    publication::{Origin, Publication},
    session::DropReason,
    topic::{DelayedName, DelayedNameError},
};
use raftmq_proto::v1;
use raftmq_store::table::{DelayedMessage, Outcome};
use tokio::sync::oneshot;

impl Shard {
    /// The topic name of a PUBLISH without the delay that it may ask for, and that delay in seconds.
    pub(super) fn undelayed_name<'n>(
        &self,
        name: &'n str,
    ) -> Result<(&'n str, u32), DelayedNameError> {
        if !self.engine.settings.delayed_publish {
            return Ok((name, 0));
        }
        match DelayedName::parse(name) {
            None => Ok((name, 0)),
            Some(parsed) => parsed.map(|name| (name.topic, name.seconds)),
        }
    }

    /// Whether taking the PUBLISH means to change the table.
    pub(super) fn changes_table(&self, key: SlotKey, publish: &Publish<'_>) -> bool {
        publish.retain || self.asks_for_delay(key, publish)
    }

    fn asks_for_delay(&self, key: SlotKey, publish: &Publish<'_>) -> bool {
        if !publish.topic.is_empty() {
            return DelayedName::is_one(publish.topic);
        }
        let slot = self.slots.get(key);
        let aliases = slot.and_then(|slot| slot.connection.as_deref()?.inbound_aliases.as_ref());
        let known = aliases.and_then(|aliases| aliases.get(publish.properties.topic_alias()?));
        known.is_some_and(DelayedName::is_one)
    }

    /// A name that begins like that of a delayed publication and is none. MQTT 5 says so in the
    /// acknowledgement; where there is none, or it has no words, the connection is closed.
    pub(super) fn refuse_name(
        &mut self,
        key: SlotKey,
        publish: &Publish<'_>,
    ) -> Result<(), ReasonCode> {
        let reason = ReasonCode::TopicNameInvalid;
        let slot = self.slots.get(key);
        let connection = slot.and_then(|slot| slot.connection.as_deref());
        let can_be_told = connection.is_some_and(|connection| connection.version == Version::V5);
        if !can_be_told || publish.qos == QoS::AtMostOnce {
            return Err(reason);
        }
        match self.accept_identifier(key, publish)? {
            Identifier::Fresh => self.refuse_publish(key, publish, reason),
            Identifier::Known => Ok(()),
        }
    }

    /// Proposes that the message be published later. Its owner is answered when it is in the table.
    pub(super) fn delay(&mut self, publication: &Publication<'_>, seconds: u32, owner: Owner) {
        let waiting = match owner {
            Owner::Client {
                qos: QoS::AtMostOnce,
                ..
            } => None,
            owner => Some(self.defer(owner)),
        };
        let due_ms = self
            .clock
            .unix_ms()
            .saturating_add(u64::from(seconds) * 1_000);
        let max = self.engine.settings.delayed_messages_max;
        let op = delay_publish(publication, due_ms, max);
        let (engine, me) = (self.engine.clone(), self.me.clone());
        tokio::task::spawn_local(async move {
            let outcome = engine.propose(op).await;
            let Some(shard) = me.upgrade() else { return };
            let mut shard = shard.borrow_mut();
            let part = match outcome {
                Ok(Outcome::Delayed) => Part::Kept,
                other => {
                    tracing::debug!(?other, "a message could not be kept for later");
                    Part::Failed
                }
            };
            match (waiting, part) {
                (Some(waiting), part) => shard.deferred_part(waiting, part),
                (None, Part::Failed) => shard.counters.add(Metric::MessagesDropped, 1),
                (None, Part::Kept) => {}
            }
        });
    }

    /// A delayed message that this node is to publish.
    pub(crate) fn publish_delayed(
        &mut self,
        delayed: &DelayedMessage,
        answer: oneshot::Sender<super::PublishOutcome>,
    ) {
        let origin = match delayed.by_api {
            true => Origin::Admin,
            false => Origin::Client,
        };
        // Without a sensible QoS it is nothing that we wrote; the dropped answer says "not done".
        let Some(publication) = publication_of(&delayed.message, origin) else {
            return;
        };
        let now_ms = self.clock.unix_ms();
        let expiry = publication.expiry;
        if expiry.is_some_and(|expiry| expiry.remaining_seconds(now_ms).is_none()) {
            super::deliver::count_dropped(&self.counters, DropReason::Expired, 1);
            let _ = answer.send(super::PublishOutcome::Kept);
            return;
        }
        let route = self.route(publication.topic);
        self.note_publish_of(&publication);
        let from = self.publisher_slot(&publication, &route);
        self.publish(&publication, &route, from, Owner::Admin(answer));
    }
}

fn delay_publish(publication: &Publication<'_>, due_ms: u64, messages_max: u64) -> v1::Op {
    let message = v1::Message {
        topic: publication.topic.to_owned(),
        payload: publication.payload.to_vec().into(),
        qos: u32::from(publication.qos.number()),
        retain: publication.retain,
        properties: publication.properties.to_vec().into(),
        expiry_seconds: publication.expiry.map(|expiry| expiry.seconds),
        client_id: publication.publisher.to_owned(),
        received_at_ms: due_ms,
    };
    v1::Op {
        kind: Some(v1::op::Kind::DelayPublish(v1::DelayPublish {
            message: Some(message),
            due_ms,
            messages_max,
            by_api: publication.origin == Origin::Admin,
        })),
    }
}
