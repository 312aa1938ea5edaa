//! The leader's later steps, and those of a leader that is gone: a joint membership is brought to its
//! end, learners that have caught up become voters, and the table forgets who is not a member any more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use raftmq_proto::v1::{ForgetNode, Op, op::Kind};

use super::{Members, of_node, voters};
use crate::raft_types::{Member, Membership, RaftMetrics};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(200);
/// A learner that is no more than so many entries behind has caught up.
const ENTRIES_BEHIND_MAX: u64 = 64;

impl Members {
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.leader.leadership().is_some()
                && let Ok(_alone) = self.changing.try_lock()
            {
                self.look().await;
            }
        }
    }

    async fn look(&self) {
        let metrics = self.metrics();
        let stored = &metrics.membership_config;
        let is_committed = stored.log_id().as_ref().map(|id| id.index)
            <= metrics.last_applied.as_ref().map(|id| id.index);
        if !is_committed {
            return;
        }
        let membership = stored.membership();
        if let Some(change) = self.due(membership, &metrics) {
            tracing::info!(?change, "the membership goes on");
            if let Err(error) = self.step(change).await {
                tracing::warn!(%error, "a step of the membership was not made");
            }
            return;
        }
        self.forget_strangers();
    }

    /// The next step, if there is one.
    fn due(
        &self,
        membership: &Membership,
        metrics: &RaftMetrics,
    ) -> Option<ChangeMembers<u64, Member>> {
        let voters = voters(membership);
        if membership.get_joint_config().len() > 1 {
            return Some(ChangeMembers::ReplaceAllVoters(voters));
        }
        let mut learners = membership.nodes().filter(|(id, _)| !voters.contains(id));
        let (id, member) = learners.find(|(id, member)| {
            has_caught_up(**id, metrics) && self.lives_in(**id, member.node_id)
        })?;
        // Whoever had the node's id before it.
        let before: BTreeSet<u64> = of_node(membership, member.node_id).into_keys().collect();
        let mut after = &voters - &before;
        after.insert(*id);
        // A joint membership that finds no majority would stop the cluster.
        let told = self.change("", membership, &after, None);
        let has_majority = told.up_after.len() > told.voters_after.len() / 2;
        has_majority.then_some(ChangeMembers::ReplaceAllVoters(after))
    }

    /// The table shows the node as up, with this very directory.
    fn lives_in(&self, raft_id: u64, node_id: u64) -> bool {
        let table = self.table.read();
        let mut nodes = table.nodes();
        nodes.any(|(id, node)| u64::from(id) == node_id && node.is_up && node.raft_id == raft_id)
    }

    /// Has the table forget nodes that are down and not members.
    pub(super) fn forget_strangers(&self) {
        let Some(leadership) = self.leader.leadership() else {
            return;
        };
        let membership = self.membership();
        let strangers: Vec<ForgetNode> = {
            let table = self.table.read();
            let nodes = table.nodes();
            let down = nodes
                .filter(|(id, node)| !node.is_up && of_node(&membership, (*id).into()).is_empty());
            down.map(|(id, node)| ForgetNode {
                node_id: id.into(),
                incarnation: node.incarnation,
            })
            .collect()
        };
        for stranger in strangers {
            let op = Op {
                kind: Some(Kind::ForgetNode(stranger)),
            };
            let incarnation = self.local.incarnation();
            drop(self.queue.propose_in_term(op, incarnation, leadership.term));
        }
    }
}

fn has_caught_up(raft_id: u64, metrics: &RaftMetrics) -> bool {
    let replication = metrics.replication.as_ref();
    let replicated = replication.and_then(|all| all.get(&raft_id).copied().flatten());
    let last = metrics.last_log_index.unwrap_or(0);
    replicated.is_some_and(|id| id.index + ENTRIES_BEHIND_MAX >= last)
}
