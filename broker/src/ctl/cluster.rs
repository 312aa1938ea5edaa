//! `nodes`, `cluster`, `doctor` and `plugins`: how the nodes are.

use super::{
    Failure,
    generic::cell,
    request::{Server, array},
    routes::named_columns,
    table::Table,
};
use serde_json::Value;

const GIB: f64 = (1_u64 << 30) as f64;

pub async fn nodes(server: &Server) -> Result<(), Failure> {
    let rows = array(server.get("/nodes").await?)?;
    server.show_rows_with_gaps(rows, node_table)
}

/// A node that does not answer has a row, too: in the middle of an outage it is the one that is looked for.
fn node_table(rows: &[Value]) -> String {
    let mut table = Table::new([
        "node",
        "name",
        "state",
        "clients",
        "load",
        "memory GiB",
        "disk free GiB",
        "version",
        "uptime",
    ]);
    for row in rows {
        let answers = row["error"].is_null();
        let memory = match answers {
            true => format!(
                "{} of {}",
                gib(&row["memory_used"]),
                gib(&row["memory_total"])
            ),
            false => String::new(),
        };
        let state = match answers {
            true => cell(&row["node_status"]),
            false => "No answer".to_owned(),
        };
        table.row(vec![
            cell(&row["node_id"]),
            cell(&row["node_name"]),
            state,
            cell(&row["connections"]),
            cell(&row["load1"]),
            memory,
            gib(&row["disk_free"]),
            cell(&row["version"]),
            cell(&row["uptime"]),
        ]);
    }
    table.render()
}

fn gib(bytes: &Value) -> String {
    let bytes = bytes.as_f64();
    bytes.map_or_else(String::new, |bytes| format!("{:.1}", bytes / GIB))
}

/// An endpoint whose answer explains itself.
pub async fn shown(server: &Server, path: &str) -> Result<(), Failure> {
    server.show_any(server.get(path).await?)
}

pub async fn plugins(server: &Server) -> Result<(), Failure> {
    let nodes = array(server.get("/plugins").await?)?;
    server.show_rows(nodes, plugin_table)
}

/// One row for each plugin of each node.
fn plugin_table(nodes: &[Value]) -> String {
    let rows: Vec<Value> = nodes.iter().flat_map(plugins_of).collect();
    let columns = [
        "node",
        "name",
        "version",
        "active",
        "inited",
        "immutable",
        "descr",
    ];
    named_columns(&rows, &columns)
}

fn plugins_of(node: &Value) -> Vec<Value> {
    let plugins = node["plugins"].as_array().cloned().unwrap_or_default();
    let with_node = plugins.into_iter().map(|mut plugin| {
        if let Value::Object(fields) = &mut plugin {
            fields.insert("node".to_owned(), node["node"].clone());
        }
        plugin
    });
    with_node.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_that_does_not_answer_has_its_row() {
        let rows = [
            json!({"node_id": 1, "node_status": "Running", "memory_used": 0, "memory_total": 1}),
            json!({"node_id": 2, "error": "gone"}),
        ];
        let text = node_table(&rows);
        let second = text.lines().nth(2).expect("a second row");
        assert!(
            second.trim_start().starts_with("2 ") && second.contains("No answer"),
            "{text}"
        );
        assert!(!second.contains(" of "), "{text}");
    }

    #[test]
    fn each_plugin_of_each_node_is_a_row() {
        let nodes = [
            json!({"node": 1, "plugins": [{"name": "acl", "version": "1", "active": true}]}),
            json!({"node": 2, "plugins": []}),
        ];
        let text = plugin_table(&nodes);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.lines()
                .nth(1)
                .is_some_and(|row| row.contains("1  acl   ")),
            "{text}"
        );
    }
}
