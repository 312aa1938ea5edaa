//! `/subscriptions`: who subscribes to what, from the replicated table.

use axum::extract::State;
use axum::response::Response;
use raftmq_mqtt::topic::matches;
use serde::Serialize;

use super::topics::topic_name;
use crate::api::Api;
use crate::http::error::ApiError;
use crate::http::page::encode_cursor;
use crate::http::parameters::Parameters;
use crate::http::reply::{self, Qualifiers};
use crate::http::segment::Segment;
use crate::node::ClientRow;
use crate::replicated::{KnownSubscription, PIECE_SESSIONS};
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/subscriptions",
            list,
            "get_subscriptions",
            "Return the subscriptions that match the query",
        )
        .get(
            "/subscriptions/{clientid}",
            of_client,
            "get_client_subscriptions",
            "Return the subscriptions of one client",
        )
}

#[derive(Debug, Serialize)]
struct SubscriptionRow {
    client_addr: String,
    clientid: String,
    node_id: u64,
    opts: Options,
    qos: u8,
    share: Option<String>,
    topic: String,
}

/// What only MQTT 5 has is left out for a client of an earlier version.
#[derive(Debug, Serialize)]
struct Options {
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_local: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_as_published: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_handling: Option<u8>,
}

impl SubscriptionRow {
    fn new(client: &ClientRow, subscription: KnownSubscription) -> Self {
        let options = Options::new(client.protocol_version, &subscription);
        Self {
            client_addr: client.peer_address.clone(),
            clientid: client.client_id.clone(),
            node_id: client.node_id,
            qos: options.qos,
            share: options.group.clone(),
            opts: options,
            topic: subscription.filter,
        }
    }

    /// The key of the order: (client identifier, filter, share group).
    fn key(&self) -> Key {
        (
            self.clientid.clone(),
            self.topic.clone(),
            self.share.clone().unwrap_or_default(),
        )
    }
}

impl Options {
    fn new(protocol_version: u32, subscription: &KnownSubscription) -> Self {
        let bits = subscription.options;
        let v5 = protocol_version >= 5;
        Self {
            qos: bits & 0b11,
            group: Some(subscription.share.clone()).filter(|share| !share.is_empty()),
            id: Some(subscription.id).filter(|id| *id != 0),
            no_local: v5.then_some(bits & 0b100 != 0),
            retain_as_published: v5.then_some(bits & 0b1000 != 0),
            retain_handling: v5.then_some(bits >> 4 & 0b11),
        }
    }
}

type Key = (String, String, String);

/// The conditions of the list; all given ones hold for a row.
struct Filter {
    client_id: Option<String>,
    topic: Option<String>,
    qos: Option<u8>,
    share: Option<String>,
    match_topic: Option<String>,
    after: Option<Key>,
}

impl Filter {
    fn new(query: &Parameters) -> Result<Self, ApiError> {
        let match_topic = query.text("_match_topic");
        match_topic.as_deref().map(topic_name).transpose()?;
        Ok(Self {
            client_id: query.text("clientid"),
            topic: query.text("topic"),
            qos: query.qos("qos")?,
            share: query.text("share"),
            match_topic,
            after: query.cursor()?,
        })
    }

    fn keeps(&self, row: &SubscriptionRow) -> bool {
        self.topic.as_ref().is_none_or(|topic| *topic == row.topic)
            && self.qos.is_none_or(|qos| qos == row.qos)
            && self
                .share
                .as_ref()
                .is_none_or(|share| row.share.as_ref() == Some(share))
            && self
                .match_topic
                .as_ref()
                .is_none_or(|name| matches(&row.topic, name))
            && self.after.as_ref().is_none_or(|after| row.key() > *after)
    }
}

/// All rows of one client that the filter keeps.
fn rows_of<'a>(
    api: &Api,
    client: &'a ClientRow,
    filter: &'a Filter,
) -> impl Iterator<Item = SubscriptionRow> + use<'a> {
    let subscriptions = api.replicated().subscriptions_of(&client.client_id);
    let rows = subscriptions
        .into_iter()
        .map(|s| SubscriptionRow::new(client, s));
    rows.filter(|row| filter.keeps(row))
}

async fn list(State(api): State<Api>, query: Parameters) -> Result<Response, ApiError> {
    let limit = query.limit()? as usize;
    let filter = Filter::new(&query)?;
    api.freshen(query.consistency()?).await?;
    let applied_index = api.replicated().applied_index();
    let rows = match &filter.client_id {
        Some(client_id) => {
            let session = api.replicated().session(client_id);
            session.map_or_else(Vec::new, |s| rows_of(&api, &s.row, &filter).collect())
        }
        None => scan(&api, &filter, limit + 1).await,
    };
    Ok(page(rows, limit, applied_index))
}

/// The first rows, and where to read on.
fn page(mut rows: Vec<SubscriptionRow>, limit: usize, applied_index: u64) -> Response {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let next_cursor = last.and_then(|row| encode_cursor(&row.key()));
    let applied_index = Some(applied_index);
    Qualifiers {
        applied_index,
        next_cursor,
        ..Default::default()
    }
    .attach(reply::json(&rows))
}

/// The first `count` rows of all clients.
async fn scan(api: &Api, filter: &Filter, count: usize) -> Vec<SubscriptionRow> {
    let mut rows = Vec::new();
    // The client that the cursor points into may have more rows.
    let first = filter
        .after
        .as_ref()
        .and_then(|(client_id, ..)| api.replicated().session(client_id));
    rows.extend(
        first
            .iter()
            .flat_map(|session| rows_of(api, &session.row, filter)),
    );
    let mut after = filter
        .after
        .as_ref()
        .map(|(client_id, ..)| client_id.clone());
    while rows.len() < count {
        let sessions = api
            .replicated()
            .sessions_after(after.as_deref(), PIECE_SESSIONS);
        let Some(last) = sessions.last() else { break };
        after = Some(last.row.client_id.clone());
        for session in &sessions {
            rows.extend(rows_of(api, &session.row, filter));
            if rows.len() >= count {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    rows.truncate(count);
    rows
}

async fn of_client(
    State(api): State<Api>,
    Segment(client_id): Segment,
    query: Parameters,
) -> Result<Response, ApiError> {
    let limit = query.limit()? as usize;
    let filter = Filter::new(&query)?;
    api.freshen(query.consistency()?).await?;
    let applied_index = api.replicated().applied_index();
    let session = api.replicated().session(&client_id);
    let client = session
        .ok_or_else(|| ApiError::unknown_client(&client_id))?
        .row;
    let rows = rows_of(&api, &client, &filter).collect();
    Ok(page(rows, limit, applied_index))
}
