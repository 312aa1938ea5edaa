//! Tables that differ at one and the same log entry: that must never be.

use serde_json::json;

use super::{Evidence, Finding, Severity};

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    match &evidence.tables {
        Ok(tables) if tables.differs() => {
            let hashes = tables.nodes.iter().filter_map(|(id, hash)| {
                let hash = hash.as_ref().ok()?;
                Some(json!({"node_id": id, "hash": format!("{hash:016x}")}))
            });
            let message = "The nodes hold different tables at the same log entry.";
            vec![
                Finding::new(Severity::Critical, "table_differs", message)
                    .shown_by("applied_index", tables.index)
                    .shown_by("hashes", hashes.collect::<Vec<_>>())
                    .fixed_by("Keep the data directories of all nodes and report this. Restart the node whose hash stands alone; ask GET /api/v1/cluster/consistency again."),
            ]
        }
        Ok(tables) => {
            let answers = |id: u64| {
                evidence
                    .nodes
                    .iter()
                    .any(|n| n.id == id && n.answer.is_ok())
            };
            let unknown = tables.nodes.iter().filter_map(|(id, hash)| {
                let error = hash.as_ref().err().filter(|_| answers(*id))?;
                Some(not_compared(error).at(*id))
            });
            unknown.collect()
        }
        Err(why) => vec![not_compared(why)],
    }
}

fn not_compared(why: &str) -> Finding {
    let message = "It is not known whether the tables are equal.";
    Finding::new(Severity::Notice, "table_not_compared", message)
        .shown_by("reason", why)
        .fixed_by("Ask again with GET /api/v1/cluster/consistency when the cluster has a leader and the node serves.")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy, silent};
    use super::*;

    fn with_hashes(hashes: [Result<u64, String>; 3]) -> Evidence {
        let mut evidence = healthy();
        if let Ok(tables) = &mut evidence.tables {
            tables.nodes = (1..).zip(hashes).collect();
        }
        evidence
    }

    #[test]
    fn a_difference_is_shown_with_all_hashes() {
        let findings = findings(&with_hashes([Ok(7), Ok(8), Ok(7)]));
        assert_eq!(codes(&findings), ["table_differs"]);
        assert_eq!(
            findings[0].evidence["hashes"][1]["hash"],
            "0000000000000008"
        );
    }

    #[test]
    fn a_node_that_answers_and_has_no_hash_is_told() {
        let evidence = with_hashes([Ok(7), Err("too many".into()), Ok(7)]);
        assert_eq!(codes(&findings(&evidence)), ["table_not_compared"]);
    }

    #[test]
    fn a_node_that_does_not_answer_at_all_is_another_rules_finding() {
        let mut evidence = with_hashes([Ok(7), Err("gone".into()), Ok(7)]);
        evidence.nodes[1] = silent(2);
        assert_eq!(findings(&evidence), []);
    }

    #[test]
    fn tables_that_could_not_be_compared_are_told() {
        let mut evidence = healthy();
        evidence.tables = Err("no leader".into());
        assert_eq!(codes(&findings(&evidence)), ["table_not_compared"]);
    }
}
