//! What this node answers to its peers.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest};
use raftmq_proto::v1 as proto;
use raftmq_proto::v1::raft_server::Raft as RaftRpc;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, Streaming};

use super::admission::Admission;
use super::snapshot_stream;
use crate::batcher::merger::{Merger, SubmitError};
use crate::clock::unix_ms;
use crate::failure::Failure;
use crate::leader::LeaderSeen;
use crate::lease::Lease;
use crate::leases::LeaderLeases;
use crate::local::LocalNode;
use crate::log::LogStore;
use crate::membership::{Members, Mode, ask};
use crate::progress::Progress;
use crate::raft_types::{LogEntry, LogId, Raft};
use crate::read_index::{ReadIndex, Scope};
use crate::wire::{Incomplete, ToRaft, ToWire};

/// Time for the first part of a snapshot.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the farewell of a node that is removed.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(4);

/// The gRPC service of a store, to be added to the server at the node's RPC address.
#[derive(Clone)]
pub struct RaftService {
    pub(crate) parts: Arc<ServiceParts>,
}

pub(crate) struct ServiceParts {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) admission: Admission,
    pub(crate) raft: Raft,
    pub(crate) log: LogStore,
    pub(crate) merger: Merger,
    pub(crate) leases: Arc<LeaderLeases>,
    pub(crate) leader_seen: LeaderSeen,
    pub(crate) progress: Arc<Progress>,
    pub(crate) read_index: ReadIndex,
    pub(crate) snapshot_dir: PathBuf,
    pub(crate) failure: Failure,
    pub(crate) lease: Lease,
    pub(crate) members: Arc<Members>,
    /// [`Timing::recall`](crate::Timing::recall).
    pub(crate) recall: Duration,
}

impl ServiceParts {
    /// A node whose storage failed must not answer: it could promise what it cannot keep.
    fn working(&self) -> Result<(), Status> {
        match self.failure.reason() {
            None => Ok(()),
            Some(reason) => Err(Status::unavailable(format!(
                "the storage of this node failed: {reason}"
            ))),
        }
    }

