//! `/stats`: each node's gauges, and those of the cluster.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::{RUNNING, Row};
use crate::api::{Api, Member};
use crate::counters::Stats;
use crate::http::error::ApiError;
use crate::http::reply::{self, Qualifiers};
use crate::http::segment::NodeSegment;
use crate::node::NodeError;
use crate::openapi::{Header, Operation};
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/stats",
            list,
            Operation::json::<Vec<Row<NodeStats, MissingStats>>>(
                "get_stats",
                "Return the status data of each node",
            ),
        )
        .get(
            "/stats/sum",
            sum,
            Operation::json::<Sum>("get_stats_sum", "Summarize the status data of all nodes")
                .header(Header::UnreachableNodes),
        )
        .get(
            "/stats/{node}",
            one,
            Operation::json::<NodeStats>("get_node_stats", "Return the status data of one node"),
        )
}

#[derive(Debug, Serialize, JsonSchema)]
struct NodeStats {
    node: StatsNode,
    stats: Stats,
}

#[derive(Debug, Serialize, JsonSchema)]
struct StatsNode {
    id: u64,
    name: String,
    running: bool,
    status: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MissingStats {
    node: MissingNode,
    error: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MissingStatsNode")]
struct MissingNode {
    id: u64,
    name: String,
}

impl NodeStats {
    fn new(member: &Member, stats: Stats) -> Self {
        let (id, name) = (member.id, member.name.clone());
        Self {
            node: StatsNode {
                id,
                name,
                running: true,
                status: RUNNING,
            },
            stats,
        }
    }

    fn row((member, answer): (Member, Result<Stats, NodeError>)) -> Row<Self, MissingStats> {
        match answer {
            Ok(stats) => Row::Answer(Self::new(&member, stats)),
            Err(error) => Row::Missing(MissingStats {
                node: MissingNode {
                    id: member.id,
                    name: member.name,
                },
                error: error.to_string(),
            }),
        }
    }
}

/// `/stats/sum`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StatsSum")]
struct Sum {
    nodes: BTreeMap<u64, SumNode>,
    stats: Stats,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StatsSumNode")]
struct SumNode {
    name: String,
    #[serde(flatten)]
    state: SumState,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(untagged)]
enum SumState {
    Counted { running: bool, status: &'static str },
    Missing { error: String },
}

async fn ask(api: &Api) -> Vec<(Member, Result<Stats, NodeError>)> {
    api.ask_all(|node| Box::pin(async move { node.stats().await }))
        .await
}

async fn list(State(api): State<Api>) -> Response {
    let rows: Vec<_> = ask(&api).await.into_iter().map(NodeStats::row).collect();
    reply::json(&rows)
}

async fn one(State(api): State<Api>, NodeSegment(id): NodeSegment) -> Result<Response, ApiError> {
    let member = api.known_member(id)?;
    let answer = api
        .ask(&member, |node| Box::pin(async move { node.stats().await }))
        .await?;
    Ok(reply::json(&NodeStats::new(&member, answer)))
}

async fn sum(State(api): State<Api>) -> Response {
    let mut sum = Sum {
        nodes: BTreeMap::new(),
        stats: Stats::default(),
    };
    let mut qualifiers = Qualifiers::default();
    for (member, answer) in ask(&api).await {
        let state = match answer {
            Ok(stats) => {
                sum.stats.add(&stats);
                SumState::Counted {
                    running: true,
                    status: RUNNING,
                }
            }
            Err(error) => {
                qualifiers.unreachable.push(member.id);
                SumState::Missing {
                    error: error.to_string(),
                }
            }
        };
        sum.nodes.insert(
            member.id,
            SumNode {
                name: member.name,
                state,
            },
        );
    }
    qualifiers.attach(reply::json(&sum))
}
