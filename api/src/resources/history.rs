//! `/stats/history` and `/metrics/history`: what the counters were, for curves.
//!
//! Every node keeps its own samples ([`History`](crate::counters::History)), for as long as it runs. How
//! far back is said with `minutes`, `hours` or `days`; rows are windows of `merge_window` seconds, newest
//! first. Windows are the same on all nodes, so `/sum` adds what belongs together, and says in each row
//! how many nodes are in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::Row;
use crate::api::{Api, Asked, Member};
use crate::counters::{Metrics, Sample, Stats, merge, window_ms};
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::reply::{self, Qualifiers};
use crate::http::segment::NodeSegment;
use crate::node::{HistoryQuery, Node, NodeError};
use crate::openapi::{Header, Operation, Parameter, query};
use crate::router::Endpoints;
use crate::time;

/// How far back an answer goes that is not told.
const REACH_MS_DEFAULT: u64 = 5 * MINUTE_MS;
const MINUTE_MS: u64 = 60_000;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/stats/history",
            all::<Stats>,
            Operation::json::<OfAll<Stats>>(
                "get_stats_history",
                "Return the past status data of each node",
            )
            .query(parameters()),
        )
        .get(
            "/stats/history/sum",
            sum::<Stats>,
            Operation::json::<OfCluster<Stats>>(
                "get_stats_history_sum",
                "Summarize the past status data of all nodes",
            )
            .query(parameters())
            .header(Header::UnreachableNodes),
        )
        .get(
            "/stats/history/{node}",
            one::<Stats>,
            Operation::json::<OfNode<Stats>>(
                "get_node_stats_history",
                "Return the past status data of one node",
            )
            .query(parameters()),
        )
        .get(
            "/metrics/history",
            all::<Metrics>,
            Operation::json::<OfAll<Metrics>>(
                "get_metrics_history",
                "Return the past statistical metrics of each node",
            )
            .query(parameters()),
        )
        .get(
            "/metrics/history/sum",
            sum::<Metrics>,
            Operation::json::<OfCluster<Metrics>>(
                "get_metrics_history_sum",
                "Summarize the past statistical metrics of all nodes",
            )
            .query(parameters())
            .header(Header::UnreachableNodes),
        )
        .get(
            "/metrics/history/{node}",
            one::<Metrics>,
            Operation::json::<OfNode<Metrics>>(
                "get_node_metrics_history",
                "Return the past statistical metrics of one node",
            )
            .query(parameters()),
        )
}

/// The span, and how fine.
fn parameters() -> [Parameter; 5] {
    [
        query::number(
            "minutes",
            u64::MAX,
            "So many minutes back; 5 if no span is given.",
        ),
        query::number(
            "hours",
            u64::MAX,
            "So many hours back. If several spans are given, minutes come before hours before days.",
        ),
        query::number("days", u64::MAX, "So many days back."),
        query::number(
            "merge_window",
            u64::MAX,
            "Seconds of one row. Raised where samples are not so fine.",
        ),
        query::limit("limit"),
    ]
}

/// The part of a sample that a resource shows.
trait Part: Serialize + Send + 'static {
    fn of(sample: Sample) -> Self;
}

impl Part for Stats {
    fn of(sample: Sample) -> Self {
        sample.stats
    }
}

impl Part for Metrics {
    fn of(sample: Sample) -> Self {
        sample.metrics
    }
}

/// The span of an answer, Unix milliseconds.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(inline)]
struct Span {
    from: u64,
    to: u64,
}

/// `/history`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}History")]
struct OfAll<T: Serialize> {
    #[serde(flatten)]
    span: Span,
    nodes: BTreeMap<u64, Row<OfNode<T>, MissingHistory>>,
}

