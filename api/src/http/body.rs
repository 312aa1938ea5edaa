//! Request bodies: bounded in size and in time, then JSON.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::code::Code;
use super::error::ApiError;
use crate::api::Api;

/// How long the rest of a body that is refused is read and thrown away. Most clients read the answer only
/// when they have sent everything; closing the connection before would destroy it.
const DISCARD_TIME: Duration = Duration::from_secs(5);
/// Bytes thrown away; who sends more than that is cut off.
const DISCARD_BYTES_MAX: usize = 256 << 20;

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
            .map_err(|e| ApiError::new(Code::InvalidJson, e.to_string()))
    }
}

async fn read(request: Request, limit: usize) -> Result<Vec<u8>, ApiError> {
    let announced = axum::body::HttpBody::size_hint(request.body()).lower();
    if announced > limit as u64 {
        // Who asks first (RFC 9110 §10.1.1) has not sent anything yet, and will not.
        if !request.headers().contains_key(header::EXPECT) {
            discard(request.into_body().into_data_stream()).await;
        }
        return Err(too_large(limit));
    }
    collect(request.into_body(), limit).await
}

async fn discard(mut stream: BodyDataStream) {
    let mut bytes = 0;
    let reading = async {
        while let Some(Ok(part)) = stream.next().await
            && bytes < DISCARD_BYTES_MAX
        {
            bytes += part.len();
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let cut = |e| ApiError::new(Code::IncompleteBody, format!("The body broke off: {e}"));
        let part = part.map_err(cut)?;
        if bytes.len() + part.len() > limit {
            discard(stream).await;
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn too_large(limit: usize) -> ApiError {
    let message = format!("The body may have at most {limit} bytes.");
    ApiError::new(Code::BodyTooLarge, message)
}

fn too_slow() -> ApiError {
    let message = "The body did not arrive in time; send it at once.";
    ApiError::new(Code::RequestTimeout, message)
}
