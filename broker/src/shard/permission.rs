//! What plugins say about what a client does: who it is, what it may publish, subscribe to and retain,
//! and which topics stand in the place of those that it names.

use super::{Shard, deferred::Owner, slots::SlotKey};
use crate::{
    plugin::{Access, AccessRules, Extensions, Grant, Judgement, RulesOf, Verdict, Who},
    router::GroupMember,
};
use raftmq_api::counters::Metric;
use raftmq_mqtt::codec::{PayloadFormat, Publish, QoS, ReasonCode, Version};
use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::SystemTime};

/// Who a connected client is, as far as permissions depend on it.
pub(crate) struct ClientIdentity {
    pub user_name: Option<Arc<str>>,
    /// Where it connects from; behind a trusted proxy, what that said.
    pub peer: SocketAddr,
    pub superuser: bool,
    rules: Option<Arc<AccessRules>>,
    until: Option<SystemTime>,
}

impl ClientIdentity {
    pub fn new(user_name: Option<&str>, peer: SocketAddr, grant: Grant) -> ClientIdentity {
        ClientIdentity {
            user_name: user_name.map(Into::into),
            peer,
            superuser: grant.superuser,
            rules: grant.rules,
            until: grant.until,
        }
    }

    /// Whether the time for which the client was let in is over.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    fn who<'a>(&'a self, client_id: &'a str) -> Who<'a> {
        Who {
            client_id,
            user_name: self.user_name.as_deref(),
            ip: self.peer.ip(),
        }
    }

    /// What none of the rules speaks of is allowed, but for publishing in the broker's own name (§4.7.2).
    fn allows(&self, client_id: &str, nodes: Option<&AccessRules>, access: Access<'_>) -> bool {
        match self.judge(client_id, nodes, access) {
            Ruling::Allowed => true,
            Ruling::DeniedBy(_) => false,
            Ruling::Silent => !access.is_to_system(),
        }
    }

    /// The client's own rules come first, then the node's.
    fn judge<'r>(
        &'r self,
        client_id: &str,
        nodes: Option<&'r AccessRules>,
        access: Access<'_>,
    ) -> Ruling<'r> {
        if self.superuser {
            return Ruling::Allowed;
        }
        let who = self.who(client_id);
        for rules in [self.rules.as_deref(), nodes].into_iter().flatten() {
            match rules.verdict(&who, access) {
                Verdict::Allowed => return Ruling::Allowed,
                Verdict::Denied => return Ruling::DeniedBy(rules),
                Verdict::Silent => {}
            }
        }
        Ruling::Silent
    }

    /// The same, with the rule that decides.
    fn judgement(
        &self,
        client_id: &str,
        nodes: Option<&AccessRules>,
        access: Access<'_>,
    ) -> Judgement {
        if self.superuser {
            return Judgement::Superuser;
        }
        let lists = [
            (RulesOf::Client, self.rules.as_deref()),
            (RulesOf::Node, nodes),
        ];
        Judgement::new(&lists, &self.who(client_id), access)
    }

    /// Whether the client may publish to the topic.
    pub fn may_publish(&self, client_id: &str, nodes: Option<&AccessRules>, topic: &str) -> bool {
        self.allows(client_id, nodes, Access::Publish(topic))
    }

    fn is_judged(&self, extensions: &Extensions) -> bool {
        extensions.access.is_some() || self.rules.is_some()
    }
}

/// What the rules say about something that a client does.
enum Ruling<'r> {
    Allowed,
    DeniedBy(&'r AccessRules),
    Silent,
}

/// Whether the packet says that its payload is UTF-8, and it is not (§3.3.2.3.2).
fn breaks_its_format(publish: &Publish<'_>) -> bool {
    publish.properties.payload_format_indicator() == Some(PayloadFormat::Utf8)
        && std::str::from_utf8(publish.payload).is_err()
}

/// What becomes of a PUBLISH.
pub(super) enum Admission {
    Accepted,
    /// Accepted, but its message is not kept for later subscribers.
    WithoutRetaining,
    Refused(ReasonCode),
}

impl Shard {
    /// A connected client's identifier and who it is.
    fn identity(&self, key: SlotKey) -> Option<(&str, &ClientIdentity)> {
        let slot = self.slots.get(key)?;
        let connection = slot.connection.as_deref()?;
        Some((&slot.client_id, &connection.identity))
    }

