//! `/metrics/prometheus`: gauges, counters and vitals of each node, for Prometheus.
//!
//! Scrape one node at `/metrics/prometheus/{node}` each. Names are those of `/stats` and `/metrics` with
//! `raftmq_` before them and `_` for `.`; where a message comes from is the label `origin`. Labels are
//! from closed sets: nodes and origins, never clients or topics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::exposition::{Exposition, Labels};
use crate::api::{Api, Asked, Member};
use crate::counters::{Metric, Metrics, Stat, Stats};
use crate::http::error::ApiError;
use crate::http::reply::{self, Qualifiers};
use crate::http::segment::NodeSegment;
use crate::node::{Machine, Node, NodeError, VitalsReply};
use crate::openapi::{Header, Operation, Text};
use crate::router::Endpoints;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What `messages.{kind}.{origin}` counts, by kind.
const BY_ORIGIN: [(&str, &str); 4] = [
    (
        "acked",
        "Messages that clients acknowledged, by where they come from.",
    ),
    (
        "delivered",
        "Messages sent to clients, by where they come from.",
    ),
    (
        "nonsubscribed",
        "Messages published for which there was no subscription, by where they come from.",
    ),
    ("publish", "Messages published, by where they come from."),
];

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/metrics/prometheus",
            all,
            Operation::text(
                "get_prometheus_metrics",
                "Return the gauges and counters of each node as Prometheus reads them",
                Text::Prometheus,
            )
            .header(Header::UnreachableNodes),
        )
        .get(
            "/metrics/prometheus/sum",
            sum,
            Operation::text(
                "get_prometheus_metrics_sum",
                "Summarize the gauges and counters of all nodes as Prometheus reads them",
                Text::Prometheus,
            )
            .header(Header::UnreachableNodes),
        )
        .get(
            "/metrics/prometheus/{node}",
            one,
            Operation::text(
                "get_node_prometheus_metrics",
                "Return the gauges and counters of one node as Prometheus reads them",
                Text::Prometheus,
            ),
        )
}

/// All that is told of one node.
struct Told {
    vitals: VitalsReply,
    stats: Stats,
    metrics: Metrics,
    machine: Machine,
}

fn question(node: Arc<dyn Node>) -> Asked<Told> {
    Box::pin(async move {
        let (vitals, stats, metrics, machine) =
            futures::try_join!(node.vitals(), node.stats(), node.metrics(), node.node())?;
        Ok(Told {
            vitals,
            stats,
            metrics,
            machine: machine.machine.unwrap_or_default(),
        })
    })
}

