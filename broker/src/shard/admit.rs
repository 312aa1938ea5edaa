//! From a complete CONNECT to an established connection: the claim of the client identifier.
//!
//! The replicated table decides who owns the identifier (guarantee G1). CONNACK is sent when the
//! claim is applied on every serving node, and after the state of the session has been fetched from
//! the node that had it. Between the claim and CONNACK messages for the client already arrive; they
//! wait in the slot, which exists from before the claim is proposed.

use super::{
    Shard, ShardRef,
    connection::{Connection, ConnectionId},
    drive, handshake,
    handshake::{Adopted, send_refusal},
    noticing::client_of,
    permission::ClientIdentity,
    screening::{self, Refusal},
    shard_of,
    slots::{Slot, SlotKey},
    telling::ended_because,
    transfer,
};
use crate::{
    admission::Ticket, config::Durability, connect::ConnectRequest, counting::ShardCounters,
    gauges::Counted, settings::Settings,
};
use raftmq_api::{
    counters::{Metric, Stat},
    event::ClaimName,
};
use raftmq_mqtt::{
    codec::{ConnAck, ConnAckProperties, Disconnect, PACKET_SIZE_MAX, QoS, ReasonCode, Version},
    session::Session,
};
use raftmq_proto::v1;
use raftmq_store::table::{Outcome, Previous};
use std::{
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32},
    rc::Rc,
};
use tokio::net::TcpStream;

/// Takes over a connection that another shard accepted.
pub(super) fn adopt(shard: &ShardRef, adopted: Adopted) {
    let Adopted {
        stream,
        request,
        rest,
        peer,
        ticket,
        handshaking,
    } = adopted;
    match TcpStream::from_std(stream) {
        Ok(stream) => {
            let shard = shard.clone();
            tokio::task::spawn_local(admit(
                shard,
                stream,
                request,
                rest,
                peer,
                ticket,
                handshaking,
            ));
        }
        Err(error) => tracing::debug!(%peer, %error, "connection lost between shards"),
    }
}

/// A claim that has been won.
struct Won {
    epoch: u64,
    session_present: bool,
    previous: Option<Previous>,
}

/// Runs the claim and establishes the connection, or refuses it.
pub(super) async fn admit(
    shard: ShardRef,
    stream: TcpStream,
    request: ConnectRequest,
    rest: Vec<u8>,
    peer: SocketAddr,
    ticket: Ticket,
    handshaking: Counted,
) {
    debug_assert_eq!(
        shard_of(&request.client_id, shard.borrow().engine.mailboxes.len()),
        shard.borrow().id
    );
    let engine = shard.borrow().engine.clone();
    shard.borrow_mut().note_connect(&request, peer);
    let won = {
        let _active = engine.gauges.counted(Stat::HandshakingsActive);
        claim(&shard, &stream, &request, peer).await
    };
    let (key, won, identity) = match won {
        Ok(won) => won,
        Err(refusal) => {
            tracing::debug!(%peer, client_id = request.client_id, why = refusal.why, "CONNECT refused");
            let counters = shard.borrow().counters.clone();
            if handshake::can_be_told(request.version, refusal.reason) {
                let mut shard = shard.borrow_mut();
                shard.note_connack(&request, peer, refusal.reason);
            }
            let connack = ConnAck {
                reason_code: refusal.reason,
                properties: ConnAckProperties {
                    server_reference: refusal.server_reference.as_deref(),
                    ..ConnAckProperties::default()
                },
                ..ConnAck::default()
            };
            send_refusal(&stream, request.version, &connack, &counters).await;
            drop(handshaking);
            super::depart::linger(&stream).await;
            return;
        }
    };
    let stream = Rc::new(stream);
    let established =
        shard
            .borrow_mut()
            .establish(key, &request, &won, stream.clone(), rest, identity);
    drop(handshaking);
    match established {
        Some(id) => {
            shard.borrow_mut().auto_subscribe(key, id);
            tokio::task::spawn_local(drive::drive(shard, key, id, stream, ticket));
        }
        None => {
            let counters = shard.borrow().counters.clone();
            if request.version == Version::V5 {
                let mut shard = shard.borrow_mut();
                shard.note_connack(&request, peer, ReasonCode::Success);
            }
            say_taken_over(&stream, &request, &counters).await;
        }
    }
}

