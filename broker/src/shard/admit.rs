//! From a complete CONNECT to an established connection: the claim of the client identifier.
//!
//! The replicated table decides who owns the identifier (guarantee G1). CONNACK is sent when the
//! claim is applied on every serving node, and after the state of the session has been fetched from
//! the node that had it. Between the claim and CONNACK messages for the client already arrive; they
//! wait in the slot, which exists from before the claim is proposed.

use super::{
    Shard, ShardRef,
    connection::{Connection, ConnectionId},
    drive,
    handshake::{Adopted, send_refusal},
    shard_of,
    slots::{Slot, SlotKey},
    transfer,
};
use crate::{
    admission::Ticket, connect::ConnectRequest, counting::ShardCounters, gauges::Counted,
    settings::Settings,
};
use raftmq_api::counters::{Metric, Stat};
use raftmq_mqtt::{
    codec::{ConnAck, ConnAckProperties, Disconnect, PACKET_SIZE_MAX, QoS, ReasonCode, Version},
    session::Session,
    topic,
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

/// Why a CONNECT is refused.
struct Refusal {
    reason: ReasonCode,
    why: String,
}

impl Refusal {
    fn new(reason: ReasonCode, why: impl Into<String>) -> Refusal {
        Refusal {
            reason,
            why: why.into(),
        }
    }
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
    let won = {
        let _active = engine.gauges.counted(Stat::HandshakingsActive);
        claim(&shard, &stream, &request, peer).await
    };
    let (key, won) = match won {
        Ok(won) => won,
        Err(refusal) => {
            tracing::debug!(%peer, client_id = request.client_id, why = refusal.why, "CONNECT refused");
            let counters = shard.borrow().counters.clone();
            send_refusal(&stream, request.version, refusal.reason, &counters).await;
            drop(handshaking);
            super::depart::linger(&stream).await;
            return;
        }
    };
    let stream = Rc::new(stream);
    let established = shard
        .borrow_mut()
        .establish(key, &request, &won, stream.clone(), rest);
    drop(handshaking);
    match established {
        Some(id) => {
            tokio::task::spawn_local(drive::drive(shard, key, id, stream, ticket));
        }
        None => {
            let counters = shard.borrow().counters.clone();
            say_taken_over(&stream, &request, &counters).await;
        }
    }
}

async fn claim(
    shard: &ShardRef,
    stream: &TcpStream,
    request: &ConnectRequest,
    peer: SocketAddr,
) -> Result<(SlotKey, Won), Refusal> {
    let engine = shard.borrow().engine.clone();
    check(shard, request)?;
    if !engine.lease.is_held() {
        return Err(Refusal::new(
            ReasonCode::ServerUnavailable,
            "this node does not serve now",
        ));
    }
    let op = claim_op(request, &engine.settings, engine.node_id, stream, peer);
    let key = shard.borrow_mut().begin_claim(&request.client_id);
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
    Ok((key, won))
}

fn check(shard: &ShardRef, request: &ConnectRequest) -> Result<(), Refusal> {
    let shard = shard.borrow();
    let settings = &shard.engine.settings;
    if shard.stopping {
        return Err(Refusal::new(
            ReasonCode::ServerUnavailable,
            "this node stops",
        ));
    }
    if request.is_assigned && request.version != Version::V5 && !request.clean_start {
        let why = "an empty client identifier needs clean session [MQTT-3.1.3-8]";
        return Err(Refusal::new(ReasonCode::ClientIdentifierNotValid, why));
    }
    if request.authentication_method.is_some() {
        let why = "extended authentication is not offered [MQTT-4.12.0-1]";
        return Err(Refusal::new(ReasonCode::BadAuthenticationMethod, why));
    }
    shard.counters.add(Metric::ClientAuthenticate, 1);
    if request.user_name.is_none() && !settings.allow_anonymous {
        shard.counters.add(Metric::ClientAuthAnonymousError, 1);
        return Err(Refusal::new(
            ReasonCode::NotAuthorized,
            "anonymous clients are not let in",
        ));
    }
    check_will(request, settings)
}

fn check_will(request: &ConnectRequest, settings: &Settings) -> Result<(), Refusal> {
    let Some(message) = request.will.as_ref().and_then(|w| w.message.as_ref()) else {
        return Ok(());
    };
    if topic::validate_name(&message.topic).is_err() || !settings.allows_levels(&message.topic) {
        return Err(Refusal::new(
            ReasonCode::TopicNameInvalid,
            "the will topic is not a topic name",
        ));
    }
    if request.will_qos > settings.max_qos {
        return Err(Refusal::new(
            ReasonCode::QosNotSupported,
            "the will's QoS is above mqtt.max_qos [MQTT-3.2.2-12]",
        ));
    }
    if message.retain && !settings.retain_available {
        return Err(Refusal::new(
            ReasonCode::RetainNotSupported,
            "retained wills are not offered [MQTT-3.2.2-13]",
        ));
    }
    Ok(())
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
    fn begin_claim(&mut self, client_id: &str) -> SlotKey {
        if let Some(key) = self.slots.find(client_id) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.claims += 1;
            }
            return key;
        }
        self.slots.insert(Slot {
            client_id: client_id.into(),
            epoch: 0,
            lost_epoch: 0,
            claims: 1,
            importing: false,
            expiry_seconds: 0,
            session: Session::new(self.engine.settings.outbound_limits),
            connection: None,
        })
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
    ) -> Option<ConnectionId> {
        self.clock.tick();
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
            self.count_discarded(&old);
        }
        let slot = self.slots.get_mut(key)?;
        slot.epoch = won.epoch;
        slot.expiry_seconds = settings.session_expiry_seconds(request);
        if let Some(old) = self.slots.disconnect(key) {
            self.say_goodbye(*old, ReasonCode::SessionTakenOver);
            self.counters.add(Metric::ClientDisconnected, 1);
        }
        self.count_connected(request);
        self.last_connection_id += 1;
        let id = ConnectionId(self.last_connection_id);
        let mut connection = Box::new(self.connection(id, request, stream, rest));
        connack(request, won.session_present, settings)
            .encode(
                request.version,
                connection.max_packet_size,
                &mut connection.out,
            )
            .ok();
        self.slots.connect(key, connection);
        self.resume_deliveries(key);
        self.mark_dirty(key);
        Some(id)
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
    ) -> Connection {
        let settings = &self.engine.settings;
        Connection {
            id,
            stream,
            waker: None,
            version: request.version,
            window: request.receive_maximum.min(settings.max_inflight),
            max_packet_size: request.maximum_packet_size.min(PACKET_SIZE_MAX),
            congested_bytes: settings.out_buffer_bytes,
            _counted: self.engine.gauges.counted(Stat::Connections),
            silence_seconds_max: settings.silence_seconds_max(request.keep_alive_seconds),
            heard_at: self.clock.seconds(),
            partial: rest,
            out: Vec::new(),
            sent: 0,
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
) -> ConnAck<'a> {
    let expiry = settings.session_expiry_seconds(request);
    let keep_alive = settings.keep_alive_seconds(request.keep_alive_seconds);
    let properties = ConnAckProperties {
        session_expiry_interval: (request.session_expiry_seconds != Some(expiry)).then_some(expiry),
        receive_maximum: NonZeroU16::new(settings.max_inflight),
        maximum_qos: (settings.max_qos < QoS::ExactlyOnce).then_some(settings.max_qos),
        retain_available: (!settings.retain_available).then_some(false),
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
