//! `/subscriptions`: who subscribes to what, from the replicated table.

use axum::extract::State;
use axum::response::Response;
use raftmq_mqtt::topic::matches;
use schemars::JsonSchema;
use serde::Serialize;

use super::topics::topic_name;
use crate::api::Api;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::page::{Consistency, Page};
use crate::http::parameters::Parameters;
use crate::http::reply::Qualifiers;
use crate::http::rows::{WriteRow, rows};
use crate::http::segment::Segment;
use crate::openapi::{Header, Operation, Parameter, TOPIC_NAME, query};
use crate::replicated::{KnownSubscription, PIECE_ROWS, SubscriptionPlace, SubscriptionScope};
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/subscriptions",
            list,
            Operation::json::<Vec<SubscriptionRow<'static>>>(
                "get_subscriptions",
                "Return the subscriptions that match the query",
            )
            .query([query::text("clientid", "Of this client.")])
            .query(parameters())
            .paged()
            .consistent()
            .fails([Code::InvalidTopic])
            .header(Header::AppliedIndex),
        )
        .get(
            "/subscriptions/{clientid}",
            of_client,
            Operation::json::<Vec<SubscriptionRow<'static>>>(
                "get_client_subscriptions",
                "Return the subscriptions of one client",
            )
            .query(parameters())
            .paged()
            .consistent()
            .fails([Code::InvalidTopic, Code::UnknownClient])
            .header(Header::AppliedIndex),
        )
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Subscription")]
struct SubscriptionRow<'a> {
    client_addr: &'a str,
    clientid: &'a str,
    node_id: u64,
    opts: Options<'a>,
    qos: u8,
    share: Option<&'a str>,
    topic: &'a str,
}

/// What only MQTT 5 has is left out for a client of an earlier version.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SubscriptionOptions")]
struct Options<'a> {
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_local: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_as_published: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_handling: Option<u8>,
}

impl<'a> From<&'a KnownSubscription> for SubscriptionRow<'a> {
    fn from(subscription: &'a KnownSubscription) -> Self {
        let client = &subscription.client;
        Self {
            client_addr: &client.peer_address,
            clientid: &client.client_id,
            node_id: client.node_id,
            qos: qos(subscription),
            share: subscription.share.as_deref(),
            opts: Options::from(subscription),
            topic: &subscription.filter,
        }
    }
}

impl<'a> From<&'a KnownSubscription> for Options<'a> {
    fn from(subscription: &'a KnownSubscription) -> Self {
        let bits = subscription.options;
        let v5 = subscription.client.protocol_version >= 5;
        Self {
            qos: qos(subscription),
            group: subscription.share.as_deref(),
            id: Some(subscription.id).filter(|id| *id != 0),
            no_local: v5.then_some(bits & 0b100 != 0),
            retain_as_published: v5.then_some(bits & 0b1000 != 0),
            retain_handling: v5.then_some(bits >> 4 & 0b11),
        }
    }
}

fn qos(subscription: &KnownSubscription) -> u8 {
    subscription.options & 0b11
}

/// The order of the rows, and the cursor: client identifier, filter, share group.
type Key = (String, String, String);

fn key(subscription: &KnownSubscription) -> Key {
    let share = subscription.share.as_deref().unwrap_or_default();
    (
        subscription.client.client_id.to_string(),
        subscription.filter.to_string(),
        share.to_owned(),
    )
}

fn place((client_id, filter, share): Key) -> SubscriptionPlace {
    SubscriptionPlace {
        client_id: client_id.into(),
        within: Some((filter.into(), share.into())),
    }
}

/// Memory of a row beside its client's, which rows share.
fn weight(subscription: &KnownSubscription) -> usize {
    size_of::<KnownSubscription>() + size_of_val(&*subscription.client)
}

/// The conditions of the list but the client.
fn parameters() -> [Parameter; 4] {
    [
        query::text(
            "topic",
            "Exactly this topic filter, without `$share/<group>/`.",
        ),
        query::qos("qos", "Granted QoS."),
        query::text("share", "Share group."),
        query::pattern(
            "_match_topic",
            TOPIC_NAME,
            "Topic name that the topic filter matches.",
        ),
    ]
}

