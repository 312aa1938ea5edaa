//! `/metrics`: each node's counters, and their sums.

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::Row;
use crate::api::{Api, Member};
use crate::counters::Metrics;
use crate::http::error::ApiError;
use crate::http::reply::{self, Qualifiers};
use crate::http::segment::NodeSegment;
use crate::node::NodeError;
use crate::openapi::{Header, Operation};
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/metrics",
            list,
            Operation::json::<Vec<Row<NodeMetrics, MissingMetrics>>>(
                "get_metrics",
                "Return the statistical metrics of each node",
            ),
        )
        .get(
            "/metrics/sum",
            sum,
            Operation::json::<Metrics>(
                "get_metrics_sum",
                "Summarize the statistical metrics of all nodes",
            )
            .header(Header::UnreachableNodes),
        )
        .get(
            "/metrics/{node}",
            one,
            Operation::json::<NodeMetrics>(
                "get_node_metrics",
                "Return the statistical metrics of one node",
            ),
        )
}

#[derive(Debug, Serialize, JsonSchema)]
struct NodeMetrics {
    metrics: Metrics,
    node: MetricsNode,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MetricsNode {
    id: u64,
    name: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MissingMetrics {
    node: MetricsNode,
    error: String,
}

impl MetricsNode {
    fn new(member: &Member) -> Self {
        Self {
            id: member.id,
            name: member.name.clone(),
        }
    }
}

impl NodeMetrics {
    fn row((member, answer): (Member, Result<Metrics, NodeError>)) -> Row<Self, MissingMetrics> {
        let node = MetricsNode::new(&member);
        match answer {
            Ok(metrics) => Row::Answer(Self { metrics, node }),
            Err(error) => Row::Missing(MissingMetrics {
                node,
                error: error.to_string(),
            }),
        }
    }
}

async fn ask(api: &Api) -> Vec<(Member, Result<Metrics, NodeError>)> {
    api.ask_all(|node| Box::pin(async move { node.metrics().await }))
        .await
}

async fn list(State(api): State<Api>) -> Response {
    let rows: Vec<_> = ask(&api).await.into_iter().map(NodeMetrics::row).collect();
    reply::json(&rows)
}

async fn one(State(api): State<Api>, NodeSegment(id): NodeSegment) -> Result<Response, ApiError> {
    let member = api.known_member(id)?;
    let metrics = api
        .ask(&member, |node| {
            Box::pin(async move { node.metrics().await })
        })
        .await?;
    Ok(reply::json(&NodeMetrics {
        metrics,
        node: MetricsNode::new(&member),
    }))
}

async fn sum(State(api): State<Api>) -> Response {
    let mut sum = Metrics::default();
    let mut qualifiers = Qualifiers::default();
    for (member, answer) in ask(&api).await {
        match answer {
            Ok(metrics) => sum.add(&metrics),
            Err(_) => qualifiers.unreachable.push(member.id),
        }
    }
    qualifiers.attach(reply::json(&sum))
}
