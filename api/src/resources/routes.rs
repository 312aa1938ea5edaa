//! `/routes`: which node takes what is published on which topic filter.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::topics::topic_name;
use crate::api::Api;
use crate::http::error::ApiError;
use crate::http::page::encode_cursor;
use crate::http::parameters::Parameters;
use crate::http::reply::{self, Qualifiers};
use crate::http::segment::Segment;
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/routes",
            list,
            "get_routes",
            "Return all routes of the cluster",
        )
        .get(
            "/routes/{topic}",
            of_topic,
            "get_route",
            "Return the routes that a topic name takes",
        )
}

#[derive(Debug, Serialize)]
struct Route<'a> {
    node_id: u64,
    topic: &'a str,
}

impl<'a> From<&'a (String, u64)> for Route<'a> {
    fn from((topic, node_id): &'a (String, u64)) -> Self {
        Self {
            node_id: *node_id,
            topic,
        }
    }
}

/// The first rows of `routes`, which come in the order of (filter, node), and where to read on.
fn page(mut routes: Vec<(String, u64)>, limit: usize, applied_index: u64) -> Response {
    let more = routes.len() > limit;
    routes.truncate(limit);
    let next_cursor = routes.last().filter(|_| more).and_then(encode_cursor);
    let rows: Vec<Route<'_>> = routes.iter().map(Route::from).collect();
    let applied_index = Some(applied_index);
    Qualifiers {
        applied_index,
        next_cursor,
        ..Default::default()
    }
    .attach(reply::json(&rows))
}

async fn list(State(api): State<Api>, query: Parameters) -> Result<Response, ApiError> {
    let limit = query.limit()? as usize;
    let after: Option<(String, u64)> = query.cursor()?;
    api.freshen(query.consistency()?).await?;
    let applied_index = api.replicated().applied_index();
    let routes = api.replicated().routes_after(after.as_ref(), limit + 1);
    Ok(page(routes, limit, applied_index))
}

async fn of_topic(
    State(api): State<Api>,
    Segment(topic): Segment,
    query: Parameters,
) -> Result<Response, ApiError> {
    let topic = topic_name(&topic)?;
    let limit = query.limit()? as usize;
    let after: Option<(String, u64)> = query.cursor()?;
    api.freshen(query.consistency()?).await?;
    let applied_index = api.replicated().applied_index();
    let mut routes = api.replicated().routes_matching(topic);
    routes.retain(|route| after.as_ref().is_none_or(|after| route > after));
    Ok(page(routes, limit, applied_index))
}
