//! Standing for election only when it can be won (the idea of Raft's pre-vote, thesis §9.6).
//!
//! openraft 0.9 has no pre-vote: a node that is cut off raises its term with every election that it
//! cannot win, and when the connection is back its high term throws the leader out, who did nothing
//! wrong. So a node that has not seen a leader for a while asks around first: it may stand for
//! election while a majority of the voters answers and has not seen a leader either.
//!
//! This only switches elections on and off; safety never depends on it.

use std::sync::Arc;
use std::time::Duration;

use raftmq_proto::v1 as proto;

use crate::config::Timing;
use crate::leader::LeaderLink;
use crate::leases::LeaderLeases;
use crate::network::pool::Purpose;
use crate::raft_types::Member;

const LOOK: Duration = Duration::from_millis(50);
const ANSWER_TIMEOUT: Duration = Duration::from_millis(150);

pub(crate) struct Campaigning {
    pub(crate) leader: LeaderLink,
    pub(crate) leases: Arc<LeaderLeases>,
    pub(crate) timing: Timing,
}

impl Campaigning {
    pub(crate) async fn run(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.leader.local.is_removed() {
                self.leader.raft.runtime_config().elect(false);
                return;
            }
            let seen = self.leases.leader_seen_ago();
            if seen.is_none_or(|ago| ago > self.timing.election_min) {
                let may_win = self.may_win().await;
                // Who is about to leave is not to lead.
                let stands = may_win && !self.leader.local.is_dismissed();
                self.leader.raft.runtime_config().elect(stands);
            }
        }
    }

    /// Whether enough voters would listen, in every set of voters.
    async fn may_win(&self) -> bool {
        let (configs, members) = {
            let metrics = self.leader.raft.server_metrics();
            let metrics = metrics.borrow();
            let membership = metrics.membership_config.membership();
            let members: Vec<_> = membership
                .nodes()
                .map(|(id, member)| (*id, member.clone()))
                .collect();
            (membership.get_joint_config().clone(), members)
        };
        let own = self.leader.local.raft_id;
        let others = members.iter().filter(|(id, _)| *id != own);
        let asked = others.map(async |(id, member)| (*id, self.listens(*id, member).await));
        let mut listening = vec![own];
        listening.extend(
            futures::future::join_all(asked)
                .await
                .into_iter()
                .filter(|(_, listens)| *listens)
                .map(|(id, _)| id),
        );
        configs.iter().all(|voters| {
            let count = listening.iter().filter(|id| voters.contains(id)).count();
            count > voters.len() / 2
        })
    }

    async fn listens(&self, id: u64, member: &Member) -> bool {
        let local = &self.leader.local;
        let Ok(mut client) = self.leader.pool.client_of(member, Purpose::Raft) else {
            return false;
        };
        let header = Some(local.header(id, &member.disk_id));
        let request = proto::HelloRequest {
            header,
            peers_hash: local.peers_hash,
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, client.hello(request)).await {
            Ok(Ok(reply)) => {
                let reply = reply.into_inner();
                if reply.removed {
                    // A member has applied the end of this directory's part in the cluster.
                    local.set_removed();
                    return false;
                }
                let ago = reply.leader_seen_ms_ago.map(Duration::from_millis);
                ago.is_none_or(|ago| ago > self.timing.election_min)
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }
}
