//! Request bodies: bounded in size and in time, then JSON.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::api::Api;

/// A JSON body. The content type is not looked at: `curl -d` sends a wrong one.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let limit = api.config().max_body_bytes;
        let bytes = tokio::time::timeout(api.config().request_timeout, read(request, limit));
        let bytes = bytes.await.map_err(|_| too_slow())??;
        let value = serde_json::from_slice(&bytes);
        value
            .map(JsonBody)
            .map_err(|e| ApiError::bad_request("invalid_json", e.to_string()))
    }
}

async fn read(request: Request, limit: usize) -> Result<Vec<u8>, ApiError> {
    let announced = axum::body::HttpBody::size_hint(request.body()).lower();
    if announced > limit as u64 {
        return Err(too_large(limit));
    }
    collect(request.into_body(), limit).await
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let cut = |e| ApiError::bad_request("incomplete_body", format!("The body broke off: {e}"));
        let part = part.map_err(cut)?;
        if bytes.len() + part.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn too_large(limit: usize) -> ApiError {
    let message = format!("The body may have at most {limit} bytes.");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

fn too_slow() -> ApiError {
    let message = "The body did not arrive in time; send it at once.";
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
}
