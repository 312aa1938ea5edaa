//! Answers: JSON with its charset, plain text, and the headers that qualify an answer.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Nodes that are missing in a flat answer: their identifiers, ascending, with commas.
const UNREACHABLE_NODES: HeaderName = HeaderName::from_static("x-unreachable-nodes");
/// The applied index at which replicated state was read.
const APPLIED_INDEX: HeaderName = HeaderName::from_static("x-applied-index");
/// What to pass as `_cursor` for the next page; absent on the last one.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("x-next-cursor");

/// `application/json; charset=utf-8`, status 200; 500 when the value cannot be written as JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => json_body(bytes.into()),
        Err(error) => unwritable(&error),
    }
}

/// `application/json; charset=utf-8`, status 200, for a body that is JSON.
pub(crate) fn json_body(body: Body) -> Response {
    typed("application/json; charset=utf-8", body)
}

/// 500: an answer could not be written.
pub(crate) fn unwritable(error: &serde_json::Error) -> Response {
    tracing::error!(%error, "an answer could not be written as JSON");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// `text/plain; charset=utf-8`, status 200.
pub(crate) fn text(text: impl Into<Body>) -> Response {
    typed("text/plain; charset=utf-8", text.into())
}

fn typed(content_type: &'static str, body: Body) -> Response {
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))],
        body,
    )
        .into_response()
}

/// What has to be known to read an answer right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Qualifiers {
    pub(crate) unreachable: Vec<u64>,
    pub(crate) applied_index: Option<u64>,
    pub(crate) next_cursor: Option<String>,
}

impl Qualifiers {
    pub(crate) fn attach(self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        if !self.unreachable.is_empty() {
            let ids: Vec<String> = self.unreachable.iter().map(u64::to_string).collect();
            put(headers, UNREACHABLE_NODES, &ids.join(","));
        }
        if let Some(index) = self.applied_index {
            put(headers, APPLIED_INDEX, &index.to_string());
        }
        if let Some(cursor) = self.next_cursor {
            put(headers, NEXT_CURSOR, &cursor);
        }
        response
    }
}

/// Values are digits, commas and base64url: always valid in a header.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
