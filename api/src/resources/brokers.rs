//! `/brokers`: the software of each node.

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::{RUNNING, Row};
use crate::api::{Api, Member};
use crate::http::error::ApiError;
use crate::http::reply;
use crate::http::segment::NodeSegment;
use crate::node::BrokerReply;
use crate::openapi::Operation;
use crate::router::Endpoints;
use crate::time;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/brokers",
            list,
            Operation::json::<Vec<Row<Broker>>>(
                "get_brokers",
                "Return the basic information of all nodes in the cluster",
            ),
        )
        .get(
            "/brokers/{node}",
            one,
            Operation::json::<Broker>("get_broker", "Return the basic information of one node"),
        )
}

#[derive(Debug, Serialize, JsonSchema)]
struct Broker {
    datetime: String,
    node_id: u64,
    node_name: String,
    node_status: &'static str,
    running: bool,
    sysdescr: String,
    uptime: String,
    version: String,
}

impl Broker {
    fn new(member: &Member, reply: BrokerReply) -> Self {
        Self {
            datetime: time::local(reply.now_ms),
            node_id: member.id,
            node_name: member.name.clone(),
            node_status: RUNNING,
            running: true,
            sysdescr: reply.description,
            uptime: time::uptime(reply.uptime_seconds),
            version: reply.version,
        }
    }
}

async fn list(State(api): State<Api>) -> Response {
    let answers = api
        .ask_all(|node| Box::pin(async move { node.broker().await }))
        .await;
    let rows: Vec<_> = answers
        .into_iter()
        .map(|answer| Row::of(answer, Broker::new))
        .collect();
    reply::json(&rows)
}

async fn one(State(api): State<Api>, NodeSegment(id): NodeSegment) -> Result<Response, ApiError> {
    let member = api.known_member(id)?;
    let answer = api
        .ask(&member, |node| Box::pin(async move { node.broker().await }))
        .await?;
    Ok(reply::json(&Broker::new(&member, answer)))
}
