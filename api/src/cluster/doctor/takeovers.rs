//! Clients that throw each other out: two devices with one client identifier reconnect for ever.

use std::collections::BTreeMap;

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::answered;

/// Takeovers from a connected client within one to two minutes. A device that roams does it once or
/// twice.
const TAKEOVERS: u64 = 10;
/// Identifiers named; a fleet with one identifier has one, a broken fleet has thousands.
const NAMED_MAX: usize = 10;

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    // Every node sees every takeover, but for those before its start.
    for takeover in answered(&evidence.nodes).flat_map(|(_, answer)| &answer.takeovers) {
        let count = counts.entry(&takeover.client_id).or_default();
        *count = takeover.count.max(*count);
    }
    let mut storms: Vec<_> = counts
        .into_iter()
        .filter(|(_, count)| *count >= TAKEOVERS)
        .collect();
    storms.sort_by_key(|(client_id, count)| (std::cmp::Reverse(*count), *client_id));
    storms.into_iter().take(NAMED_MAX).map(storm).collect()
}

fn storm((client_id, count): (&str, u64)) -> Finding {
    let message = format!(
        "Connections with the client identifier '{client_id}' throw each other out all the time."
    );
    Finding::new(Severity::Warning, "takeover_storm", message)
        .shown_by("client_id", client_id)
        .shown_by("takeovers", count)
        .fixed_by("Give each device an identifier of its own. GET /api/v1/clients/CLIENTID shows the address of the one that is connected now.")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy};
    use super::*;
    use crate::node::TakeoverCount;

    fn with_takeovers(counts: &[(usize, &str, u64)]) -> Vec<Finding> {
        let mut evidence = healthy();
        for (at, client_id, count) in counts {
            if let Ok(answer) = &mut evidence.nodes[*at].answer {
                answer.takeovers.push(TakeoverCount {
                    client_id: (*client_id).into(),
                    count: *count,
                });
            }
        }
        findings(&evidence)
    }

    #[test]
    fn a_storm_is_found_once_though_every_node_saw_it() {
        let findings = with_takeovers(&[(0, "twin", 10), (1, "twin", 12), (2, "twin", 9)]);
        assert_eq!(codes(&findings), ["takeover_storm"]);
        assert_eq!(findings[0].evidence["takeovers"], 12);
    }

    #[test]
    fn a_few_takeovers_are_none() {
        assert_eq!(with_takeovers(&[(0, "roams", 9)]), []);
    }

    #[test]
    fn the_worst_are_named_and_no_more_than_ten() {
        let ids: Vec<String> = (0..20).map(|n| format!("c{n:02}")).collect();
        let counts: Vec<_> = ids
            .iter()
            .enumerate()
            .map(|(n, id)| (0, id.as_str(), 10 + n as u64))
            .collect();
        let findings = with_takeovers(&counts);
        assert_eq!(findings.len(), 10);
        assert_eq!(findings[0].evidence["client_id"], "c19");
    }
}