fn answer(exposition: Exposition) -> Response {
    let mut response = reply::text(exposition.finish());
    let content_type = HeaderValue::from_static(CONTENT_TYPE);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// A node that does not answer is there with `raftmq_up 0` and nothing else.
async fn all(State(api): State<Api>) -> Response {
    let mut exposition = Exposition::default();
    let mut qualifiers = Qualifiers::default();
    for (member, answer) in api.ask_all(question).await {
        up(&mut exposition, &member, &answer);
        match answer {
            Ok(told) => tell(&mut exposition, member.id, &told),
            Err(_) => qualifiers.unreachable.push(member.id),
        }
    }
    qualifiers.attach(answer(exposition))
}

async fn one(State(api): State<Api>, NodeSegment(id): NodeSegment) -> Result<Response, ApiError> {
    let member = api.known_member(id)?;
    let told = Ok(api.ask(&member, question).await?);
    let mut exposition = Exposition::default();
    up(&mut exposition, &member, &told);
    if let Ok(told) = told {
        tell(&mut exposition, id, &told);
    }
    Ok(answer(exposition))
}

async fn sum(State(api): State<Api>) -> Response {
    let (mut stats, mut metrics) = (Stats::default(), Metrics::default());
    let (mut nodes, mut up, mut ready) = (0, 0, 0);
    let mut qualifiers = Qualifiers::default();
    for (member, answer) in api.ask_all(question).await {
        nodes += 1;
        let Ok(told) = answer else {
            qualifiers.unreachable.push(member.id);
            continue;
        };
        up += 1;
        ready += u32::from(told.vitals.not_ready.is_empty());
        stats.add(&told.stats);
        metrics.add(&told.metrics);
    }
    let mut exposition = Exposition::default();
    for (name, help, count) in [
        ("raftmq_nodes", "Nodes of the cluster.", nodes),
        ("raftmq_nodes_up", "Nodes that answer.", up),
        ("raftmq_nodes_ready", "Nodes that take clients.", ready),
    ] {
        exposition.gauge(name, help, Vec::new(), f64::from(count));
    }
    tell_stats(&mut exposition, &Vec::new(), &stats);
    tell_metrics(&mut exposition, &Vec::new(), &metrics);
    qualifiers.attach(answer(exposition))
}

fn of_node(id: u64) -> Labels {
    vec![("node", id.to_string())]
}

fn up(exposition: &mut Exposition, member: &Member, answer: &Result<Told, NodeError>) {
    let value = f64::from(u8::from(answer.is_ok()));
    let help = "Whether the node answers (1) or not (0).";
    exposition.gauge("raftmq_up", help, of_node(member.id), value);
}

fn tell(exposition: &mut Exposition, id: u64, told: &Told) {
    tell_vitals(exposition, id, &told.vitals);
    tell_links(exposition, id, &told.vitals);
    tell_machine(exposition, id, &told.machine);
    tell_stats(exposition, &of_node(id), &told.stats);
    tell_metrics(exposition, &of_node(id), &told.metrics);
}

fn tell_vitals(exposition: &mut Exposition, id: u64, vitals: &VitalsReply) {
    for (name, help, value) in [
        (
            "raftmq_ready",
            "Whether the node takes clients (1) or not (0).",
            u64::from(vitals.not_ready.is_empty()),
        ),
        (
            "raftmq_has_leader",
            "Whether the node knows a leader of the cluster (1) or not (0).",
            u64::from(vitals.leader_id.is_some()),
        ),
        (
            "raftmq_is_leader",
            "Whether the node takes itself for the leader (1) or not (0).",
            u64::from(vitals.leader_id == Some(id)),
        ),
        ("raftmq_raft_term", "Raft's term.", vitals.term),
        (
            "raftmq_applied_index",
            "The last entry of the replicated log that the node's table shows.",
            vitals.applied_index,
        ),
        (
            "raftmq_uptime_seconds",
            "Time since the process started.",
            vitals.uptime_seconds,
        ),
        (
            "raftmq_process_resident_memory_bytes",
            "Memory that the process holds.",
            vitals.resident_memory_bytes,
        ),
        (
            "raftmq_sockets",
            "Open sockets of MQTT clients.",
            vitals.sockets,
        ),
        (
            "raftmq_sockets_limit",
            "Sockets of MQTT clients that there may be.",
            vitals.sockets_max,
        ),
    ] {
        exposition.gauge(name, help, of_node(id), value as f64);
    }
    let help = "When the process started, seconds since 1970; changes with each start only.";
    let started = vitals.started_at_ms as f64 / 1_000.0;
    exposition.gauge(
        "raftmq_process_start_time_seconds",
        help,
        of_node(id),
        started,
    );
}

fn tell_links(exposition: &mut Exposition, id: u64, vitals: &VitalsReply) {
    for link in &vitals.links {
        for (name, help, bytes) in [
            (
                "raftmq_link_queue_bytes",
                "Bytes on their way to another node, not yet acknowledged.",
                link.held_bytes,
            ),
            (
                "raftmq_link_window_bytes",
                "Bytes from which on QoS 0 to that node is dropped and QoS 1 and 2 wait.",
                link.window_bytes,
            ),
        ] {
            let mut labels = of_node(id);
            labels.push(("peer", link.peer_id.to_string()));
            exposition.gauge(name, help, labels, bytes as f64);
        }
    }
}

fn tell_machine(exposition: &mut Exposition, id: u64, machine: &Machine) {
    for (name, help, bytes) in [
        (
            "raftmq_machine_memory_bytes",
            "Memory of the machine.",
            machine.memory_total_bytes,
        ),
        (
            "raftmq_machine_memory_free_bytes",
            "Memory that programs could still get.",
            machine.memory_free_bytes,
        ),
        (
            "raftmq_disk_bytes",
            "Size of the file system with the data directory.",
            machine.disk_total_bytes,
        ),
        (
            "raftmq_disk_free_bytes",
            "Free space of the file system with the data directory.",
            machine.disk_free_bytes,
        ),
    ] {
        exposition.gauge(name, help, of_node(id), bytes as f64);
    }
    let help = "Load average of the machine over one minute.";
    exposition.gauge("raftmq_machine_load1", help, of_node(id), machine.load1);
}

fn tell_stats(exposition: &mut Exposition, labels: &Labels, stats: &Stats) {
    for stat in Stat::ALL {
        let name = format!("raftmq_{}", stat.name());
        let value = stats.count[*stat as usize] as f64;
        exposition.gauge(&name, stat.meaning(), labels.clone(), value);
    }
}

fn tell_metrics(exposition: &mut Exposition, labels: &Labels, metrics: &Metrics) {
    for metric in Metric::ALL {
        let mut labels = labels.clone();
        let (name, help) = match split(*metric) {
            Split::Sum => continue,
            Split::Part { kind, help, origin } => {
                labels.push(("origin", origin.to_owned()));
                (format!("raftmq_messages_{kind}_total"), help)
            }
            Split::Whole => {
                let name = metric.name().replace('.', "_");
                (format!("raftmq_{name}_total"), metric.meaning())
            }
        };
        exposition.counter(&name, help, labels, metrics[*metric]);
    }
}

/// How a metric of the HTTP API is told.
enum Split {
    /// A counter of its own.
    Whole,
    /// One origin of a family.
    Part {
        kind: &'static str,
        help: &'static str,
        origin: &'static str,
    },
    /// The sum of a family: Prometheus adds it up itself.
    Sum,
}

fn split(metric: Metric) -> Split {
    let Some(rest) = metric.name().strip_prefix("messages.") else {
        return Split::Whole;
    };
    let (kind, origin) = rest
        .split_once('.')
        .map_or((rest, None), |(k, o)| (k, Some(o)));
    let Some((kind, help)) = BY_ORIGIN.into_iter().find(|(known, _)| *known == kind) else {
        return Split::Whole;
    };
    match origin {
        Some(origin) => Split::Part { kind, help, origin },
        None => Split::Sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_told_once_and_the_sums_are_left_to_prometheus() {
        let sums = Metric::ALL
            .iter()
            .filter(|m| matches!(split(**m), Split::Sum));
        assert_eq!(sums.count(), BY_ORIGIN.len());
        assert!(matches!(split(Metric::MessagesDropped), Split::Whole));
        assert!(matches!(split(Metric::ClientConnect), Split::Whole));
        let Split::Part { kind, origin, .. } = split(Metric::MessagesPublishCustom) else {
            panic!("a part");
        };
        assert_eq!((kind, origin), ("publish", "custom"));
    }

    #[test]
    fn every_gauge_and_counter_says_what_it_means() {
        for stat in Stat::ALL {
            assert!(stat.meaning().trim().ends_with('.'), "{}", stat.name());
        }
        for metric in Metric::ALL {
            assert!(metric.meaning().trim().ends_with('.'), "{}", metric.name());
        }
    }
}