    /// The topic of a PUBLISH after rewriting.
    pub(super) fn rewritten_name<'t>(&self, key: SlotKey, name: &'t str) -> Cow<'t, str> {
        let rewritten = self.extensions.get().rewrite.as_ref().and_then(|rules| {
            let (client_id, identity) = self.identity(key)?;
            rules.name(name, client_id, identity.user_name.as_deref())
        });
        rewritten.map_or(Cow::Borrowed(name), Cow::Owned)
    }

    /// The filter of a SUBSCRIBE or UNSUBSCRIBE after rewriting, without `$share/<group>/`.
    pub(super) fn rewritten_filter<'t>(&self, key: SlotKey, filter: &'t str) -> Cow<'t, str> {
        let rewritten = self.extensions.get().rewrite.as_ref().and_then(|rules| {
            let (client_id, identity) = self.identity(key)?;
            rules.filter(filter, client_id, identity.user_name.as_deref())
        });
        rewritten.map_or(Cow::Borrowed(filter), Cow::Owned)
    }

    /// Whether the client may subscribe to the filter.
    pub(super) fn may_subscribe(&self, key: SlotKey, filter: &str) -> bool {
        let extensions = self.extensions.get();
        let Some((client_id, identity)) = self.identity(key) else {
            return true;
        };
        if !identity.is_judged(extensions) {
            return true;
        }
        self.counters.add(Metric::ClientSubscribeCheckAcl, 1);
        let access = Access::Subscribe(filter);
        let allowed = identity.allows(client_id, extensions.access.as_ref(), access);
        if !allowed {
            self.counters.add(Metric::ClientSubscribeAuthError, 1);
        }
        allowed
    }

    /// What would be said to a connected client now; `None`: it is not connected here. Counts nothing.
    pub(super) fn judgement(&self, key: SlotKey, access: Access<'_>) -> Option<Judgement> {
        let (client_id, identity) = self.identity(key)?;
        let nodes = self.extensions.get().access.as_ref();
        Some(identity.judgement(client_id, nodes, access))
    }

    /// Whether a PUBLISH is accepted.
    pub(super) fn admit_publish(&self, key: SlotKey, publish: &Publish<'_>) -> Admission {
        if self.engine.settings.check_payload_format && breaks_its_format(publish) {
            return Admission::Refused(ReasonCode::PayloadFormatInvalid);
        }
        if !self.may_publish(key, publish.topic) {
            return Admission::Refused(ReasonCode::NotAuthorized);
        }
        if !publish.retain || self.may_retain(publish.topic, publish.payload.len()) {
            return Admission::Accepted;
        }
        let connection = self
            .slots
            .get(key)
            .and_then(|slot| slot.connection.as_deref());
        let can_be_told = connection.is_some_and(|connection| connection.version == Version::V5)
            && publish.qos != QoS::AtMostOnce;
        if can_be_told {
            return Admission::Refused(ReasonCode::QuotaExceeded);
        }
        self.counters.add(Metric::MessagesDropped, 1);
        Admission::WithoutRetaining
    }

    fn may_publish(&self, key: SlotKey, topic: &str) -> bool {
        let extensions = self.extensions.get();
        let Some((client_id, identity)) = self.identity(key) else {
            return true;
        };
        let access = Access::Publish(topic);
        if !identity.is_judged(extensions) && !access.is_to_system() {
            return true;
        }
        self.counters.add(Metric::ClientPublishCheckAcl, 1);
        let allowed = identity.allows(client_id, extensions.access.as_ref(), access);
        if !allowed {
            self.counters.add(Metric::ClientPublishAuthError, 1);
        }
        allowed
    }

    /// Whether a message may be retained, by the limits of the node. Two nodes that look at the same
    /// moment may let one message too many in.
    pub(super) fn may_retain(&self, topic: &str, payload_bytes: usize) -> bool {
        let Some(limits) = self.extensions.get().retain else {
            return false;
        };
        // An empty payload deletes.
        if payload_bytes == 0 {
            return true;
        }
        if limits
            .payload_bytes_max
            .is_some_and(|max| payload_bytes as u64 > max)
        {
            return false;
        }
        let Some(max) = limits.messages_max else {
            return true;
        };
        let table = self.engine.store.table().read();
        let count = table.counts(self.engine.node_id.into()).retained as u64;
        count < max || table.retained(topic).is_some()
    }

    /// How long a retained message may be kept, in seconds, given its own expiry.
    pub(super) fn retained_expiry_seconds(&self, own: Option<u32>) -> Option<u32> {
        let limits = self.extensions.get().retain?;
        let max = limits
            .age_max
            .map(|age| u32::try_from(age.as_secs().max(1)).unwrap_or(u32::MAX));
        match (own, max) {
            (Some(own), Some(max)) => Some(own.min(max)),
            (own, max) => own.or(max),
        }
    }

    /// Whether messages may be retained at all.
    pub(super) fn retain_available(&self) -> bool {
        self.engine.settings.retain_available && self.extensions.get().retain.is_some()
    }

    /// Tells the client that its PUBLISH is refused, where its version has words for that. `Err`: the
    /// connection is to be closed with this reason.
    /// 3.1.1 [MQTT-3.3.5-2]
    pub(super) fn refuse_publish(
        &mut self,
        key: SlotKey,
        publish: &Publish<'_>,
        reason: ReasonCode,
    ) -> Result<(), ReasonCode> {
        if reason == ReasonCode::NotAuthorized && self.disconnects_for(key, publish.topic) {
            return Err(reason);
        }
        // QoS 0 has no acknowledgement that could say it (§3.3.2.3.2).
        if reason == ReasonCode::PayloadFormatInvalid && publish.qos == QoS::AtMostOnce {
            return Err(reason);
        }
        self.counters.add(Metric::ClientPublishError, 1);
        let owner = Owner::Client {
            key,
            qos: publish.qos,
            packet_id: publish.packet_id.map_or(0, |id| id.get()),
        };
        self.answer(owner, reason);
        Ok(())
    }

    /// Whether those rules that deny the topic say that their publisher is disconnected.
    fn disconnects_for(&self, key: SlotKey, topic: &str) -> bool {
        let access = self.extensions.get().access.as_ref();
        self.identity(key)
            .map(|(client_id, of)| of.judge(client_id, access, Access::Publish(topic)))
            .is_some_and(|judgement| match judgement {
                Ruling::DeniedBy(rules) => rules.disconnects_publishers,
                _ => false,
            })
    }

    /// The member of a share group that gets a message.
    pub(super) fn chosen_member<'g>(
        &self,
        group: &'g crate::router::ShareGroup,
        turn: usize,
        publisher: &str,
        topic: &str,
    ) -> Option<&'g GroupMember> {
        let choice = crate::router::Choice {
            turn,
            node: self.engine.node_id.into(),
            share: &group.share,
            publisher,
            topic,
        };
        let strategy = self.extensions.get().share_strategy;
        strategy.choose(&group.members, &choice)
    }
}
