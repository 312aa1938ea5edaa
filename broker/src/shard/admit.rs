//! From a complete CONNECT to an established connection: the claim of the client identifier.
//!
//! The replicated table decides who owns the identifier (guarantee G1). CONNACK is sent when the
//! claim is applied on every serving node, and after the state of the session has been fetched from
//! the node that had it. Between the claim and CONNACK messages for the client already arrive; they
//! wait in the slot, which exists from before the claim is proposed.

use super::{
    Shard, ShardRef, banning, claiming,
    connack::Welcome,
    connection::{Connection, ConnectionId},
    drive,
    exchange::Line,
    handshake,
    handshake::{Adopted, Newcomer, send_refusal},
    noticing::client_of,
    permission::ClientIdentity,
    releasing,
    screening::{self, Refusal, Screened},
    shard_of,
    slots::{Slot, SlotKey},
    telling::ended_because,
    transfer,
};
use crate::{
    config::Durability,
    connect::ConnectRequest,
    counting::ShardCounters,
    listener::{Listener, client_rate::ClientRate},
    settings::Settings,
    transport::Transport,
};
use raftmq_api::{
    counters::{Metric, Stat},
    event::ClaimName,
};
use raftmq_mqtt::{
    codec::{
        ConnAck, ConnAckProperties, Diagnostics, Disconnect, PACKET_SIZE_MAX, ReasonCode, Version,
    },
    session::Session,
    topic_alias::OutboundAliases,
};
use raftmq_store::{
    ProposeError,
    table::{Outcome, Previous},
};
use std::{net::SocketAddr, rc::Rc, sync::Arc};

