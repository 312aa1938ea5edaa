//! From an accepted socket to a complete CONNECT, under one deadline.
//!
//! The shard that accepted the socket reads the CONNECT and hands the connection to the shard that
//! owns the client identifier; from then on it never moves.

use super::{ShardRef, admit, mailbox::Mail, shard_of};
use crate::{
    admission::Ticket, connect::ConnectRequest, counting::ShardCounters, gauges::Counted,
    proxy_protocol,
};
use raftmq_api::counters::{Metric, Stat};
use raftmq_mqtt::codec::{
    self, ConnAck, DecodeError, Frame, Packet, PacketType, ReasonCode, Version,
};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// A connection whose CONNECT has been read, on its way to its shard.
pub(crate) struct Adopted {
    pub stream: std::net::TcpStream,
    pub request: ConnectRequest,
    /// Bytes that came behind CONNECT.
    pub rest: Vec<u8>,
    pub peer: SocketAddr,
    pub ticket: Ticket,
    /// Shows the handshake in the gauge, until CONNACK.
    pub handshaking: Counted,
}

/// Bytes read at once while a CONNECT is awaited.
const CONNECT_READ_BYTES: usize = 1024;

/// Reads CONNECT and passes the connection on; closes it when that does not work out.
pub(super) async fn handshake(
    shard: ShardRef,
    stream: TcpStream,
    peer: SocketAddr,
    ticket: Ticket,
) {
    let engine = shard.borrow().engine.clone();
    let counters = shard.borrow().counters.clone();
    let handshaking = engine.gauges.counted(Stat::Handshakings);
    let deadline = engine.settings.connect_timeout;
    let received = match timeout(deadline, receive_connect(&shard, &stream, peer)).await {
        Ok(received) => received,
        Err(_) => {
            counters.add(Metric::ClientHandshakingTimeout, 1);
            tracing::debug!(%peer, "no CONNECT within mqtt.connect_timeout");
            return;
        }
    };
    let Some((request, rest, peer)) = received else {
        return;
    };
    let owner = shard_of(&request.client_id, engine.mailboxes.len());
    let is_mine = owner == shard.borrow().id;
    if is_mine {
        admit::admit(shard, stream, request, rest, peer, ticket, handshaking).await;
        return;
    }
    match stream.into_std() {
        Ok(stream) => {
            let adopted = Adopted {
                stream,
                request,
                rest,
                peer,
                ticket,
                handshaking,
            };
            engine.mailboxes[owner.index()].put(Mail::Adopt(Box::new(adopted)));
        }
        Err(error) => tracing::debug!(%peer, %error, "connection lost during CONNECT"),
    }
}

type Received = (ConnectRequest, Vec<u8>, SocketAddr);

async fn receive_connect(
    shard: &ShardRef,
    stream: &TcpStream,
    socket_peer: SocketAddr,
) -> Option<Received> {
    let (settings, counters) = {
        let shard = shard.borrow();
        (shard.engine.settings.clone(), shard.counters.clone())
    };
    let mut peer = socket_peer;
    let mut bytes = Vec::new();
    if settings.believes_proxy(socket_peer.ip()) {
        peer = receive_proxy_header(stream, &mut bytes, socket_peer).await?;
    }
    loop {
        // The first byte tells already; the rest of something else is not waited for.
        if bytes
            .first()
            .is_some_and(|first| PacketType::of(*first) != Some(PacketType::Connect))
        {
            tracing::debug!(%peer, "the first packet is not CONNECT [MQTT-3.1.0-1]");
            return None;
        }
        match codec::frame(&bytes, settings.max_packet_size) {
            Ok(Some(frame)) => {
                counters.add(Metric::ClientConnect, 1);
                let total_len = frame.total_len;
                return match read_connect(&frame) {
                    Ok(request) => Some((request, bytes[total_len..].to_vec(), peer)),
                    Err(error) => {
                        refuse(stream, &frame, error, peer, &counters).await;
                        None
                    }
                };
            }
            Ok(None) => receive(stream, &mut bytes).await?,
            Err(error) => {
                tracing::debug!(%peer, %error, "not MQTT");
                return None;
            }
        }
    }
}

fn read_connect(frame: &Frame<'_>) -> Result<ConnectRequest, DecodeError> {
    // CONNECT carries its own version; the one given here is not looked at.
    match codec::decode(Version::V4, frame)? {
        Packet::Connect(connect) => Ok(ConnectRequest::new(&connect)),
        _ => Err(DecodeError::ReservedPacketType(frame.first_byte >> 4)),
    }
}

async fn receive_proxy_header(
    stream: &TcpStream,
    bytes: &mut Vec<u8>,
    socket_peer: SocketAddr,
) -> Option<SocketAddr> {
    loop {
        if bytes.is_empty() {
            receive(stream, bytes).await?;
            continue;
        }
        if !proxy_protocol::may_begin(bytes) {
            return Some(socket_peer);
        }
        match proxy_protocol::parse(bytes) {
            Ok(Some(header)) => {
                bytes.drain(..header.len);
                return Some(header.source.unwrap_or(socket_peer));
            }
            Ok(None) => receive(stream, bytes).await?,
            Err(error) => {
                tracing::debug!(peer = %socket_peer, %error, "connection refused");
                return None;
            }
        }
    }
}

/// Appends what the socket has; `None` when the peer closed it.
async fn receive(stream: &TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    loop {
        stream.readable().await.ok()?;
        let at = bytes.len();
        bytes.resize(at + CONNECT_READ_BYTES, 0);
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
    stream: &TcpStream,
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
    send_refusal(stream, version, &connack, counters).await;
    super::depart::linger(stream).await;
}

/// Whether this version's CONNACK has a word for the reason.
pub(super) fn can_be_told(version: Version, reason: ReasonCode) -> bool {
    version == Version::V5 || reason.connect_return_code().is_some()
}

/// Sends a refusing CONNACK, unless the version has no word for the reason, and counts it.
pub(super) async fn send_refusal(
    stream: &TcpStream,
    version: Version,
    connack: &ConnAck<'_>,
    counters: &ShardCounters,
) {
    let mut out = Vec::new();
    if connack.encode(version, u32::MAX, &mut out).is_err() {
        return;
    }
    count_refusal(counters, connack.reason_code);
    let _ = timeout(REFUSAL_TIMEOUT, async {
        stream.writable().await.ok()?;
        stream.try_write(&out).ok()
    })
    .await;
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
