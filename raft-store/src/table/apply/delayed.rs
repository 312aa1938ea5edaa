//! Messages that are published later: taken, due, done.
//!
//! Time makes a message due, and the same entry names the node that publishes it, by the ways of any other
//! message. It stays in the table until that node says that everybody concerned has it: if the node dies
//! before, the entry of its death names another one. So none is lost; one that was being published in
//! that moment is published again, but for QoS 0, which is taken out of the table first.

use std::sync::Arc;

use raftmq_mqtt::topic;
use raftmq_proto::v1::{self, Message};

use super::super::delayed::{DelayedMessage, Due};
use super::super::{Epoch, NodeId, Outcome, Refusal, TableEvent};
use super::Run;

impl Run<'_> {
    pub(super) fn delay_publish(&mut self, epoch: Epoch, op: &v1::DelayPublish) -> Outcome {
        let Some(message) = &op.message else {
            return Outcome::Refused(Refusal::Malformed);
        };
        if topic::validate_name(&message.topic).is_err() {
            return Outcome::Refused(Refusal::InvalidTopic);
        }
        if self.table.delayed.len() as u64 >= op.messages_max {
            return Outcome::Refused(Refusal::TooMany);
        }
        // The decoded payload pins the whole entry in memory: what stays is copied.
        let kept = Message {
            payload: message.payload.to_vec().into(),
            properties: message.properties.to_vec().into(),
            ..message.clone()
        };
        self.table.delayed.insert(DelayedMessage {
            id: epoch.0,
            due_ms: op.due_ms,
            message: Arc::new(kept),
            by_api: op.by_api,
            due: Due::Later,
        });
        Outcome::Delayed
    }

    pub(super) fn end_delayed(&mut self, proposer: NodeId, op: &v1::EndDelayed) -> Outcome {
        let was_its_own = op
            .ids
            .iter()
            .map(|id| self.table.delayed.remove_if(*id, Due::Now(Some(proposer))));
        Outcome::DelayedEnded {
            was_its_own: was_its_own.collect(),
        }
    }

    /// Names a node for each message whose time has come.
    pub(super) fn delayed_come_due(&mut self, now_ms: u64) {
        let due = self.table.delayed.waiting_until(now_ms);
        self.assign(&due);
    }

    /// What a node that is down was to publish goes to another one.
    pub(super) fn reassign_delayed(&mut self) {
        let nodes = &self.table.nodes;
        let is_up = |node: NodeId| nodes.get(&node).is_some_and(|entry| entry.is_up);
        let left = self
            .table
            .delayed
            .due_where(|node| !node.is_some_and(is_up));
        self.assign(&left);
    }

    /// All messages of one publisher go to one node, which keeps their order.
    fn assign(&mut self, ids: &[u64]) {
        if ids.is_empty() {
            return;
        }
        let up = self.table.nodes.iter().filter(|(_, entry)| entry.is_up);
        let up: Vec<NodeId> = up.map(|(id, _)| *id).collect();
        for id in ids {
            self.table.delayed.set_due(*id, &up);
        }
        self.applied.events.push(TableEvent::DelayedDue);
    }
}
