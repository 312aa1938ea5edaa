//! Disks that fill up: below 16 MiB a node ends its service.

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::{NodeEvidence, answered};
use crate::node::InspectReply;

const MIB: u64 = 1 << 20;
/// Free space at which a burst of retained messages and a snapshot can end the service.
const FREE_BYTES_CRITICAL: u64 = 256 * MIB;
const FREE_BYTES: u64 = 1024 * MIB;
const FREE_PERCENT: u64 = 5;

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    answered(&evidence.nodes)
        .filter_map(|(node, answer)| finding(node, answer))
        .collect()
}

fn finding(node: &NodeEvidence, answer: &InspectReply) -> Option<Finding> {
    let (free, total) = (answer.disk_free_bytes, answer.disk_total_bytes);
    let is_low = free < FREE_BYTES || free.saturating_mul(100) < total.saturating_mul(FREE_PERCENT);
    // 0 in total: the system does not say.
    if total == 0 || !is_low {
        return None;
    }
    let severity = match free < FREE_BYTES_CRITICAL {
        true => Severity::Critical,
        false => Severity::Warning,
    };
    let message = format!(
        "The disk of node {} has {} MiB left.",
        node.name,
        free / MIB
    );
    Some(
        Finding::new(severity, "low_disk", message)
            .at(node.id)
            .shown_by("free_bytes", free)
            .shown_by("total_bytes", total)
            .shown_by("log_bytes", answer.log_disk_bytes)
            .fixed_by("Make room on the file system of node.data_dir (df -h, du -xh --max-depth=2), or move the data directory to a larger one while the node is stopped."),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy_with};
    use super::*;

    fn with_disk(free: u64, total: u64) -> Vec<Finding> {
        findings(&healthy_with(2, |node| {
            (node.disk_free_bytes, node.disk_total_bytes) = (free, total);
        }))
    }

    #[test]
    fn little_room_is_found_by_bytes_and_by_percent() {
        assert_eq!(with_disk(50 << 30, 1_000 << 30), []);
        assert_eq!(
            with_disk(49 << 30, 1_000 << 30)[0].severity,
            Severity::Warning
        );
        assert_eq!(codes(&with_disk(1023 * MIB, 2 << 30)), ["low_disk"]);
        assert_eq!(
            with_disk(255 * MIB, 2 << 30)[0].severity,
            Severity::Critical
        );
    }

    #[test]
    fn a_disk_that_is_not_known_is_no_finding() {
        assert_eq!(with_disk(0, 0), []);
    }
}