async fn claim(
    shard: &ShardRef,
    stream: &TcpStream,
    request: &ConnectRequest,
    peer: SocketAddr,
) -> Result<(SlotKey, Won, ClientIdentity), Refusal> {
    let engine = shard.borrow().engine.clone();
    let identity = screening::screen(shard, request, peer).await?;
    if !engine.lease.is_held() {
        return Err(Refusal::new(
            ReasonCode::ServerUnavailable,
            "this node does not serve now",
        ));
    }
    let mut op = claim_op(request, &engine.settings, engine.node_id, stream, peer);
    set_superuser(&mut op, identity.superuser);
    let durability = match engine.settings.session_expiry_seconds(request) {
        0 => Durability::Memory,
        _ => engine.settings.durability,
    };
    let key = shard
        .borrow_mut()
        .begin_claim(&request.client_id, durability);
    let outcome = engine.propose(op).await;
    let won = match outcome {
        Ok(Outcome::Claimed {
            epoch,
            session_present,
            previous,
            ..
        }) => Won {
            epoch: epoch.into(),
            session_present,
            previous,
        },
        Ok(other) => {
            shard.borrow_mut().abandon_claim(key);
            return Err(Refusal::new(
                ReasonCode::ServerUnavailable,
                format!("claim: {other:?}"),
            ));
        }
        Err(error) => {
            shard.borrow_mut().abandon_claim(key);
            return Err(Refusal::new(
                ReasonCode::ServerUnavailable,
                error.to_string(),
            ));
        }
    };
    transfer::import(
        shard,
        key,
        &request.client_id,
        won.epoch,
        won.session_present,
        won.previous.as_ref(),
    )
    .await;
    Ok((key, won, identity))
}

fn claim_op(
    request: &ConnectRequest,
    settings: &Settings,
    node_id: u64,
    stream: &TcpStream,
    peer: SocketAddr,
) -> v1::Op {
    let now_ms = super::wall_clock_ms();
    let local_address = stream
        .local_addr()
        .map(|a| a.to_string())
        .unwrap_or_default();
    let attributes = v1::ClientAttributes {
        username: request.user_name.clone().unwrap_or_default(),
        protocol_version: u32::from(request.version.level()),
        peer_address: peer.to_string(),
        local_address,
        keep_alive_seconds: u32::from(settings.keep_alive_seconds(request.keep_alive_seconds)),
        connected_at_ms: now_ms,
        superuser: false,
    };
    let claim = v1::ClaimSession {
        client_id: request.client_id.clone(),
        node_id,
        clean_start: request.clean_start,
        expiry_seconds: settings.session_expiry_seconds(request),
        will: request.will.clone(),
        attributes: Some(attributes),
        now_ms,
    };
    v1::Op {
        kind: Some(v1::op::Kind::ClaimSession(claim)),
    }
}

fn set_superuser(op: &mut v1::Op, superuser: bool) {
    if let Some(v1::op::Kind::ClaimSession(claim)) = &mut op.kind
        && let Some(attributes) = &mut claim.attributes
    {
        attributes.superuser = superuser;
    }
}

/// Another CONNECT won the identifier while this one was being answered.
async fn say_taken_over(stream: &TcpStream, request: &ConnectRequest, counters: &ShardCounters) {
    let mut out = Vec::new();
    if request.version == Version::V5 {
        let connack = ConnAck::default();
        let goodbye = Disconnect::new(ReasonCode::SessionTakenOver);
        let _ = connack.encode(request.version, request.maximum_packet_size, &mut out);
        let _ = goodbye.encode(request.version, request.maximum_packet_size, &mut out);
        let _ = stream.try_write(&out);
        counters.add(Metric::ClientConnack, 1);
    }
    super::depart::linger(stream).await;
}

