//! `/nodes`: the machine beneath each node, and how many clients it carries.

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::{RUNNING, Row};
use crate::api::{Api, Member};
use crate::http::error::ApiError;
use crate::http::reply;
use crate::http::segment::NodeSegment;
use crate::node::NodeReply;
use crate::openapi::Operation;
use crate::replicated::KnownNode;
use crate::router::Endpoints;
use crate::time;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/nodes",
            list,
            Operation::json::<Vec<Row<NodeStatus>>>(
                "get_nodes",
                "Return the status of all nodes in the cluster",
            ),
        )
        .get(
            "/nodes/{node}",
            one,
            Operation::json::<NodeStatus>("get_node", "Return the status of one node"),
        )
}

#[derive(Debug, Serialize, JsonSchema)]
struct NodeStatus {
    boottime: String,
    connections: u64,
    disk_free: u64,
    disk_total: u64,
    /// Whether an operator has its clients sent to the other nodes.
    draining: bool,
    load1: f64,
    load15: f64,
    load5: f64,
    memory_free: u64,
    memory_total: u64,
    memory_used: u64,
    node_id: u64,
    node_name: String,
    node_status: &'static str,
    running: bool,
    uptime: String,
    version: String,
}

impl NodeStatus {
    fn new(member: &Member, reply: NodeReply, known: &[KnownNode]) -> Self {
        let drains = |node: &KnownNode| node.id == member.id && node.drain.is_some();
        let machine = reply.machine.unwrap_or_default();
        let used = machine
            .memory_total_bytes
            .saturating_sub(machine.memory_free_bytes);
        Self {
            boottime: time::local(machine.boot_time_ms),
            connections: reply.connections,
            disk_free: machine.disk_free_bytes,
            disk_total: machine.disk_total_bytes,
            draining: known.iter().any(drains),
            load1: machine.load1,
            load15: machine.load15,
            load5: machine.load5,
            memory_free: machine.memory_free_bytes,
            memory_total: machine.memory_total_bytes,
            memory_used: used,
            node_id: member.id,
            node_name: member.name.clone(),
            node_status: RUNNING,
            running: true,
            uptime: time::uptime(reply.uptime_seconds),
            version: reply.version,
        }
    }
}

async fn list(State(api): State<Api>) -> Response {
    let answers = api
        .ask_all(|node| Box::pin(async move { node.node().await }))
        .await;
    let known = api.replicated().nodes();
    let row = |member: &Member, answer| NodeStatus::new(member, answer, &known);
    let rows: Vec<_> = answers
        .into_iter()
        .map(|answer| Row::of(answer, row))
        .collect();
    reply::json(&rows)
}

async fn one(State(api): State<Api>, NodeSegment(id): NodeSegment) -> Result<Response, ApiError> {
    let member = api.known_member(id)?;
    let answer = api
        .ask(&member, |node| Box::pin(async move { node.node().await }))
        .await?;
    Ok(reply::json(&NodeStatus::new(
        &member,
        answer,
        &api.replicated().nodes(),
    )))
}
