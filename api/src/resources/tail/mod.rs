//! `GET /tail`: what happens to clients, cluster-wide and while it happens, as server-sent events
//! (WHATWG HTML §9.2).
//!
//! Each node filters and limits its own events; here those of all nodes are merged, limited once
//! more, and written. Nothing runs ahead of the reader: the merged stream is polled when the socket
//! takes more, what waits meanwhile is bounded at every node, and what does not fit is counted and
//! told as `skipped`.

mod lines;
mod sources;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use raftmq_mqtt::topic;

use crate::api::{Api, Member};
use crate::event::{EventFilter, EventName};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::openapi::{Operation, TOPIC_FILTER, query};
use crate::router::Endpoints;
use lines::{Lines, TailData};

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints.get(
        "/tail",
        tail,
        Operation::events::<TailData<'static>>(
            "tail",
            "Follow what happens to clients of the cluster, as server-sent events",
        )
        .query([
            query::text("clientid", "Of this client."),
            query::pattern(
                "topic",
                TOPIC_FILTER,
                "About a topic that this topic filter matches.",
            ),
            query::words(
                "event",
                EventName::ALL.map(EventName::as_str),
                "Kinds of events, with commas between; all if left out.",
            ),
            query::number("node", u64::MAX, "Of this node; of all if left out."),
        ])
        .fails([
            Code::InvalidTopic,
            Code::UnknownEvent,
            Code::UnknownNode,
            Code::TooManyListeners,
        ]),
    )
}

async fn tail(State(api): State<Api>, parameters: Parameters) -> Result<Response, ApiError> {
    let filter = filter(&parameters)?;
    let members = members(&api, &parameters)?;
    let place = api.listener_place().ok_or_else(|| {
        let message = format!(
            "{} listen already on this node; ask another one.",
            api.config().max_listeners
        );
        ApiError::new(Code::TooManyListeners, message)
    })?;
    let told = sources::merged(&api, members, &filter);
    let lines = Lines::new(told, api.config().tail_heartbeat).into_stream();
    let lines = lines.take_until(Box::pin(api.draining()));
    // The place is free again when the response is dropped.
    let lines = lines.map(move |line| {
        let _ = &place;
        Ok::<_, std::convert::Infallible>(line)
    });
    Ok(event_stream(Body::from_stream(lines)))
}

fn event_stream(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would collect the events otherwise.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (
        headers.map(|(name, value)| (name, HeaderValue::from_static(value))),
        body,
    )
        .into_response()
}

fn filter(parameters: &Parameters) -> Result<EventFilter, ApiError> {
    let topic = parameters.text("topic");
    if let Some(Err(error)) = topic.as_deref().map(topic::validate_filter) {
        let message = format!("'topic' is no topic filter: {error}.");
        return Err(ApiError::new(Code::InvalidTopic, message));
    }
    Ok(EventFilter {
        client_id: parameters.text("clientid"),
        topic,
        names: parameters.text("event").map(names).transpose()?,
    })
}

fn names(list: String) -> Result<Vec<EventName>, ApiError> {
    let name = |name: &str| {
        EventName::parse(name.trim()).ok_or_else(|| {
            let known = EventName::ALL.map(EventName::as_str).join(", ");
            let message = format!("There is no event '{name}'; there are {known}.");
            ApiError::new(Code::UnknownEvent, message)
        })
    };
    list.split(',').map(name).collect()
}

/// All nodes, or the one that is asked for.
fn members(api: &Api, parameters: &Parameters) -> Result<Vec<Member>, ApiError> {
    match parameters.number("node")? {
        Some(id) => Ok(vec![api.known_member(id)?]),
        None => Ok(api.members()),
    }
}
