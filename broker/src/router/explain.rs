//! A dry run of routing: who would get a publication, with what the table knows of each.
//!
//! The decisions (which subscribers, which nodes, which members can be chosen, how overlapping
//! subscriptions are merged) are those of [`Resolver::destinations`], asked as a shard asks it. Here they
//! are put beside the sessions and the filters that they come from. A node that a publication is
//! forwarded to does the same with its own table, so the whole way is seen from one table.

use super::destinations::{LocalSubscriber, Resolver, local_subscriber, merge_overlapping};
use super::{Choice, ShareStrategy};
use crate::shard::ShardId;
use raftmq_store::table::{NodeId, ShareMember, Subscriber, Table, Visitor};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What would become of a publication.
#[derive(Debug, Default)]
pub struct Explanation {
    /// Index of the last log entry that the table shows.
    pub applied_index: u64,
    /// Filters that match.
    pub filters: BTreeSet<Arc<str>>,
    /// Ordinary subscribers on all nodes, in order of client identifier.
    pub subscribers: Vec<Explained>,
    /// Share groups, in order of (filter, share).
    pub groups: Vec<ExplainedGroup>,
    /// Whether subscribers or members were left out.
    pub more: bool,
}

/// A subscriber and its session.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Its one delivery.
    pub subscriber: LocalSubscriber,
    /// The filters of its subscriptions that match.
    pub filters: Vec<Arc<str>>,
    /// Its session's node.
    pub node: NodeId,
    /// Its session's claim.
    pub epoch: u64,
    /// Whether the table shows it as connected.
    pub connected: bool,
    /// Whether its node is up.
    pub node_is_up: bool,
}

/// A share group and its choice.
#[derive(Debug)]
pub struct ExplainedGroup {
    /// Name of the group.
    pub share: Arc<str>,
    /// Its filter.
    pub filter: Arc<str>,
    /// All members, in order of client identifier.
    pub members: Vec<Explained>,
    /// The member that is next; `None`: none is on a node that is up.
    pub picked: Option<Arc<str>>,
    /// How many the choice is between.
    pub candidates: usize,
}

/// The one shard that a node has in a dry run, so that all its subscribers are told one by one.
const ONLY_SHARD: ShardId = ShardId(0);

/// A filter and a share group.
type GroupKey = (Arc<str>, Arc<str>);

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct DryRun<'a> {
    /// Where the publication comes in.
    pub node: NodeId,
    /// Topic name.
    pub topic: &'a str,
    /// The publisher's client identifier.
    pub publisher: &'a str,
    /// The turn of the shard where it comes in.
    pub turn: usize,
    /// How members of share groups are chosen there.
    pub strategy: ShareStrategy,
    /// At most so many subscribers are told.
    pub limit: usize,
}

/// Explains where a publication would go.
pub fn explain(table: &Table, run: &DryRun<'_>) -> Explanation {
    let DryRun {
        node,
        topic,
        turn,
        limit,
        ..
    } = *run;
    let resolver = Resolver { node, shards: 1 };
    let destinations = resolver.destinations(table, topic, ONLY_SHARD);
    let mut trace = Trace::default();
    table.resolve(topic, node, &mut trace);
    let mut all = destinations.own;
    table.for_each_subscriber_elsewhere(topic, node, |subscriber| {
        trace.note(&subscriber);
        all.push(local_subscriber(subscriber));
    });
    merge_overlapping(&mut all);
    let mut left = limit;
    let more = all.len() > left;
    all.truncate(left);
    left -= all.len();
    let subscribers = all.into_iter().filter_map(|subscriber| {
        let filters = trace.filters.remove(&subscriber.client_id);
        explained(table, subscriber, filters.unwrap_or_default())
    });
    let mut explanation = Explanation {
        applied_index: table.applied_index(),
        subscribers: subscribers.collect(),
        more,
        ..Explanation::default()
    };
    // The router numbers its groups as it meets them; the turn goes on from one to the next.
    let chosen = trace
        .groups
        .into_iter()
        .zip(&destinations.groups)
        .enumerate();
    let chosen: BTreeMap<GroupKey, _> = chosen
        .map(|(at, (key, group))| {
            let choice = Choice {
                turn: turn.wrapping_add(at),
                node,
                share: &group.share,
                publisher: run.publisher,
                topic,
            };
            let picked = run.strategy.choose(&group.members, &choice);
            (
                key,
                (picked.map(|m| m.client_id.clone()), group.members.len()),
            )
        })
        .collect();
    for ((filter, share), mut members) in groups(table, topic) {
        explanation.more |= members.len() > left;
        members.truncate(left);
        left -= members.len();
        trace.matched.insert(filter.clone());
        let (picked, candidates) = chosen
            .get(&(filter.clone(), share.clone()))
            .cloned()
            .unwrap_or_default();
        explanation.groups.push(ExplainedGroup {
            share,
            filter,
            members,
            picked,
            candidates,
        });
    }
    explanation.filters = trace.matched;
    explanation
}

