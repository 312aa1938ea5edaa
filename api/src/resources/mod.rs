//! One module per resource of the HTTP API.

mod banned;
mod brokers;
mod client_json;
mod clients;
mod cluster;
mod drain;
mod explain;
mod exposition;
mod features;
mod health;
mod health_check;
mod history;
mod index;
mod membership;
mod metrics;
mod mqtt;
mod nodes;
mod offlines;
mod plugins;
mod prometheus;
mod publication;
mod retains;
mod routes;
mod stats;
mod subscriptions;
mod tail;
mod topics;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::api::Member;
use crate::node::NodeError;
use crate::router::Endpoints;

pub(crate) use index::Catalogue;

/// All endpoints, in the order in which they are listed.
pub(crate) fn endpoints(endpoints: Endpoints, catalogue: &Arc<Catalogue>) -> Endpoints {
    let endpoints = health::endpoints(index::endpoints(endpoints, catalogue));
    let endpoints = drain::endpoints(nodes::endpoints(brokers::endpoints(endpoints)));
    let endpoints = subscriptions::endpoints(clients::endpoints(endpoints));
    let endpoints = banned::endpoints(mqtt::endpoints(routes::endpoints(endpoints)));
    let endpoints = membership::endpoints(cluster::endpoints(endpoints));
    let endpoints = explain::endpoints(endpoints);
    let endpoints = metrics::endpoints(stats::endpoints(endpoints));
    let endpoints = offlines::endpoints(retains::endpoints(endpoints));
    let endpoints = features::endpoints(health_check::endpoints(endpoints));
    let endpoints = prometheus::endpoints(history::endpoints(endpoints));
    tail::endpoints(plugins::endpoints(endpoints))
}

/// What stands in an array for a node that did not answer.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MissingNode")]
struct Missing {
    node_id: u64,
    error: String,
}

/// A row, or what stands for it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum Row<T, M = Missing> {
    Answer(T),
    Missing(M),
}

impl<T> Row<T> {
    fn of<A>(
        (member, answer): (Member, Result<A, NodeError>),
        shape: impl FnOnce(&Member, A) -> T,
    ) -> Self {
        match answer {
            Ok(answer) => Row::Answer(shape(&member, answer)),
            Err(error) => Row::Missing(Missing {
                node_id: member.id,
                error: error.to_string(),
            }),
        }
    }
}

/// The status of a node that answers, in both generations of the API.
const RUNNING: &str = "Running";
