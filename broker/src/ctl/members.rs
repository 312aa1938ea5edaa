//! `drain` and `undrain`: a node's clients go to the others and may come back.

use super::{
    DrainWish, Failure, Parameters,
    request::{Server, Verb, json, pairs, query},
};

/// Shows the forecast before the order is given, so that who gave it by mistake sees what it means.
pub async fn drain(
    server: &Server,
    node: u64,
    parameters: &Parameters,
    wish: DrainWish,
) -> Result<(), Failure> {
    let path = format!("/nodes/{node}/drain");
    if wish == DrainWish::Progress {
        return server.show_any(server.get(&path).await?);
    }
    let ordered: Vec<_> = pairs(parameters).collect();
    let mut dry = ordered.clone();
    dry.push(("dry_run", "true"));
    put(server, &format!("{path}{}", query(dry))).await?;
    match wish {
        DrainWish::Order => put(server, &format!("{path}{}", query(ordered))).await,
        _ => Ok(()),
    }
}

pub async fn undrain(server: &Server, node: u64) -> Result<(), Failure> {
    let path = format!("/nodes/{node}/drain");
    let reply = server.ask(Verb::Delete, &path).await?;
    server.show_any(json(&reply)?)
}

async fn put(server: &Server, path: &str) -> Result<(), Failure> {
    let reply = server.ask(Verb::Put, path).await?;
    server.show_any(json(&reply)?)
}
