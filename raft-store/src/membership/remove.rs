//! A node that goes for good.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use openraft::ChangeMembers;
use raftmq_proto::v1 as proto;

use super::{
    Members, MembershipChange, MembershipError, Mode, STEP_TIMEOUT, of_node, refused, voters,
};
use crate::network::pool::Purpose;
use crate::raft_types::{Member, Membership};

/// How long it takes at most until a node that has stopped serving is down in the table.
const DOWN_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

impl Members {
    /// All steps but the last, which `upkeep` does: forgetting the node.
    pub(super) async fn remove(
        &self,
        node_id: u64,
        mode: Mode,
    ) -> Result<MembershipChange, MembershipError> {
        let membership = self.membership();
        let told = self.check_removal(&membership, node_id)?;
        if mode == Mode::Forecast {
            return Ok(told);
        }
        if self.is_up(node_id) {
            self.dismiss(&membership, node_id).await?;
        }
        let gone: BTreeSet<u64> = of_node(&membership, node_id).into_keys().collect();
        let remaining = &voters(&membership) - &gone;
        let learners: BTreeSet<u64> = &gone - &voters(&membership);
        if !learners.is_empty() {
            self.step(ChangeMembers::RemoveNodes(learners)).await?;
        }
        if remaining != voters(&membership) {
            self.step(ChangeMembers::ReplaceAllVoters(remaining))
                .await?;
        }
        tracing::info!(node = node_id, "a node has been removed from the cluster");
        self.forget_strangers();
        Ok(told)
    }

    fn check_removal(
        &self,
        membership: &Membership,
        node_id: u64,
    ) -> Result<MembershipChange, MembershipError> {
        let gone: BTreeSet<u64> = of_node(membership, node_id).into_keys().collect();
        if gone.is_empty() {
            let reason = format!("node {node_id} is not a member of the cluster");
            return Err(refused("unknown_node", reason));
        }
        let remaining = &voters(membership) - &gone;
        let told = self.change("leaves", membership, &remaining, None);
        if remaining.is_empty() {
            let reason = format!("node {node_id} is the last one that votes");
            return Err(refused("last_node", reason));
        }
        let (up, all) = (told.up_after.len(), told.voters_after.len());
        if up <= all / 2 {
            let reason = format!(
                "without node {node_id} only {up} of {all} voters are up, which is no majority: start those that are down, \
                 or remove them first"
            );
            return Err(refused("no_quorum", reason));
        }
        Ok(told)
    }

    /// Has the node stop serving; done when the table shows it as down.
    async fn dismiss(&self, membership: &Membership, node_id: u64) -> Result<(), MembershipError> {
        for (raft_id, member) in of_node(membership, node_id) {
            // One that does not answer loses its lease; then it is declared down.
            if let Err(reason) = self.ask_to_leave(raft_id, &member).await {
                tracing::warn!(node = node_id, reason, "a node was asked to leave");
            }
        }
        let end = Instant::now() + DOWN_TIMEOUT;
        while self.is_up(node_id) {
            if Instant::now() > end {
                let reason = format!(
                    "node {node_id} is up and does not stop serving when it is asked to: stop it and try again"
                );
                return Err(refused("node_is_up", reason));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn ask_to_leave(&self, raft_id: u64, member: &Member) -> Result<(), String> {
        let client = self.leader.pool.client_of(member, Purpose::Raft);
        let mut client = client.map_err(|status| status.message().to_owned())?;
        let header = Some(self.local.header(raft_id, &member.disk_id));
        let left = client.leave(proto::LeaveRequest { header });
        match tokio::time::timeout(STEP_TIMEOUT, left).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) => Err(status.message().to_owned()),
            Err(_) => Err("no answer in time".into()),
        }
    }
}
