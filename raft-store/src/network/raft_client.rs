//! openraft's view of a peer: AppendEntries, RequestVote and InstallSnapshot as gRPC calls.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use raftmq_proto::v1 as proto;

use super::pool::{PeerPool, Purpose};
use super::snapshot_stream;
use crate::clock::Moment;
use crate::lease::quorum::QuorumContact;
use crate::local::LocalNode;
use crate::raft_types::{Member, Snapshot, TypeConfig, Vote};
use crate::wire::{ToRaft, ToWire};

/// Pause after a failed request. Short: while it lasts the peer gets no heartbeats.
const BACKOFF: Duration = Duration::from_millis(50);

type ClientError = RPCError<u64, Member, RaftError<u64>>;

/// Makes clients; they share the connections.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) pool: Arc<PeerPool>,
    pub(crate) contact: Arc<QuorumContact>,
}

/// One peer.
pub(crate) struct PeerClient {
    network: Network,
    raft_id: u64,
    member: Member,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerClient;

    async fn new_client(&mut self, target: u64, node: &Member) -> PeerClient {
        PeerClient {
            network: self.clone(),
            raft_id: target,
            member: node.clone(),
        }
    }
}

impl PeerClient {
    fn header(&self) -> Option<proto::RaftHeader> {
        Some(
            self.network
                .local
                .header(self.raft_id, &self.member.disk_id),
        )
    }
}

impl RaftNetwork<TypeConfig> for PeerClient {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, ClientError> {
        let term = rpc.vote.leader_id.term;
        let mut request = tonic::Request::new(proto::AppendRequest {
            header: self.header(),
            vote: Some(rpc.vote.to_wire()),
            previous: rpc.prev_log_id.map(ToWire::to_wire),
            entries: rpc.entries.into_iter().map(ToWire::to_wire).collect(),
            leader_commit: rpc.leader_commit.map(ToWire::to_wire),
        });
        request.set_timeout(option.hard_ttl());
        let mut client = self
            .network
            .pool
            .client_of(&self.member, Purpose::Raft)
            .map_err(unreachable)?;
        let sent = Moment::now();
        let reply = client
            .append(request)
            .await
            .map_err(unreachable)?
            .into_inner();
        let response = append_response(reply)?;
        if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
            self.network.contact.acknowledged(self.raft_id, term, sent);
        }
        Ok(response)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, ClientError> {
        let mut request = tonic::Request::new(proto::VoteRequest {
            header: self.header(),
            vote: Some(rpc.vote.to_wire()),
            last_log_id: rpc.last_log_id.map(ToWire::to_wire),
        });
        request.set_timeout(option.hard_ttl());
        let mut client = self
            .network
            .pool
            .client_of(&self.member, Purpose::Raft)
            .map_err(unreachable)?;
        let reply = client
            .vote(request)
            .await
            .map_err(unreachable)?
            .into_inner();
        let vote: Vote = reply.vote.ok_or_else(|| incomplete("vote"))?.to_raft();
        Ok(VoteResponse {
            vote,
            vote_granted: reply.granted,
            last_log_id: reply.last_log_id.map(ToRaft::to_raft),
        })
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let client = self.network.pool.client_of(&self.member, Purpose::Snapshot);
        let client = client.map_err(|error| {
            StreamingError::Unreachable(Unreachable::new(&Described(error.to_string())))
        })?;
        let sending = snapshot_stream::send(client, self.header(), vote, snapshot);
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(reason) => {
                    tracing::warn!(to = self.member.name, reason, "a snapshot was not delivered");
                    Err(StreamingError::Unreachable(Unreachable::new(&Described(reason))))
                }
            },
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}

fn append_response(reply: proto::AppendReply) -> Result<AppendEntriesResponse<u64>, ClientError> {
    use proto::append_reply::Result as Reply;
    Ok(match reply.result.ok_or_else(|| incomplete("result"))? {
        Reply::Success(proto::AppendSuccess { up_to: None }) => AppendEntriesResponse::Success,
        Reply::Success(proto::AppendSuccess { up_to }) => {
            AppendEntriesResponse::PartialSuccess(up_to.map(ToRaft::to_raft))
        }
        Reply::Conflict(proto::AppendConflict {}) => AppendEntriesResponse::Conflict,
        Reply::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote.to_raft()),
    })
}

/// Every failure makes openraft pause and try again; the pause is short (`BACKOFF`).
fn unreachable(status: tonic::Status) -> ClientError {
    RPCError::Unreachable(Unreachable::new(&Described(status.message().to_owned())))
}

fn incomplete(part: &str) -> ClientError {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(format!(
        "the answer lacks its {part}"
    ))))
}

/// An error that is known by its text.
#[derive(Debug)]
struct Described(String);

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Described {}
