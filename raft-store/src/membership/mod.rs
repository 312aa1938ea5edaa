//! Who is a member, and how that changes while the cluster runs.
//!
//! Raft's log holds the membership; it alone counts, whatever the nodes' own lists of peers say. Changes
//! are asked of any node and made by the leader, one at a time:
//!
//! * A node **joins**: it becomes a learner, catches up, and is then made a voter.
//! * A node **replaces** the lost directory of the same node id: as joining, and in the step that makes it
//!   a voter the lost one ceases to be one. Raft knows directories, not node ids (`identity`), so the empty
//!   log never votes in the place of the full one.
//! * A node **moves**: the same directory at another address.
//! * A node **leaves**: it stops serving, its life ends in the table, and only then do the voters shrink.
//!
//! What was begun is finished by whoever leads (`upkeep`): the leader may die after each step.
//!
//! * `ask`: from any node to the leader.
//! * `admit`, `remove`: the leader's checks and first steps.
//! * `upkeep`: the leader's later steps.

mod admit;
pub(crate) mod ask;
mod remove;
pub(crate) mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use raftmq_proto::v1 as proto;

use crate::batcher::ProposalQueue;
use crate::hand_over::HandOver;
use crate::leader::LeaderLink;
use crate::lives::LivesView;
use crate::local::LocalNode;
use crate::raft_types::{Member, Membership, RaftMetrics};
use crate::table::SharedTable;

/// How long handing over may take.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(5);
/// How long one step may take: a write to the log, an answer of a node.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// What a change does, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipChange {
    /// `joins`, `replaces`, `moves`, `unchanged` or `leaves`.
    pub change: String,
    /// Node ids of the voters before it, ascending.
    pub voters: Vec<u64>,
    /// Node ids of the voters when it is complete, ascending.
    pub voters_after: Vec<u64>,
    /// Those of `voters_after` that are up, a node that joins included.
    pub up_after: Vec<u64>,
}

/// Why the membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// It cannot be done as things are.
    #[error("{reason}")]
    Refused {
        /// Stable, in snake case.
        code: String,
        /// What is in the way, and what to do.
        reason: String,
    },
    /// No leader did it in time. It may have been done in part; asked again, it goes on.
    #[error("{0}")]
    Unavailable(String),
}

/// The change that is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Admit { node_id: u64, address: String },
    Remove { node_id: u64 },
}

/// Whether it is to be done or only to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is done.
    Do,
    /// Only what it would do is told.
    Forecast,
}

/// The leader's part.
pub(crate) struct Members {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) leader: LeaderLink,
    pub(crate) table: Arc<SharedTable>,
    pub(crate) lives: LivesView,
    pub(crate) queue: ProposalQueue,
    pub(crate) hand_over: Arc<HandOver>,
    /// One change at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

fn refused(code: &str, reason: impl Into<String>) -> MembershipError {
    MembershipError::Refused {
        code: code.into(),
        reason: reason.into(),
    }
}

fn unavailable(what: &str, error: &dyn std::fmt::Display) -> MembershipError {
    MembershipError::Unavailable(format!("{what}: {error}"))
}

/// The voters when all that is under way is done.
fn voters(membership: &Membership) -> BTreeSet<u64> {
    let configs = membership.get_joint_config();
    configs.last().cloned().unwrap_or_default()
}

/// Raft ids of a node: more than one while its directory is being replaced.
fn of_node(membership: &Membership, node_id: u64) -> BTreeMap<u64, Member> {
    let of_node = membership
        .nodes()
        .filter(|(_, member)| member.node_id == node_id);
    of_node.map(|(id, member)| (*id, member.clone())).collect()
}

impl Members {
    /// Does a wish, as the leader. `None`: this node does not lead.
    pub(crate) async fn fulfil(
        &self,
        wish: &Wish,
        mode: Mode,
    ) -> Option<Result<MembershipChange, MembershipError>> {
        let _alone = self.changing.lock().await;
        self.leader.leadership()?;
        Some(match wish {
            Wish::Admit { node_id, address } => self.admit(*node_id, address, mode).await,
            // A leader that is to leave hands over, and the next one removes it.
            Wish::Remove { node_id } if *node_id == self.local.node_id && mode == Mode::Do => {
                match self.remove(*node_id, Mode::Forecast).await {
                    Ok(_) if self.hand_over.and_stay(HAND_OVER_LIMIT).await => return None,
                    Ok(_) => Err(MembershipError::Unavailable(
                        "the node leads and could not hand over; try again".into(),
                    )),
                    refused => refused,
                }
            }
            Wish::Remove { node_id } => self.remove(*node_id, mode).await,
        })
    }

    fn metrics(&self) -> RaftMetrics {
        self.leader.raft.metrics().borrow().clone()
    }

    fn membership(&self) -> Membership {
        self.metrics().membership_config.membership().clone()
    }

    fn is_up(&self, node_id: u64) -> bool {
        let lives = self.lives.get();
        lives.get(&node_id).is_some_and(|life| life.is_up)
    }

    /// What becomes of the voters, in node ids. `joining` counts as up.
    fn change(
        &self,
        change: &str,
        membership: &Membership,
        after: &BTreeSet<u64>,
        joining: Option<u64>,
    ) -> MembershipChange {
        let mut known: BTreeMap<u64, u64> = membership
            .nodes()
            .map(|(id, member)| (*id, member.node_id))
            .collect();
        known.extend(joining.map(|node_id| (u64::MAX, node_id)));
        let nodes = |ids: &BTreeSet<u64>| {
            let mut nodes: Vec<u64> = ids.iter().filter_map(|id| known.get(id).copied()).collect();
            nodes.sort_unstable();
            nodes.dedup();
            nodes
        };
        let voters_after = nodes(after);
        let up = |node_id: &&u64| Some(**node_id) == joining || self.is_up(**node_id);
        MembershipChange {
            change: change.into(),
            voters: nodes(&voters(membership)),
            up_after: voters_after.iter().filter(up).copied().collect(),
            voters_after,
        }
    }

    /// One step of Raft's membership; done when it is committed.
    async fn step(&self, change: ChangeMembers<u64, Member>) -> Result<(), MembershipError> {
        let step = self.leader.raft.change_membership(change, false);
        match tokio::time::timeout(STEP_TIMEOUT, step).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unavailable("the membership was not changed", &error)),
            Err(_) => Err(MembershipError::Unavailable(
                "no majority confirmed the change in time".into(),
            )),
        }
    }
}

impl From<proto::MembershipChange> for MembershipChange {
    fn from(done: proto::MembershipChange) -> Self {
        Self {
            change: done.change,
            voters: done.voters,
            voters_after: done.voters_after,
            up_after: done.up_after,
        }
    }
}

impl From<MembershipChange> for proto::MembershipChange {
    fn from(done: MembershipChange) -> Self {
        Self {
            change: done.change,
            voters: done.voters,
            voters_after: done.voters_after,
            up_after: done.up_after,
        }
    }
}
