//! The variable segment of a path. Paths are split on raw `/` and only then percent-decoded, so
//! that `/routes/foo%2f1` is about the topic `foo/1`.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::code::Code;
use super::error::ApiError;

/// The one variable segment of a path, decoded.
#[derive(Debug)]
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let not_utf8 = |_| ApiError::new(Code::InvalidPath, "The path is not UTF-8.");
        let segments = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(not_utf8)?;
        let segment = segments.iter().next().map(|(_, value)| value.to_owned());
        segment
            .map(Segment)
            .ok_or_else(|| ApiError::internal("this path has no segment"))
    }
}

/// A node's identifier in a path.
#[derive(Debug)]
pub(crate) struct NodeSegment(pub(crate) u64);

impl<S: Send + Sync> FromRequestParts<S> for NodeSegment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Segment(text) = Segment::from_request_parts(parts, state).await?;
        let wrong = || format!("'{text}' is no node identifier; it is a number such as 1.");
        text.parse()
            .map(NodeSegment)
            .map_err(|_| ApiError::new(Code::InvalidNode, wrong()))
    }
}

/// A node's identifier and a name behind it.
#[derive(Debug)]
pub(crate) struct NodeAndName {
    pub(crate) node: u64,
    pub(crate) name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for NodeAndName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let NodeSegment(node) = NodeSegment::from_request_parts(parts, state).await?;
        let not_utf8 = |_| ApiError::new(Code::InvalidPath, "The path is not UTF-8.");
        let segments = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(not_utf8)?;
        let name = segments.iter().nth(1).map(|(_, value)| value.to_owned());
        let name = name.ok_or_else(|| ApiError::internal("this path has no second segment"))?;
        Ok(Self { node, name })
    }
}

/// Two variable segments, decoded.
#[derive(Debug)]
pub(crate) struct TwoSegments(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for TwoSegments {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let not_utf8 = |_| ApiError::new(Code::InvalidPath, "The path is not UTF-8.");
        let segments = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(not_utf8)?;
        let mut values = segments.iter().map(|(_, value)| value.to_owned());
        let both = values.next().zip(values.next());
        both.map(|(first, second)| TwoSegments(first, second))
            .ok_or_else(|| ApiError::internal("this path has no two segments"))
    }
}
