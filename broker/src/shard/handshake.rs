//! From an accepted socket to a complete CONNECT, under one deadline.
//!
//! The shard that accepted the socket reads the CONNECT and hands the connection to the shard that
//! owns the client identifier; from then on it never moves.

use super::{ShardRef, admit, mailbox::Mail, opening, opening::Opened, shard_of};
use crate::{
    connect::ConnectRequest,
    counting::ShardCounters,
    gauges::Counted,
    listener::{Listener, Tickets},
    transport::{Detached, Transport, tls::Named},
};
use raftmq_api::counters::{Metric, Stat};
use raftmq_mqtt::codec::{
    self, ConnAck, DecodeError, Frame, Packet, PacketType, ReasonCode, Version,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// A socket that has just been accepted.
pub(crate) struct Arrival {
    pub transport: Transport,
    /// Who is at its other end.
    pub peer: SocketAddr,
    pub listener: Arc<Listener>,
    pub tickets: Tickets,
    /// What a certificate has already named the client.
    pub named: Named,
}

/// A connection whose CONNECT has been read.
pub(crate) struct Newcomer<T> {
    pub transport: T,
    pub listener: Arc<Listener>,
    pub request: ConnectRequest,
    /// Bytes that came behind CONNECT.
    pub rest: Vec<u8>,
    pub peer: SocketAddr,
    pub tickets: Tickets,
    /// Shows the handshake in the gauge, until CONNACK.
    pub handshaking: Counted,
}

/// A connection on its way to its shard.
pub(crate) type Adopted = Newcomer<Detached>;

impl<T> Newcomer<T> {
    /// The same with its transport on another thread, or on this one.
    pub fn moved<U, E>(self, transport: impl FnOnce(T) -> Result<U, E>) -> Result<Newcomer<U>, E> {
        Ok(Newcomer {
            transport: transport(self.transport)?,
            listener: self.listener,
            request: self.request,
            rest: self.rest,
            peer: self.peer,
            tickets: self.tickets,
            handshaking: self.handshaking,
        })
    }
}

/// Reads CONNECT and passes the connection on; closes it when that does not work out.
pub(super) async fn handshake(shard: ShardRef, arrival: Arrival) {
    let engine = shard.borrow().engine.clone();
    let counters = shard.borrow().counters.clone();
    let handshaking = engine.gauges.counted(Stat::Handshakings);
    let deadline = engine.settings.connect_timeout;
    let Arrival {
        transport,
        peer,
        listener,
        tickets,
        named,
    } = arrival;
    let receiving = receive_connect(&counters, transport, peer, &listener, named);
    let received = match timeout(deadline, receiving).await {
        Ok(received) => received,
        Err(_) => {
            counters.add(Metric::ClientHandshakingTimeout, 1);
            tracing::debug!(%peer, "no CONNECT within mqtt.connect_timeout");
            return;
        }
    };
    let Some((transport, request, rest, peer)) = received else {
        return;
    };
    let owner = shard_of(&request.client_id, engine.mailboxes.len());
    let is_mine = owner == shard.borrow().id;
    let newcomer = Newcomer {
        transport,
        listener,
        request,
        rest,
        peer,
        tickets,
        handshaking,
    };
    if is_mine {
        admit::admit(shard, newcomer).await;
        return;
    }
    match newcomer.moved(Transport::detach) {
        Ok(adopted) => engine.mailboxes[owner.index()].put(Mail::Adopt(Box::new(adopted))),
        Err(error) => tracing::debug!(%peer, %error, "connection lost during CONNECT"),
    }
}

type Received = (Transport, ConnectRequest, Vec<u8>, SocketAddr);

async fn receive_connect(
    counters: &ShardCounters,
    transport: Transport,
    peer: SocketAddr,
    listener: &Listener,
    named: Named,
) -> Option<Received> {
    let opened = match opening::open(transport, peer, listener).await {
        Ok(opened) => opened,
        Err(why) => {
            counters.add(Metric::ListenerHandshakeError, 1);
            tracing::debug!(%peer, listener = &*listener.name, why, "no MQTT");
            return None;
        }
    };
    let Opened {
        transport,
        mut bytes,
        peer,
        named: by_tls,
    } = opened;
    let named = match by_tls {
        Named::Nobody => named,
        by_tls => by_tls,
    };
    await_connect(&transport, &mut bytes, peer, listener).await?;
    let frame = codec::frame(&bytes, listener.settings.max_packet_size).ok()??;
    counters.add(Metric::ClientConnect, 1);
    let request = match read_connect(&frame) {
        Ok(request) => request,
        Err(error) => {
            refuse(&transport, &frame, error, peer, counters).await;
            return None;
        }
    };
    match certified(request, &named, listener) {
        Ok(request) => {
            let rest = bytes[frame.total_len..].to_vec();
            Some((transport, request, rest, peer))
        }
        Err((version, reason)) => {
            tracing::debug!(%peer, ?reason, "CONNECT refused for its certificate");
            let connack = ConnAck {
                reason_code: reason,
                ..ConnAck::default()
            };
            send_refusal(&transport, version, u32::MAX, &connack, counters).await;
            super::depart::linger(&transport).await;
            None
        }
    }
}

/// Reads until `bytes` begins with a whole CONNECT; `None`: that will not come.
async fn await_connect(
    transport: &Transport,
    bytes: &mut Vec<u8>,
    peer: SocketAddr,
    listener: &Listener,
) -> Option<()> {
    loop {
        // The first byte tells already; the rest of something else is not waited for.
        if bytes
            .first()
            .is_some_and(|first| PacketType::of(*first) != Some(PacketType::Connect))
        {
            tracing::debug!(%peer, "the first packet is not CONNECT [MQTT-3.1.0-1]");
            return None;
        }
        match codec::frame(bytes, listener.settings.max_packet_size) {
            Ok(Some(_)) => return Some(()),
            Ok(None) => receive(transport, bytes).await?,
            Err(error) => {
                tracing::debug!(%peer, %error, "not MQTT");
                return None;
            }
        }
    }
}

/// The CONNECT with what the client's certificate says that it is.
fn certified(
    mut request: ConnectRequest,
    named: &Named,
    listener: &Listener,
) -> Result<ConnectRequest, (Version, ReasonCode)> {
    let name = match named {
        Named::Nobody => return Ok(request),
        Named::Unfit => return Err((request.version, ReasonCode::NotAuthorized)),
        Named::Name(name) => name,
    };
    request.is_certified = true;
    if listener.certificate_use.names_client() {
        // A client that says that it is another one is not told that it is not.
        if !request.is_assigned && request.client_id != *name {
            return Err((request.version, ReasonCode::ClientIdentifierNotValid));
        }
        request.set_client_id(name);
    }
    if listener.certificate_use.names_user() {
        request.user_name = Some(name.clone());
    }
    Ok(request)
}

fn read_connect(frame: &Frame<'_>) -> Result<ConnectRequest, DecodeError> {
    // CONNECT carries its own version; the one given here is not looked at.
    match codec::decode(Version::V4, frame)? {
        Packet::Connect(connect) => Ok(ConnectRequest::new(&connect)),
        _ => Err(DecodeError::ReservedPacketType(frame.first_byte >> 4)),
    }
}

/// Appends what the stream has; `None` when the peer closed it.
pub(super) async fn receive(stream: &Transport, bytes: &mut Vec<u8>) -> Option<()> {
    loop {
        stream.readable().await.ok()?;
        let at = bytes.len();
        bytes.resize(at + stream.read_room(), 0);
        match stream.try_read(&mut bytes[at..]) {
            Ok(0) => return None,
            Ok(n) => {
                bytes.truncate(at + n);
                return Some(());
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => bytes.truncate(at),
            Err(_) => return None,
        }
    }
}

/// Answers a CONNECT that breaks a rule, in the words of its version.
async fn refuse(
    stream: &Transport,
    frame: &Frame<'_>,
    error: DecodeError,
    peer: SocketAddr,
    counters: &ShardCounters,
) {
    tracing::debug!(%peer, %error, "CONNECT refused");
    // A version that is not spoken here gets the answer of 3.1.1, which every client can read.
    let version = codec::Connect::version_of(frame).unwrap_or(Version::V4);
    let connack = ConnAck {
        reason_code: error.reason_code(),
        ..ConnAck::default()
    };
    // What its Maximum Packet Size would be cannot be read, so nothing optional is said.
    send_refusal(stream, version, u32::MAX, &connack, counters).await;
    super::depart::linger(stream).await;
}

/// Whether this version's CONNACK has a word for the reason.
pub(super) fn can_be_told(version: Version, reason: ReasonCode) -> bool {
    version == Version::V5 || reason.connect_return_code().is_some()
}

/// Sends a refusing CONNACK, unless the version has no word for the reason, and counts it.
pub(super) async fn send_refusal(
    stream: &Transport,
    version: Version,
    max_packet_size: u32,
    connack: &ConnAck<'_>,
    counters: &ShardCounters,
) {
    let mut out = Vec::new();
    if connack.encode(version, max_packet_size, &mut out).is_err() {
        return;
    }
    count_refusal(counters, connack.reason_code);
    let _ = timeout(REFUSAL_TIMEOUT, stream.write_all(&out)).await;
}

fn count_refusal(counters: &ShardCounters, reason: ReasonCode) {
    counters.add(Metric::ClientConnack, 1);
    counters.add(Metric::ClientConnackError, 1);
    match reason {
        ReasonCode::NotAuthorized | ReasonCode::BadUserNameOrPassword | ReasonCode::Banned => {
            counters.add(Metric::ClientConnackAuthError, 1);
        }
        ReasonCode::ServerUnavailable | ReasonCode::ServerBusy | ReasonCode::UseAnotherServer => {
            counters.add(Metric::ClientConnackUnavailableError, 1);
        }
        _ => {}
    }
}

/// How long a refusal may take to be written.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
