//! `subs`, `routes` and `explain`: where messages go.

use super::{
    Extent, Failure, Parameters,
    generic::cell,
    request::{Server, pairs, query, segment},
    table::Table,
};
use serde_json::Value;

pub async fn subscriptions(
    server: &Server,
    parameters: &Parameters,
    extent: Extent,
) -> Result<(), Failure> {
    let rows = server.rows("/subscriptions", parameters, extent).await?;
    let columns = [
        "clientid",
        "node_id",
        "topic",
        "share",
        "qos",
        "client_addr",
    ];
    server.show_rows(rows, |rows| named_columns(rows, &columns))
}

pub async fn list(
    server: &Server,
    topic: Option<&str>,
    limit: Option<u32>,
    extent: Extent,
) -> Result<(), Failure> {
    let path = match topic {
        Some(topic) => format!("/routes/{}", segment(topic)),
        None => "/routes".to_owned(),
    };
    let limit = limit.map(|rows| ("_limit", rows.to_string()));
    let limit = limit.into_iter().collect();
    let rows = server.rows(&path, &limit, extent).await?;
    server.show_rows(rows, |rows| named_columns(rows, &["topic", "node_id"]))
}

pub async fn explain(server: &Server, parameters: &Parameters) -> Result<(), Failure> {
    let path = format!("/routes/explain{}", query(pairs(parameters)));
    server.show_any(server.get(&path).await?)
}

/// A table of some of the fields of rows.
pub fn named_columns(rows: &[Value], columns: &[&str]) -> String {
    let mut table = Table::new(columns.iter().copied());
    for row in rows {
        table.row(columns.iter().map(|name| cell(&row[*name])).collect());
    }
    table.render()
}