fn explained(
    table: &Table,
    subscriber: LocalSubscriber,
    filters: Vec<Arc<str>>,
) -> Option<Explained> {
    let session = table.session(&subscriber.client_id)?;
    Some(Explained {
        filters,
        node: session.node,
        epoch: session.epoch.into(),
        connected: session.connected,
        node_is_up: table.is_node_up(session.node),
        subscriber,
    })
}

/// All members of the share groups, also those that cannot be chosen.
fn groups(table: &Table, topic: &str) -> BTreeMap<GroupKey, Vec<Explained>> {
    let mut groups: BTreeMap<GroupKey, Vec<Explained>> = BTreeMap::new();
    table.for_each_share_member(topic, |share, member| {
        let filters = vec![member.filter.clone()];
        let subscriber = local_subscriber(Subscriber {
            client_id: member.client_id,
            filter: member.filter,
            options: member.options,
            subscription_id: member.subscription_id,
        });
        let key = (member.filter.clone(), share.clone());
        groups
            .entry(key)
            .or_default()
            .extend(explained(table, subscriber, filters));
    });
    groups
}

/// Which filters the router met, and which groups, in its order.
#[derive(Default)]
struct Trace {
    matched: BTreeSet<Arc<str>>,
    filters: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    groups: Vec<GroupKey>,
}

impl Trace {
    fn note(&mut self, subscriber: &Subscriber<'_>) {
        self.matched.insert(subscriber.filter.clone());
        let filters = self
            .filters
            .entry(subscriber.client_id.clone())
            .or_default();
        filters.push(subscriber.filter.clone());
    }
}

impl Visitor for Trace {
    fn local(&mut self, subscriber: Subscriber<'_>) {
        self.note(&subscriber);
    }

    fn remote(&mut self, _node: NodeId) {}

