//! Disks that take long to keep a log entry. Each CONNECT and SUBSCRIBE waits for a majority of the
//! disks, and a round trip with the flush has to fit into `cluster.heartbeat`.

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::{NodeEvidence, answered};
use crate::node::{FlushState, InspectReply};

/// A single flush of so many heartbeats is one during which followers may have elected another leader.
const STALL_HEARTBEATS: u64 = 3;
/// Fewer flushes than this say nothing about a disk.
const FLUSHES_MIN: u64 = 16;

const FIX: &str = "Put node.data_dir on a faster disk (an SSD of its own), or raise cluster.heartbeat, election_min, election_max and lease together on all nodes.";

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    answered(&evidence.nodes)
        .filter_map(|(node, answer)| finding(node, answer))
        .collect()
}

fn finding(node: &NodeEvidence, answer: &InspectReply) -> Option<Finding> {
    let flushes = answer
        .flushes
        .filter(|flushes| flushes.count >= FLUSHES_MIN)?;
    let heartbeat_us = answer.heartbeat_ms.saturating_mul(1_000);
    let (severity, code, message) = if flushes.average_us.saturating_mul(2) >= heartbeat_us {
        let message = format!(
            "The disk of node {} takes long to keep a log entry.",
            node.name
        );
        let severity = match flushes.average_us < heartbeat_us {
            true => Severity::Warning,
            false => Severity::Critical,
        };
        (severity, "slow_flush", message)
    } else if flushes.slowest_us >= heartbeat_us.saturating_mul(STALL_HEARTBEATS) {
        let message = format!("The disk of node {} stood still for a moment.", node.name);
        (Severity::Notice, "flush_stalled", message)
    } else {
        return None;
    };
    Some(
        shown(
            Finding::new(severity, code, message),
            flushes,
            answer.heartbeat_ms,
        )
        .at(node.id),
    )
}

fn shown(finding: Finding, flushes: FlushState, heartbeat_ms: u64) -> Finding {
    finding
        .shown_by("average_us", flushes.average_us)
        .shown_by("slowest_us", flushes.slowest_us)
        .shown_by("heartbeat_ms", heartbeat_ms)
        .fixed_by(FIX)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy_with};
    use super::*;

    fn with_flushes(count: u64, average_us: u64, slowest_us: u64) -> Vec<Finding> {
        let flushes = FlushState {
            count,
            average_us,
            slowest_us,
        };
        findings(&healthy_with(2, |node| node.flushes = Some(flushes)))
    }

    #[test]
    fn a_flush_of_half_a_heartbeat_is_slow() {
        assert_eq!(with_flushes(100, 49_999, 60_000), []);
        let slow = with_flushes(100, 50_000, 60_000);
        assert_eq!(
            (codes(&slow), slow[0].severity),
            (vec!["slow_flush"], Severity::Warning)
        );
        assert_eq!(
            with_flushes(100, 100_000, 0)[0].severity,
            Severity::Critical
        );
    }

    #[test]
    fn a_single_long_flush_is_a_stall() {
        assert_eq!(codes(&with_flushes(100, 900, 300_000)), ["flush_stalled"]);
        assert_eq!(with_flushes(100, 900, 299_999), []);
    }

    #[test]
    fn a_few_flushes_say_nothing() {
        assert_eq!(with_flushes(15, 900_000, 900_000), []);
    }
}
