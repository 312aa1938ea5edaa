//! Clocks that differ: expiries and wills go by the clock of the node that proposes them.

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::NodeEvidence;

/// From here on a difference is worth a look.
const SKEW_MS: u64 = 1_000;
/// From here on sessions and messages expire visibly early or late.
const SKEW_MS_CRITICAL: u64 = 60_000;

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    evidence.nodes.iter().filter_map(finding).collect()
}

fn finding(node: &NodeEvidence) -> Option<Finding> {
    let clock = node.clock?;
    // What is certain of it.
    let skew = clock
        .offset_ms
        .unsigned_abs()
        .saturating_sub(clock.uncertainty_ms);
    if skew < SKEW_MS {
        return None;
    }
    let severity = match skew < SKEW_MS_CRITICAL {
        true => Severity::Warning,
        false => Severity::Critical,
    };
    let direction = match clock.offset_ms > 0 {
        true => "ahead of",
        false => "behind",
    };
    let message = format!(
        "The clock of node {} is {skew} ms {direction} that of the asked node.",
        node.name
    );
    Some(
        Finding::new(severity, "clock_skew", message)
            .at(node.id)
            .shown_by("offset_ms", clock.offset_ms)
            .shown_by("uncertainty_ms", clock.uncertainty_ms)
            .fixed_by("Let the time service set the clocks: timedatectl set-ntp true on each machine; timedatectl timesync-status shows the source."),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy};
    use super::*;
    use crate::cluster::evidence::ClockReading;

    fn with_clock(offset_ms: i64, uncertainty_ms: u64) -> Vec<Finding> {
        let mut evidence = healthy();
        evidence.nodes[1].clock = Some(ClockReading {
            offset_ms,
            uncertainty_ms,
        });
        findings(&evidence)
    }

    #[test]
    fn a_clock_that_is_off_by_a_second_is_found_in_either_direction() {
        for offset_ms in [1_100, -1_100] {
            let findings = with_clock(offset_ms, 50);
            assert_eq!(codes(&findings), ["clock_skew"]);
            assert_eq!(
                (findings[0].node_id, findings[0].severity),
                (Some(2), Severity::Warning)
            );
        }
        assert_eq!(with_clock(-3_600_000, 50)[0].severity, Severity::Critical);
    }

    #[test]
    fn a_slow_answer_proves_nothing() {
        assert_eq!(with_clock(1_100, 500), []);
    }

    #[test]
    fn a_clock_that_could_not_be_read_is_no_finding() {
        let mut evidence = healthy();
        evidence.nodes[1].clock = None;
        assert_eq!(findings(&evidence), []);
    }
}
