//! Nodes that can take few more connections.

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::answered;

/// Of the connections that a node may have, in percent.
const NEAR_PERCENT: u64 = 80;
const FULL_PERCENT: u64 = 95;

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    let near = answered(&evidence.nodes).filter_map(|(node, answer)| {
        let (open, most) = (answer.connections, answer.connections_max);
        let percent = open.saturating_mul(100).checked_div(most)?;
        let severity = match percent {
            FULL_PERCENT.. => Severity::Critical,
            NEAR_PERCENT.. => Severity::Warning,
            _ => return None,
        };
        let message = format!("Node {} has {open} of {most} connections.", node.name);
        Some(
            Finding::new(severity, "connections_near_limit", message)
                .at(node.id)
                .shown_by("connections", open)
                .shown_by("connections_max", most)
                .fixed_by("Raise mqtt.max_connections and the limit of open files (LimitNOFILE in the unit, ulimit -n), whichever is lower; or add nodes."),
        )
    });
    near.collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy_with};
    use super::*;

    fn with_connections(open: u64, most: u64) -> Vec<Finding> {
        findings(&healthy_with(2, |node| {
            (node.connections, node.connections_max) = (open, most);
        }))
    }

    #[test]
    fn four_fifths_are_near_the_limit() {
        assert_eq!(with_connections(79, 100), []);
        assert_eq!(
            codes(&with_connections(80, 100)),
            ["connections_near_limit"]
        );
        assert_eq!(with_connections(95, 100)[0].severity, Severity::Critical);
    }

    #[test]
    fn an_unknown_limit_is_no_finding() {
        assert_eq!(with_connections(5, 0), []);
    }
}