/// Takes over a connection that another shard accepted.
pub(super) fn adopt(shard: &ShardRef, adopted: Adopted) {
    let peer = adopted.peer;
    match adopted.moved(crate::transport::Detached::attach) {
        Ok(newcomer) => drop(tokio::task::spawn_local(admit(shard.clone(), newcomer))),
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
pub(super) async fn admit(shard: ShardRef, newcomer: Newcomer<Transport>) {
    let Newcomer {
        transport: stream,
        listener,
        mut request,
        mut rest,
        peer,
        tickets,
        handshaking,
    } = newcomer;
    debug_assert_eq!(
        shard_of(&request.client_id, shard.borrow().engine.mailboxes.len()),
        shard.borrow().id
    );
    let engine = shard.borrow().engine.clone();
    shard.borrow_mut().note_connect(&request, peer);
    let won = {
        let _active = engine.gauges.counted(Stat::HandshakingsActive);
        let line = Line {
            stream: &stream,
            listener: &listener,
            rest: &mut rest,
        };
        claim(&shard, line, &mut request, peer).await
    };
    let (key, won, screened) = match won {
        Ok(won) => won,
        Err(refusal) => {
            tracing::debug!(%peer, client_id = request.client_id, why = refusal.why, "CONNECT refused");
            // Closed, and what came behind CONNECT is not looked at [MQTT-3.1.4-6], [MQTT-3.2.2-7], [MQTT-3.14.0-1].
            if !refusal.is_gone {
                refuse(&shard, &stream, &request, peer, &refusal).await;
            }
            drop(handshaking);
            super::depart::linger(&stream).await;
            return;
        }
    };
    let stream = Rc::new(stream);
    let is_internal = listener.is_internal;
    let established = shard.borrow_mut().establish(
        key,
        &request,
        &won,
        (stream.clone(), listener),
        rest,
        screened,
    );
    drop(handshaking);
    match established {
        Some(id) => {
            if !is_internal {
                shard.borrow_mut().auto_subscribe(key, id);
            }
            tokio::task::spawn_local(drive::drive(shard, key, id, stream, tickets));
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

/// Answers a CONNECT that is not accepted.
async fn refuse(
    shard: &ShardRef,
    stream: &Transport,
    request: &ConnectRequest,
    peer: SocketAddr,
    refusal: &Refusal,
) {
    let counters = shard.borrow().counters.clone();
    if handshake::can_be_told(request.version, refusal.reason) {
        let mut shard = shard.borrow_mut();
        shard.note_connack(request, peer, refusal.reason);
    }
    let why = Some(&*refusal.why).filter(|_| request.wants_reason_strings);
    let connack = ConnAck {
        reason_code: refusal.reason,
        properties: ConnAckProperties {
            server_reference: refusal.server_reference.as_deref(),
            ..ConnAckProperties::default()
        },
        diagnostics: Diagnostics {
            reason_string: why,
            ..Diagnostics::default()
        },
        ..ConnAck::default()
    };
    let max_packet_size = request.maximum_packet_size;
    send_refusal(
        stream,
        request.version,
        max_packet_size,
        &connack,
        &counters,
    )
    .await;
}

/// The table did not take the claim.
fn not_claimed(error: &ProposeError) -> Refusal {
    match error {
        // Client identifier, user name and will together: no node could ever take it.
        ProposeError::TooLarge { .. } => Refusal::new(
            ReasonCode::QuotaExceeded,
            "client identifier, user name and will are too long together",
        ),
        other => Refusal::new(ReasonCode::ServerUnavailable, other.to_string()),
    }
}

async fn claim(
    shard: &ShardRef,
    line: Line<'_>,
    request: &mut ConnectRequest,
    peer: SocketAddr,
) -> Result<(SlotKey, Won, Screened), Refusal> {
    let engine = shard.borrow().engine.clone();
    let (stream, listener) = (line.stream, line.listener);
    let screened = screening::screen(shard, request, peer, line).await?;
    if !engine.lease.is_held() {
        return Err(Refusal::new(
            ReasonCode::ServerUnavailable,
            "this node does not serve now",
        ));
    }
    if !releasing::await_earlier(shard, &request.client_id).await {
        return Err(Refusal::new(
            ReasonCode::ServerUnavailable,
            "another connection of this client has come meanwhile",
        ));
    }
    let mut op = claiming::claim_op(request, listener, engine.node_id, stream, peer);
    claiming::set_superuser(&mut op, screened.identity.superuser);
    let durability = listener.settings.durability_of(request);
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
            return Err(banning::refused_claim(&other));
        }
        Err(error) => {
            shard.borrow_mut().abandon_claim(key);
            return Err(not_claimed(&error));
        }
    };
    transfer::import(
        shard,
        key,
        &request.client_id,
        won.epoch,
        won.session_present,
        won.previous.as_ref(),
        durability,
    )
    .await;
    if let Some(refusal) = banning::withdrawn(shard, request, peer, won.epoch) {
        let settings = &listener.settings;
        shard.borrow_mut().forgo(key, request, &won, settings);
        return Err(refusal);
    }
    Ok((key, won, screened))
}

/// Another CONNECT won the identifier while this one was being answered.
async fn say_taken_over(stream: &Transport, request: &ConnectRequest, counters: &ShardCounters) {
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
        let session = Session::new(self.engine.settings.outbound_limits_of(client_id));
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
    /// [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-3.1.2-6], [MQTT-3.1.3-2], [MQTT-3.1.4-4],
    /// [MQTT-3.1.4-5], [MQTT-3.2.0-1], [MQTT-3.2.0-2], [MQTT-3.2.2-2], [MQTT-3.2.2-3]
    fn establish(
        &mut self,
        key: SlotKey,
        request: &ConnectRequest,
        won: &Won,
        place: Place,
        rest: Vec<u8>,
        screened: Screened,
    ) -> Option<ConnectionId> {
        self.begin_turn();
        let listener = place.1.clone();
        let settings = &listener.settings;
        self.own(key, request, won, settings)?;
        self.count_connected(request);
        let peer = screened.identity.peer;
        self.note_connack(request, peer, ReasonCode::Success);
        self.note_connected(request, peer, won.session_present);
        self.last_connection_id += 1;
        let id = ConnectionId(self.last_connection_id);
        let (authentication, proof) = screened.authentication.unzip();
        let cluster_id = request.is_bridge.then(|| self.engine.cluster_id());
        let welcome = Welcome {
            request,
            settings,
            session_present: won.session_present,
            retain_available: self.retain_available(),
            proof: proof.as_ref(),
            cluster_id: cluster_id.as_deref(),
        };
        let identity = screened.identity;
        let mut connection = Box::new(self.connection(id, request, place, rest, identity));
        connection.authentication = authentication;
        let welcomed = welcome.write(connection.max_packet_size, &mut connection.out);
        self.slots.connect(key, connection);
        self.tell_connected(key, request.version, won.session_present);
        if welcomed.is_err() {
            // Nothing may be sent before CONNACK [MQTT-3.2.0-1].
            self.lost(
                key,
                "no CONNACK is as small as the client's Maximum Packet Size",
            );
            return Some(id);
        }
        self.resume_deliveries(key);
        self.mark_dirty(key);
        Some(id)
    }

    /// The session is this node's by a claim that was won. `None`: it has already been lost again.
    fn own(
        &mut self,
        key: SlotKey,
        request: &ConnectRequest,
        won: &Won,
        settings: &Settings,
    ) -> Option<()> {
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
            let old = slot.session.begin_anew(settings.outbound_limits);
            let client = client_of(slot);
            self.count_discarded(client, &old);
        }
        let slot = self.slots.get_mut(key)?;
        let previous_epoch = std::mem::replace(&mut slot.epoch, won.epoch);
        slot.expiry_seconds = settings.session_expiry_seconds(request);
        slot.session.outbound.set_limits(settings.outbound_limits);
        self.replace_connection(key, previous_epoch, won.epoch);
        let durability = settings.durability_of(request);
        self.journal_claim(key, won.session_present, durability);
        Some(())
    }

    /// The table has ended the connection of a claim before its client was answered: what is left of the
    /// session waits here.
    fn forgo(&mut self, key: SlotKey, request: &ConnectRequest, won: &Won, settings: &Settings) {
        self.begin_turn();
        if self.own(key, request, won, settings).is_none() {
            return;
        }
        let is_unused = |slot: &Slot| slot.expiry_seconds == 0 && slot.claims == 0;
        if self.slots.get(key).is_some_and(is_unused) {
            self.discard(key);
        }
    }

    /// Ends the connection that an earlier claim had on this node, if there is one.
    /// [MQTT-3.1.4-3]
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
        self.watch_flapping_after(key, reason);
        self.tell_disconnected(key, &old, ended_because(reason), Some(reason));
        self.say_goodbye(*old, reason);
        self.counters.add(Metric::ClientDisconnected, 1);
        // Its acknowledgements are not the next connection's, which repeats what it waits for.
        if let Some(slot) = self.slots.get_mut(key) {
            slot.session.inbound.connection_lost();
        }
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
        (stream, listener): Place,
        rest: Vec<u8>,
        identity: ClientIdentity,
    ) -> Connection {
        let settings = &listener.settings;
        let rate = listener.rate_limits;
        Connection {
            id,
            stream,
            rate: rate.map(|limits| Box::new(ClientRate::new(limits, self.clock.now))),
            waker: None,
            version: request.version,
            identity: Box::new(identity),
            window: request.receive_maximum.min(settings.max_inflight),
            max_packet_size: request.maximum_packet_size.min(PACKET_SIZE_MAX),
            congested_bytes: settings.out_buffer_bytes,
            inbound_aliases: None,
            outbound_aliases: OutboundAliases::new(
                request.topic_alias_maximum.min(settings.topic_alias_max),
            )
            .map(Box::new),
            authentication: None,
            wants_reason_strings: request.wants_reason_strings,
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
            listener,
        }
    }
}

/// What a connection travels on, and where it came in.
type Place = (Rc<Transport>, Arc<Listener>);
