//! Topic filters with their subscribers, node by node: what routing reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use raftmq_mqtt::topic::FilterTree;
use rustc_hash::FxHashMap;

use super::{NodeId, Subscription};

/// Subscribers kept in a plain list; more than that are kept in order, so that lists of them can be
/// read in pieces.
const FEW: usize = 16;

/// What a subscriber asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub options: u8,
    pub id: u32,
}

/// Clients with an ordinary subscription to one filter on one node.
#[derive(Clone)]
pub(super) enum Clients {
    Few(Vec<(Arc<str>, Granted)>),
    Many(BTreeMap<Arc<str>, Granted>),
}

impl Clients {
    fn insert(&mut self, client_id: Arc<str>, granted: Granted) {
        match self {
            Clients::Many(map) => {
                map.insert(client_id, granted);
            }
            Clients::Few(list) => {
                if let Some(known) = list.iter_mut().find(|(known, _)| *known == client_id) {
                    known.1 = granted;
                    return;
                }
                list.reserve_exact(1);
                list.push((client_id, granted));
                if list.len() > FEW {
                    *self = Clients::Many(list.drain(..).collect());
                }
            }
        }
    }

    fn remove(&mut self, client_id: &str) {
        match self {
            Clients::Few(list) => list.retain(|(known, _)| &**known != client_id),
            Clients::Many(map) => {
                map.remove(client_id);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Clients::Few(list) => list.is_empty(),
            Clients::Many(map) => map.is_empty(),
        }
    }

    /// Client identifiers in their order.
    pub fn behind<'a>(&'a self, from: Bound<&str>) -> Box<dyn Iterator<Item = &'a Arc<str>> + 'a> {
        match self {
            Clients::Few(list) => {
                let clients = list.iter().map(|(client_id, _)| client_id);
                let mut behind: Vec<_> = clients.filter(|id| is_behind(id, from)).collect();
                behind.sort_unstable();
                Box::new(behind.into_iter())
            }
            Clients::Many(map) => Box::new(
                map.range::<str, _>((from, Bound::Unbounded))
                    .map(|(client_id, _)| client_id),
            ),
        }
    }

    pub fn for_each(&self, mut visit: impl FnMut(&Arc<str>, Granted)) {
        match self {
            Clients::Few(list) => list
                .iter()
                .for_each(|(client_id, granted)| visit(client_id, *granted)),
            Clients::Many(map) => map
                .iter()
                .for_each(|(client_id, granted)| visit(client_id, *granted)),
        }
    }
}

fn is_behind(client_id: &str, from: Bound<&str>) -> bool {
    match from {
        Bound::Unbounded => true,
        Bound::Included(first) => client_id >= first,
        Bound::Excluded(last) => client_id > last,
    }
}

/// One node's part in a filter.
#[derive(Clone)]
pub(super) struct OnNode {
    pub node: NodeId,
    pub clients: Clients,
    /// Members of share groups on this node.
    shared: u32,
}

#[derive(Clone)]
pub(super) struct Member {
    pub client_id: Arc<str>,
    pub node: NodeId,
    pub granted: Granted,
}

#[derive(Clone)]
pub(super) struct Group {
    pub share: Arc<str>,
    /// In order of client identifier.
    pub members: Vec<Member>,
}

impl Group {
    /// Client identifiers of the members in their order.
    pub fn behind<'a>(&'a self, from: Bound<&str>) -> impl Iterator<Item = &'a Arc<str>> {
        let at = self
            .members
            .partition_point(|member| !is_behind(&member.client_id, from));
        self.members[at..].iter().map(|member| &member.client_id)
    }
}

/// All that is known of one topic filter.
#[derive(Clone)]
pub(super) struct Entry {
    pub filter: Arc<str>,
    pub nodes: Vec<OnNode>,
    pub groups: Vec<Group>,
}

/// Numbers of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeNumbers {
    pub subscriptions: usize,
    pub shared: usize,
    pub routes: usize,
}

#[derive(Clone, Default)]
pub(super) struct Subscribers {
    tree: FilterTree<Entry>,
    order: BTreeSet<Arc<str>>,
    numbers: FxHashMap<NodeId, NodeNumbers>,
}

impl Subscribers {
    /// The interned name of a filter that is known.
    pub fn interned(&self, filter: &str) -> Arc<str> {
        self.tree
            .get(filter)
            .map_or_else(|| filter.into(), |entry| entry.filter.clone())
    }

