//! How large a request's line and header may be. hyper has such limits, too, but answers without a body; so ours
//! are lower, and hyper's only keep memory bounded.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::code::Code;
use super::error::ApiError;

/// Bytes of the target. A topic name of 65,535 bytes does not fit into a path with all else, but such topics
/// exist in tests only.
const TARGET_BYTES_MAX: usize = 60 * 1024;
/// Bytes of line and header together.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header fields.
const FIELDS_MAX: usize = 100;

/// Bytes that hyper keeps of a head which is not complete.
pub(crate) const BUFFER_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;
/// Fields that hyper reads.
pub(crate) const FIELDS_READ_MAX: usize = 4 * FIELDS_MAX;

/// Refuses what is larger.
pub(crate) async fn limit(request: Request, next: Next) -> Response {
    match refusal(&request) {
        None => next.run(request).await,
        Some(refusal) => refusal.into_response(),
    }
}

fn refusal(request: &Request) -> Option<ApiError> {
    let target = request.uri().to_string().len();
    if target > TARGET_BYTES_MAX {
        let message = format!("The path with its query has more than {TARGET_BYTES_MAX} bytes.");
        return Some(ApiError::new(Code::TargetTooLong, message));
    }
    let fields = request.headers().iter();
    let bytes: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if request.headers().len() > FIELDS_MAX || target + bytes > HEAD_BYTES_MAX {
        let message =
            format!("The header has more than {FIELDS_MAX} fields or {HEAD_BYTES_MAX} bytes.");
        return Some(ApiError::new(Code::HeaderTooLarge, message));
    }
    None
}
