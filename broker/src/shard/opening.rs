//! What comes before the first byte of MQTT: the PROXY protocol's header, the handshake of TLS, and that of
//! WebSocket, in this order, each if the listener has it. All of it is under the deadline of CONNECT.

use super::handshake::receive;
use crate::{
    config::{ProxyProtocol, TransportKind},
    listener::Listener,
    proxy_protocol,
    transport::{
        Transport,
        tls::{self, Named},
        upgrade::{self, Answer},
    },
};
use std::{io, net::SocketAddr};
use tokio::net::TcpStream;

/// A stream of MQTT.
pub(super) struct Opened {
    pub transport: Transport,
    /// The first bytes of it.
    pub bytes: Vec<u8>,
    /// The client's address, as it is believed.
    pub peer: SocketAddr,
    /// What the client's certificate names it.
    pub named: Named,
}

/// Why there is none; nothing more is to be said to the client.
pub(super) type Closed = String;

/// Goes through everything that this listener's clients begin with.
pub(super) async fn open(
    transport: Transport,
    peer: SocketAddr,
    listener: &Listener,
) -> Result<Opened, Closed> {
    let mut opened = Opened {
        transport,
        bytes: Vec::new(),
        peer,
        named: Named::Nobody,
    };
    let is_unix = listener.transport == TransportKind::Unix;
    let believed = match listener.transport {
        TransportKind::Quic => ProxyProtocol::Off,
        _ => listener
            .settings
            .believed_proxy((!is_unix).then(|| peer.ip())),
    };
    if believed != ProxyProtocol::Off {
        receive_proxy_header(&mut opened, believed).await?;
    }
    let kind = listener.transport;
    if matches!(kind, TransportKind::Tls | TransportKind::SecureWebSocket) {
        opened = Box::pin(over_tls(opened, listener)).await?;
    }
    if matches!(
        kind,
        TransportKind::WebSocket | TransportKind::SecureWebSocket
    ) {
        opened = Box::pin(over_websocket(opened, listener)).await?;
    }
    Ok(opened)
}

async fn receive_proxy_header(opened: &mut Opened, versions: ProxyProtocol) -> Result<(), Closed> {
    let Opened {
        transport, bytes, ..
    } = opened;
    loop {
        if bytes.is_empty() {
            receive(transport, bytes).await.ok_or_else(gone)?;
            continue;
        }
        if !proxy_protocol::may_begin(bytes, versions) {
            return Ok(());
        }
        match proxy_protocol::parse(bytes) {
            Ok(Some(header)) => {
                bytes.drain(..header.len);
                opened.peer = header.source.unwrap_or(opened.peer);
                return Ok(());
            }
            Ok(None) => receive(transport, bytes).await.ok_or_else(gone)?,
            Err(error) => return Err(error.to_string()),
        }
    }
}

async fn over_tls(opened: Opened, listener: &Listener) -> Result<Opened, Closed> {
    let (Transport::Tcp(socket), Some(source)) = (opened.transport, &listener.tls) else {
        return Err("a listener of TLS without a certificate".to_owned());
    };
    // Who says nothing takes nobody's turn.
    if opened.bytes.is_empty() {
        socket.readable().await.map_err(|error| error.to_string())?;
    }
    let (tls, bytes) = {
        // So many handshakes at a time: they are the dearest that a stranger can ask for.
        let _turn = listener.tls_handshakes.acquire().await;
        let config = source.current();
        let shaken = tls::handshake(&socket, config, opened.bytes).await;
        shaken.map_err(|error| format!("TLS: {error}"))?
    };
    let named = tls::named(tls.peer_certificates(), listener.certificate_name);
    Ok(Opened {
        transport: Transport::tls(socket, tls),
        bytes,
        named,
        ..opened
    })
}

async fn over_websocket(opened: Opened, listener: &Listener) -> Result<Opened, Closed> {
    let Opened {
        transport,
        mut bytes,
        ..
    } = opened;
    loop {
        match upgrade::answer(&bytes, &listener.http_path) {
            Answer::Incomplete => receive(&transport, &mut bytes).await.ok_or_else(gone)?,
            Answer::Accepted {
                request_bytes,
                response,
            } => {
                let sent = transport.write_all(response.as_bytes()).await;
                sent.map_err(|error| error.to_string())?;
                let rest = bytes.split_off(request_bytes);
                let stream = transport.into_websocket(rest);
                let (transport, bytes) = stream.map_err(|error| format!("WebSocket: {error}"))?;
                return Ok(Opened {
                    transport,
                    bytes,
                    ..opened
                });
            }
            Answer::Refused { why, response } => {
                let _ = transport.write_all(response.as_bytes()).await;
                super::depart::linger(&transport).await;
                return Err(format!("WebSocket: {why}"));
            }
        }
    }
}

fn gone() -> Closed {
    "closed by the client".to_owned()
}

/// A socket as it was accepted, ready to be opened.
pub(super) fn prepared(socket: TcpStream, listener: &Listener) -> io::Result<Transport> {
    socket.set_nodelay(true)?;
    if let Some(silence) = listener.tcp_keepalive {
        // As many probes as fit into the same time again.
        let probes = socket2::TcpKeepalive::new()
            .with_time(silence)
            .with_interval(silence / KEEPALIVE_PROBES)
            .with_retries(KEEPALIVE_PROBES);
        socket2::SockRef::from(&socket).set_tcp_keepalive(&probes)?;
    }
    Ok(Transport::Tcp(socket))
}

/// Questions without an answer after which a client is gone.
const KEEPALIVE_PROBES: u32 = 3;