/// `/history/{node}`, and one node in `/history`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Node{T}History")]
struct OfNode<T: Serialize> {
    node: u64,
    #[serde(flatten)]
    span: Span,
    count: usize,
    data: Vec<Point<T>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MissingHistory {
    node: u64,
    error: String,
}

/// `/history/sum`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}HistorySum")]
struct OfCluster<T: Serialize> {
    #[serde(flatten)]
    span: Span,
    /// Nodes that answered.
    node_count: usize,
    count: usize,
    data: Vec<Point<T>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Point")]
struct Point<T: Serialize> {
    /// Begin of the window, Unix milliseconds.
    ts: u64,
    /// How many nodes are in the sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    node_count: Option<usize>,
    #[serde(flatten)]
    values: T,
}

impl<T: Part> OfNode<T> {
    fn new(node: u64, span: Span, samples: Vec<Sample>) -> Self {
        let point = |sample: Sample| Point {
            ts: sample.at_ms,
            node_count: None,
            values: T::of(sample),
        };
        Self {
            node,
            span,
            count: samples.len(),
            data: samples.into_iter().rev().map(point).collect(),
        }
    }
}

/// What the parameters ask for, seen from `now_ms`.
fn question(parameters: &Parameters, now_ms: u64) -> Result<(Span, HistoryQuery), ApiError> {
    let mut reach_ms = None;
    for (name, unit_ms) in [
        ("minutes", MINUTE_MS),
        ("hours", 60 * MINUTE_MS),
        ("days", 24 * 60 * MINUTE_MS),
    ] {
        // As with RMQTT the first one counts when there are several; all are checked.
        let given = parameters.number::<u64>(name)?;
        reach_ms = reach_ms.or(given.map(|count| count.saturating_mul(unit_ms)));
    }
    let reach_ms = reach_ms.unwrap_or(REACH_MS_DEFAULT);
    let asked_s: Option<u64> = parameters.number("merge_window")?;
    let span = Span {
        from: now_ms.saturating_sub(reach_ms),
        to: now_ms,
    };
    let query = HistoryQuery {
        from_ms: span.from,
        window_ms: window_ms(reach_ms, asked_s.map(|s| s.saturating_mul(1_000))),
        limit: parameters.bounded("limit")?,
    };
    Ok((span, query))
}

async fn ask_all(api: &Api, query: HistoryQuery) -> Vec<(Member, Result<Vec<Sample>, NodeError>)> {
    let question = |node: Arc<dyn Node>| -> Asked<Vec<Sample>> {
        Box::pin(async move { node.history(query).await })
    };
    api.ask_all(question).await
}

async fn all<T: Part>(
    State(api): State<Api>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let (span, query) = question(&parameters, time::now_ms())?;
    let mut nodes = BTreeMap::new();
    for (member, answer) in ask_all(&api, query).await {
        let node = member.id;
        let row = match answer {
            Ok(samples) => Row::Answer(OfNode::<T>::new(node, span, samples)),
            Err(error) => Row::Missing(MissingHistory {
                node,
                error: error.to_string(),
            }),
        };
        nodes.insert(node, row);
    }
    Ok(reply::json(&OfAll { span, nodes }))
}

async fn one<T: Part>(
    State(api): State<Api>,
    NodeSegment(id): NodeSegment,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let (span, query) = question(&parameters, time::now_ms())?;
    let member = api.known_member(id)?;
    let samples = api
        .ask(&member, |node| {
            Box::pin(async move { node.history(query).await })
        })
        .await?;
    Ok(reply::json(&OfNode::<T>::new(id, span, samples)))
}

async fn sum<T: Part>(
    State(api): State<Api>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let (span, query) = question(&parameters, time::now_ms())?;
    let mut qualifiers = Qualifiers::default();
    let mut histories = Vec::new();
    for (member, answer) in ask_all(&api, query).await {
        match answer {
            Ok(samples) => histories.push(samples),
            Err(_) => qualifiers.unreachable.push(member.id),
        }
    }
    let node_count = histories.len();
    let newest = merge(histories)
        .into_iter()
        .rev()
        .take(query.limit as usize);
    let point = |(nodes, sample): (usize, Sample)| Point {
        ts: sample.at_ms,
        node_count: Some(nodes),
        values: T::of(sample),
    };
    let data: Vec<_> = newest.map(point).collect();
    let sum = OfCluster {
        span,
        node_count,
        count: data.len(),
        data,
    };
    Ok(qualifiers.attach(reply::json(&sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 30 * 24 * 60 * MINUTE_MS;

    fn asked(query: &str) -> (Span, HistoryQuery) {
        question(&Parameters::parse(query, 100).unwrap(), NOW_MS).unwrap()
    }

    #[test]
    fn the_span_is_said_in_minutes_hours_or_days_and_five_minutes_else() {
        for (query, reach_ms) in [
            ("", 5 * MINUTE_MS),
            ("minutes=2", 2 * MINUTE_MS),
            ("hours=3", 180 * MINUTE_MS),
            ("days=1", 1_440 * MINUTE_MS),
            ("days=1&minutes=1", MINUTE_MS),
            ("days=18446744073709551615", NOW_MS),
        ] {
            let (span, history) = asked(query);
            assert_eq!(span.to - span.from, reach_ms, "{query}");
            assert_eq!(history.from_ms, span.from, "{query}");
        }
    }

    #[test]
    fn windows_are_said_in_seconds_and_long_spans_have_long_windows() {
        for (query, window_ms) in [
            ("", 10_000),
            ("merge_window=60", 60_000),
            ("merge_window=1", 10_000),
            ("days=1", 300_000),
        ] {
            assert_eq!(asked(query).1.window_ms, window_ms, "{query}");
        }
        assert_eq!(asked("limit=7").1.limit, 7);
        assert_eq!(asked("limit=700").1.limit, 100);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for query in [
            "minutes=-1",
            "hours=x",
            "days=1.5",
            "merge_window=a",
            "limit=-1",
        ] {
            let parameters = Parameters::parse(query, 100).unwrap();
            assert!(question(&parameters, NOW_MS).is_err(), "{query}");
        }
    }
}
