use super::{NodeId, Table};

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions of the node.
    pub sessions: usize,
    /// Subscriptions of the node's sessions, shared ones included.
    pub subscriptions: usize,
    /// Shared ones of them.
    pub shared_subscriptions: usize,
    /// Different topic filters in the cluster.
    pub topics: usize,
    /// (topic filter, node) pairs in the cluster, nodes that are up.
    pub routes: usize,
    /// Retained messages in the cluster.
    pub retained: usize,
    /// Messages in the cluster that are to be published later.
    pub delayed: usize,
}

impl Table {
    /// How much there is, seen from `node`.
    pub fn counts(&self, node: NodeId) -> Counts {
        let own = self.subscribers.numbers(node);
        let up = self.nodes.iter().filter(|(_, entry)| entry.is_up);
        Counts {
            sessions: self.sessions_on(node),
            subscriptions: own.subscriptions,
            shared_subscriptions: own.shared,
            topics: self.subscribers.filters(),
            routes: up.map(|(id, _)| self.subscribers.numbers(*id).routes).sum(),
            retained: self.retained.len(),
            delayed: self.delayed.len(),
        }
    }

    /// Sessions of all nodes.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }
}
