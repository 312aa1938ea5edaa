//! Nodes that are behind: every SUBACK in the cluster waits for the slowest of those that serve.

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::{answered, lag};

/// Entries that a healthy node is never behind for long, also when the cluster is busy.
const LAG_ENTRIES: u64 = 1_000;

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    let behind = answered(&evidence.nodes).filter_map(|(node, answer)| {
        let lag = lag(&evidence.nodes, answer);
        let message = format!("Node {} is {lag} log entries behind.", node.name);
        (lag >= LAG_ENTRIES).then(|| {
            Finding::new(Severity::Warning, "node_lags", message)
                .at(node.id)
                .shown_by("lag", lag)
                .shown_by("applied_index", answer.applied_index)
                .fixed_by("See whether its disk or its processor is the bottleneck (iostat -x 1, top); GET /api/v1/cluster shows its flush times. Give it the hardware of the others.")
        })
    });
    behind.collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy_with};
    use super::*;

    #[test]
    fn a_node_that_is_far_behind_is_found() {
        let evidence = |applied| {
            healthy_with(2, |node| {
                node.last_log_index = 5_000;
                node.applied_index = applied;
            })
        };
        let found = findings(&evidence(4_001));
        assert!(
            found.iter().all(|finding| finding.node_id != Some(2)),
            "{found:?}"
        );
        let found = findings(&evidence(4_000));
        assert!(codes(&found).contains(&"node_lags"));
        let own = found.iter().find(|finding| finding.node_id == Some(2));
        assert_eq!(own.map(|f| f.evidence["lag"].clone()), Some(1_000.into()));
    }
}
