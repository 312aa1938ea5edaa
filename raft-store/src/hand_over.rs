//! Handing over leadership.
//!
//! openraft 0.9 cannot transfer it: followers refuse to vote within `election_max` of a heartbeat. So
//! the leader takes no more commands, falls silent for that long, and then asks the most advanced
//! follower to stand for election. Leases outlast the silence (`Timing::lease`), so nobody stops serving.

use std::sync::Arc;
use std::time::{Duration, Instant};

use raftmq_proto::v1 as proto;

use crate::config::Timing;
use crate::leader::{Leader, LeaderLink};
use crate::local::LocalNode;
use crate::network::pool::Purpose;
use crate::raft_types::Member;
use crate::table::SharedTable;

/// The way out of leadership.
pub(crate) struct HandOver {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) leader: LeaderLink,
    pub(crate) table: Arc<SharedTable>,
    pub(crate) timing: Timing,
    /// Held by who hands over.
    pub(crate) lock: tokio::sync::Mutex<()>,
}

impl HandOver {
    /// Hands over to a node that takes clients, if this node leads; the node goes on as a follower.
    /// Returns whether it does not lead when this ends, at the latest after `limit`.
    pub(crate) async fn and_stay(&self, limit: Duration) -> bool {
        let _alone = self.lock.lock().await;
        if !self.leads() {
            return true;
        }
        let Some(successor) = self
            .successor()
            .filter(|(_, member)| self.takes_clients(member))
        else {
            return false;
        };
        if self.local.is_leaving() {
            return false;
        }
        let _back = BackToWork(self);
        let end = Instant::now() + limit;
        let _ = tokio::time::timeout(limit, self.fall_silent_for(successor, end)).await;
        !self.leads()
    }

    /// As [`HandOver::and_stay`], to whoever can lead; this node takes no more commands.
    pub(crate) async fn for_good(&self, end: Instant) {
        let _alone = self.lock.lock().await;
        if !self.leads() {
            return;
        }
        if let Some(successor) = self.successor() {
            self.fall_silent_for(successor, end).await;
        }
    }

    /// Whether this node's Raft takes itself for the leader.
    pub(crate) fn leads(&self) -> bool {
        matches!(self.leader.current(), Some(Leader::ThisNode))
    }

    async fn fall_silent_for(&self, (id, successor): (u64, Member), end: Instant) {
        self.leader.merger.close();
        self.leader.raft.runtime_config().heartbeat(false);
        tokio::time::sleep(self.timing.election_max + self.timing.heartbeat).await;
        tracing::info!(to = successor.name, "handing over leadership");
        if let Ok(mut client) = self.leader.pool.client_of(&successor, Purpose::Raft) {
            let header = Some(self.local.header(id, &successor.disk_id));
            let _ = client.campaign(proto::CampaignRequest { header }).await;
        }
        while self.leads() && Instant::now() < end {
            self.leader.changed_within(Duration::from_millis(20)).await;
        }
    }

    /// The voter whose log is the longest, of those that take clients if there are any.
    fn successor(&self) -> Option<(u64, Member)> {
        let metrics = self.leader.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let replication = metrics.replication.as_ref()?;
        let others = membership
            .voter_ids()
            .filter(|id| *id != self.local.raft_id)
            .filter_map(|id| Some((id, membership.get_node(&id)?.clone())));
        others.max_by_key(|(id, member)| {
            let replicated = replication.get(id).copied().flatten();
            (self.takes_clients(member), replicated)
        })
    }

    fn takes_clients(&self, member: &Member) -> bool {
        let table = self.table.read();
        let mut nodes = table.nodes();
        nodes.any(|(id, node)| u64::from(id) == member.node_id && node.takes_clients())
    }
}

/// Whatever came of it, also when nobody waits for it any more: a leader sends heartbeats and takes
/// commands.
struct BackToWork<'h>(&'h HandOver);

impl Drop for BackToWork<'_> {
    fn drop(&mut self) {
        let leader = &self.0.leader;
        if !self.0.local.is_leaving() {
            leader.raft.runtime_config().heartbeat(true);
            leader.merger.open();
        }
    }
}
