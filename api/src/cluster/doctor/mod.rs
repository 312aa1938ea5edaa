//! What an operator has to know, with what shows it and what to do about it.
//!
//! Each rule is a function of the evidence in a file of its own; it asks nobody and reads no clock.
//! Rules do not repeat each other: a node that does not answer is found once, not once per rule.

mod certificates;
mod clocks;
mod comparison;
mod connections;
mod disks;
mod exposure;
mod flushes;
mod lag;
mod links;
mod nodes;
mod quorum;
mod settings;
mod share_groups;
mod takeovers;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::comparison::Comparison;
use super::evidence::NodeEvidence;

/// What the rules look at.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    pub(crate) nodes: Vec<NodeEvidence>,
    /// The tables side by side, or why they could not be compared.
    pub(crate) tables: Result<Comparison, String>,
}

/// How soon somebody has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Now: service is down, or the next failure takes it down.
    Critical,
    /// Today: something works worse than it should, or soon will.
    Warning,
    /// Good to know.
    Notice,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// Stable: scripts may rely on it.
    pub(crate) code: &'static str,
    /// The node concerned; absent: the cluster as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_id: Option<u64>,
    /// What is the matter, in a sentence.
    pub(crate) message: String,
    /// The figures that show it.
    pub(crate) evidence: BTreeMap<&'static str, Value>,
    /// What to do: a command or a setting.
    pub(crate) fix: String,
}

impl Finding {
    fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            node_id: None,
            message: message.into(),
            evidence: BTreeMap::new(),
            fix: String::new(),
        }
    }

    fn at(mut self, node_id: u64) -> Self {
        self.node_id = Some(node_id);
        self
    }

    fn shown_by(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.evidence.insert(name, value.into());
        self
    }

    fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }
}

/// A rule: what it finds in the evidence.
type Rule = fn(&Evidence) -> Vec<Finding>;

const RULES: [Rule; 14] = [
    quorum::findings,
    nodes::findings,
    lag::findings,
    comparison::findings,
    clocks::findings,
    flushes::findings,
    settings::findings,
    takeovers::findings,
    links::findings,
    disks::findings,
    exposure::findings,
    connections::findings,
    certificates::findings,
    share_groups::findings,
];

/// Everything that the rules find: the worst first, then by code and node.
pub(crate) fn diagnose(evidence: &Evidence) -> Vec<Finding> {
    let mut findings: Vec<_> = RULES.iter().flat_map(|rule| rule(evidence)).collect();
    findings.sort_by_key(|finding| (finding.severity, finding.code, finding.node_id));
    findings
}

#[cfg(test)]
mod tests {
    use super::testing::{codes, healthy, healthy_with, silent};
    use super::*;

    #[test]
    fn a_healthy_cluster_has_no_findings() {
        assert_eq!(diagnose(&healthy()), []);
    }

    #[test]
    fn every_finding_says_what_shows_it_and_what_to_do() {
        let mut evidence = healthy_with(2, |node| {
            node.not_ready = "x".into();
            node.version = "0".into();
            node.disk_free_bytes = 0;
            node.applied_index = 0;
        });
        evidence.nodes[2] = silent(3);
        let findings = diagnose(&evidence);
        assert!(findings.len() > 4, "{findings:?}");
        for finding in findings {
            assert!(!finding.evidence.is_empty(), "{finding:?}");
            assert!(!finding.fix.is_empty(), "{finding:?}");
        }
    }

    #[test]
    fn the_worst_come_first() {
        let mut evidence = healthy_with(2, |node| node.version = "0".into());
        evidence.nodes[2] = silent(3);
        assert_eq!(
            codes(&diagnose(&evidence)),
            ["no_spare_node", "node_unreachable", "version_differs"]
        );
    }
}
