//! `/cluster`: the nodes as members of one cluster, whether their tables are equal, and what is wrong.

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::drain::Progress;
use super::{Missing, Row};
use crate::api::Api;
use crate::cluster::comparison::{Comparison, compare};
use crate::cluster::doctor::{Evidence, Finding, Severity, diagnose};
use crate::cluster::evidence::{self, NodeEvidence};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::reply::{self, Qualifiers};
use crate::node::{InspectReply, LinkState};
use crate::openapi::{Header, Operation};
use crate::replicated::{KnownDrain, KnownNode};
use crate::router::Endpoints;

pub(super) fn endpoints(endpoints: Endpoints) -> Endpoints {
    endpoints
        .get(
            "/cluster",
            overview,
            Operation::json::<Overview<'static>>(
                "get_cluster",
                "Return the leader and every node's role, progress, readiness, disk and links",
            ),
        )
        .get(
            "/cluster/consistency",
            consistency,
            Operation::json::<Consistency>(
                "get_cluster_consistency",
                "Compare the replicated tables of all nodes at one log entry",
            )
            .fails([Code::NoLeader, Code::Stopping])
            .header(Header::AppliedIndex),
        )
        .get(
            "/cluster/doctor",
            doctor,
            Operation::json::<Diagnosis>(
                "get_cluster_doctor",
                "Return what is wrong or will be, what shows it, and what to do",
            )
            .header(Header::UnreachableNodes),
        )
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Cluster")]
struct Overview<'a> {
    leader_id: Option<u64>,
    term: u64,
    nodes: Vec<Row<MemberRow<'a>, SilentMember<'a>>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClusterNode")]
struct MemberRow<'a> {
    node_id: u64,
    node_name: &'a str,
    version: &'a str,
    role: &'a str,
    term: u64,
    last_log_index: u64,
    committed_index: u64,
    applied_index: u64,
    /// Log entries behind the longest log.
    lag: u64,
    /// Since the node last acknowledged the leader; `null` when the leader does not say.
    last_contact_ms: Option<u64>,
    incarnation: u64,
    ready: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    /// Absent: the node takes clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<Progress<'a>>,
    disk: Disk,
    flush: Flush,
    links: Vec<LinkRow>,
}

