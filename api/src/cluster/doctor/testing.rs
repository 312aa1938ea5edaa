//! A cluster of three healthy nodes, and what tests change about it.

use crate::cluster::comparison::Comparison;
use crate::cluster::evidence::{ClockReading, NodeEvidence};
use crate::node::{FlushState, InspectReply, LinkState, MemberState};

use super::{Evidence, Finding};

/// A healthy node of a cluster of three that node 1 leads, changed.
pub(crate) fn node(id: u64, change: impl FnOnce(&mut InspectReply)) -> NodeEvidence {
    let mut answer = InspectReply {
        version: "0.1.0".into(),
        incarnation: 1,
        term: 2,
        leader: 1,
        role: if id == 1 { "leader" } else { "follower" }.into(),
        last_log_index: 50,
        committed_index: 50,
        applied_index: 50,
        not_ready: String::new(),
        disk_total_bytes: 100 << 30,
        disk_free_bytes: 50 << 30,
        log_disk_bytes: 1 << 20,
        links: (1..=3).filter(|peer| *peer != id).map(link).collect(),
        members: (1..=3).map(member).collect(),
        flushes: Some(FlushState {
            count: 100,
            average_us: 900,
            slowest_us: 9_000,
        }),
        settings: [("mqtt.max_qos".to_owned(), "2".to_owned())].into(),
        takeovers: Vec::new(),
        connections: 10,
        connections_max: 1_000,
        http_address: "127.0.0.1:6060".into(),
        http_has_token: false,
        heartbeat_ms: 100,
        drain: None,
        http_certificate: None,
        listener_certificates: Vec::new(),
        share_members: Vec::new(),
    };
    change(&mut answer);
    NodeEvidence {
        id,
        name: format!("{id}@n{id}:7000"),
        answer: Ok(answer),
        clock: Some(ClockReading {
            offset_ms: 1,
            uncertainty_ms: 1,
        }),
    }
}

fn link(peer: u64) -> LinkState {
    LinkState {
        peer,
        up: true,
        round_trip_us: Some(300),
        window_bytes: 8 << 20,
        ..Default::default()
    }
}

fn member(node_id: u64) -> MemberState {
    MemberState {
        node_id,
        is_voter: true,
        is_up: true,
        last_contact_ms: Some(10),
    }
}

/// A node that does not answer.
pub(crate) fn silent(id: u64) -> NodeEvidence {
    NodeEvidence {
        id,
        name: format!("{id}@n{id}:7000"),
        answer: Err("connection refused".into()),
        clock: None,
    }
}

/// Three nodes of which nothing bad can be said.
pub(crate) fn healthy() -> Evidence {
    Evidence {
        nodes: (1..=3).map(|id| node(id, |_| {})).collect(),
        tables: Ok(Comparison {
            index: 50,
            nodes: (1..=3).map(|id| (id, Ok(7))).collect(),
        }),
    }
}

/// The same but for one node.
pub(crate) fn healthy_with(id: u64, change: impl FnOnce(&mut InspectReply)) -> Evidence {
    let mut evidence = healthy();
    let at = evidence.nodes.iter().position(|node| node.id == id);
    if let Some(at) = at {
        evidence.nodes[at] = node(id, change);
    }
    evidence
}

/// The findings' codes.
pub(crate) fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}
