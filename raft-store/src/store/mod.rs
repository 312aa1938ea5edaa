//! The store's face.

mod insight;
mod open;
mod shutdown;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use parking_lot::Mutex;
use raftmq_proto::v1::Op;
use raftmq_proto::v1::raft_server::RaftServer;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::applied::Followers;
use crate::batcher::{self, Proposal, ProposalQueue};
use crate::clock::Moment;
use crate::config::Timing;
use crate::error::{ProposeError, ReadError};
use crate::failure::Failure;
use crate::formation::Formation;
use crate::hand_over::HandOver;
use crate::identity::Identity;
use crate::leader::LeaderLink;
use crate::lease::Lease;
use crate::lease::quorum::QuorumContact;
use crate::local::LocalNode;
use crate::log::LogStore;
use crate::membership::Members;
use crate::network::MESSAGE_BYTES_MAX;
use crate::network::service::{RaftService, ServiceParts};
use crate::raft_types::{Member, RaftMetrics};
use crate::read_index::{ReadIndex, Scope};
use crate::status::{ClusterStatus, MemberStatus, Readiness, Role};
use crate::table::{Drain, SharedTable};

/// This node's part of the replicated table. Clones are handles to the same one; the node takes part
/// in the cluster until [`Store::shutdown`] or until the last handle is gone.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) local: Arc<LocalNode>,
    data_dir: PathBuf,
    timing: Timing,
    failure: Failure,
    log: LogStore,
    followers: Arc<Followers>,
    pub(crate) leader: LeaderLink,
    contact: Arc<QuorumContact>,
    queue: ProposalQueue,
    read_index: ReadIndex,
    formation: watch::Receiver<Formation>,
    service: Arc<ServiceParts>,
    pub(crate) members: Arc<Members>,
    hand_over: Arc<HandOver>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

