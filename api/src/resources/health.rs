//! `/live` and `/ready`: for load balancers and orchestrators, outside `/api/v1` and without a token.

use axum::extract::State;
use axum::response::Response;

use crate::api::Api;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::reply;
use crate::openapi::{Operation, Text};
use crate::replicated::KnownNode;
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get_at_root(
            "/live",
            live,
            Operation::text("get_live", "Check whether the process answers", Text::Ok)
                .detail("Depends on no other node and on no disk.")
                .open(),
        )
        .get_at_root(
            "/ready",
            ready,
            Operation::text("get_ready", "Check whether new clients are welcome", Text::Ok)
                .detail("200 while the listeners are up, the node is not draining, holds its lease, has caught up and belongs to its cluster; else 503 with the reason.")
                .open()
                .fails([Code::NotReady, Code::Draining]),
        )
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
        true => Code::Draining,
        false => Code::NotReady,
    };
    let ready = api.phase().admits(|| api.replicated().readiness());
    ready
        .and_then(|()| api.knows_its_cluster())
        .map(|()| reply::text("ok"))
        .map_err(|why| ApiError::new(code, why))
}
