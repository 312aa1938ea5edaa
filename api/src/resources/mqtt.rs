//! `/mqtt/...`: publish, subscribe and unsubscribe over HTTP.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;

use super::publication::{PublishBody, one_topic};
use super::topics::{topic_filter, united};
use crate::api::{Api, Member};
use crate::http::body::JsonBody;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::reply;
use crate::http::whole;
use crate::node::NodeError;
use crate::openapi::{Operation, TOPIC_FILTER, TOPIC_FILTERS, Text};
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .post(
            "/mqtt/publish",
            publish,
Operation::text("publish", "Publish an MQTT message", Text::Ok).detail("`ok`: routed and, with QoS 1 and 2, kept by the nodes of its subscribers.")
                .body::<PublishBody>()
                .fails([Code::MissingTopic, Code::InvalidTopic, Code::InvalidQos, Code::UnknownEncoding, Code::InvalidBase64, Code::InvalidProperties])
                .asks_a_node(),
        )
        .post(
            "/mqtt/subscribe",
            subscribe,
Operation::json::<BTreeMap<String, bool>>("subscribe", "Subscribe a connected client to topics").detail("Happens inside the client's session: access rules and limits apply, retained messages are sent. The answer says of each topic filter, without `$share/<group>/`, whether it is subscribed now.")
                .body::<SubscribeBody>()
                .fails([Code::MissingTopic, Code::InvalidTopic, Code::InvalidQos])
                .fails([Code::UnknownClient, Code::ClientOffline])
                .asks_a_node(),
        )
        .post(
            "/mqtt/unsubscribe",
            unsubscribe,
Operation::json::<bool>("unsubscribe", "Unsubscribe a connected client from a topic").detail("The answer says whether there was such a subscription.")
                .body::<UnsubscribeBody>()
                .fails([Code::InvalidTopic, Code::UnknownClient, Code::ClientOffline])
                .asks_a_node(),
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

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SubscribeRequest", extend("anyOf" = one_topic()))]
struct SubscribeBody {
    /// Topic filter, which may begin with `$share/<group>/`. Spaces around it do not count.
    #[schemars(regex(pattern = format!("^$|{TOPIC_FILTER}")))]
    topic: Option<String>,
    /// Topic filters with commas between, beside `topic` or instead of it.
    #[schemars(regex(pattern = TOPIC_FILTERS))]
    topics: Option<String>,
    /// Client identifier.
    clientid: String,
    /// 0 if left out.
    #[schemars(range(max = 2))]
    #[serde(default, deserialize_with = "whole::optional")]
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

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "UnsubscribeRequest")]
struct UnsubscribeBody {
    /// Topic filter, which may begin with `$share/<group>/`. Spaces around it do not count.
    #[schemars(regex(pattern = TOPIC_FILTER), extend("allOf" = [{"pattern": r"\S"}]))]
    topic: String,
    /// Client identifier.
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
    member.ok_or_else(|| ApiError::new(Code::NodeUnreachable, unknown()))
}

/// 0 (the default), 1 or 2, else 400.
pub(super) fn qos(qos: Option<u64>) -> Result<u8, ApiError> {
    let qos = u8::try_from(qos.unwrap_or(0)).ok().filter(|qos| *qos <= 2);
    qos.ok_or_else(|| ApiError::new(Code::InvalidQos, "'qos' has to be 0, 1 or 2."))
}