impl Store {
    /// The gRPC service that the other nodes call; belongs into the server at the configured RPC
    /// address, from the start: without it no cluster forms.
    pub fn service(&self) -> RaftServer<RaftService> {
        RaftServer::new(RaftService {
            parts: Arc::clone(&self.inner.service),
        })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Proposes a command. Never blocks and may be called on any thread; the future resolves when the
    /// command has taken effect on every node that is up. An error says whether it may have.
    pub fn propose(&self, op: Op) -> Proposal {
        let inner = &self.inner;
        if inner.failure.reason().is_some() {
            return batcher::refused(ProposeError::Stopped);
        }
        if !inner.local.is_up() || inner.local.is_leaving() {
            return batcher::refused(ProposeError::NotReady(self.why_not_up()));
        }
        inner.queue.propose(op, inner.local.incarnation())
    }

    /// The table as this node has applied it.
    pub fn table(&self) -> &Arc<SharedTable> {
        &self.inner.followers.table
    }

    /// Whether this node may serve, at any moment on any thread.
    pub fn lease(&self) -> Lease {
        self.inner.followers.lease.clone()
    }

    /// Hands over leadership to a node that takes clients, if this node leads; the node goes on as a
    /// follower. Returns whether it does not lead when this ends, at the latest after `limit`.
    pub async fn hand_over_leadership(&self, limit: Duration) -> bool {
        self.inner.hand_over.and_stay(limit).await
    }

    /// Whether this node's Raft takes itself for the leader.
    pub fn leads(&self) -> bool {
        self.inner.hand_over.leads()
    }

    /// Whether the table says that this node's clients are to be sent away.
    pub fn own_drain(&self) -> watch::Receiver<Option<Drain>> {
        self.inner.followers.own_drain.subscribe()
    }

    /// Waits until this node's table shows everything that was committed before the call
    /// (linearizable read, Raft §6.4). Concurrent calls share one round.
    pub async fn read_barrier(&self) -> Result<(), ReadError> {
        let barrier = async {
            let index = loop {
                if self.inner.failure.reason().is_some() {
                    return Err(ReadError::Stopped);
                }
                match self.inner.read_index.ask(Scope::Cluster).await {
                    Ok(index) => break index,
                    Err(_) => {
                        self.inner
                            .leader
                            .changed_within(Duration::from_millis(20))
                            .await
                    }
                }
            };
            let mut applied = self.inner.followers.progress.subscribe();
            let reached = applied.wait_for(|applied| *applied >= index).await;
            reached.map(drop).map_err(|_| ReadError::Stopped)
        };
        tokio::time::timeout(self.inner.timing.propose, barrier)
            .await
            .unwrap_or(Err(ReadError::TimedOut))
    }

    /// Whether this node may serve, and why not.
    pub fn readiness(&self) -> Readiness {
        if self.inner.followers.lease.is_held() {
            return Readiness::Ready;
        }
        if let Some(reason) = self.inner.failure.reason() {
            return Readiness::NotReady(reason.to_string());
        }
        Readiness::NotReady(match self.inner.local.is_up() {
            true => "there is no contact with a majority of the cluster".into(),
            false => self.why_not_up(),
        })
    }

    fn why_not_up(&self) -> String {
        if self.inner.local.is_leaving() {
            return "this node is shutting down".into();
        }
        if self.inner.local.is_removed() {
            return "removed: this node is not part of the cluster any more. Stop it; to use it again, give it \
                    an empty data directory and join it"
                .into();
        }
        if self.inner.local.is_dismissed() {
            return "removed: the cluster is about to go on without this node".into();
        }
        match &*self.inner.formation.borrow() {
            Formation::Waiting(reason) | Formation::Refused(reason) => reason.clone(),
            Formation::Formed => {
                "this node is joining: it waits for a leader, or catches up".into()
            }
        }
    }

    /// Who this node is.
    pub fn identity(&self) -> Identity {
        self.inner.local.identity()
    }

    /// Resolves, with the reason, when this node's storage has failed: it does not serve any more and
    /// has to be restarted. Until then it is pending.
    pub async fn failed(&self) -> String {
        self.inner.failure.failed().await.to_string()
    }

    /// Files that sled has put beside its database. They are not flushed to the disk, so there must be
    /// none; the sizes of commands and batches see to that.
    pub fn unflushed_files(&self) -> usize {
        let blobs = self.inner.data_dir.join("log").join("blobs");
        std::fs::read_dir(blobs).map_or(0, Iterator::count)
    }

    /// What this node knows of the cluster.
    pub fn status(&self) -> ClusterStatus {
        let inner = &self.inner;
        let metrics = inner.leader.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let leader = metrics
            .current_leader
            .and_then(|id| membership.get_node(&id))
            .map(|member| member.node_id);
        let mut members: Vec<_> = membership
            .nodes()
            .map(|(id, member)| self.member_status(*id, member, &metrics))
            .collect();
        // While a directory is replaced there are two of one node; the one that votes is shown.
        members.sort_unstable_by_key(|member| (member.node_id, !member.is_voter));
        members.dedup_by_key(|member| member.node_id);
        ClusterStatus {
            cluster_id: inner.local.cluster_id().map(str::to_owned),
            leader,
            term: metrics.current_term,
            role: role(&metrics),
            last_log_index: metrics.last_log_index.unwrap_or(0),
            committed_index: inner.log.committed_index().unwrap_or(0),
            applied_index: inner.followers.progress.own(),
            snapshot_index: metrics.snapshot.map(|id| id.index),
            log_bytes: inner.log.bytes(),
            members,
        }
    }

    /// The members and where this node reaches them, by node id: the membership of Raft's log, whatever
    /// the own list of peers says. Empty before the node is part of a cluster.
    pub fn members(&self) -> BTreeMap<u64, String> {
        let leader = &self.inner.leader;
        let metrics = leader.raft.server_metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let mut members: Vec<_> = membership.nodes().collect();
        // The latest directory of a node that is being replaced is no voter yet.
        members.sort_unstable_by_key(|(id, _)| !membership.voter_ids().any(|voter| voter == **id));
        let reached = members.into_iter().map(|(_, member)| {
            let address = leader.pool.address_of(member).to_owned();
            (member.node_id, address)
        });
        reached.collect()
    }

    fn member_status(&self, raft_id: u64, member: &Member, metrics: &RaftMetrics) -> MemberStatus {
        let followers = &self.inner.followers;
        let is_self = raft_id == self.inner.local.raft_id;
        let replicated = metrics
            .replication
            .as_ref()
            .and_then(|replication| replication.get(&raft_id).copied().flatten());
        let contact = self
            .inner
            .contact
            .last_of(raft_id)
            .filter(|_| metrics.state == ServerState::Leader && !is_self);
        MemberStatus {
            node_id: member.node_id,
            name: member.name.clone(),
            address: self.inner.leader.pool.address_of(member).to_owned(),
            is_voter: metrics
                .membership_config
                .membership()
                .voter_ids()
                .any(|id| id == raft_id),
            is_up: followers
                .lives
                .get()
                .get(&member.node_id)
                .is_some_and(|life| life.is_up),
            applied_index: followers.progress.of(member.node_id, is_self),
            replicated_index: replicated.map(|id| id.index),
            last_contact: contact.map(|at| Moment::now().since(at)),
        }
    }
}

fn role(metrics: &RaftMetrics) -> Role {
    match metrics.state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}
