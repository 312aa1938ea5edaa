//! The one shape of every error: `{"code": "<stable_snake_case>", "message": "<what to do>"}`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::code::Code;
use super::reply;
use crate::node::NodeError;

/// An error with its status. Clients may rely on `code`; `message` is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    pub(crate) message: String,
}

/// The body of every error.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct ErrorBody<'a> {
    /// What is wrong: stable, from a closed list.
    #[schemars(extend("enum" = Code::names()))]
    code: &'a str,
    /// What to do, for people.
    #[schemars(length(min = 1))]
    message: &'a str,
}

impl ApiError {
    /// With the status of its code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            status: code.status(),
            code,
            message: message.into(),
        }
    }

    /// 500: our fault.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::InternalError, message)
    }

    /// An error that came from elsewhere, known by its status alone.
    pub(crate) fn foreign(status: StatusCode) -> Self {
        let code = match status.is_server_error() {
            true => Code::InternalError,
            false => Code::Refused,
        };
        Self {
            status,
            code,
            message: status.to_string(),
        }
    }

    pub(crate) fn unknown_client(client_id: &str) -> Self {
        let message = format!("There is no client '{client_id}'; GET /api/v1/clients lists them.");
        Self::new(Code::UnknownClient, message)
    }

    pub(crate) fn unknown_node(id: u64) -> Self {
        let message = format!("There is no node {id}; GET /api/v1/brokers lists them.");
        Self::new(Code::UnknownNode, message)
    }
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        let message = error.to_string();
        match error {
            NodeError::Unreachable(_) => Self::new(Code::NodeUnreachable, message),
            NodeError::NotServing(_) => Self::new(Code::NotReady, message),
            NodeError::UnknownClient => Self::new(Code::UnknownClient, message),
            NodeError::UnknownPlugin => Self::new(Code::UnknownPlugin, message),
            NodeError::ClientOffline => Self::new(Code::ClientOffline, message),
            NodeError::Refused(_) => Self::new(Code::Refused, message),
            NodeError::Failed(_) => Self::internal(message),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(
                code = self.code.name(),
                message = self.message,
                "HTTP request failed"
            );
        }
        let body = ErrorBody {
            code: self.code.name(),
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
