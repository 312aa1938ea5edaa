//! Reading the table for one topic: this node's subscribers, its shards, the other nodes.

use crate::shard::{ShardId, shard_of};
use raftmq_mqtt::codec::SubscriptionIdentifier;
use raftmq_store::table::{self, NodeId, ShareMember, Table};
use std::sync::Arc;

/// How long a subscriber's session lasts, the shortest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lifetime {
    /// It ends with its connection.
    Connection,
    /// It outlives its connection; what it is owed ends with the node's process.
    Process,
    /// What it is owed is on disk.
    Durable,
}

impl Lifetime {
    /// That of a session of the table; `None`: it has just ended.
    fn of(session: Option<&table::Session>) -> Lifetime {
        match session {
            Some(session) if session.is_durable() => Lifetime::Durable,
            Some(session) if session.expiry_seconds > 0 => Lifetime::Process,
            _ => Lifetime::Connection,
        }
    }
}

/// A set of shards of this node, each with the longest lifetime among its subscribers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(Vec<(ShardId, Lifetime)>);

impl ShardSet {
    fn add(&mut self, shard: ShardId, lifetime: impl FnOnce() -> Lifetime) {
        match self.0.iter_mut().find(|(known, _)| *known == shard) {
            Some((_, Lifetime::Durable)) => {}
            Some((_, longest)) => *longest = lifetime().max(*longest),
            None => self.0.push((shard, lifetime())),
        }
    }

    /// The shards.
    pub fn iter(&self) -> impl Iterator<Item = (ShardId, Lifetime)> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A subscriber of the asking shard, its overlapping subscriptions merged into one delivery with
/// the highest QoS [MQTT-3.3.4-2] and all subscription identifiers [MQTT-3.3.4-3].
#[derive(Clone, Debug)]
pub struct LocalSubscriber {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Subscription options (MQTT 5 §3.8.3.1) of the merged delivery.
    pub options: u8,
    /// All subscription identifiers.
    pub subscription_ids: Vec<SubscriptionIdentifier>,
}

/// A subscriber whose session outlives its connection, on another node.
#[derive(Clone, Debug)]
pub struct LeftSubscriber {
    /// The subscriber.
    pub subscriber: LocalSubscriber,
    /// When its session was created, Unix milliseconds.
    pub created_at_ms: u64,
}

/// One member of a share group.
#[derive(Clone, Debug)]
pub struct GroupMember {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Its node.
    pub node: NodeId,
    /// Its subscription options.
    pub options: u8,
    /// Its subscription identifier; 0: none.
    pub subscription_id: u32,
}

/// A share group with a matching filter: one of its members gets the publication.
#[derive(Debug, Default)]
pub struct ShareGroup {
    /// Share name.
    pub share: Box<str>,
    /// The members to choose from: those that are connected, or all if none is.
    pub members: Vec<GroupMember>,
}

/// Where a publication on one topic goes, as one shard sees it.
#[derive(Debug, Default)]
pub struct Destinations {
    /// Subscribers of the asking shard.
    pub own: Vec<LocalSubscriber>,
    /// Other shards of this node with subscribers.
    pub shards: ShardSet,
    /// Other nodes with subscribers.
    pub nodes: Vec<NodeId>,
    /// Matching share groups.
    pub groups: Vec<ShareGroup>,
}

/// Reads the table on behalf of one shard, or of none.
#[derive(Clone, Copy, Debug)]
pub struct Resolver {
    /// This node.
    pub node: NodeId,
    /// Number of shards of this node.
    pub shards: usize,
}

impl Resolver {
    /// Everything that `shard` has to know about `topic`.
    pub fn destinations(&self, table: &Table, topic: &str, shard: ShardId) -> Destinations {
        let mut collector = Collector {
            resolver: *self,
            table,
            shard: Some(shard),
            found: Destinations::default(),
        };
        table.resolve(topic, self.node, &mut collector);
        merge_overlapping(&mut collector.found.own);
        collector.found
    }

    /// Subscribers of `topic` whose session another node has claimed after the log entry `routed_at`:
    /// a publication that was routed then is theirs, though the table has moved on.
    pub fn moved_away(&self, table: &Table, topic: &str, routed_at: u64) -> Vec<LocalSubscriber> {
        let mut moved = Vec::new();
        table.for_each_subscriber_elsewhere(topic, self.node, |subscriber| {
            let session = table.session(subscriber.client_id);
            if session.is_some_and(|session| session.epoch.index() > routed_at) {
                moved.push(local_subscriber(subscriber));
            }
        });
        merge_overlapping(&mut moved);
        moved
    }

    /// Subscribers of `topic` with durable sessions, on nodes that are down. What is owed to the others ended
    /// with their node.
    pub fn unreachable(&self, table: &Table, topic: &str) -> Vec<LeftSubscriber> {
        lasting(table, topic, self.node, |session| {
            session.is_durable() && !table.is_node_up(session.node)
        })
    }

    /// The same, on one node.
    pub fn left_on(&self, table: &Table, topic: &str, node: NodeId) -> Vec<LeftSubscriber> {
        lasting(table, topic, self.node, |session| {
            session.is_durable() && session.node == node
        })
    }