    /// Adds or replaces a subscription whose filter is valid.
    /// [MQTT-3.8.4-3]
    pub fn add(
        &mut self,
        client_id: &Arc<str>,
        node: NodeId,
        subscription: &Subscription,
        existed: bool,
    ) {
        let granted = Granted {
            options: subscription.options,
            id: subscription.id,
        };
        let filter = &subscription.filter;
        let make = || Entry {
            filter: filter.clone(),
            nodes: Vec::new(),
            groups: Vec::new(),
        };
        let Ok(entry) = self.tree.get_mut_or_insert_with(filter, make) else {
            return;
        };
        if entry.nodes.is_empty() {
            self.order.insert(filter.clone());
        }
        let numbers = self.numbers.entry(node).or_default();
        let at = entry
            .nodes
            .iter()
            .position(|on| on.node == node)
            .unwrap_or_else(|| {
                numbers.routes += 1;
                entry.nodes.push(OnNode {
                    node,
                    clients: Clients::Few(Vec::new()),
                    shared: 0,
                });
                entry.nodes.len() - 1
            });
        if !existed {
            numbers.subscriptions += 1;
            numbers.shared += usize::from(subscription.share.is_some());
        }
        match &subscription.share {
            None => entry.nodes[at].clients.insert(client_id.clone(), granted),
            Some(share) => {
                entry.nodes[at].shared += u32::from(!existed);
                join(
                    &mut entry.groups,
                    share,
                    Member {
                        client_id: client_id.clone(),
                        node,
                        granted,
                    },
                );
            }
        }
    }

    /// Removes a subscription that exists.
    /// [MQTT-3.10.4-1], [MQTT-3.10.4-2], [MQTT-3.10.4-3]
    pub fn remove(&mut self, client_id: &str, node: NodeId, subscription: &Subscription) {
        let filter = &subscription.filter;
        let Some(entry) = self.tree.get_mut(filter) else {
            return;
        };
        let numbers = self.numbers.entry(node).or_default();
        numbers.subscriptions -= 1;
        let Some(at) = entry.nodes.iter().position(|on| on.node == node) else {
            return;
        };
        match &subscription.share {
            None => entry.nodes[at].clients.remove(client_id),
            Some(share) => {
                numbers.shared -= 1;
                entry.nodes[at].shared -= 1;
                leave(&mut entry.groups, share, client_id);
            }
        }
        if entry.nodes[at].clients.is_empty() && entry.nodes[at].shared == 0 {
            entry.nodes.remove(at);
            numbers.routes -= 1;
        }
        if entry.nodes.is_empty() {
            self.tree.remove(filter);
            self.order.remove(filter);
        }
    }

    pub fn for_each_match<'a>(&'a self, topic: &str, visit: impl FnMut(&'a Entry)) {
        self.tree.for_each_match(topic, visit);
    }

    pub fn entry(&self, filter: &str) -> Option<&Entry> {
        self.tree.get(filter)
    }

    /// Filters in their order, from `from` on.
    pub fn filters_from<'a>(&'a self, from: Option<&'a str>) -> impl Iterator<Item = &'a Arc<str>> {
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        self.order.range::<str, _>((from, Bound::Unbounded))
    }

    pub fn filters(&self) -> usize {
        self.order.len()
    }

    pub fn numbers(&self, node: NodeId) -> NodeNumbers {
        self.numbers.get(&node).copied().unwrap_or_default()
    }
}

fn join(groups: &mut Vec<Group>, share: &Arc<str>, member: Member) {
    let at = groups
        .iter()
        .position(|group| group.share == *share)
        .unwrap_or_else(|| {
            groups.push(Group {
                share: share.clone(),
                members: Vec::new(),
            });
            groups.len() - 1
        });
    let members = &mut groups[at].members;
    match members.binary_search_by(|known| known.client_id.cmp(&member.client_id)) {
        Ok(at) => members[at] = member,
        Err(at) => members.insert(at, member),
    }
}

fn leave(groups: &mut Vec<Group>, share: &str, client_id: &str) {
    let Some(at) = groups.iter().position(|group| &*group.share == share) else {
        return;
    };
    groups[at]
        .members
        .retain(|member| &*member.client_id != client_id);
    if groups[at].members.is_empty() {
        groups.remove(at);
    }
}