    async fn append(&self, request: proto::AppendRequest) -> Result<proto::AppendReply, Status> {
        self.working()?;
        self.admission.raft(request.header)?;
        let entries: Result<Vec<LogEntry>, Incomplete> =
            request.entries.into_iter().map(ToRaft::to_raft).collect();
        let rpc = AppendEntriesRequest {
            vote: required(request.vote, "vote")?.to_raft(),
            prev_log_id: request.previous.map(ToRaft::to_raft),
            entries: entries.map_err(|error| Status::invalid_argument(error.to_string()))?,
            leader_commit: request.leader_commit.map(ToRaft::to_raft),
        };
        let response = self
            .raft
            .append_entries(rpc)
            .await
            .map_err(|error| unavailable(&error))?;
        if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
            self.leader_seen.now();
        }
        Ok(proto::AppendReply {
            result: Some(append_result(response)),
        })
    }

    async fn vote(&self, request: proto::VoteRequest) -> Result<proto::VoteReply, Status> {
        self.working()?;
        self.admission.raft(request.header)?;
        let vote = required(request.vote, "vote")?.to_raft();
        let rpc = VoteRequest::new(vote, request.last_log_id.map(ToRaft::to_raft));
        let response = self
            .raft
            .vote(rpc)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(proto::VoteReply {
            vote: Some(response.vote.to_wire()),
            granted: response.vote_granted,
            last_log_id: response.last_log_id.map(ToWire::to_wire),
        })
    }

    async fn install(
        &self,
        mut parts: Streaming<proto::SnapshotPart>,
    ) -> Result<proto::SnapshotReply, Status> {
        self.working()?;
        let first = tokio::time::timeout(BEGIN_TIMEOUT, parts.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("the sender is silent"))??;
        let Some(proto::snapshot_part::Part::Begin(begin)) = first.and_then(|part| part.part)
        else {
            return Err(Status::invalid_argument(
                "the stream does not begin with its description",
            ));
        };
        self.admission.raft(begin.header.clone())?;
        let vote = snapshot_stream::receive(&self.raft, &self.snapshot_dir, begin, parts).await?;
        Ok(proto::SnapshotReply {
            vote: Some(vote.to_wire()),
        })
    }

    fn hello(&self, request: proto::HelloRequest) -> Result<proto::HelloReply, Status> {
        let header = self.admission.greeting(request.header)?;
        let local = &self.local;
        let metrics = self.raft.server_metrics();
        let membership = metrics.borrow().membership_config.membership().to_wire();
        Ok(proto::HelloReply {
            cluster_id: local.cluster_id().unwrap_or_default().to_owned(),
            raft_id: local.raft_id,
            node_id: local.node_id,
            name: local.name.clone(),
            disk_id: local.disk_id.clone(),
            incarnation: local.incarnation(),
            peers_hash: local.peers_hash,
            initialized: !self.log.is_pristine(),
            membership: Some(membership),
            leader_seen_ms_ago: self
                .leases
                .leader_seen_ago()
                .map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
            removed: self.admission.is_removed(header.from),
        })
    }

    async fn forward(&self, request: proto::ForwardRequest) -> Result<proto::ForwardReply, Status> {
        use proto::forward_reply::Result as Reply;
        self.working()?;
        self.admission.member(request.header)?;
        let batch = required(request.batch, "batch")?;
        let result = match self.merger.submit(batch, 0).await {
            Ok(index) => Reply::CommittedIndex(index),
            Err(SubmitError::NotLeader(leader)) => Reply::NotLeader(proto::NotLeader {
                leader_id: leader.unwrap_or(0),
            }),
            Err(SubmitError::Busy) => Reply::Busy(proto::ForwardBusy {}),
        };
        Ok(proto::ForwardReply {
            result: Some(result),
        })
    }

    fn lease(&self, request: proto::LeaseRequest) -> Result<proto::LeaseReply, Status> {
        use proto::lease_reply::Result as Reply;
        self.working()?;
        self.admission.member(request.header)?;
        let granted = self.leases.lend(
            (request.node_id, request.incarnation),
            request.applied_index,
        );
        self.leases.heard(request.node_id, request.applied_index);
        let result = match granted {
            Ok(span) => Reply::GrantedUs(u64::try_from(span.as_micros()).unwrap_or(0)),
            Err(reason) => Reply::Refused(reason),
        };
        let mut progress = self.progress.peers();
        progress.insert(self.local.node_id, self.progress.own());
        let progress = progress.into_iter();
        let progress = progress
            .map(|(node_id, applied_index)| proto::NodeProgress {
                node_id,
                applied_index,
            })
            .collect();
        Ok(proto::LeaseReply {
            result: Some(result),
            progress,
        })
    }

    async fn read_index(
        &self,
        request: proto::ReadIndexRequest,
    ) -> Result<proto::ReadIndexReply, Status> {
        use proto::read_index_reply::Result as Reply;
        self.working()?;
        self.admission.member(request.header)?;
        let result = match self.read_index.ask(Scope::ThisNode).await {
            Ok(index) => Reply::Index(index),
            Err(_) => Reply::NotLeader(proto::NotLeader { leader_id: 0 }),
        };
        Ok(proto::ReadIndexReply {
            result: Some(result),
        })
    }
}

impl ServiceParts {
    async fn change_membership(
        &self,
        request: proto::MembershipRequest,
    ) -> Result<proto::MembershipReply, Status> {
        self.working()?;
        self.admission.member(request.header)?;
        let wish = required(request.change, "change")?.into();
        let mode = match request.dry_run {
            true => Mode::Forecast,
            false => Mode::Do,
        };
        Ok(ask::reply(self.members.fulfil(&wish, mode).await))
    }

    /// Stops serving, and says so to everybody. Taken back when the node is still a member after a
    /// while: whoever wanted to remove it did not come to an end.
    async fn leave(&self, request: proto::LeaveRequest) -> Result<proto::LeaveReply, Status> {
        self.working()?;
        self.admission.member(request.header)?;
        tracing::warn!("the cluster removes this node: it stops serving");
        self.local.dismiss();
        self.lease.revoke();
        let (node_id, incarnation) = (self.local.node_id, self.local.incarnation());
        let farewell = proto::Op {
            kind: Some(proto::op::Kind::NodeDown(proto::NodeDown {
                node_id,
                incarnation,
                reason: "removed".into(),
                now_ms: unix_ms(),
            })),
        };
        let said = self.leases.queue.propose(farewell, incarnation);
        tokio::spawn(recall_later(
            self.recall,
            Arc::clone(&self.local),
            self.raft.clone(),
            self.lease.clone(),
        ));
        match tokio::time::timeout(FAREWELL_TIMEOUT, said).await {
            Ok(Ok(_)) => Ok(proto::LeaveReply {}),
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(_) => Err(Status::deadline_exceeded("the others did not hear of it")),
        }
    }
}

