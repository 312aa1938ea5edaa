//! `/retains`: the retained messages of the cluster, from the replicated table.
//!
//! The table is read in pieces, and an answer is bounded by bytes, too: a page may end before its limit,
//! and `has_more` says so. The next page begins at `offset` plus the items of this one.

use std::ops::ControlFlow;

use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;

use super::topics::{plain_filter, topic_name};
use crate::api::Api;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::reply::{self, Qualifiers};
use crate::node::{PublishProperties, UserProperty};
use crate::openapi::{Header, Operation, TOPIC_FILTER, TOPIC_NAME, Text, query};
use crate::replicated::{KnownRetained, PIECE_RETAINED, ReplicationError};
use crate::router::Endpoints;
use crate::time;

/// Payload bytes from which on a page takes no further message.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/retains",
            list,
            Operation::json::<Page>(
                "get_retains",
                "Return the retained messages whose topic matches a filter",
            )
            .query([
                query::pattern("topic_filter", TOPIC_FILTER, "Topic filter.").default("#"),
                query::number("offset", u64::MAX, "So many messages are skipped.").default(0),
                query::limit("limit"),
            ])
            .consistent()
            .fails([Code::InvalidTopic])
            .header(Header::AppliedIndex),
        )
        .delete(
            "/retains",
            delete,
            Operation::text(
                "delete_retain",
                "Delete the retained message of a topic",
                Text::Ok,
            )
            .query([query::pattern("topic", TOPIC_NAME, "Topic name.").required()])
            .fails([
                Code::MissingTopic,
                Code::InvalidTopic,
                Code::UnknownTopic,
                Code::NoLeader,
            ]),
        )
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RetainedPage")]
struct Page {
    items: Vec<Item>,
    has_more: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RetainedMessage")]
struct Item {
    topic: String,
    /// Retained messages have none here: they are known by their topic.
    msg_id: Option<u64>,
    /// Client identifier of the publisher.
    from: String,
    publish: Publish,
    /// Seconds; absent: it never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RetainedPublish")]
struct Publish {
    topic: String,
    qos: u32,
    retain: bool,
    dup: bool,
    /// Base64.
    payload: String,
    /// Unix milliseconds.
    create_time: u64,
    properties: Properties,
}

/// Named as in the body of `POST /mqtt/publish`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RetainedProperties")]
struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format_indicator: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data: Option<String>,
    /// Names may repeat, the order is the publisher's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<(String, String)>,
}

impl From<PublishProperties> for Properties {
    fn from(properties: PublishProperties) -> Self {
        let pair = |UserProperty { name, value }| (name, value);
        Self {
            payload_format_indicator: properties.payload_is_utf8.map(u8::from),
            message_expiry_interval: properties.expiry_seconds,
            content_type: properties.content_type,
            response_topic: properties.response_topic,
            correlation_data: properties.correlation_data.map(|d| STANDARD.encode(d)),
            user_properties: properties.user_properties.into_iter().map(pair).collect(),
        }
    }
}

impl Item {
    fn new(message: KnownRetained, remaining_ttl: Option<u64>) -> Self {
        let client_id = message.client_id;
        Self {
            topic: message.topic.clone(),
            msg_id: None,
            from: client_id.clone(),
            publish: Publish {
                topic: message.topic,
                qos: message.qos,
                retain: true,
                dup: false,
                payload: STANDARD.encode(&message.payload),
                create_time: message.received_at_ms,
                properties: message.properties.into(),
            },
            remaining_ttl,
            client_id: Some(client_id).filter(|id| !id.is_empty()),
        }
    }
}

/// Fills a page; messages are offered in the order of their topics.
struct PageBuilder {
    to_skip: u64,
    limit: usize,
    bytes: usize,
    page: Page,
}

impl PageBuilder {
    fn new(to_skip: u64, limit: u32) -> Self {
        Self {
            to_skip,
            limit: limit as usize,
            bytes: 0,
            page: Page {
                items: Vec::new(),
                has_more: false,
            },
        }
    }

