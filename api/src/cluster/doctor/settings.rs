//! Versions and settings that differ between the nodes that answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::answered;

/// What each node has, by node; a node of another version may not know the setting.
type Values<'a> = BTreeMap<u64, Option<&'a str>>;

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    version(evidence)
        .into_iter()
        .chain(settings(evidence))
        .collect()
}

fn version(evidence: &Evidence) -> Option<Finding> {
    let versions =
        answered(&evidence.nodes).map(|(node, answer)| (node.id, Some(answer.version.as_str())));
    let message = "The nodes run different versions.";
    let finding = Finding::new(Severity::Warning, "version_differs", message)
        .fixed_by("Finish the upgrade: install the newest of these versions on each node and systemctl restart raftmq, one node after the other.");
    differing(finding, versions.collect())
}

fn settings(evidence: &Evidence) -> Vec<Finding> {
    let names: BTreeSet<&String> = answered(&evidence.nodes)
        .flat_map(|(_, answer)| answer.settings.keys())
        .collect();
    let of_name = |name: &String| {
        let value = |answer: &crate::node::InspectReply| answer.settings.contains_key(name);
        let values = answered(&evidence.nodes)
            .filter(|(_, answer)| value(answer))
            .map(|(node, answer)| (node.id, answer.settings.get(name).map(String::as_str)));
        let message = format!("The setting {name} is not the same on all nodes.");
        let finding = Finding::new(Severity::Warning, "setting_differs", message)
            .shown_by("setting", name.as_str())
            .fixed_by(format!("Give {name} the same value in the configuration of every node, check it with raftmq check -f FILE, and restart the nodes one after the other."));
        differing(finding, values.collect())
    };
    names.into_iter().filter_map(of_name).collect()
}

/// The finding with the values, if they differ.
fn differing(finding: Finding, values: Values<'_>) -> Option<Finding> {
    let different: BTreeSet<_> = values.values().collect();
    if different.len() < 2 {
        return None;
    }
    let values = values
        .iter()
        .map(|(id, value)| json!({"node_id": id, "value": value}));
    Some(finding.shown_by("values", values.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy_with};
    use super::*;

    #[test]
    fn another_version_is_found() {
        let findings = findings(&healthy_with(2, |node| node.version = "0.2.0".into()));
        assert_eq!(codes(&findings), ["version_differs"]);
        assert_eq!(
            findings[0].evidence["values"][1],
            json!({"node_id": 2, "value": "0.2.0"})
        );
    }

    #[test]
    fn a_setting_that_differs_is_named_with_its_values() {
        let change = |node: &mut crate::node::InspectReply| {
            node.settings.insert("mqtt.max_qos".into(), "1".into());
        };
        let findings = findings(&healthy_with(3, change));
        assert_eq!(codes(&findings), ["setting_differs"]);
        assert_eq!(findings[0].evidence["setting"], "mqtt.max_qos");
        assert_eq!(findings[0].evidence["values"][2]["value"], "1");
    }

    #[test]
    fn a_setting_that_a_node_does_not_know_yet_is_no_difference() {
        let evidence = healthy_with(3, |node| {
            node.settings.insert("mqtt.new".into(), "1".into());
        });
        assert_eq!(findings(&evidence), []);
    }
}
