//! A wish, from any node to the leader.

use std::time::{Duration, Instant};

use raftmq_proto::v1::{self as proto, membership_reply::Result as Reply, membership_request};

use super::{MembershipChange, MembershipError, Mode, Wish};
use crate::leader::Leader;
use crate::raft_types::Member;
use crate::store::Store;

/// Within this time a leader is found, and within this time it answers.
const FIND_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);
const RETRY: Duration = Duration::from_millis(50);

impl Store {
    /// Lets a running node into the cluster: a new one, one whose directory was lost and is empty now, or
    /// one that has moved to another address. Done when the first step is: a newcomer is then a learner,
    /// and becomes a voter when it has caught up. Idempotent.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn admit(
        &self,
        node_id: u64,
        address: &str,
        mode: Mode,
    ) -> Result<MembershipChange, MembershipError> {
        let address = address.to_owned();
        self.wish(&Wish::Admit { node_id, address }, mode).await
    }

    /// Takes a node out of the cluster, for good. A node that is up stops serving first; a leader hands
    /// over first. Its data directory can never come back. Idempotent but for the answer.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn remove(
        &self,
        node_id: u64,
        mode: Mode,
    ) -> Result<MembershipChange, MembershipError> {
        self.wish(&Wish::Remove { node_id }, mode).await
    }

    async fn wish(&self, wish: &Wish, mode: Mode) -> Result<MembershipChange, MembershipError> {
        let end = Instant::now() + FIND_TIMEOUT;
        let mut may_be_done = false;
        loop {
            let again = match self.ask_leader(wish, mode).await {
                Ok(answer) if may_be_done => return done_before(wish, answer),
                Ok(answer) => return answer,
                Err(again) => again,
            };
            may_be_done |= again == Again::LeaderLost;
            if Instant::now() > end {
                return Err(MembershipError::Unavailable("there is no leader".into()));
            }
            self.inner.leader.changed_within(RETRY).await;
        }
    }

    async fn ask_leader(&self, wish: &Wish, mode: Mode) -> Result<Answer, Again> {
        match self.inner.leader.current().ok_or(Again::NotLeader)? {
            Leader::ThisNode => {
                let answer = self.inner.members.fulfil(wish, mode).await;
                answer.ok_or(Again::NotLeader)
            }
            Leader::Other(id, member) => self.forward(id, &member, wish, mode).await,
        }
    }

    async fn forward(
        &self,
        id: u64,
        member: &Member,
        wish: &Wish,
        mode: Mode,
    ) -> Result<Answer, Again> {
        let client = self.inner.leader.client(id, member);
        let (mut client, header) = client.map_err(|_| Again::NotLeader)?;
        let request = proto::MembershipRequest {
            header: Some(header),
            change: Some(wish.clone().into()),
            dry_run: mode == Mode::Forecast,
        };
        let asked = client.change_membership(request);
        let reply = match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(Ok(reply)) => reply.into_inner().result,
            // It may have died while it was at it; its successor is asked.
            Ok(Err(_)) => return Err(Again::LeaderLost),
            Err(_) => {
                let why = "the leader did not answer in time".to_owned();
                return Ok(Err(MembershipError::Unavailable(why)));
            }
        };
        match reply.ok_or(Again::NotLeader)? {
            Reply::NotLeader(_) => Err(Again::NotLeader),
            Reply::Done(done) => Ok(Ok(done.into())),
            Reply::Refused(proto::MembershipRefusal { code, reason }) => {
                Ok(Err(MembershipError::Refused { code, reason }))
            }
            Reply::Unavailable(why) => Ok(Err(MembershipError::Unavailable(why))),
        }
    }
}

type Answer = Result<MembershipChange, MembershipError>;

/// Why the leader has to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// Another node leads, or none.
    NotLeader,
    /// It did not answer, and may have done it.
    LeaderLost,
}

/// A removal that an earlier leader completed before it was lost shows as a node that is not there.
fn done_before(wish: &Wish, answer: Answer) -> Answer {
    match (wish, answer) {
        (Wish::Remove { .. }, Err(MembershipError::Refused { code, .. }))
            if code == "unknown_node" =>
        {
            Ok(MembershipChange {
                change: "leaves".into(),
                ..MembershipChange::default()
            })
        }
        (_, answer) => answer,
    }
}

impl From<Wish> for membership_request::Change {
    fn from(wish: Wish) -> Self {
        match wish {
            Wish::Admit { node_id, address } => Self::Admit(proto::AdmitNode { node_id, address }),
            Wish::Remove { node_id } => Self::Remove(proto::RemoveNode { node_id }),
        }
    }
}

impl From<membership_request::Change> for Wish {
    fn from(change: membership_request::Change) -> Self {
        match change {
            membership_request::Change::Admit(proto::AdmitNode { node_id, address }) => {
                Self::Admit { node_id, address }
            }
            membership_request::Change::Remove(proto::RemoveNode { node_id }) => {
                Self::Remove { node_id }
            }
        }
    }
}

/// The answer to another node.
pub(crate) fn reply(
    answer: Option<Result<MembershipChange, MembershipError>>,
) -> proto::MembershipReply {
    let result = match answer {
        None => Reply::NotLeader(proto::NotLeader { leader_id: 0 }),
        Some(Ok(done)) => Reply::Done(done.into()),
        Some(Err(MembershipError::Refused { code, reason })) => {
            Reply::Refused(proto::MembershipRefusal { code, reason })
        }
        Some(Err(MembershipError::Unavailable(why))) => Reply::Unavailable(why),
    };
    proto::MembershipReply {
        result: Some(result),
    }
}