    /// `Break`: the page is full, and this message belongs to the next one.
    fn offer(&mut self, message: KnownRetained, now_ms: u64) -> ControlFlow<()> {
        let seconds_left = message.seconds_left(now_ms);
        if seconds_left == Some(0) {
            return ControlFlow::Continue(());
        }
        if self.to_skip > 0 {
            self.to_skip -= 1;
            return ControlFlow::Continue(());
        }
        if self.page.items.len() >= self.limit || self.bytes >= PAGE_BYTES_MAX {
            self.page.has_more = true;
            return ControlFlow::Break(());
        }
        self.bytes += message.payload.len();
        self.page.items.push(Item::new(message, seconds_left));
        ControlFlow::Continue(())
    }
}

async fn list(State(api): State<Api>, parameters: Parameters) -> Result<Response, ApiError> {
    let filter = parameters
        .text("topic_filter")
        .unwrap_or_else(|| "#".into());
    plain_filter(&filter)?;
    let offset = parameters.number("offset")?.unwrap_or(0);
    let limit = parameters.bounded("limit")?;
    api.freshen(parameters.consistency()?).await?;
    let applied_index = Some(api.replicated().applied_index());
    let page = read(&api, &filter, PageBuilder::new(offset, limit)).await;
    Ok(Qualifiers {
        applied_index,
        ..Default::default()
    }
    .attach(reply::json(&page)))
}

async fn read(api: &Api, filter: &str, mut builder: PageBuilder) -> Page {
    let now_ms = time::now_ms();
    let mut after = None;
    loop {
        let piece = api
            .replicated()
            .retained_after(filter, after.as_deref(), PIECE_RETAINED);
        let mut found = piece.found.into_iter();
        let filled = found.try_for_each(|message| builder.offer(message, now_ms));
        after = piece.next;
        if filled.is_break() || after.is_none() {
            return builder.page;
        }
        tokio::task::yield_now().await;
    }
}

async fn delete(State(api): State<Api>, parameters: Parameters) -> Result<Response, ApiError> {
    let missing = || ApiError::new(Code::MissingTopic, "Say which with ?topic=...");
    let topic = parameters.text("topic").ok_or_else(missing)?;
    topic_name(&topic)?;
    let message = api.replicated().retained(&topic);
    let now_ms = time::now_ms();
    if message.is_none_or(|message| message.seconds_left(now_ms) == Some(0)) {
        let message = format!("There is no retained message on '{topic}'.");
        return Err(ApiError::new(Code::UnknownTopic, message));
    }
    let failed = |e: ReplicationError| {
        let message = format!("The retained message may not have been deleted: {e}");
        ApiError::new(Code::NoLeader, message)
    };
    api.replicated()
        .delete_retained(&topic)
        .await
        .map_err(failed)?;
    Ok(reply::text("ok"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, bytes: usize) -> KnownRetained {
        KnownRetained {
            topic: topic.into(),
            payload: vec![0; bytes].into(),
            qos: 0,
            properties: PublishProperties::default(),
            client_id: String::new(),
            received_at_ms: 0,
        }
    }

    #[test]
    fn a_page_ends_when_its_payloads_have_become_too_many_bytes() {
        let mut builder = PageBuilder::new(0, 10);
        for topic in ["a", "b"] {
            let offered = builder.offer(message(topic, PAGE_BYTES_MAX / 2), 0);
            assert!(offered.is_continue());
        }
        assert!(builder.offer(message("c", 1), 0).is_break());
        assert_eq!(builder.page.items.len(), 2);
        assert!(builder.page.has_more);
    }

    #[test]
    fn a_message_is_shown_until_the_millisecond_in_which_it_expires() {
        let mut expiring = message("a", 1);
        expiring.properties.expiry_seconds = Some(2);
        assert_eq!(expiring.seconds_left(0), Some(2));
        assert_eq!(expiring.seconds_left(1_999), Some(1));
        assert_eq!(expiring.seconds_left(2_000), Some(0));
        assert_eq!(message("a", 1).seconds_left(u64::MAX), None);
    }
}
