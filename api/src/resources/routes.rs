//! `/routes`: which node takes what is published on which topic filter.

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::topics::topic_name;
use crate::api::Api;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::page::Page;
use crate::http::parameters::Parameters;
use crate::http::reply::Qualifiers;
use crate::http::rows::{WriteRow, rows};
use crate::http::segment::Segment;
use crate::openapi::{Header, Operation};
use crate::replicated::PIECE_ROWS;
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/routes",
            list,
            Operation::json::<Vec<Route<'static>>>(
                "get_routes",
                "Return all routes of the cluster",
            )
            .paged()
            .consistent()
            .header(Header::AppliedIndex),
        )
        .get(
            "/routes/{topic}",
            of_topic,
            Operation::json::<Vec<Route<'static>>>(
                "get_route",
                "Return the routes that a topic name takes",
            )
            .detail("All stored topic filters that match the topic name, by the rules of MQTT.")
            .paged()
            .consistent()
            .fails([Code::InvalidTopic])
            .header(Header::AppliedIndex),
        )
}

#[derive(Debug, Serialize, JsonSchema)]
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

/// A piece of the list behind a route.
type ReadPiece<'a> = dyn Fn(Option<&(String, u64)>) -> Vec<(String, u64)> + Send + Sync + 'a;

/// The first rows, and where to read on. `piece` gives at most [`PIECE_ROWS`].
async fn answer(
    api: &Api,
    query: &Parameters,
    piece: &ReadPiece<'_>,
) -> Result<Response, ApiError> {
    let mut page = Page::new(query.limit()? as usize);
    let mut after: Option<(String, u64)> = query.cursor()?;
    api.freshen(query.consistency()?).await?;
    let applied_index = Some(api.replicated().applied_index());
    loop {
        let routes = piece(after.as_ref());
        let is_last = routes.len() < PIECE_ROWS;
        after = routes.last().cloned();
        let full = routes.into_iter().try_for_each(|route| {
            let bytes = size_of_val(&route) + route.0.len();
            page.push(route, bytes)
        });
        if is_last || full.is_break() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let qualifiers = Qualifiers {
        applied_index,
        next_cursor: page.next_cursor(Clone::clone),
        ..Default::default()
    };
    let write: WriteRow<(String, u64)> =
        |route, out| serde_json::to_writer(out, &Route::from(route));
    Ok(qualifiers.attach(rows(page.rows, write)))
}

async fn list(State(api): State<Api>, query: Parameters) -> Result<Response, ApiError> {
    let piece = |after: Option<&_>| api.replicated().routes_after(after, PIECE_ROWS);
    answer(&api, &query, &piece).await
}

async fn of_topic(
    State(api): State<Api>,
    Segment(topic): Segment,
    query: Parameters,
) -> Result<Response, ApiError> {
    let topic = topic_name(&topic)?;
    let piece = |after: Option<&_>| api.replicated().routes_matching(topic, after, PIECE_ROWS);
    answer(&api, &query, &piece).await
}
