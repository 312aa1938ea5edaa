//! What an answer leaves out: nodes that did not answer are told on standard error, and are no rows.

use serde_json::Value;

/// The rows of an array that are answers, and the warnings for those that stand for a missing node:
/// `{"node_id": 2, "error": "..."}`, or `{"node": {"id": 2}, "error": "..."}`, or `{"node": 2, ...}`.
pub fn split_missing(rows: Vec<Value>) -> (Vec<Value>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut answers = Vec::new();
    for row in rows {
        match missing(&row) {
            Some(warning) => warnings.push(warning),
            None => answers.push(row),
        }
    }
    (answers, warnings)
}

fn missing(row: &Value) -> Option<String> {
    let error = row.get("error")?.as_str()?;
    let id = row
        .get("node_id")
        .or_else(|| row.pointer("/node/id"))
        .or_else(|| row.get("node"))?
        .as_u64()?;
    Some(format!("node {id} is missing: {error}"))
}

/// The warning for the header `X-Unreachable-Nodes`.
pub fn unreachable(header: &str) -> String {
    format!("node {header} did not answer; what only it knows is missing")
}

/// Missing nodes in lists anywhere inside an object: they stay in what is shown, and are warned of.
pub fn warnings_within(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items
            .iter()
            .flat_map(|item| match missing(item) {
                Some(warning) => vec![warning],
                None => warnings_within(item),
            })
            .collect(),
        Value::Object(object) => object.values().flat_map(warnings_within).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_that_stands_for_a_node_is_a_warning() {
        let rows = vec![
            json!({"node_id": 1, "version": "x"}),
            json!({"node_id": 2, "error": "gone"}),
            json!({"node": {"id": 3}, "error": "slow"}),
            json!({"node": 4, "error": "old"}),
        ];
        let (answers, warnings) = split_missing(rows);
        assert_eq!(answers, [json!({"node_id": 1, "version": "x"})]);
        let expected = [
            "node 2 is missing: gone",
            "node 3 is missing: slow",
            "node 4 is missing: old",
        ];
        assert_eq!(warnings, expected);
    }

    #[test]
    fn an_error_of_something_else_is_a_row() {
        let row = json!({"plugin": "a", "error": "cannot be loaded"});
        assert_eq!(split_missing(vec![row.clone()]), (vec![row], vec![]));
    }

    #[test]
    fn missing_nodes_are_found_inside() {
        let value = json!({"nodes": [{"node_id": 1}, {"node_id": 2, "error": "gone"}]});
        assert_eq!(warnings_within(&value), ["node 2 is missing: gone"]);
    }
}