/// A node that does not answer, and what the leader knows of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SilentClusterNode")]
struct SilentMember<'a> {
    node_id: u64,
    node_name: &'a str,
    error: &'a str,
    draining: bool,
    last_contact_ms: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Disk {
    free: u64,
    total: u64,
    log: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Flush {
    count: u64,
    average_us: u64,
    slowest_us: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Link")]
struct LinkRow {
    peer: u64,
    up: bool,
    queued_bytes: u64,
    in_flight_bytes: u64,
    in_flight_batches: u64,
    round_trip_us: Option<u64>,
    oldest_unacknowledged_ms: u64,
    window_bytes: u64,
    dropped: u64,
}

impl From<&LinkState> for LinkRow {
    fn from(link: &LinkState) -> Self {
        Self {
            peer: link.peer,
            up: link.up,
            queued_bytes: link.queued_bytes,
            in_flight_bytes: link.in_flight_bytes,
            in_flight_batches: link.in_flight_batches,
            round_trip_us: link.round_trip_us,
            oldest_unacknowledged_ms: link.oldest_unacknowledged_ms,
            window_bytes: link.window_bytes,
            dropped: link.dropped,
        }
    }
}

impl<'a> MemberRow<'a> {
    fn new(
        all: &[NodeEvidence],
        node: &'a NodeEvidence,
        answer: &'a InspectReply,
        order: Option<KnownDrain>,
    ) -> Self {
        let flushes = answer.flushes.unwrap_or_default();
        Self {
            node_id: node.id,
            node_name: &node.name,
            version: &answer.version,
            role: &answer.role,
            term: answer.term,
            last_log_index: answer.last_log_index,
            committed_index: answer.committed_index,
            applied_index: answer.applied_index,
            lag: evidence::lag(all, answer),
            last_contact_ms: last_contact_ms(all, node.id),
            incarnation: answer.incarnation,
            ready: answer.not_ready.is_empty(),
            reason: &answer.not_ready,
            drain: order
                .zip(answer.drain.as_ref())
                .map(|(order, progress)| Progress::new(order, progress)),
            disk: Disk {
                free: answer.disk_free_bytes,
                total: answer.disk_total_bytes,
                log: answer.log_disk_bytes,
            },
            flush: Flush {
                count: flushes.count,
                average_us: flushes.average_us,
                slowest_us: flushes.slowest_us,
            },
            links: answer.links.iter().map(LinkRow::from).collect(),
        }
    }
}

/// What the leader says of a node; of itself it says nothing, and it is in touch with itself.
fn last_contact_ms(all: &[NodeEvidence], id: u64) -> Option<u64> {
    if evidence::leadership(all).leader == Some(id) {
        return Some(0);
    }
    let member = evidence::members(all)
        .iter()
        .find(|member| member.node_id == id);
    member.and_then(|member| member.last_contact_ms)
}

async fn overview(State(api): State<Api>) -> Response {
    let nodes = evidence::gather(&api).await;
    let leadership = evidence::leadership(&nodes);
    let known = api.replicated().nodes();
    reply::json(&Overview {
        leader_id: leadership.leader,
        term: leadership.term,
        nodes: nodes
            .iter()
            .map(|node| member_row(&nodes, node, &known))
            .collect(),
    })
}

fn member_row<'a>(
    all: &[NodeEvidence],
    node: &'a NodeEvidence,
    known: &[KnownNode],
) -> Row<MemberRow<'a>, SilentMember<'a>> {
    let known = known.iter().find(|known| known.id == node.id);
    let order = known.and_then(|known| known.drain);
    match &node.answer {
        Ok(answer) => Row::Answer(MemberRow::new(all, node, answer, order)),
        Err(error) => Row::Missing(SilentMember {
            node_id: node.id,
            node_name: &node.name,
            error,
            draining: order.is_some(),
            last_contact_ms: last_contact_ms(all, node.id),
        }),
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct Consistency {
    consistent: bool,
    applied_index: u64,
    nodes: Vec<Row<TableRow>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TableHash")]
struct TableRow {
    node_id: u64,
    applied_index: u64,
    /// 16 hexadecimal digits: a number of 64 bits does not survive every JSON reader.
    hash: String,
}

impl From<Comparison> for Consistency {
    fn from(compared: Comparison) -> Self {
        let applied_index = compared.index;
        let consistent = compared.is_consistent();
        let row = |(node_id, hash): (u64, Result<u64, String>)| match hash {
            Ok(hash) => Row::Answer(TableRow {
                node_id,
                applied_index,
                hash: format!("{hash:016x}"),
            }),
            Err(error) => Row::Missing(Missing { node_id, error }),
        };
        Self {
            consistent,
            applied_index,
            nodes: compared.nodes.into_iter().map(row).collect(),
        }
    }
}

async fn consistency(State(api): State<Api>) -> Result<Response, ApiError> {
    let compared = compare(&api).await?;
    let applied_index = Some(compared.index);
    let answer = reply::json(&Consistency::from(compared));
    Ok(Qualifiers {
        applied_index,
        ..Default::default()
    }
    .attach(answer))
}

#[derive(Debug, Serialize, JsonSchema)]
struct Diagnosis {
    /// Nothing critical and no warning.
    healthy: bool,
    critical: usize,
    warnings: usize,
    notices: usize,
    findings: Vec<Finding>,
}

async fn doctor(State(api): State<Api>) -> Response {
    let (nodes, tables) = futures::join!(evidence::gather(&api), compare(&api));
    let silent = nodes.iter().filter(|node| node.answer.is_err());
    let unreachable = silent.map(|node| node.id).collect();
    let tables = tables.map_err(|error| error.message);
    let findings = diagnose(&Evidence { nodes, tables });
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let (critical, warnings) = (count(Severity::Critical), count(Severity::Warning));
    let answer = reply::json(&Diagnosis {
        healthy: critical + warnings == 0,
        critical,
        warnings,
        notices: count(Severity::Notice),
        findings,
    });
    Qualifiers {
        unreachable,
        ..Default::default()
    }
    .attach(answer)
}
