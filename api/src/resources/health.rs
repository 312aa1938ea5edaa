//! `/live` and `/ready`: for load balancers and orchestrators, outside `/api/v1` and without a token.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodFilter, on};

use crate::api::Api;
use crate::http::error::ApiError;
use crate::http::reply;
use crate::replicated::KnownNode;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/live", on(MethodFilter::GET, live))
        .route("/ready", on(MethodFilter::GET, ready))
}

/// The process answers. Depends on no peer and no disk: who restarts a process because of this
/// answer must not do so because another node is down.
async fn live() -> Response {
    reply::text("ok")
}

/// New clients are welcome: the listeners are up, nobody told the node to drain, it holds its lease
/// has caught up, and answers the other nodes' questions.
async fn ready(State(api): State<Api>) -> Result<Response, ApiError> {
    let own = |node: &KnownNode| node.id == api.own_id() && node.drain.is_some();
    let code = match api.replicated().nodes().iter().any(own) {
        true => "draining",
        false => "not_ready",
    };
    let ready = api.phase().admits(|| api.replicated().readiness());
    ready
        .and_then(|()| api.knows_its_cluster())
        .map(|()| reply::text("ok"))
        .map_err(|why| ApiError::unavailable(code, why))
}
