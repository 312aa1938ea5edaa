//! The way to the leader, whoever it is: this node's own Raft, or a request to another node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use raftmq_proto::v1 as proto;
use raftmq_proto::v1::raft_client::RaftClient;
use tonic::transport::Channel;

use crate::batcher::merger::{Merger, SubmitError};
use crate::clock::Moment;
use crate::local::LocalNode;
use crate::network::pool::{PeerPool, Purpose};
use crate::raft_types::{Member, Raft};

/// A forwarded batch is committed or refused within this time, or repeated.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(3);

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct LeaderLink {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) raft: Raft,
    pub(crate) pool: Arc<PeerPool>,
    pub(crate) merger: Merger,
}

/// Who leads.
pub(crate) enum Leader {
    ThisNode,
    Other(u64, Member),
}

/// The term in which this node is leader, as Raft last reported it.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    pub(crate) term: u64,
    pub(crate) last_log_index: u64,
    pub(crate) voters: Vec<BTreeSet<u64>>,
}

/// When another node's leadership was last accepted by this node's Raft. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaderSeen {
    nanos: Arc<AtomicU64>,
}

impl LeaderSeen {
    pub(crate) fn now(&self) {
        self.nanos
            .fetch_max(Moment::now().as_nanos(), Ordering::Relaxed);
    }

    /// `None`: not in this life of the process.
    pub(crate) fn at(&self) -> Option<Moment> {
        let nanos = self.nanos.load(Ordering::Relaxed);
        (nanos != 0).then(|| Moment::from_nanos(nanos))
    }
}

impl LeaderLink {
    pub(crate) fn current(&self) -> Option<Leader> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow();
        let id = metrics.current_leader?;
        if id == self.local.raft_id {
            return Some(Leader::ThisNode);
        }
        metrics
            .membership_config
            .membership()
            .get_node(&id)
            .map(|member| Leader::Other(id, member.clone()))
    }

    /// This node's leadership, if it is the leader.
    pub(crate) fn leadership(&self) -> Option<Leadership> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let leads = metrics.state == openraft::ServerState::Leader && metrics.vote.committed;
        leads.then(|| Leadership {
            term: metrics.vote.leader_id.term,
            last_log_index: metrics.last_log_index.unwrap_or(0),
            voters: metrics
                .membership_config
                .membership()
                .get_joint_config()
                .clone(),
        })
    }

    /// A client for another node that leads, with the header of the request.
    pub(crate) fn client(
        &self,
        id: u64,
        member: &Member,
    ) -> Result<(RaftClient<Channel>, proto::RaftHeader), tonic::Status> {
        let client = self.pool.client_of(member, Purpose::Raft)?;
        Ok((client, self.local.header(id, &member.disk_id)))
    }

    /// Hands a batch to the leader; returns the index at which it is committed. An error does not mean
    /// that it will not be committed.
    pub(crate) async fn submit(
        &self,
        batch: proto::Batch,
        only_in_term: u64,
    ) -> Result<u64, SubmitError> {
        match self.current() {
            None => Err(SubmitError::NotLeader(None)),
            Some(Leader::ThisNode) => self.merger.submit(batch, only_in_term).await,
            Some(Leader::Other(id, member)) => self.forward(id, &member, batch).await,
        }
    }

    async fn forward(
        &self,
        id: u64,
        member: &Member,
        batch: proto::Batch,
    ) -> Result<u64, SubmitError> {
        let (mut client, header) = self.client(id, member).map_err(|_| SubmitError::Busy)?;
        let mut request = tonic::Request::new(proto::ForwardRequest {
            header: Some(header),
            batch: Some(batch),
        });
        request.set_timeout(FORWARD_TIMEOUT);
        let reply = client.forward(request).await.map_err(|status| {
            tracing::debug!(
                to = member.name,
                reason = status.message(),
                "a batch was not forwarded"
            );
            SubmitError::Busy
        })?;
        use proto::forward_reply::Result as Reply;
        match reply.into_inner().result {
            Some(Reply::CommittedIndex(index)) => Ok(index),
            Some(Reply::NotLeader(proto::NotLeader { leader_id })) => Err(SubmitError::NotLeader(
                (leader_id != 0).then_some(leader_id),
            )),
            Some(Reply::Busy(proto::ForwardBusy {})) | None => Err(SubmitError::Busy),
        }
    }

    /// Waits until Raft's role, term or leader changes, at most that long.
    pub(crate) async fn changed_within(&self, wait: Duration) {
        let mut metrics = self.raft.server_metrics();
        // What a new receiver finds is not a change.
        metrics.borrow_and_update();
        let _ = tokio::time::timeout(wait, metrics.changed()).await;
    }
}
