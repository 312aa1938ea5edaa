//! `/mqtt/...`: publish, subscribe and unsubscribe over HTTP.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::publication::PublishBody;
use super::topics::{topic_filter, united};
use crate::api::{Api, Member};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::http::reply;
use crate::node::NodeError;
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .post(
            "/mqtt/publish",
            publish,
            "publish",
            "Publish an MQTT message",
        )
        .post(
            "/mqtt/subscribe",
            subscribe,
            "subscribe",
            "Subscribe a connected client to topics",
        )
        .post(
            "/mqtt/unsubscribe",
            unsubscribe,
            "unsubscribe",
            "Unsubscribe a connected client from a topic",
        )
}

async fn publish(
    State(api): State<Api>,
    JsonBody(body): JsonBody<PublishBody>,
) -> Result<Response, ApiError> {
    let publication = body.check()?;
    api.local().publish(publication).await?;
    Ok(reply::text("ok"))
}

#[derive(Debug, Deserialize)]
struct SubscribeBody {
    topic: Option<String>,
    topics: Option<String>,
    clientid: String,
    qos: Option<u64>,
}

async fn subscribe(
    State(api): State<Api>,
    JsonBody(body): JsonBody<SubscribeBody>,
) -> Result<Response, ApiError> {
    let filters = united(body.topic.as_deref(), body.topics.as_deref())?;
    let keys: Vec<String> = filters
        .iter()
        .map(|filter| topic_filter(filter).map(|parts| parts.filter.to_owned()))
        .collect::<Result<_, _>>()?;
    let qos = qos(body.qos)?;
    let owner = owner(&api, &body.clientid)?;
    let client = body.clientid;
    let granted = api
        .ask(&owner, |node| {
            Box::pin(async move { node.subscribe(client, filters, qos).await })
        })
        .await?;
    if granted.len() != keys.len() {
        return Err(ApiError::internal(
            "the node answered for another number of filters",
        ));
    }
    let mut answer = BTreeMap::new();
    for (key, granted) in keys.into_iter().zip(granted) {
        *answer.entry(key).or_insert(true) &= granted;
    }
    Ok(reply::json(&answer))
}

#[derive(Debug, Deserialize)]
struct UnsubscribeBody {
    topic: String,
    clientid: String,
}

async fn unsubscribe(
    State(api): State<Api>,
    JsonBody(body): JsonBody<UnsubscribeBody>,
) -> Result<Response, ApiError> {
    let filter = body.topic.trim().to_owned();
    topic_filter(&filter)?;
    let owner = owner(&api, &body.clientid)?;
    let client = body.clientid;
    let existed = api
        .ask(&owner, |node| {
            Box::pin(async move { node.unsubscribe(client, filter).await })
        })
        .await?;
    Ok(reply::json(&existed))
}

/// The node that a client is connected to; 404 without a session, 503 while it is offline.
fn owner(api: &Api, client_id: &str) -> Result<Member, ApiError> {
    let session = api.replicated().session(client_id);
    let row = session
        .ok_or_else(|| ApiError::unknown_client(client_id))?
        .row;
    if !row.connected {
        return Err(NodeError::ClientOffline.into());
    }
    let member = api
        .members()
        .into_iter()
        .find(|member| member.id == row.node_id);
    let unknown = || format!("the client's node {} is not known here yet", row.node_id);
    member.ok_or_else(|| ApiError::unavailable("node_unreachable", unknown()))
}

/// 0 (the default), 1 or 2, else 400.
pub(super) fn qos(qos: Option<u64>) -> Result<u8, ApiError> {
    let qos = u8::try_from(qos.unwrap_or(0)).ok().filter(|qos| *qos <= 2);
    qos.ok_or_else(|| ApiError::bad_request("invalid_qos", "'qos' has to be 0, 1 or 2."))
}
