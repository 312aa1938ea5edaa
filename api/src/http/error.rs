//! The one shape of every error: `{"code": "<stable_snake_case>", "message": "<what to do>"}`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::reply;
use crate::node::NodeError;

/// An error with its status. Clients may rely on `code`; `message` is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// 400: the request is wrong.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 404: there is no such thing.
    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 500: our fault.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    /// 503: not now, or not from here.
    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    pub(crate) fn unknown_client(client_id: &str) -> Self {
        let message = format!("There is no client '{client_id}'; GET /api/v1/clients lists them.");
        Self::not_found("unknown_client", message)
    }

    pub(crate) fn unknown_node(id: u64) -> Self {
        let message = format!("There is no node {id}; GET /api/v1/brokers lists them.");
        Self::not_found("unknown_node", message)
    }
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        let message = error.to_string();
        match error {
            NodeError::Unreachable(_) => Self::unavailable("node_unreachable", message),
            NodeError::NotServing(_) => Self::unavailable("not_ready", message),
            NodeError::UnknownClient => Self::not_found("unknown_client", message),
            NodeError::UnknownPlugin => Self::not_found("unknown_plugin", message),
            NodeError::ClientOffline => Self::unavailable("client_offline", message),
            NodeError::Refused(_) => Self::bad_request("refused", message),
            NodeError::Failed(_) => Self::internal(message),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(
                code = self.code,
                message = self.message,
                "HTTP request failed"
            );
        }
        let body = Body {
            code: self.code,
            message: &self.message,
        };
        let mut response = reply::json(&body);
        *response.status_mut() = self.status;
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = header::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
