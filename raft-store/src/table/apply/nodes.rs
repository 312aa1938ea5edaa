//! Lives of nodes, orders over them, and their ends as members.

use raftmq_proto::v1;

use super::super::{Drain, EndReason, NodeEntry, NodeId, Outcome, Refusal, TableEvent};
use super::Run;

impl Run<'_> {
    pub(super) fn node_up(&mut self, op: &v1::NodeUp) -> Outcome {
        let node = NodeId(op.node_id);
        if self.table.removed.contains(&op.raft_id) {
            return Outcome::Refused(Refusal::StaleIncarnation);
        }
        if let Some(known) = self.table.nodes.get_mut(&node) {
            if op.incarnation <= known.incarnation {
                return Outcome::Refused(Refusal::StaleIncarnation);
            }
            known.is_up = false;
        } else if op.incarnation == 0 {
            return Outcome::Refused(Refusal::StaleIncarnation);
        }
        self.end_life(node, op.now_ms, "its node was started anew");
        self.replace_directory(node, op.raft_id);
        let known = self.table.nodes.get(&node);
        let entry = NodeEntry {
            raft_id: op.raft_id,
            drain: known.and_then(|known| known.drain),
            server_reference: op.server_reference.as_str().into(),
            incarnation: op.incarnation,
            is_up: true,
            name: op.name.as_str().into(),
            rpc_address: op.rpc_address.as_str().into(),
            version: op.version.as_str().into(),
            since_ms: op.now_ms,
            last_seq: 0,
        };
        self.table.nodes.insert(node, entry);
        self.reassign_delayed();
        self.applied.changed.everything = true;
        self.applied.events.push(TableEvent::NodeUp { node });
        Outcome::NodeUp
    }

    pub(super) fn node_down(&mut self, op: &v1::NodeDown) -> Outcome {
        let node = NodeId(op.node_id);
        let Some(known) = self.table.nodes.get_mut(&node) else {
            return Outcome::Refused(Refusal::NodeNotUp);
        };
        if known.incarnation != op.incarnation {
            return Outcome::Refused(Refusal::StaleIncarnation);
        }
        if !known.is_up {
            return Outcome::NodeDown;
        }
        known.is_up = false;
        known.since_ms = op.now_ms;
        self.end_life(node, op.now_ms, "its node went down");
        self.reassign_delayed();
        self.applied.changed.everything = true;
        self.applied.events.push(TableEvent::NodeDown { node });
        Outcome::NodeDown
    }

    /// The connections of a life that is over are over, too.
    fn end_life(&mut self, node: NodeId, now_ms: u64, reason: &str) {
        for client_id in self.table.sessions.connected_on(node) {
            self.go_offline(&client_id, now_ms, reason, EndReason::NodeDown);
        }
    }

    /// A node whose data directory is another one than before: the earlier one must not come back.
    pub(super) fn replace_directory(&mut self, node: NodeId, raft_id: u64) {
        let known = self.table.nodes.get(&node).map_or(0, |node| node.raft_id);
        if known != 0 && known != raft_id {
            self.table.removed.insert(known);
        }
    }

    pub(super) fn forget_node(&mut self, op: &v1::ForgetNode) -> Outcome {
        let node = NodeId(op.node_id);
        match self.table.nodes.get(&node) {
            None => return Outcome::Refused(Refusal::UnknownNode),
            Some(known) if known.is_up || known.incarnation != op.incarnation => {
                return Outcome::Refused(Refusal::StaleIncarnation);
            }
            Some(known) if known.raft_id != 0 => {
                self.table.removed.insert(known.raft_id);
            }
            Some(_) => {}
        }
        self.table.nodes.remove(&node);
        self.applied.changed.everything = true;
        Outcome::NodeForgotten
    }

    /// A drain that goes on keeps its beginning; only its pace changes.
    pub(super) fn set_drain(&mut self, op: &v1::SetDrain) -> Outcome {
        let node = NodeId(op.node_id);
        let mut others = self.table.nodes.iter().filter(|(id, _)| **id != node);
        let somebody_is_left = others.any(|(_, other)| other.takes_clients());
        let Some(known) = self.table.nodes.get_mut(&node) else {
            return Outcome::Refused(Refusal::UnknownNode);
        };
        if op.drain.is_some() && known.drain.is_none() && !somebody_is_left {
            return Outcome::Refused(Refusal::NoOtherNode);
        }
        let begun_ms = known.drain.map(|drain| drain.since_ms);
        known.drain = op.drain.map(|drain| Drain {
            clients_per_second: drain.clients_per_second,
            since_ms: begun_ms.unwrap_or(drain.since_ms),
        });
        Outcome::DrainSet
    }
}
