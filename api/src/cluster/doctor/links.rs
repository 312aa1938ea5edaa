//! Links between nodes that are down, full, or do not move.

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::answered;
use crate::node::LinkState;

/// Part of its window from which on a link counts as full, in percent.
const FULL_PERCENT: u64 = 80;
/// Age of a batch that a peer in good health has acknowledged long ago.
const STALLED_MS: u64 = 5_000;

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    let answers = |id: u64| {
        evidence
            .nodes
            .iter()
            .any(|n| n.id == id && n.answer.is_ok())
    };
    let links = answered(&evidence.nodes)
        .flat_map(|(node, answer)| answer.links.iter().map(move |link| (node.id, link)));
    // To a node that does not answer nothing gets through; that is found by another rule.
    let links = links.filter(|(_, link)| answers(link.peer));
    links
        .filter_map(|(node, link)| finding(node, link))
        .collect()
}

fn finding(node: u64, link: &LinkState) -> Option<Finding> {
    let held = link.queued_bytes.saturating_add(link.in_flight_bytes);
    let peer = link.peer;
    let finding = if !link.up {
        let message =
            format!("The link from node {node} to node {peer} is down, though both answer.");
        Finding::new(Severity::Critical, "link_down", message).fixed_by(format!(
            "See that node {node} reaches the rpc port of node {peer}: nc -z HOST 5363; journalctl -u raftmq on node {node} has the reason (\"link is down\")."
        ))
    } else if held.saturating_mul(100) >= link.window_bytes.saturating_mul(FULL_PERCENT) {
        let message = format!(
            "The link from node {node} to node {peer} is full: QoS 0 is dropped and publishers of QoS 1 and 2 wait."
        );
        Finding::new(Severity::Warning, "link_full", message).fixed_by(
            "See whether the network between the nodes or the receiving node is the bottleneck; for bursts raise cluster.link_window.",
        )
    } else if link.oldest_unacknowledged_ms >= STALLED_MS {
        let message = format!("Node {peer} takes nothing from its link with node {node}.");
        Finding::new(Severity::Warning, "link_stalled", message).fixed_by(format!(
            "See what node {peer} does (top, journalctl -u raftmq); if it hangs: systemctl restart raftmq on its machine."
        ))
    } else {
        return None;
    };
    Some(
        finding
            .at(node)
            .shown_by("peer", peer)
            .shown_by("held_bytes", held)
            .shown_by("window_bytes", link.window_bytes)
            .shown_by("oldest_unacknowledged_ms", link.oldest_unacknowledged_ms)
            .shown_by("dropped", link.dropped),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy_with, silent};
    use super::*;

    /// Node 1's link to node 2, changed.
    fn with_link(change: impl FnOnce(&mut LinkState)) -> Evidence {
        healthy_with(1, |node| change(&mut node.links[0]))
    }

    #[test]
    fn a_link_that_is_down_between_two_nodes_that_answer_is_found() {
        let findings = findings(&with_link(|link| link.up = false));
        assert_eq!(codes(&findings), ["link_down"]);
        assert_eq!(
            (findings[0].node_id, &findings[0].evidence["peer"]),
            (Some(1), &2.into())
        );
    }

    #[test]
    fn a_link_to_a_node_that_does_not_answer_is_another_rules_finding() {
        let mut evidence = with_link(|link| link.up = false);
        evidence.nodes[1] = silent(2);
        assert_eq!(findings(&evidence), []);
    }

    #[test]
    fn a_link_is_full_before_its_window_is_used_up() {
        let held = |bytes| {
            with_link(|link| {
                (link.window_bytes, link.queued_bytes, link.in_flight_bytes) = (1_000, bytes, 400)
            })
        };
        assert_eq!(findings(&held(399)), []);
        assert_eq!(codes(&findings(&held(400))), ["link_full"]);
    }

    #[test]
    fn a_link_that_does_not_move_is_found() {
        let age = |ms| with_link(|link| link.oldest_unacknowledged_ms = ms);
        assert_eq!(findings(&age(4_999)), []);
        assert_eq!(codes(&findings(&age(5_000))), ["link_stalled"]);
    }
}
