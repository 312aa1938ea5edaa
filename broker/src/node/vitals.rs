//! What a node tells of itself beside its counters: whether it serves, and what it offers.

use crate::engine::Engine;
use raftmq_api::{
    Phase, machine,
    node::{FeaturesReply, LinkVitals, VitalsReply},
};
use raftmq_store::Readiness;
use std::time::Duration;

/// Why a node that could serve takes no clients.
const DRAINING: &str = "draining: an operator wants this node's clients on other nodes";

/// Whether this node serves, and what an operator watches.
pub(super) fn vitals(
    engine: &Engine,
    phase: Phase,
    uptime: Duration,
    started_at_ms: u64,
) -> VitalsReply {
    let status = engine.store.status();
    let links = engine.links.at_work();
    let links = links.iter().map(|link| LinkVitals {
        peer_id: link.peer(),
        held_bytes: link.held_bytes() as u64,
        window_bytes: link.window_bytes() as u64,
    });
    VitalsReply {
        not_ready: phase.admits(|| readiness(engine)).err().unwrap_or_default(),
        leader_id: status.leader,
        term: status.term,
        applied_index: status.applied_index,
        uptime_seconds: uptime.as_secs(),
        resident_memory_bytes: machine::resident_memory_bytes(),
        sockets: engine.admission.open() as u64,
        sockets_max: engine.admission.open_max() as u64,
        links: links.collect(),
        started_at_ms,
    }
}

/// Whether the replicated state allows this node to serve, else why not.
pub(super) fn readiness(engine: &Engine) -> Result<(), String> {
    match engine.store.readiness() {
        Readiness::Ready if engine.draining.order().is_some() => Err(DRAINING.to_owned()),
        Readiness::Ready => Ok(()),
        Readiness::NotReady(reason) => Err(reason),
    }
}

/// What this node offers its clients. Sessions and subscriptions are on disk; queued messages are not,
/// and nothing is subscribed to on a client's behalf.
pub(super) fn features(engine: &Engine) -> FeaturesReply {
    FeaturesReply {
        retain: engine.settings.retain_available,
        message_storage: false,
        session_storage: true,
        delayed: engine.settings.delayed_publish,
        shared_subscription: engine.settings.shared_subscription_available,
        auto_subscription: false,
    }
}
