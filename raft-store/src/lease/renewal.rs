//! Asking the leader for a lease, again and again.

use std::sync::Arc;
use std::time::Duration;

use raftmq_proto::v1 as proto;

use crate::clock::Moment;
use crate::config::Timing;
use crate::failure::Failure;
use crate::fence::Fence;
use crate::leader::{Leader, LeaderLink};
use crate::lease::Lease;
use crate::leases::LeaderLeases;
use crate::local::LocalNode;
use crate::progress::Progress;

pub(crate) struct Renewal {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) leader: LeaderLink,
    pub(crate) leases: Arc<LeaderLeases>,
    pub(crate) lease: Lease,
    pub(crate) progress: Arc<Progress>,
    pub(crate) fence: Arc<Fence>,
    pub(crate) failure: Failure,
    pub(crate) timing: Timing,
}

impl Renewal {
    pub(crate) async fn run(self) {
        let mut metrics = self.leader.raft.server_metrics();
        let mut lives = self.leases.lives.subscribe();
        loop {
            if self.failure.reason().is_some() {
                self.lease.revoke();
                return;
            }
            if self.local.is_up() && !self.local.is_leaving() {
                self.renew().await;
            }
            // A new leader, or this node's own NodeUp, is a reason to ask at once.
            tokio::select! {
                () = tokio::time::sleep(self.timing.lease_renewal) => {}
                changed = metrics.changed() => if changed.is_err() { return },
                changed = lives.changed() => if changed.is_err() { return },
                _ = self.failure.failed() => {}
            }
        }
    }

    async fn renew(&self) {
        let incarnation = self.local.incarnation();
        let applied = self.progress.own();
        let sent = Moment::now();
        let granted = match self.leader.current() {
            None => return,
            Some(Leader::ThisNode) => self.leases.lend((self.local.node_id, incarnation), applied),
            Some(Leader::Other(id, member)) => {
                let asked = self.ask(id, &member, incarnation, applied);
                tokio::time::timeout(self.request_timeout(), asked)
                    .await
                    .unwrap_or(Err("no answer".into()))
            }
        };
        match granted {
            Ok(span) => self.lease.extend(incarnation, sent + span),
            Err(reason) => tracing::debug!(reason, "no lease"),
        }
    }

    fn request_timeout(&self) -> Duration {
        self.timing.lease_renewal.max(Duration::from_millis(50))
    }

    async fn ask(
        &self,
        id: u64,
        member: &crate::raft_types::Member,
        incarnation: u64,
        applied_index: u64,
    ) -> Result<Duration, String> {
        let (mut client, header) = self
            .leader
            .client(id, member)
            .map_err(|status| status.message().to_owned())?;
        let request = proto::LeaseRequest {
            header: Some(header),
            node_id: self.local.node_id,
            incarnation,
            applied_index,
        };
        let reply = client
            .lease(request)
            .await
            .map_err(|status| status.message().to_owned())?
            .into_inner();
        let mut grown = false;
        for node in reply
            .progress
            .iter()
            .filter(|node| node.node_id != self.local.node_id)
        {
            grown |= self.progress.set_peer(node.node_id, node.applied_index);
        }
        if grown {
            self.fence.advance();
        }
        match reply.result {
            Some(proto::lease_reply::Result::GrantedUs(span)) => Ok(Duration::from_micros(span)),
            Some(proto::lease_reply::Result::Refused(reason)) => Err(reason),
            None => Err("the answer is empty".into()),
        }
    }
}
