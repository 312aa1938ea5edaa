//! `/clients/offlines`: sessions whose client is not connected, to be listed and to be ended.
//!
//! A client whose identifier is `offlines` is at `/clients/%6Ffflines`.

use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use futures::future::join_all;
use schemars::JsonSchema;
use serde::Serialize;

use super::client_json::ClientJson;
use super::clients::{filter, page, parameters, queue_parameters};
use crate::api::Api;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::reply::{self, Qualifiers};
use crate::node::{ClientFilter, ClientQuery};
use crate::openapi::{Header, Operation};
use crate::replicated::{KnownSession, PIECE_SESSIONS, ReplicationError};
use crate::router::Endpoints;

/// Sessions that one request ends at the same time: enough to fill entries of the log, few enough to
/// leave room for what clients propose.
const ENDED_AT_ONCE: usize = 128;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/clients/offlines",
            list,
Operation::json::<Vec<ClientJson<'static>>>("get_offlines", "Return the offline sessions of the cluster that match the query").query(parameters()).query(queue_parameters()).paged().consistent().header(Header::UnreachableNodes),
        )
        .delete(
            "/clients/offlines",
            end,
Operation::json::<Ended>("kick_offlines", "End the offline sessions of the cluster that match the query").detail("A client that comes back in between keeps its session. Sessions cannot be ended by the lengths of their queues: _gte_mqueue_len and _lte_mqueue_len are 400.").query(parameters()).refuses(["_gte_mqueue_len", "_lte_mqueue_len"]).fails([Code::NoLeader]).header(Header::AppliedIndex),
        )
}

fn offline(parameters: &Parameters) -> Result<ClientFilter, ApiError> {
    Ok(ClientFilter {
        connected: Some(false),
        ..filter(parameters)?
    })
}

async fn list(State(api): State<Api>, parameters: Parameters) -> Result<Response, ApiError> {
    page(&api, &parameters, offline(&parameters)?).await
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "EndedSessions")]
struct Ended {
    /// Sessions ended.
    count: u64,
    /// The time of a request was up before all had been looked at: ask again for the rest.
    has_more: bool,
}

/// Ends them through the table, whichever node owns them and whether that node is up or not. A client
/// that comes back in between keeps its session. `_limit` does not bound it.
async fn end(State(api): State<Api>, parameters: Parameters) -> Result<Response, ApiError> {
    let query = ClientQuery {
        filter: offline(&parameters)?,
        after: None,
        limit: u32::MAX,
    };
    // Queue lengths are live, and the nodes that know them may be down: what is to be ended must not
    // depend on who answers.
    if query.filter.queue_from.is_some() || query.filter.queue_to.is_some() {
        let message = "Sessions cannot be ended by their mqueue_len; leave it out.";
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    let until = Instant::now() + api.config().request_timeout;
    let mut ended = Ended::default();
    let mut after: Option<String> = None;
    loop {
        let sessions = api
            .replicated()
            .sessions_after(after.as_deref(), PIECE_SESSIONS);
        let is_last_piece = sessions.len() < PIECE_SESSIONS;
        after = sessions.last().map(|session| session.row.client_id.clone());
        let matching = sessions.into_iter().filter(|s| query.matches(&s.row));
        ended.count += end_all(&api, matching.collect()).await?;
        ended.has_more = !is_last_piece;
        if is_last_piece || Instant::now() >= until {
            break;
        }
        tokio::task::yield_now().await;
    }
    let applied_index = Some(api.replicated().applied_index());
    Ok(Qualifiers {
        applied_index,
        ..Default::default()
    }
    .attach(reply::json(&ended)))
}

/// How many of them were ended.
async fn end_all(api: &Api, sessions: Vec<KnownSession>) -> Result<u64, ApiError> {
    let mut count = 0;
    for batch in sessions.chunks(ENDED_AT_ONCE) {
        let ending = batch.iter().map(|session| {
            let client_id = &session.row.client_id;
            api.replicated().end_offline(client_id, session.epoch)
        });
        for outcome in join_all(ending).await {
            count += u64::from(outcome.map_err(failed)?);
        }
    }
    Ok(count)
}

fn failed(error: ReplicationError) -> ApiError {
    let message = format!("Not all offline sessions may have been ended, ask again: {error}");
    ApiError::new(Code::NoLeader, message)
}
