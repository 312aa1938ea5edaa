//! Nodes that do not answer, and nodes that answer and do not serve.

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::NodeEvidence;

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    evidence.nodes.iter().filter_map(finding).collect()
}

fn finding(node: &NodeEvidence) -> Option<Finding> {
    let (code, message, why) = match &node.answer {
        Err(error) => (
            "node_unreachable",
            format!("Node {} does not answer.", node.name),
            error,
        ),
        Ok(answer) if answer.drain.is_some() => return Some(draining(node)),
        Ok(answer) if !answer.not_ready.is_empty() => (
            "node_not_ready",
            format!("Node {} answers and does not serve clients.", node.name),
            &answer.not_ready,
        ),
        Ok(_) => return None,
    };
    let fix = match code {
        "node_unreachable" => {
            "On its machine: systemctl status raftmq says whether it runs, journalctl -u raftmq why it ended; systemctl start raftmq."
        }
        _ => {
            "Wait while it joins or catches up. If the reason stays: systemctl restart raftmq on its machine, and read journalctl -u raftmq."
        }
    };
    let finding = Finding::new(Severity::Critical, code, message).at(node.id);
    Some(finding.shown_by("reason", why.as_str()).fixed_by(fix))
}

fn draining(node: &NodeEvidence) -> Finding {
    let (id, name) = (node.id, &node.name);
    let progress = node.answer.as_ref().ok().and_then(|a| a.drain.as_ref());
    let step = progress.map_or("", |progress| progress.step.as_str());
    let message = format!("Node {name} is draining: it takes no clients.");
    Finding::new(Severity::Notice, "node_draining", message)
        .at(id)
        .shown_by("step", step)
        .shown_by("clients", progress.map_or(0, |progress| progress.clients))
        .fixed_by(format!(
            "When it is to take clients again: raftmq ctl undrain {id}."
        ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy, healthy_with, silent};
    use super::*;
    use crate::node::DrainProgress;

    #[test]
    fn a_silent_node_is_named_with_the_error() {
        let mut evidence = healthy();
        evidence.nodes[1] = silent(2);
        let findings = findings(&evidence);
        assert_eq!(codes(&findings), ["node_unreachable"]);
        assert_eq!(findings[0].node_id, Some(2));
        assert_eq!(findings[0].evidence["reason"], "connection refused");
    }

    #[test]
    fn a_node_that_does_not_serve_is_named_with_its_reason() {
        let findings = findings(&healthy_with(3, |node| node.not_ready = "joining".into()));
        assert_eq!(codes(&findings), ["node_not_ready"]);
        assert_eq!(findings[0].evidence["reason"], "joining");
    }

    #[test]
    fn a_draining_node_is_only_noticed() {
        let findings = findings(&healthy_with(3, |node| {
            node.not_ready = "draining".into();
            node.drain = Some(DrainProgress {
                step: "sending_away".into(),
                clients: 7,
                ..Default::default()
            });
        }));
        assert_eq!(codes(&findings), ["node_draining"]);
        assert_eq!(findings[0].severity, Severity::Notice);
        assert_eq!(findings[0].evidence["clients"], 7);
    }
}
