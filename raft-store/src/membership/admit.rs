//! A node that joins, replaces a lost one, or has moved.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use raftmq_proto::v1 as proto;

use super::{
    Members, MembershipChange, MembershipError, Mode, STEP_TIMEOUT, of_node, refused, unavailable,
    voters,
};
use crate::network::pool::Purpose;
use crate::raft_types::{Member, Membership};

/// How often a newcomer is greeted before it counts as silent.
const GREETINGS: u32 = 3;
const GREETING_PAUSE: Duration = Duration::from_millis(100);
/// Stands for the newcomer where its own id is not a member's yet.
const NEWCOMER: u64 = u64::MAX;

impl Members {
    /// The first step: the node becomes a learner, or gets its new address. `upkeep` does the rest.
    pub(super) async fn admit(
        &self,
        node_id: u64,
        address: &str,
        mode: Mode,
    ) -> Result<MembershipChange, MembershipError> {
        let reply = self.greet(node_id, address).await?;
        let membership = self.membership();
        let taken =
            |(_, member): &(&u64, &Member)| member.address == address && member.node_id != node_id;
        if let Some((_, other)) = membership.nodes().find(taken) {
            let reason = format!("{address} is the address of node {}", other.node_id);
            return Err(refused("address_taken", reason));
        }
        let own = of_node(&membership, node_id);
        if own.contains_key(&reply.raft_id) {
            return self.readdress(&membership, &reply, address, mode).await;
        }
        self.check_newcomer(node_id, &reply)?;
        self.add(&membership, own, reply, address, mode).await
    }

    /// Who answers at the address?
    async fn greet(
        &self,
        node_id: u64,
        address: &str,
    ) -> Result<proto::HelloReply, MembershipError> {
        let client = self.leader.pool.client(address, Purpose::Raft);
        let client =
            client.map_err(|status| refused("invalid_address", status.message().to_owned()))?;
        let request = proto::HelloRequest {
            header: Some(self.local.header(node_id, "")),
            peers_hash: self.local.peers_hash,
        };
        // A connection that failed while nobody listened there may still tell of that, once.
        let asked = async {
            for _ in 1..GREETINGS {
                if let Ok(reply) = client.clone().hello(request.clone()).await {
                    return Ok(reply);
                }
                tokio::time::sleep(GREETING_PAUSE).await;
            }
            client.clone().hello(request.clone()).await
        };
        let silent = |why: &str| {
            let reason =
                format!("node {node_id} does not answer at {address}: {why}. Start it first");
            refused("node_unreachable", reason)
        };
        let reply = tokio::time::timeout(STEP_TIMEOUT, asked).await;
        let reply = reply.map_err(|_| silent("no answer in time"))?;
        let reply = reply
            .map_err(|status| silent(status.message()))?
            .into_inner();
        if reply.node_id != node_id {
            let other = reply.node_id;
            let reason = format!("{address} is node {other}, not node {node_id}");
            return Err(refused("other_node", reason));
        }
        Ok(reply)
    }

    /// Its log has to be empty, and nobody may still serve under its id.
    fn check_newcomer(
        &self,
        node_id: u64,
        reply: &proto::HelloReply,
    ) -> Result<(), MembershipError> {
        if self.table.read().is_removed(reply.raft_id) {
            let reason = format!(
                "the data directory of node {node_id} was removed from the cluster; its old state must not come back. \
                 Start it with an empty directory"
            );
            return Err(refused("was_removed", reason));
        }
        if reply.initialized || !reply.cluster_id.is_empty() {
            let reason = format!(
                "node {node_id} is part of cluster {} already; start it with an empty data directory",
                reply.cluster_id
            );
            return Err(refused("part_of_a_cluster", reason));
        }
        if self.is_up(node_id) {
            let reason = format!(
                "node {node_id} is up with another data directory; stop that one first, or give this one another id"
            );
            return Err(refused("node_is_up", reason));
        }
        Ok(())
    }

    async fn readdress(
        &self,
        membership: &Membership,
        reply: &proto::HelloReply,
        address: &str,
        mode: Mode,
    ) -> Result<MembershipChange, MembershipError> {
        let known = membership.get_node(&reply.raft_id);
        let Some(known) = known.filter(|known| known.disk_id == reply.disk_id) else {
            let reason = "two data directories claim to be one member".to_owned();
            return Err(refused("other_directory", reason));
        };
        let same = known.address == address && known.address_is_fixed;
        let change = if same { "unchanged" } else { "moves" };
        let told = self.change(change, membership, &voters(membership), None);
        if same || mode == Mode::Forecast {
            return Ok(told);
        }
        let moved = Member {
            address: address.into(),
            address_is_fixed: true,
            ..known.clone()
        };
        // The answer at the new address came from this very directory, so it is no other node.
        let nodes = BTreeMap::from([(reply.raft_id, moved)]);
        self.step(ChangeMembers::SetNodes(nodes)).await?;
        Ok(told)
    }

    async fn add(
        &self,
        membership: &Membership,
        own: BTreeMap<u64, Member>,
        reply: proto::HelloReply,
        address: &str,
        mode: Mode,
    ) -> Result<MembershipChange, MembershipError> {
        let change = if own.is_empty() { "joins" } else { "replaces" };
        let mut after = voters(membership);
        after.retain(|id| !own.contains_key(id));
        after.insert(NEWCOMER);
        let told = self.change(change, membership, &after, Some(reply.node_id));
        if told.up_after.len() <= told.voters_after.len() / 2 {
            let (up, all) = (told.up_after.len(), told.voters_after.len());
            let reason = format!("only {up} of the {all} voters would be up: no majority");
            return Err(refused("no_quorum", reason));
        }
        if mode == Mode::Forecast {
            return Ok(told);
        }
        // Directories that were to join under this id and were lost before they could.
        let learners: BTreeSet<u64> = own
            .into_keys()
            .filter(|id| !voters(membership).contains(id))
            .collect();
        if !learners.is_empty() {
            self.step(ChangeMembers::RemoveNodes(learners)).await?;
        }
        let member = Member {
            node_id: reply.node_id,
            name: reply.name,
            address: address.into(),
            disk_id: reply.disk_id,
            address_is_fixed: true,
        };
        tracing::info!(node = reply.node_id, address, "a node joins as a learner");
        let added = self.leader.raft.add_learner(reply.raft_id, member, false);
        match tokio::time::timeout(STEP_TIMEOUT, added).await {
            Ok(Ok(_)) => Ok(told),
            Ok(Err(error)) => Err(unavailable("the node was not added", &error)),
            Err(_) => Err(MembershipError::Unavailable(
                "no majority confirmed the newcomer in time".into(),
            )),
        }
    }
}
