//! Tables from JSON of any shape: what an endpoint says is shown without knowing its fields, so a
//! field that a newer server adds is shown, too.
//!
//! An object becomes a table of names and values; an array of objects becomes a table with a column
//! for each name. Nested objects are flattened to names with dots, and what is deeper is short JSON.

use super::table::Table;
use serde_json::{Map, Value};

/// All that an answer says, as text.
pub fn render(value: &Value) -> String {
    match value {
        Value::Object(object) => render_object(object),
        Value::Array(items) if items.is_empty() => "nothing\n".to_owned(),
        Value::Array(items) => rows(items).render(),
        other => cell(other) + "\n",
    }
}

/// Simple values first, then each list of objects under its name.
fn render_object(object: &Map<String, Value>) -> String {
    let mut values = Table::new(["name", "value"]);
    let mut lists = String::new();
    for (name, value) in flat(object) {
        match list_of_objects(&value) {
            Some(items) => lists += &format!("\n{}:\n{}", name, rows(items).render()),
            None => values.row(vec![name, cell(&value)]),
        }
    }
    match values.is_empty() {
        true => lists.trim_start().to_owned(),
        false => values.render() + &lists,
    }
}

fn list_of_objects(value: &Value) -> Option<&[Value]> {
    let items = value.as_array()?;
    let is_list = !items.is_empty() && items.iter().all(Value::is_object);
    is_list.then_some(items)
}

/// A table of an array: a column for each name in it, in the order in which they first come.
fn rows(items: &[Value]) -> Table {
    let items: Vec<Vec<(String, Value)>> = items
        .iter()
        .map(|item| match item {
            Value::Object(object) => flat(object),
            other => vec![("value".to_owned(), other.clone())],
        })
        .collect();
    let mut heading: Vec<String> = Vec::new();
    for (name, _) in items.iter().flatten() {
        if !heading.contains(name) {
            heading.push(name.clone());
        }
    }
    let mut table = Table::new(heading.clone());
    for item in &items {
        let of_column = |name: &String| item.iter().find(|(own, _)| own == name);
        let cells = heading
            .iter()
            .map(|name| of_column(name).map_or_else(String::new, |(_, v)| cell(v)));
        table.row(cells.collect());
    }
    table
}

/// An object with one level of nested objects taken apart: `{"a": {"b": 1}}` is `a.b`.
fn flat(object: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut pairs = Vec::new();
    for (name, value) in object {
        match value {
            Value::Object(inner) => {
                let inner = inner.iter();
                pairs.extend(inner.map(|(key, value)| (format!("{name}.{key}"), value.clone())));
            }
            other => pairs.push((name.clone(), other.clone())),
        }
    }
    pairs
}

/// One value in a table.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items)
            if items
                .iter()
                .all(|item| !item.is_object() && !item.is_array()) =>
        {
            items.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_names_and_values_and_its_lists_are_tables() {
        let text = render(&json!({
            "leader": 2, "term": 7, "clock": {"skew_ms": 3},
            "nodes": [{"node_id": 1, "role": "follower"}, {"node_id": 2, "links": [{"to": 1}]}],
        }));
        let expected = "NAME           VALUE\n\
                        clock.skew_ms      3\n\
                        leader             2\n\
                        term               7\n\
                        \n\
                        nodes:\n\
                        NODE_ID  ROLE      LINKS\n\
                        \u{20}     1  follower\n\
                        \u{20}     2            [{\"to\":1}]\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_array_is_a_table_with_all_names() {
        let text = render(&json!([{"a": 1}, {"b": ["x", "y"]}, {"a": null, "b": true}]));
        assert_eq!(text, "A  B\n1\n   x, y\n   true\n");
    }

    #[test]
    fn what_is_simple_is_printed_as_it_is() {
        assert_eq!(render(&json!("ok")), "ok\n");
        assert_eq!(render(&json!(true)), "true\n");
        assert_eq!(render(&json!([])), "nothing\n");
        assert_eq!(
            render(&json!({"findings": []})),
            "NAME      VALUE\nfindings\n"
        );
    }
}
