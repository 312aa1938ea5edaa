//! Reading the table: routing, listings, comparison.

use std::sync::Arc;

use raftmq_proto::v1::Message;

use super::subscribers::{Entry, Member};
use super::{DelayedMessage, NodeEntry, NodeId, Session, Subscription, Table};

/// An ordinary subscriber on the asking node.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber<'a> {
    /// Client identifier.
    pub client_id: &'a Arc<str>,
    /// The filter that matched.
    pub filter: &'a Arc<str>,
    /// Subscription options, MQTT 5 §3.8.3.1.
    pub options: u8,
    /// Subscription identifier; 0: none.
    pub subscription_id: u32,
}

/// A member of a share group, on any node that is up.
#[derive(Clone, Copy, Debug)]
pub struct ShareMember<'a> {
    /// Client identifier.
    pub client_id: &'a Arc<str>,
    /// The filter that matched.
    pub filter: &'a Arc<str>,
    /// Its node.
    pub node: NodeId,
    /// Whether it is connected.
    pub connected: bool,
    /// Subscription options.
    pub options: u8,
    /// Subscription identifier; 0: none.
    pub subscription_id: u32,
}

/// Is told where a topic goes.
pub trait Visitor {
    /// A subscriber on the asking node. Called once per matching subscription.
    fn local(&mut self, subscriber: Subscriber<'_>);
    /// Another node that is up and has subscribers. May be called more than once.
    fn remote(&mut self, node: NodeId);
    /// A share group with its members on nodes that are up.
    fn group(&mut self, share: &str, members: &mut dyn Iterator<Item = ShareMember<'_>>);
}

impl Table {
    /// Tells `visitor` where a topic name goes, seen from node `me`.
    pub fn resolve(&self, topic: &str, me: NodeId, visitor: &mut impl Visitor) {
        self.subscribers
            .for_each_match(topic, |entry| self.resolve_entry(entry, me, visitor));
    }

    fn resolve_entry(&self, entry: &Entry, me: NodeId, visitor: &mut impl Visitor) {
        for on in &entry.nodes {
            if on.node == me {
                on.clients.for_each(|client_id, granted| {
                    visitor.local(Subscriber {
                        client_id,
                        filter: &entry.filter,
                        options: granted.options,
                        subscription_id: granted.id,
                    });
                });
            } else if !on.clients.is_empty() && self.is_node_up(on.node) {
                visitor.remote(on.node);
            }
        }
        for group in &entry.groups {
            let members = group
                .members
                .iter()
                .filter(|m| m.node == me || self.is_node_up(m.node));
            let mut members = members.map(|member| self.share_member(entry, member));
            visitor.group(&group.share, &mut members);
        }
    }

    fn share_member<'a>(&'a self, entry: &'a Entry, member: &'a Member) -> ShareMember<'a> {
        ShareMember {
            client_id: &member.client_id,
            filter: &entry.filter,
            node: member.node,
            connected: self
                .sessions
                .get(&member.client_id)
                .is_some_and(|s| s.connected),
            options: member.granted.options,
            subscription_id: member.granted.id,
        }
    }

    /// Members of the share groups of a topic name, with their group, whether their nodes are up or
    /// not.
    pub fn for_each_share_member(
        &self,
        topic: &str,
        mut visit: impl FnMut(&Arc<str>, ShareMember<'_>),
    ) {
        self.subscribers.for_each_match(topic, |entry| {
            for group in &entry.groups {
                for member in &group.members {
                    visit(&group.share, self.share_member(entry, member));
                }
            }
        });
    }

    /// How many members of a share group can be chosen: connected ones on nodes that are up.
    pub fn share_candidates(&self, filter: &str, share: &str) -> usize {
        let entry = self.subscribers.entry(filter);
        let group = entry.and_then(|entry| entry.groups.iter().find(|g| &*g.share == share));
        let members = group.map_or(&[][..], |group| &group.members);
        let is_connected = |client_id: &str| {
            let session = self.sessions.get(client_id);
            session.is_some_and(|session| session.connected)
        };
        let candidates = members
            .iter()
            .filter(|member| self.is_node_up(member.node) && is_connected(&member.client_id));
        candidates.count()
    }

    /// Ordinary subscribers of a topic name on other nodes than `me`, whether those are up or not.
    pub fn for_each_subscriber_elsewhere(
        &self,
        topic: &str,
        me: NodeId,
        mut visit: impl FnMut(Subscriber<'_>),
    ) {
        self.subscribers.for_each_match(topic, |entry| {
            for on in entry.nodes.iter().filter(|on| on.node != me) {
                on.clients.for_each(|client_id, granted| {
                    visit(Subscriber {
                        client_id,
                        filter: &entry.filter,
                        options: granted.options,
                        subscription_id: granted.id,
                    });
                });
            }
        });
    }

    /// Whether the node's current life is up.
    pub fn is_node_up(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|entry| entry.is_up)
    }

    /// Whether exactly this life of the node is up.
    pub fn is_up(&self, node: NodeId, incarnation: super::Incarnation) -> bool {
        self.nodes
            .get(&node)
            .is_some_and(|entry| entry.is_up && entry.incarnation == incarnation.0)
    }

    /// All nodes that the table knows.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeEntry)> {
        self.nodes.iter().map(|(id, entry)| (*id, entry))
    }

