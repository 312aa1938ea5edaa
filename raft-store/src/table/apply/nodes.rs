//! Orders over nodes, and their ends as members.

use raftmq_proto::v1;

use super::super::{Drain, NodeId, Outcome, Refusal};
use super::Run;

impl Run<'_> {
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
