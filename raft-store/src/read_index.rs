//! Linearizable reads (Raft §6.4): the index that a read has to wait for.
//!
//! openraft confirms its leadership with a round of heartbeats for each question. Here one question is
//! under way at a time; whoever asks meanwhile shares the next one.

use std::time::Duration;

use openraft::error::{CheckIsLeaderError, RaftError};
use raftmq_proto::v1 as proto;
use tokio::sync::{mpsc, oneshot};

use crate::leader::{Leader, LeaderLink};

/// Questions that wait; more are refused.
const WAITING_MAX: usize = 65_536;
const ROUND_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(20);

/// No index: the leader is not known, not reached, or not sure of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoIndex;

type Reply = oneshot::Sender<Result<u64, NoIndex>>;

/// Clones share the rounds.
#[derive(Clone, Debug)]
pub(crate) struct ReadIndex {
    questions: mpsc::Sender<(Scope, Reply)>,
}

/// Whose word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The leader's, whoever it is.
    Cluster,
    /// This node's, if it is the leader: another node asks.
    ThisNode,
}

impl ReadIndex {
    pub(crate) fn start(leader: LeaderLink) -> Self {
        let (questions, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(answer(leader, receiver));
        Self { questions }
    }

    /// The committed index of a moment after this call.
    pub(crate) async fn ask(&self, scope: Scope) -> Result<u64, NoIndex> {
        let (reply, index) = oneshot::channel();
        self.questions
            .try_send((scope, reply))
            .map_err(|_| NoIndex)?;
        index.await.unwrap_or(Err(NoIndex))
    }
}

async fn answer(leader: LeaderLink, mut questions: mpsc::Receiver<(Scope, Reply)>) {
    while let Some(first) = questions.recv().await {
        let mut asking = vec![first];
        while let Ok(next) = questions.try_recv() {
            asking.push(next);
        }
        let scope = if asking.iter().any(|(scope, _)| *scope == Scope::Cluster) {
            Scope::Cluster
        } else {
            Scope::ThisNode
        };
        let round = tokio::time::timeout(ROUND_TIMEOUT, round(&leader, scope)).await;
        let index = round.unwrap_or(Err(NoIndex));
        if index.is_err() {
            leader.changed_within(RETRY).await;
        }
        for (scope, reply) in asking {
            let own = matches!(index, Ok((_, Source::ThisNode)));
            let answer = index.map(|(index, _)| index);
            let _ = reply.send(if scope == Scope::Cluster || own {
                answer
            } else {
                Err(NoIndex)
            });
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    ThisNode,
    Other,
}

async fn round(leader: &LeaderLink, scope: Scope) -> Result<(u64, Source), NoIndex> {
    match leader.current().ok_or(NoIndex)? {
        Leader::ThisNode => own_index(leader)
            .await
            .map(|index| (index, Source::ThisNode)),
        Leader::Other(..) if scope == Scope::ThisNode => Err(NoIndex),
        Leader::Other(id, member) => {
            let (mut client, header) = leader.client(id, &member).map_err(|_| NoIndex)?;
            let request = proto::ReadIndexRequest {
                header: Some(header),
            };
            let reply = client.read_index(request).await.map_err(|_| NoIndex)?;
            match reply.into_inner().result {
                Some(proto::read_index_reply::Result::Index(index)) => Ok((index, Source::Other)),
                Some(proto::read_index_reply::Result::NotLeader(_)) | None => Err(NoIndex),
            }
        }
    }
}

async fn own_index(leader: &LeaderLink) -> Result<u64, NoIndex> {
    match leader.raft.get_read_log_id().await {
        Ok((log_id, _)) => Ok(log_id.map_or(0, |id| id.index)),
        Err(RaftError::APIError(
            CheckIsLeaderError::ForwardToLeader(_) | CheckIsLeaderError::QuorumNotEnough(_),
        )) => Err(NoIndex),
        Err(RaftError::Fatal(_)) => Err(NoIndex),
    }
}
