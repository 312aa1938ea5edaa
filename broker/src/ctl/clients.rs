//! `clients` and `kick`.

use super::{
    Extent, Failure, Parameters,
    generic::cell,
    request::{Server, Verb, print, segment},
    table::{Table, printable},
};
use serde_json::{Value, json};

pub async fn list(server: &Server, parameters: &Parameters, extent: Extent) -> Result<(), Failure> {
    let rows = server.rows("/clients", parameters, extent).await?;
    server.show_rows(rows, table)
}

fn table(rows: &[Value]) -> String {
    let mut table = Table::new([
        "clientid", "node", "state", "since", "username", "address", "listener", "mqtt", "subs",
        "inflight", "queue",
    ]);
    for row in rows {
        let (state, since) = match row["connected"].as_bool() {
            Some(false) => ("offline", &row["disconnected_at"]),
            _ => ("connected", &row["connected_at"]),
        };
        table.row(vec![
            cell(&row["clientid"]),
            cell(&row["node_id"]),
            state.to_owned(),
            cell(since),
            cell(&row["username"]),
            format!("{}:{}", cell(&row["ip_address"]), cell(&row["port"])),
            cell(&row["listener"]),
            cell(&row["proto_ver"]),
            cell(&row["subscriptions_cnt"]),
            cell(&row["inflight"]),
            cell(&row["mqueue_len"]),
        ]);
    }
    table.render()
}

/// Prints the connection that was ended.
pub async fn kick(server: &Server, client_id: &str) -> Result<(), Failure> {
    let path = format!("/clients/{}", segment(client_id));
    let reply = server.ask(Verb::Delete, &path).await?;
    text_answer(server, &reply.body)
}

/// Prints an answer that is plain text.
pub fn text_answer(server: &Server, body: &[u8]) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(body);
    match server.format() {
        super::Format::Json => print(&format!("{}\n", json!(text))),
        super::Format::Table => print(&(printable(&text) + "\n")),
    }
}
