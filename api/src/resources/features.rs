//! `/features`: what each node offers its clients, and whether all nodes offer the same.

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::Row;
use crate::api::{Api, Member};
use crate::http::error::ApiError;
use crate::http::reply;
use crate::http::segment::NodeSegment;
use crate::node::{FeaturesReply, NodeError};
use crate::openapi::Operation;
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/features",
            all,
            Operation::json::<AllFeatures>(
                "get_features",
                "Return what each node offers its clients, and whether all offer the same",
            ),
        )
        .get(
            "/features/{node}",
            one,
            Operation::json::<AllFeatures>(
                "get_node_features",
                "Return what one node offers its clients",
            ),
        )
}

/// A node that does not answer is in `nodes` with its error, and has no say in `consistent`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClusterFeatures")]
struct AllFeatures {
    consistent: bool,
    node_count: usize,
    /// Names of the features in which nodes differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<&'static str>,
    nodes: Vec<Row<NodeFeatures>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct NodeFeatures {
    node_id: u64,
    node_name: String,
    features: Features,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
struct Features {
    retain: bool,
    message_storage: bool,
    session_storage: bool,
    delayed: bool,
    shared_subscription: bool,
    auto_subscription: bool,
}

impl From<FeaturesReply> for Features {
    fn from(reply: FeaturesReply) -> Self {
        Self {
            retain: reply.retain,
            message_storage: reply.message_storage,
            session_storage: reply.session_storage,
            delayed: reply.delayed,
            shared_subscription: reply.shared_subscription,
            auto_subscription: reply.auto_subscription,
        }
    }
}

impl Features {
    fn named(self) -> [(&'static str, bool); 6] {
        [
            ("retain", self.retain),
            ("message_storage", self.message_storage),
            ("session_storage", self.session_storage),
            ("delayed", self.delayed),
            ("shared_subscription", self.shared_subscription),
            ("auto_subscription", self.auto_subscription),
        ]
    }
}

/// The features in which nodes differ from the first one.
fn conflicts(all: &[Features]) -> Vec<&'static str> {
    let Some((first, others)) = all.split_first() else {
        return Vec::new();
    };
    let differs = |at: usize| {
        others
            .iter()
            .any(|other| other.named()[at] != first.named()[at])
    };
    let named = first.named().into_iter().enumerate();
    named
        .filter(|(at, _)| differs(*at))
        .map(|(_, (name, _))| name)
        .collect()
}

fn answer(answers: Vec<(Member, Result<FeaturesReply, NodeError>)>) -> Response {
    let known: Vec<Features> = answers
        .iter()
        .filter_map(|(_, answer)| Some((*answer.as_ref().ok()?).into()))
        .collect();
    let conflicts = conflicts(&known);
    let node = |member: &Member, reply: FeaturesReply| NodeFeatures {
        node_id: member.id,
        node_name: member.name.clone(),
        features: reply.into(),
    };
    reply::json(&AllFeatures {
        consistent: conflicts.is_empty(),
        node_count: answers.len(),
        conflicts,
        nodes: answers.into_iter().map(|a| Row::of(a, node)).collect(),
    })
}

async fn all(State(api): State<Api>) -> Response {
    let answers = api.ask_all(|node| Box::pin(async move { node.features().await }));
    answer(answers.await)
}

async fn one(State(api): State<Api>, NodeSegment(id): NodeSegment) -> Result<Response, ApiError> {
    let member = api.known_member(id)?;
    let features = api
        .ask(&member, |node| {
            Box::pin(async move { node.features().await })
        })
        .await?;
    Ok(answer(vec![(member, Ok(features))]))
}
