//! Bans at CONNECT. The replicated table decides: a claim behind a ban in the log is refused by all nodes
//! alike. It is looked at before, too, so that who is banned costs neither a password check nor a log entry.
//!
//! A ban may also come between a claim and its CONNACK. Then the table has ended the connection of that
//! claim already, and the client is not let in any more.

use super::{ShardRef, screening::Refusal, wall_clock_ms};
use crate::connect::ConnectRequest;
use raftmq_mqtt::codec::ReasonCode;
use raftmq_store::table::{self, Outcome, Suspect};
use std::net::SocketAddr;

const WHY: &str = "banned";

/// Whether the table on this node keeps the client out.
pub(super) fn check(
    shard: &ShardRef,
    request: &ConnectRequest,
    peer: SocketAddr,
) -> Result<(), Refusal> {
    let engine = shard.borrow().engine.clone();
    let table = engine.store.table().read();
    match table.ban_of(&suspect(request, peer), wall_clock_ms()) {
        Some(ban) => Err(banned(format!("{WHY}: {}", ban.reason))),
        None => Ok(()),
    }
}

/// What a client is told whose claim the table has not granted.
pub(super) fn refused_claim(outcome: &Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(table::Refusal::Banned) => banned(WHY),
        other => Refusal::new(ReasonCode::ServerUnavailable, format!("claim: {other:?}")),
    }
}

/// Whether the table has ended the connection of a claim while its client waited for the answer. A claim
/// that was lost to a later one is dealt with elsewhere.
pub(super) fn withdrawn(
    shard: &ShardRef,
    request: &ConnectRequest,
    peer: SocketAddr,
    epoch: u64,
) -> Option<Refusal> {
    let engine = shard.borrow().engine.clone();
    let table = engine.store.table().read();
    let session = table.session(&request.client_id);
    if session.is_some_and(|session| session.connected || u64::from(session.epoch) != epoch) {
        return None;
    }
    if table
        .ban_of(&suspect(request, peer), wall_clock_ms())
        .is_some()
    {
        return Some(banned(WHY));
    }
    // A session that is still there waits for its client, which may come again.
    let why = "its connection was ended before it was answered";
    session.map(|_| Refusal::new(ReasonCode::ServerUnavailable, why))
}

fn suspect(request: &ConnectRequest, peer: SocketAddr) -> Suspect<'_> {
    Suspect {
        client_id: &request.client_id,
        user_name: request.user_name.as_deref().unwrap_or_default(),
        ip: Some(peer.ip()),
    }
}

fn banned(why: impl Into<String>) -> Refusal {
    Refusal::new(ReasonCode::Banned, why)
}
