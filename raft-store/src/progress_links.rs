//! Following the applied indexes of the peers: one stream from each member of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use raftmq_proto::v1 as proto;
use tokio::task::JoinHandle;

use crate::fence::Fence;
use crate::local::LocalNode;
use crate::network::pool::{PeerPool, Purpose};
use crate::progress::Progress;
use crate::raft_types::{Member, Raft};

/// Pause before a broken stream is opened again.
const RETRY: Duration = Duration::from_millis(50);

pub(crate) struct ProgressLinks {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) raft: Raft,
    pub(crate) pool: Arc<PeerPool>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) fence: Arc<Fence>,
}

impl ProgressLinks {
    /// Keeps one stream per member, as the membership changes.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut metrics = self.raft.server_metrics();
        let mut links: BTreeMap<u64, (Member, Link)> = BTreeMap::new();
        loop {
            let members = self.others(&metrics.borrow_and_update());
            links.retain(|id, (member, _)| members.get(id) == Some(member));
            for (id, member) in members {
                links.entry(id).or_insert_with(|| {
                    let follow = Arc::clone(&self).follow(id, member.clone());
                    (member, Link(tokio::spawn(follow)))
                });
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }

    fn others(
        &self,
        metrics: &openraft::metrics::RaftServerMetrics<u64, Member>,
    ) -> BTreeMap<u64, Member> {
        let members = metrics.membership_config.membership().nodes();
        members
            .filter(|(id, _)| **id != self.local.raft_id)
            .map(|(id, member)| (*id, member.clone()))
            .collect()
    }

    async fn follow(self: Arc<Self>, id: u64, member: Member) {
        loop {
            if let Err(status) = self.read(id, &member).await {
                tracing::debug!(
                    peer = member.name,
                    reason = status.message(),
                    "the stream of applied indexes broke"
                );
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn read(&self, id: u64, member: &Member) -> Result<(), tonic::Status> {
        let mut client = self.pool.client_of(member, Purpose::Raft)?;
        let header = Some(self.local.header(id, &member.disk_id));
        let mut reports = client
            .progress(proto::ProgressRequest { header })
            .await?
            .into_inner();
        while let Some(report) = reports.message().await? {
            if self.progress.set_peer(member.node_id, report.applied_index) {
                self.fence.advance();
            }
        }
        Ok(())
    }
}

/// Ends with its owner.
struct Link(JoinHandle<()>);

impl Drop for Link {
    fn drop(&mut self) {
        self.0.abort();
    }
}
