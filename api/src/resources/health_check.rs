//! `/health/check`: whether the cluster serves, as seen from this node, and whether each node does.
//!
//! The answer is always 200: it says what was found. For load balancers there is `/ready`, which says
//! it with the status.

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::{Api, Member};
use crate::http::error::ApiError;
use crate::http::reply;
use crate::http::segment::NodeSegment;
use crate::node::{NodeError, VitalsReply};
use crate::openapi::Operation;
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/health/check",
            all,
            Operation::json::<Health>(
                "check_health",
                "Check whether the cluster and each of its nodes serve",
            ),
        )
        .get(
            "/health/check/{node}",
            one,
            Operation::json::<Health>("check_node_health", "Check whether one node serves"),
        )
}

#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    running: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    descr: Option<String>,
    nodes: Vec<NodeHealth>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct NodeHealth {
    node_id: u64,
    running: bool,
    /// The leader that this node knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    descr: Option<String>,
}

impl NodeHealth {
    fn new((member, answer): (Member, Result<VitalsReply, NodeError>)) -> Self {
        let (leader_id, why_not) = match answer {
            Ok(vitals) => (vitals.leader_id, vitals.not_ready),
            Err(error) => (None, error.to_string()),
        };
        Self {
            node_id: member.id,
            running: why_not.is_empty(),
            leader_id,
            descr: Some(why_not).filter(|why| !why.is_empty()),
        }
    }
}

/// Why the cluster does not serve; `None`: it does, because a majority of its nodes does and knows a
/// leader. What a node without a lease takes for the leader does not count.
fn why_not(nodes: &[NodeHealth]) -> Option<String> {
    let running: Vec<_> = nodes.iter().filter(|node| node.running).collect();
    if running.len() * 2 <= nodes.len() {
        let (running, all) = (running.len(), nodes.len());
        return Some(format!("{running} of {all} nodes run; it takes a majority"));
    }
    let leads = running.iter().any(|node| node.leader_id.is_some());
    (!leads).then(|| "no running node knows a leader".to_owned())
}

async fn all(State(api): State<Api>) -> Response {
    let answers = api
        .ask_all(|node| Box::pin(async move { node.vitals().await }))
        .await;
    let nodes: Vec<_> = answers.into_iter().map(NodeHealth::new).collect();
    let descr = why_not(&nodes);
    reply::json(&Health {
        running: descr.is_none(),
        descr,
        nodes,
    })
}

async fn one(State(api): State<Api>, NodeSegment(id): NodeSegment) -> Result<Response, ApiError> {
    let member = api.known_member(id)?;
    let answer = api
        .ask(&member, |node| Box::pin(async move { node.vitals().await }))
        .await;
    let node = NodeHealth::new((member, answer));
    Ok(reply::json(&Health {
        running: node.running,
        descr: node.descr.clone(),
        nodes: vec![node],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(node_id: u64, running: bool, leader_id: Option<u64>) -> NodeHealth {
        NodeHealth {
            node_id,
            running,
            leader_id,
            descr: None,
        }
    }

    #[test]
    fn a_cluster_serves_with_a_majority_that_knows_a_leader() {
        let (yes, no) = (node(1, true, Some(1)), node(2, false, None));
        assert_eq!(why_not(&[yes.clone(), yes.clone(), no.clone()]), None);
        assert_eq!(why_not(std::slice::from_ref(&yes)), None);
        assert!(why_not(&[yes.clone(), no.clone(), no.clone()]).is_some());
        assert!(why_not(&[yes.clone(), no.clone()]).is_some());
        assert!(why_not(&[]).is_some());
    }

    #[test]
    fn a_leader_that_only_a_node_without_a_lease_knows_is_none() {
        let leaderless = node(1, true, None);
        let stale = node(3, false, Some(3));
        assert!(why_not(&[leaderless.clone(), leaderless, stale]).is_some());
    }
}