    fn group(&mut self, share: &str, members: &mut dyn Iterator<Item = ShareMember<'_>>) {
        // One without members that can be chosen is none to the router.
        if let Some(member) = members.next() {
            self.groups.push((member.filter.clone(), share.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raftmq_proto::v1::{self, op::Kind};

    /// Commands that nodes 1 and 2 propose after both have come up.
    #[derive(Default)]
    struct Log {
        table: Table,
        index: u64,
        seq: [u64; 3],
    }

    impl Log {
        fn new() -> Log {
            let mut log = Log::default();
            for node in [1, 2] {
                log.run(
                    node,
                    Kind::NodeUp(v1::NodeUp {
                        node_id: node,
                        incarnation: 1,
                        ..Default::default()
                    }),
                );
            }
            log
        }

        fn run(&mut self, node: u64, kind: Kind) {
            self.index += 1;
            self.seq[node as usize] += 1;
            let batch = v1::Batch {
                node_id: node,
                incarnation: 1,
                first_seq: self.seq[node as usize],
                ops: vec![v1::Op { kind: Some(kind) }],
            };
            let batches = vec![batch];
            self.table.apply(self.index, &v1::Entry { batches });
        }

        fn client(&mut self, node: u64, client_id: &str, subscriptions: &[(&str, &str, u32)]) {
            self.run(
                node,
                Kind::ClaimSession(v1::ClaimSession {
                    client_id: client_id.into(),
                    node_id: node,
                    expiry_seconds: 60,
                    ..Default::default()
                }),
            );
            let epoch = self.epoch(client_id);
            let subscriptions =
                subscriptions
                    .iter()
                    .map(|(filter, share, options)| v1::Subscription {
                        filter: (*filter).into(),
                        share: (*share).into(),
                        options: *options,
                        id: 0,
                    });
            self.run(
                node,
                Kind::Subscribe(v1::Subscribe {
                    client_id: client_id.into(),
                    epoch,
                    subscriptions: subscriptions.collect(),
                    ..Default::default()
                }),
            );
        }

        fn epoch(&self, client_id: &str) -> u64 {
            let session = self.table.session(client_id);
            session.map_or(0, |session| session.epoch.into())
        }

        fn offline(&mut self, node: u64, client_id: &str) {
            let epoch = self.epoch(client_id);
            self.run(
                node,
                Kind::ReleaseSession(v1::ReleaseSession {
                    client_id: client_id.into(),
                    epoch,
                    ..Default::default()
                }),
            );
        }

        fn down(&mut self, node: u64) {
            self.run(
                1,
                Kind::NodeDown(v1::NodeDown {
                    node_id: node,
                    incarnation: 1,
                    ..Default::default()
                }),
            );
        }

        fn explain(&self, topic: &str, turn: usize, limit: usize) -> Explanation {
            let run = DryRun {
                node: NodeId(1),
                topic,
                publisher: "",
                turn,
                strategy: ShareStrategy::RoundRobin,
                limit,
            };
            explain(&self.table, &run)
        }
    }

    fn ids(explained: &[Explained]) -> Vec<&str> {
        explained.iter().map(|e| &*e.subscriber.client_id).collect()
    }

    #[test]
    fn subscribers_of_all_nodes_are_told_with_the_filters_that_match() {
        let mut log = Log::new();
        log.client(2, "b", &[("a/+", "", 1), ("a/#", "", 2), ("x", "", 0)]);
        log.client(1, "a", &[("a/b", "", 0)]);
        let found = log.explain("a/b", 0, 10);
        assert_eq!(ids(&found.subscribers), ["a", "b"]);
        let filters: Vec<_> = found.filters.iter().map(|f| &**f).collect();
        assert_eq!(filters, ["a/#", "a/+", "a/b"]);
        let b = &found.subscribers[1];
        assert_eq!((b.node, b.epoch), (NodeId(2), log.epoch("b")));
        assert_eq!((b.filters.len(), b.subscriber.options), (2, 2));
        assert_eq!(found.applied_index, log.index);
        assert!(!found.more);
    }

    #[test]
    fn a_topic_without_subscribers_explains_to_nobody() {
        let found = Log::new().explain("a", 0, 10);
        assert!(
            found.subscribers.is_empty() && found.groups.is_empty() && found.filters.is_empty()
        );
    }

    #[test]
    fn members_take_turns_and_offline_ones_are_told_and_not_picked() {
        let mut log = Log::new();
        for (node, client) in [(1, "a"), (2, "b"), (1, "c")] {
            log.client(node, client, &[("t", "g", 1)]);
        }
        log.offline(1, "a");
        let picked = |turn| log.explain("t", turn, 10).groups[0].picked.clone();
        assert_eq!(picked(0).as_deref(), Some("b"));
        assert_eq!(picked(1).as_deref(), Some("c"));
        let found = log.explain("t", 0, 10);
        assert_eq!(ids(&found.groups[0].members), ["a", "b", "c"]);
        assert_eq!(found.groups[0].candidates, 2);
        assert!(!found.groups[0].members[0].connected);
    }

    #[test]
    fn sessions_of_a_node_that_is_down_are_told_as_such() {
        let mut log = Log::new();
        log.client(2, "b", &[("t", "", 1), ("t", "g", 1)]);
        log.down(2);
        let found = log.explain("t", 0, 10);
        assert!(!found.subscribers[0].node_is_up);
        assert_eq!(
            (found.groups[0].picked.clone(), found.groups[0].candidates),
            (None, 0)
        );
        assert_eq!(ids(&found.groups[0].members), ["b"]);
    }

    #[test]
    fn subscribers_beyond_the_limit_are_left_out_and_that_is_told() {
        let mut log = Log::new();
        for client in ["a", "b", "c"] {
            log.client(1, client, &[("t", "", 1), ("t", "g", 1)]);
        }
        let cut = log.explain("t", 0, 2);
        assert_eq!((ids(&cut.subscribers), cut.more), (vec!["a", "b"], true));
        let cut = log.explain("t", 0, 4);
        assert_eq!((cut.groups[0].members.len(), cut.more), (1, true));
        assert!(cut.groups[0].picked.is_some());
        assert!(!log.explain("t", 0, 6).more);
    }

    #[test]
    fn the_turn_goes_on_from_group_to_group_as_in_a_publish() {
        let mut log = Log::new();
        for client in ["a", "b"] {
            log.client(1, client, &[("t", "g", 1), ("t", "h", 1)]);
        }
        let found = log.explain("t", 0, 10);
        let picked: Vec<_> = found.groups.iter().map(|g| g.picked.as_deref()).collect();
        assert_eq!(picked, [Some("a"), Some("b")]);
    }
}
