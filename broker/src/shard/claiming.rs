//! The command that claims a client identifier, from a CONNECT that has been let in.

use super::wall_clock_ms;
use crate::{
    config::Durability, connect::ConnectRequest, listener::Listener, transport::Transport,
};
use raftmq_proto::v1;
use std::net::SocketAddr;

/// What is proposed for it.
pub(super) fn claim_op(
    request: &ConnectRequest,
    listener: &Listener,
    node_id: u64,
    stream: &Transport,
    peer: SocketAddr,
) -> v1::Op {
    let now_ms = wall_clock_ms();
    let settings = &listener.settings;
    let local_address = stream
        .local_addr()
        .map_or_else(|| listener.address.clone(), |addr| addr.to_string());
    let attributes = v1::ClientAttributes {
        username: request.user_name.clone().unwrap_or_default(),
        protocol_version: u32::from(request.version.level()),
        peer_address: peer.to_string(),
        local_address,
        keep_alive_seconds: u32::from(settings.keep_alive_seconds(request.keep_alive_seconds)),
        connected_at_ms: now_ms,
        superuser: false,
        listener: listener.name.to_string(),
    };
    let claim = v1::ClaimSession {
        client_id: request.client_id.clone(),
        node_id,
        clean_start: request.clean_start,
        expiry_seconds: settings.session_expiry_seconds(request),
        will: request.will.clone(),
        attributes: Some(attributes),
        now_ms,
        in_memory: settings.durability == Durability::Memory,
    };
    v1::Op {
        kind: Some(v1::op::Kind::ClaimSession(claim)),
    }
}

/// The client may do everything.
pub(super) fn set_superuser(op: &mut v1::Op, superuser: bool) {
    if let Some(v1::op::Kind::ClaimSession(claim)) = &mut op.kind
        && let Some(attributes) = &mut claim.attributes
    {
        attributes.superuser = superuser;
    }
}