impl Shard {
    /// Makes sure that there is a slot for messages that arrive from now on.
    fn begin_claim(&mut self, client_id: &str, durability: Durability) -> SlotKey {
        self.reconcile();
        if let Some(key) = self.slots.find(client_id) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.claims += 1;
            }
            return key;
        }
        let session = Session::new(self.engine.settings.outbound_limits);
        let key = self.slots.insert(Slot {
            claims: 1,
            ..Slot::new(client_id.into(), session)
        });
        // What arrives for a session that moves here, before its claim is answered, is acknowledged.
        if durability == Durability::Disk {
            self.begin_journal(key);
        }
        key
    }

    /// The claim was not decided in our favour.
    fn abandon_claim(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.claims -= 1;
        self.remove_if_unused(key);
    }

    /// Drops a slot that neither a claim nor the table needs.
    pub(super) fn remove_if_unused(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        if slot.claims == 0 && slot.epoch <= slot.lost_epoch && slot.connection.is_none() {
            self.discard(key);
        }
    }

    /// Installs the connection of a claim that was won, and answers CONNACK. `None`: the claim has
    /// already been lost to a later one.
    fn establish(
        &mut self,
        key: SlotKey,
        request: &ConnectRequest,
        won: &Won,
        stream: Rc<TcpStream>,
        rest: Vec<u8>,
        identity: ClientIdentity,
    ) -> Option<ConnectionId> {
        self.begin_turn();
        let engine = self.engine.clone();
        let settings = &engine.settings;
        let slot = self.slots.get_mut(key)?;
        slot.claims -= 1;
        if won.epoch <= slot.lost_epoch || won.epoch < slot.epoch || self.stopping {
            self.lost_before_established(key, won.epoch);
            return None;
        }
        let is_ours = won
            .previous
            .as_ref()
            .is_some_and(|p| u64::from(p.epoch) == slot.epoch && slot.epoch != 0);
        if !won.session_present && (is_ours || slot.epoch != 0) {
            let new = Session::new(settings.outbound_limits);
            let old = std::mem::replace(&mut slot.session, new);
            let client = client_of(slot);
            self.count_discarded(client, &old);
        }
        let slot = self.slots.get_mut(key)?;
        let previous_epoch = std::mem::replace(&mut slot.epoch, won.epoch);
        slot.expiry_seconds = settings.session_expiry_seconds(request);
        self.replace_connection(key, previous_epoch, won.epoch);
        self.journal_claim(key, won.session_present);
        self.count_connected(request);
        let peer = identity.peer;
        self.note_connack(request, peer, ReasonCode::Success);
        self.note_connected(request, peer, won.session_present);
        self.last_connection_id += 1;
        let id = ConnectionId(self.last_connection_id);
        let mut connection = Box::new(self.connection(id, request, stream, rest, identity));
        connack(
            request,
            won.session_present,
            settings,
            self.retain_available(),
        )
        .encode(
            request.version,
            connection.max_packet_size,
            &mut connection.out,
        )
        .ok();
        self.slots.connect(key, connection);
        self.tell_connected(key, request.version, won.session_present);
        self.resume_deliveries(key);
        self.mark_dirty(key);
        Some(id)
    }

    /// Ends the connection that an earlier claim had on this node, if there is one.
    fn replace_connection(&mut self, key: SlotKey, previous_epoch: u64, epoch: u64) {
        let new = ClaimName {
            node_id: self.engine.node_id,
            epoch,
        };
        self.tell_taken_over(key, previous_epoch, new);
        let Some(old) = self.slots.disconnect(key) else {
            return;
        };
        let reason = ReasonCode::SessionTakenOver;
        self.tell_disconnected(key, &old, ended_because(reason), Some(reason));
        self.say_goodbye(*old, reason);
        self.counters.add(Metric::ClientDisconnected, 1);
    }

    /// The claim was won and lost again: the state that came with it goes on to the next owner.
    fn lost_before_established(&mut self, key: SlotKey, epoch: u64) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.epoch < epoch && epoch <= slot.lost_epoch {
            slot.epoch = epoch;
            self.depart(key, epoch);
        }
        self.remove_if_unused(key);
    }

    fn count_connected(&self, request: &ConnectRequest) {
        self.counters.add(Metric::ClientConnack, 1);
        self.counters.add(Metric::ClientConnected, 1);
        if request.user_name.is_none() {
            self.counters.add(Metric::ClientAuthAnonymous, 1);
        }
    }

    fn connection(
        &self,
        id: ConnectionId,
        request: &ConnectRequest,
        stream: Rc<TcpStream>,
        rest: Vec<u8>,
        identity: ClientIdentity,
    ) -> Connection {
        let settings = &self.engine.settings;
        Connection {
            id,
            stream,
            waker: None,
            version: request.version,
            identity: Box::new(identity),
            window: request.receive_maximum.min(settings.max_inflight),
            max_packet_size: request.maximum_packet_size.min(PACKET_SIZE_MAX),
            congested_bytes: settings.out_buffer_bytes,
            _counted: self.engine.gauges.counted(Stat::Connections),
            silence_seconds_max: settings.silence_seconds_max(request.keep_alive_seconds),
            heard_at: self.clock.seconds(),
            partial: rest,
            out: Vec::new(),
            sent: 0,
            holds: Default::default(),
            requests: 0,
            dirty: false,
            blocked: false,
            paused: false,
        }
    }
}

fn connack<'a>(
    request: &'a ConnectRequest,
    session_present: bool,
    settings: &Settings,
    retain_available: bool,
) -> ConnAck<'a> {
    let expiry = settings.session_expiry_seconds(request);
    let keep_alive = settings.keep_alive_seconds(request.keep_alive_seconds);
    let properties = ConnAckProperties {
        session_expiry_interval: (request.session_expiry_seconds != Some(expiry)).then_some(expiry),
        receive_maximum: NonZeroU16::new(settings.max_inflight),
        maximum_qos: (settings.max_qos < QoS::ExactlyOnce).then_some(settings.max_qos),
        retain_available: (!retain_available).then_some(false),
        maximum_packet_size: NonZeroU32::new(settings.max_packet_size),
        assigned_client_identifier: request.is_assigned.then_some(&*request.client_id),
        server_keep_alive: (keep_alive != request.keep_alive_seconds).then_some(keep_alive),
        ..ConnAckProperties::default()
    };
    ConnAck {
        session_present,
        reason_code: ReasonCode::Success,
        properties,
        ..ConnAck::default()
    }
}