/// The conditions of the list; all given ones hold for a row.
struct Filter {
    client_id: Option<String>,
    topic: Option<String>,
    qos: Option<u8>,
    share: Option<String>,
    match_topic: Option<String>,
}

impl Filter {
    fn new(query: &Parameters) -> Result<Self, ApiError> {
        let match_topic = query.text("_match_topic");
        match_topic.as_deref().map(topic_name).transpose()?;
        Ok(Self {
            client_id: None,
            topic: query.text("topic"),
            qos: query.qos("qos")?,
            share: query.text("share"),
            match_topic,
        })
    }

    /// The condition that leaves the fewest rows to be looked at.
    fn scope(&self) -> SubscriptionScope {
        if let Some(client_id) = &self.client_id {
            SubscriptionScope::Client(client_id.clone())
        } else if let Some(topic) = &self.topic {
            SubscriptionScope::Filter(topic.clone())
        } else if let Some(topic) = &self.match_topic {
            SubscriptionScope::Matching(topic.clone())
        } else {
            SubscriptionScope::All
        }
    }

    fn keeps(&self, row: &KnownSubscription) -> bool {
        let is = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| value == Some(wanted))
        };
        is(&self.client_id, Some(&row.client.client_id))
            && is(&self.topic, Some(&row.filter))
            && is(&self.share, row.share.as_deref())
            && self.qos.is_none_or(|wanted| wanted == qos(row))
            && self
                .match_topic
                .as_ref()
                .is_none_or(|name| matches(&row.filter, name))
    }
}

/// What is asked, checked.
struct Question {
    filter: Filter,
    limit: usize,
    after: Option<SubscriptionPlace>,
    consistency: Consistency,
}

impl Question {
    fn new(query: &Parameters) -> Result<Self, ApiError> {
        Ok(Self {
            filter: Filter::new(query)?,
            limit: query.limit()? as usize,
            after: query.cursor()?.map(place),
            consistency: query.consistency()?,
        })
    }

    /// The first rows, and where to read on.
    async fn answer(self, api: &Api) -> Response {
        let applied_index = Some(api.replicated().applied_index());
        let page = page(api, &self.filter, self.after, self.limit).await;
        let qualifiers = Qualifiers {
            applied_index,
            next_cursor: page.next_cursor(key),
            ..Default::default()
        };
        let write: WriteRow<KnownSubscription> =
            |row, out| serde_json::to_writer(out, &SubscriptionRow::from(row));
        qualifiers.attach(rows(page.rows, write))
    }
}

async fn list(State(api): State<Api>, query: Parameters) -> Result<Response, ApiError> {
    let mut question = Question::new(&query)?;
    question.filter.client_id = query.text("clientid");
    api.freshen(question.consistency).await?;
    Ok(question.answer(&api).await)
}

async fn of_client(
    State(api): State<Api>,
    Segment(client_id): Segment,
    query: Parameters,
) -> Result<Response, ApiError> {
    let mut question = Question::new(&query)?;
    api.freshen(question.consistency).await?;
    if api.replicated().session(&client_id).is_none() {
        return Err(ApiError::unknown_client(&client_id));
    }
    question.filter.client_id = Some(client_id);
    Ok(question.answer(&api).await)
}

async fn page(
    api: &Api,
    filter: &Filter,
    mut after: Option<SubscriptionPlace>,
    limit: usize,
) -> Page<KnownSubscription> {
    let (scope, mut page) = (filter.scope(), Page::new(limit));
    loop {
        let piece = api
            .replicated()
            .subscriptions_after(&scope, after.as_ref(), PIECE_ROWS);
        for row in piece.rows.into_iter().filter(|row| filter.keeps(row)) {
            let bytes = weight(&row);
            if page.push(row, bytes).is_break() {
                return page;
            }
        }
        if piece.next.is_none() {
            return page;
        }
        after = piece.next;
        tokio::task::yield_now().await;
    }
}