    /// Those whose sessions outlive their connections, durable or not, claimed by any other node than `node` after the log entry `routed_at`.
    pub fn moved_from(
        &self,
        table: &Table,
        topic: &str,
        node: NodeId,
        routed_at: u64,
    ) -> Vec<LeftSubscriber> {
        lasting(table, topic, node, |session| {
            session.epoch.index() > routed_at
        })
    }

    /// The shards of this node that have subscribers of `topic`; share groups are not looked at,
    /// because their member was chosen where the message was published.
    pub fn local_shards(&self, table: &Table, topic: &str) -> ShardSet {
        let mut collector = Collector {
            resolver: *self,
            table,
            shard: None,
            found: Destinations::default(),
        };
        table.resolve(topic, self.node, &mut collector);
        collector.found.shards
    }
}

/// Subscribers of `topic` on other nodes than `but` whose sessions outlive their connections.
fn lasting(
    table: &Table,
    topic: &str,
    but: NodeId,
    is_meant: impl Fn(&table::Session) -> bool,
) -> Vec<LeftSubscriber> {
    let mut found = Vec::new();
    table.for_each_subscriber_elsewhere(topic, but, |subscriber| {
        let session = table.session(subscriber.client_id);
        if session.is_some_and(|s| s.expiry_seconds > 0 && is_meant(s)) {
            found.push(local_subscriber(subscriber));
        }
    });
    merge_overlapping(&mut found);
    let created_at_ms = |client_id: &str| table.session(client_id).map_or(0, |s| s.created_at_ms);
    let left = found.into_iter().map(|subscriber| LeftSubscriber {
        created_at_ms: created_at_ms(&subscriber.client_id),
        subscriber,
    });
    left.collect()
}

struct Collector<'t> {
    resolver: Resolver,
    table: &'t Table,
    /// Whose subscribers are wanted one by one.
    shard: Option<ShardId>,
    found: Destinations,
}

impl table::Visitor for Collector<'_> {
    fn local(&mut self, subscriber: table::Subscriber<'_>) {
        let shard = shard_of(subscriber.client_id, self.resolver.shards);
        if self.shard != Some(shard) {
            let table = self.table;
            let lifetime = || Lifetime::of(table.session(subscriber.client_id));
            self.found.shards.add(shard, lifetime);
            return;
        }
        self.found.own.push(local_subscriber(subscriber));
    }

    fn remote(&mut self, node: NodeId) {
        if !self.found.nodes.contains(&node) {
            self.found.nodes.push(node);
        }
    }

    fn group(&mut self, share: &str, members: &mut dyn Iterator<Item = ShareMember<'_>>) {
        if self.shard.is_none() {
            return;
        }
        let (connected, offline): (Vec<_>, Vec<_>) = members
            .map(|m| {
                (
                    m.connected,
                    GroupMember {
                        client_id: m.client_id.clone(),
                        node: m.node,
                        options: m.options,
                        subscription_id: m.subscription_id,
                    },
                )
            })
            .partition(|(connected, _)| *connected);
        let chosen = if connected.is_empty() {
            offline
        } else {
            connected
        };
        let members: Vec<_> = chosen.into_iter().map(|(_, member)| member).collect();
        if !members.is_empty() {
            self.found.groups.push(ShareGroup {
                share: share.into(),
                members,
            });
        }
    }
}

pub(super) fn local_subscriber(subscriber: table::Subscriber<'_>) -> LocalSubscriber {
    LocalSubscriber {
        client_id: subscriber.client_id.clone(),
        options: subscriber.options,
        subscription_ids: SubscriptionIdentifier::new(subscriber.subscription_id)
            .into_iter()
            .collect(),
    }
}

/// Bits of the subscription options.
const QOS_BITS: u8 = 0b11;
const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;

pub(super) fn merge_overlapping(own: &mut Vec<LocalSubscriber>) {
    own.sort_by(|a, b| a.client_id.cmp(&b.client_id));
    own.dedup_by(|next, first| {
        let same = next.client_id == first.client_id;
        if same {
            let qos = (next.options & QOS_BITS).max(first.options & QOS_BITS);
            // One of the subscriptions wants the client's own messages, or the RETAIN flag kept.
            let no_local = next.options & first.options & NO_LOCAL;
            let as_published = (next.options | first.options) & RETAIN_AS_PUBLISHED;
            first.options = qos | no_local | as_published;
            first.subscription_ids.append(&mut next.subscription_ids);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(client_id: &str, options: u8, id: u32) -> LocalSubscriber {
        LocalSubscriber {
            client_id: client_id.into(),
            options,
            subscription_ids: SubscriptionIdentifier::new(id).into_iter().collect(),
        }
    }

    /// [MQTT-3.3.4-2], [MQTT-3.3.4-3]
    #[test]
    fn overlapping_subscriptions_become_one_delivery_with_the_highest_qos_and_all_identifiers() {
        let mut own = vec![
            subscriber("b", 0, 0),
            subscriber("a", 1 | NO_LOCAL, 5),
            subscriber("a", 2, 6),
        ];
        merge_overlapping(&mut own);
        assert_eq!(own.len(), 2);
        assert_eq!((&*own[0].client_id, own[0].options), ("a", 2));
        let ids: Vec<_> = own[0].subscription_ids.iter().map(|id| id.get()).collect();
        assert_eq!(ids, [5, 6]);
    }
}
