//! How many more failures the cluster survives, and whether anybody leads it.

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::{NodeEvidence, leadership, members};

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    let votes = Votes::count(&evidence.nodes);
    votes
        .finding()
        .into_iter()
        .chain(leader(evidence))
        .collect()
}

struct Votes {
    voters: usize,
    /// Voters that answer and serve.
    healthy: usize,
    majority: usize,
}

impl Votes {
    fn count(nodes: &[NodeEvidence]) -> Self {
        let serves = |id: u64| {
            let node = nodes.iter().find(|node| node.id == id);
            let answer = node.and_then(|node| node.answer.as_ref().ok());
            // A draining node votes, and serves who is still there.
            answer.is_some_and(|answer| answer.not_ready.is_empty() || answer.drain.is_some())
        };
        let members = members(nodes).iter().filter(|member| member.is_voter);
        let mut voters: Vec<u64> = members.map(|member| member.node_id).collect();
        if voters.is_empty() {
            // Nobody says who votes: all nodes that are known.
            voters.extend(nodes.iter().map(|node| node.id));
        }
        let healthy = voters.iter().filter(|id| serves(**id)).count();
        let voters = voters.len();
        Self {
            voters,
            healthy,
            majority: voters / 2 + 1,
        }
    }

    fn finding(&self) -> Option<Finding> {
        let (voters, healthy, majority) = (self.voters, self.healthy, self.majority);
        let finding = if healthy < majority {
            let message = format!(
                "Only {healthy} of {voters} nodes serve; {majority} are needed. The cluster takes no connections and no subscriptions."
            );
            Finding::new(Severity::Critical, "no_quorum", message).fixed_by(
                "Start the nodes that are down: systemctl start raftmq on each of their machines.",
            )
        } else if voters == 1 {
            let message = "The cluster has one node: it survives no failure.";
            Finding::new(Severity::Notice, "single_node", message)
                .fixed_by("Run three nodes: raftmq run --id N --peers 1@host1:5363,2@host2:5363,3@host3:5363 on each of three machines.")
        } else if healthy == majority {
            let message =
                format!("{healthy} of {voters} nodes serve; one more failure stops the service.");
            Finding::new(Severity::Critical, "no_spare_node", message)
                .fixed_by("Bring the node that is down back before anything else is touched: systemctl start raftmq on its machine.")
        } else {
            return None;
        };
        Some(
            finding
                .shown_by("voters", voters)
                .shown_by("serving", healthy)
                .shown_by("needed", majority),
        )
    }
}

fn leader(evidence: &Evidence) -> Option<Finding> {
    let found = leadership(&evidence.nodes);
    if found.leader.is_some() {
        return None;
    }
    let finding = Finding::new(
        Severity::Critical,
        "no_leader",
        "No node that answers knows a leader.",
    );
    Some(finding.shown_by("term", found.term).fixed_by(
        "Start the nodes that are down, and see that all nodes reach each other's rpc port: nc -z HOST 5363 from each to each.",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy, healthy_with, node, silent};
    use super::*;

    #[test]
    fn three_of_three_can_spare_one() {
        assert_eq!(findings(&healthy()), []);
    }

    #[test]
    fn two_of_three_can_spare_none() {
        let mut evidence = healthy();
        evidence.nodes[2] = silent(3);
        assert_eq!(codes(&findings(&evidence)), ["no_spare_node"]);
        let not_ready = healthy_with(3, |node| node.not_ready = "joining".into());
        assert_eq!(codes(&findings(&not_ready)), ["no_spare_node"]);
    }

    #[test]
    fn one_of_three_is_no_quorum() {
        let mut evidence = healthy();
        evidence.nodes[1] = silent(2);
        evidence.nodes[2] = silent(3);
        assert_eq!(codes(&findings(&evidence)), ["no_quorum"]);
        assert_eq!(findings(&evidence)[0].evidence["needed"], 2);
    }

    #[test]
    fn without_a_single_answer_there_is_neither_quorum_nor_leader() {
        let mut evidence = healthy();
        evidence.nodes = (1..=3).map(silent).collect();
        assert_eq!(codes(&findings(&evidence)), ["no_quorum", "no_leader"]);
    }

    #[test]
    fn a_cluster_of_one_is_told_so() {
        let mut evidence = healthy();
        evidence.nodes = vec![node(1, |node| node.members.truncate(1))];
        assert_eq!(codes(&findings(&evidence)), ["single_node"]);
    }

    #[test]
    fn a_cluster_that_elects_has_no_leader() {
        let mut evidence = healthy();
        evidence.nodes = (1..=3).map(|id| node(id, |node| node.leader = 0)).collect();
        assert_eq!(codes(&findings(&evidence)), ["no_leader"]);
    }
}
