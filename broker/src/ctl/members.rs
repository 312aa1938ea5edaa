//! `drain` and `undrain`: a node's clients go to the others and may come back. `join` and `remove`: who is
//! a member. What a command means is shown before it is done, so that who gave it by mistake sees it.

use super::{
    DrainWish, Failure, MemberWish, Parameters,
    request::{Server, Verb, json, pairs, query},
};
use serde_json::json as object;

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

pub async fn join(
    server: &Server,
    node: u64,
    address: &str,
    wish: MemberWish,
) -> Result<(), Failure> {
    let path = format!("/cluster/nodes/{node}");
    let body = object!({ "address": address });
    let forecast = server.put(&format!("{path}?dry_run=true"), &body).await?;
    server.show_any(json(&forecast)?)?;
    match wish {
        MemberWish::Forecast => Ok(()),
        MemberWish::Change => server.show_any(json(&server.put(&path, &body).await?)?),
    }
}

pub async fn remove(server: &Server, node: u64, wish: MemberWish) -> Result<(), Failure> {
    let path = format!("/cluster/nodes/{node}");
    let dry = format!("{path}?dry_run=true");
    server.show_any(json(&server.ask(Verb::Delete, &dry).await?)?)?;
    match wish {
        MemberWish::Forecast => Ok(()),
        MemberWish::Change => server.show_any(json(&server.ask(Verb::Delete, &path).await?)?),
    }
}

async fn put(server: &Server, path: &str) -> Result<(), Failure> {
    let reply = server.ask(Verb::Put, path).await?;
    server.show_any(json(&reply)?)
}