    /// One session.
    pub fn session(&self, client_id: &str) -> Option<&Session> {
        self.sessions.get(client_id)
    }

    /// Sessions in order of client identifier, behind `after`.
    pub fn sessions_from<'a>(
        &'a self,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Session> {
        self.sessions.behind(after)
    }

    /// A client's subscriptions in order of (filter, share group).
    pub fn subscriptions_of(&self, client_id: &str) -> impl Iterator<Item = &Subscription> {
        self.sessions
            .get(client_id)
            .into_iter()
            .flat_map(|session| &session.subscriptions)
    }

    /// A client's subscriptions in order of (filter, share group), behind `after`.
    pub fn subscriptions_behind(
        &self,
        client_id: &str,
        after: Option<(&str, Option<&str>)>,
    ) -> impl Iterator<Item = &Subscription> {
        let session = self.sessions.get(client_id);
        let from = session.map_or(0, |session| match after {
            None => 0,
            Some((filter, share)) => session
                .find(filter, share)
                .map_or_else(|at| at, |at| at + 1),
        });
        session
            .into_iter()
            .flat_map(move |session| session.subscriptions.iter().skip(from))
    }

    /// Routes in order of (filter, node), behind `after`: one for each filter and node that is up and
    /// has a subscriber.
    pub fn routes_from<'a>(
        &'a self,
        after: Option<(&'a str, NodeId)>,
    ) -> impl Iterator<Item = (&'a Arc<str>, NodeId)> {
        let filters = self
            .subscribers
            .filters_from(after.map(|(filter, _)| filter));
        let routes = filters
            .filter_map(|filter| self.subscribers.entry(filter))
            .flat_map(|entry| {
                self.up_nodes_of(entry)
                    .into_iter()
                    .map(move |node| (&entry.filter, node))
            });
        routes.filter(move |(filter, node)| after.is_none_or(|after| (&***filter, *node) > after))
    }

    /// Routes whose filter matches a topic name, in no particular order.
    pub fn for_each_route_matching(&self, topic: &str, mut visit: impl FnMut(&Arc<str>, NodeId)) {
        self.subscribers.for_each_match(topic, |entry| {
            for node in self.up_nodes_of(entry) {
                visit(&entry.filter, node);
            }
        });
    }

    fn up_nodes_of(&self, entry: &Entry) -> Vec<NodeId> {
        let mut nodes: Vec<_> = entry
            .nodes
            .iter()
            .map(|on| on.node)
            .filter(|node| self.is_node_up(*node))
            .collect();
        nodes.sort_unstable();
        nodes
    }

    /// The retained message of a topic.
    pub fn retained(&self, topic: &str) -> Option<&Arc<Message>> {
        self.retained.get(topic)
    }

    /// Retained messages whose topic a filter matches, in no particular order.
    pub fn retained_matching<'a>(&'a self, filter: &str, visit: impl FnMut(&'a Arc<Message>)) {
        self.retained.for_each_match(filter, visit);
    }

    /// Retained messages in order of topic, behind `after`.
    pub fn retained_from<'a>(
        &'a self,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Message>> {
        self.retained.behind(after)
    }

    /// Delayed messages that a node is to publish now, in their order.
    pub fn delayed_due_for(&self, node: NodeId) -> impl Iterator<Item = &Arc<DelayedMessage>> {
        self.delayed.due_for(node)
    }

    /// Whether a delayed message has not been published for certain.
    pub fn is_delayed(&self, id: u64) -> bool {
        self.delayed.get(id).is_some()
    }

    /// When the next session, will, retained message, delayed message or ban is due, Unix milliseconds.
    pub fn next_due_ms(&self) -> Option<u64> {
        [
            self.sessions.first_due_ms(),
            self.retained.first_due_ms(),
            self.bans.first_due_ms(),
            self.delayed.first_due_ms(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
