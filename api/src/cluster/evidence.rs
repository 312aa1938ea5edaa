//! What every node says of itself, asked at the same time, and what this node concludes from it.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::api::Api;
use crate::node::{InspectReply, MemberState, Node};

/// One node of the cluster.
#[derive(Debug, Clone)]
pub(crate) struct NodeEvidence {
    pub(crate) id: u64,
    /// `{id}@{address}`.
    pub(crate) name: String,
    /// What it says, or why it says nothing.
    pub(crate) answer: Result<InspectReply, String>,
    pub(crate) clock: Option<ClockReading>,
}

/// Another node's clock beside this one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// Positive: its clock is ahead. Half of the round trip is taken as the way of the answer.
    pub(crate) offset_ms: i64,
    /// The offset may be wrong by so much in either direction.
    pub(crate) uncertainty_ms: u64,
}

impl ClockReading {
    /// From this node's clock before the question, how long the answer took, and the clock in it.
    pub(crate) fn new(asked_at_ms: u64, round_trip_ms: u64, answered_ms: u64) -> Self {
        let here = asked_at_ms.saturating_add(round_trip_ms / 2);
        let offset_ms = i64::try_from(i128::from(answered_ms) - i128::from(here));
        Self {
            offset_ms: offset_ms.unwrap_or(i64::MAX),
            uncertainty_ms: round_trip_ms.div_ceil(2),
        }
    }
}

/// Asks all nodes; each has the usual deadline.
pub(crate) async fn gather(api: &Api) -> Vec<NodeEvidence> {
    let answers = api.ask_all(|node| Box::pin(question(node))).await;
    let evidence = answers.into_iter().map(|(member, answer)| {
        let (clock, answer) = match answer {
            Ok((clock, answer)) => (clock, Ok(answer)),
            Err(error) => (None, Err(error.to_string())),
        };
        NodeEvidence {
            id: member.id,
            name: member.name,
            answer,
            clock,
        }
    });
    evidence.collect()
}

async fn question(
    node: Arc<dyn Node>,
) -> Result<(Option<ClockReading>, InspectReply), crate::NodeError> {
    let answer = node.inspect().await?;
    // The connection is up now, so the round trip is that of the question alone.
    Ok((read_clock(node.as_ref()).await, answer))
}

async fn read_clock(node: &dyn Node) -> Option<ClockReading> {
    let asked_at = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let began = Instant::now();
    let answered_ms = node.broker().await.ok()?.now_ms;
    let round_trip_ms = u64::try_from(began.elapsed().as_millis()).ok()?;
    let asked_at_ms = u64::try_from(asked_at.as_millis()).ok()?;
    Some(ClockReading::new(asked_at_ms, round_trip_ms, answered_ms))
}

/// Those that answered.
pub(crate) fn answered(
    nodes: &[NodeEvidence],
) -> impl Iterator<Item = (&NodeEvidence, &InspectReply)> {
    nodes
        .iter()
        .filter_map(|node| node.answer.as_ref().ok().map(|answer| (node, answer)))
}

/// Who leads, and in which term. A leader of an earlier term, cut off from the others, does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub(crate) leader: Option<u64>,
    pub(crate) term: u64,
}

pub(crate) fn leadership(nodes: &[NodeEvidence]) -> Leadership {
    let term = answered(nodes).map(|(_, answer)| answer.term).max();
    let term = term.unwrap_or(0);
    let leader = answered(nodes)
        .filter(|(_, answer)| answer.term == term && answer.leader != 0)
        .map(|(_, answer)| answer.leader)
        .next();
    Leadership { leader, term }
}

/// The members of the cluster, as the leader sees them, or else as anybody does.
pub(crate) fn members(nodes: &[NodeEvidence]) -> &[MemberState] {
    let leader = leadership(nodes).leader;
    let told = answered(nodes)
        .max_by_key(|(node, answer)| (Some(node.id) == leader, answer.members.len(), answer.term));
    told.map_or(&[], |(_, answer)| &answer.members)
}

/// How many log entries a node is behind the longest log.
pub(crate) fn lag(nodes: &[NodeEvidence], answer: &InspectReply) -> u64 {
    let last = answered(nodes)
        .filter(|(_, other)| other.term == answer.term)
        .map(|(_, other)| other.last_log_index)
        .max();
    last.unwrap_or(0).saturating_sub(answer.applied_index)
}

#[cfg(test)]
mod tests {
    use super::super::doctor::testing::{node, silent};
    use super::*;

    #[test]
    fn half_of_the_round_trip_is_the_way_of_the_answer() {
        let reading = ClockReading::new(1_000, 20, 1_010);
        assert_eq!((reading.offset_ms, reading.uncertainty_ms), (0, 10));
        assert_eq!(ClockReading::new(1_000, 0, 400).offset_ms, -600);
        assert_eq!(ClockReading::new(0, 0, u64::MAX).offset_ms, i64::MAX);
    }

    #[test]
    fn the_leader_is_that_of_the_highest_term() {
        let nodes = [
            node(1, |n| (n.term, n.leader) = (3, 1)),
            node(2, |n| (n.term, n.leader) = (4, 2)),
        ];
        let expected = Leadership {
            leader: Some(2),
            term: 4,
        };
        assert_eq!(leadership(&nodes), expected);
    }

    #[test]
    fn a_new_term_without_a_leader_has_none() {
        let nodes = [
            node(1, |n| (n.term, n.leader) = (3, 1)),
            node(2, |n| (n.term, n.leader) = (4, 0)),
            silent(3),
        ];
        assert_eq!(leadership(&nodes).leader, None);
        assert_eq!(
            leadership(&[silent(1)]),
            Leadership {
                leader: None,
                term: 0
            }
        );
    }

    #[test]
    fn the_lag_is_measured_from_the_longest_log() {
        let nodes = [
            node(1, |n| n.last_log_index = 90),
            node(2, |n| n.applied_index = 60),
        ];
        let lags: Vec<_> = answered(&nodes)
            .map(|(_, answer)| lag(&nodes, answer))
            .collect();
        assert_eq!(lags, [40, 30]);
    }
}