async fn recall_later(after: Duration, local: Arc<LocalNode>, raft: Raft, lease: Lease) {
    tokio::time::sleep(after).await;
    let is_member = {
        let metrics = raft.server_metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        membership.get_node(&local.raft_id).is_some()
    };
    if is_member && !local.is_removed() {
        tracing::warn!("this node was not removed after all");
        local.recall();
        if local.is_up() {
            lease.open(local.incarnation());
        }
    }
}

fn append_result(response: AppendEntriesResponse<u64>) -> proto::append_reply::Result {
    use proto::append_reply::Result as Reply;
    let success = |up_to: Option<LogId>| {
        Reply::Success(proto::AppendSuccess {
            up_to: up_to.map(ToWire::to_wire),
        })
    };
    match response {
        AppendEntriesResponse::Success => success(None),
        AppendEntriesResponse::PartialSuccess(up_to) => success(up_to),
        AppendEntriesResponse::Conflict => Reply::Conflict(proto::AppendConflict {}),
        AppendEntriesResponse::HigherVote(vote) => Reply::HigherVote(vote.to_wire()),
    }
}

fn required<T>(part: Option<T>, name: &str) -> Result<T, Status> {
    part.ok_or_else(|| Status::invalid_argument(format!("the request lacks its {name}")))
}

fn unavailable(error: &dyn std::error::Error) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl RaftRpc for RaftService {
    async fn append(
        &self,
        request: Request<proto::AppendRequest>,
    ) -> Result<Response<proto::AppendReply>, Status> {
        self.parts
            .append(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn vote(
        &self,
        request: Request<proto::VoteRequest>,
    ) -> Result<Response<proto::VoteReply>, Status> {
        self.parts
            .vote(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotPart>>,
    ) -> Result<Response<proto::SnapshotReply>, Status> {
        self.parts
            .install(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn hello(
        &self,
        request: Request<proto::HelloRequest>,
    ) -> Result<Response<proto::HelloReply>, Status> {
        self.parts.hello(request.into_inner()).map(Response::new)
    }

    async fn forward(
        &self,
        request: Request<proto::ForwardRequest>,
    ) -> Result<Response<proto::ForwardReply>, Status> {
        self.parts
            .forward(request.into_inner())
            .await
            .map(Response::new)
    }

    type ProgressStream = Pin<Box<dyn Stream<Item = Result<proto::ProgressReport, Status>> + Send>>;

    async fn progress(
        &self,
        request: Request<proto::ProgressRequest>,
    ) -> Result<Response<Self::ProgressStream>, Status> {
        self.parts.admission.member(request.into_inner().header)?;
        // Each report is the newest index: a slow peer gets fewer reports, not old ones.
        let reports = WatchStream::new(self.parts.progress.subscribe());
        Ok(Response::new(Box::pin(reports.map(|applied_index| {
            Ok(proto::ProgressReport { applied_index })
        }))))
    }

    async fn lease(
        &self,
        request: Request<proto::LeaseRequest>,
    ) -> Result<Response<proto::LeaseReply>, Status> {
        self.parts.lease(request.into_inner()).map(Response::new)
    }

    async fn read_index(
        &self,
        request: Request<proto::ReadIndexRequest>,
    ) -> Result<Response<proto::ReadIndexReply>, Status> {
        self.parts
            .read_index(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn change_membership(
        &self,
        request: Request<proto::MembershipRequest>,
    ) -> Result<Response<proto::MembershipReply>, Status> {
        self.parts
            .change_membership(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn leave(
        &self,
        request: Request<proto::LeaveRequest>,
    ) -> Result<Response<proto::LeaveReply>, Status> {
        self.parts
            .leave(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn campaign(
        &self,
        request: Request<proto::CampaignRequest>,
    ) -> Result<Response<proto::CampaignReply>, Status> {
        self.parts.working()?;
        self.parts.admission.member(request.into_inner().header)?;
        self.parts
            .raft
            .trigger()
            .elect()
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(Response::new(proto::CampaignReply {}))
    }
}
