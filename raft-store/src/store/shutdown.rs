//! Leaving for good order: the others learn at once that this node serves no more, and get a new
//! leader sooner than they would find out.

use std::time::{Duration, Instant};

use raftmq_proto::v1::{self as proto, Op, op::Kind};

use super::Store;
use crate::clock::unix_ms;
use crate::error::ProposeError;
use crate::leader::Leader;
use crate::network::pool::Purpose;
use crate::raft_types::Member;

impl Store {
    /// Leaves the cluster's service: ends the lease, tells the others (`NodeDown`), hands over
    /// leadership, writes what is pending and lets go of the data directory. Takes at most about
    /// `deadline`; what was not done by then, the others find out by themselves.
    ///
    /// openraft 0.9 cannot transfer leadership: followers refuse to vote within `election_max` of a
    /// heartbeat. So the leader falls silent for that long and then asks the most advanced follower to
    /// stand for election.
    pub async fn shutdown(&self, deadline: Duration) {
        let inner = &self.inner;
        let end = Instant::now() + deadline;
        let was_up = inner.local.is_up() && inner.failure.reason().is_none();
        inner.local.set_leaving();
        inner.followers.lease.revoke();
        if was_up {
            let left = inner
                .queue
                .propose(self.farewell(), inner.local.incarnation());
            let _ = tokio::time::timeout(remaining(end), left).await;
        }
        let _ = tokio::time::timeout(remaining(end), self.hand_over(end)).await;
        let _ = inner.leader.raft.shutdown().await;
        for task in inner.tasks.lock().drain(..) {
            task.abort();
        }
        inner.followers.in_flight.fail(&ProposeError::Stopped);
        inner.followers.fence.fail(&ProposeError::Stopped);
        let log = inner.log.clone();
        let _ = tokio::task::spawn_blocking(move || log.close()).await;
        inner.local.release();
    }

    fn farewell(&self) -> Op {
        let local = &self.inner.local;
        let (node_id, incarnation) = (local.node_id, local.incarnation());
        Op {
            kind: Some(Kind::NodeDown(proto::NodeDown {
                node_id,
                incarnation,
                reason: "left".into(),
                now_ms: unix_ms(),
            })),
        }
    }

    async fn hand_over(&self, end: Instant) {
        let inner = &self.inner;
        if !matches!(inner.leader.current(), Some(Leader::ThisNode)) {
            return;
        }
        let Some((id, successor)) = self.successor() else {
            return;
        };
        inner.leader.merger.close();
        inner.leader.raft.runtime_config().heartbeat(false);
        tokio::time::sleep(inner.timing.election_max + inner.timing.heartbeat).await;
        tracing::info!(to = successor.name, "handing over leadership");
        if let Ok(mut client) = inner.leader.pool.client_of(&successor, Purpose::Raft) {
            let header = Some(inner.local.header(id, &successor.disk_id));
            let _ = client.campaign(proto::CampaignRequest { header }).await;
        }
        while matches!(inner.leader.current(), Some(Leader::ThisNode)) && Instant::now() < end {
            inner.leader.changed_within(Duration::from_millis(20)).await;
        }
    }

    /// The voter whose log is the longest.
    fn successor(&self) -> Option<(u64, Member)> {
        let inner = &self.inner;
        let metrics = inner.leader.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let replication = metrics.replication.as_ref()?;
        let others = membership
            .voter_ids()
            .filter(|id| *id != inner.local.raft_id);
        let best = others.max_by_key(|id| replication.get(id).copied().flatten())?;
        membership
            .get_node(&best)
            .map(|member| (best, member.clone()))
    }
}

fn remaining(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}
