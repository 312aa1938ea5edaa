//! Accepting connections: each shard listens on the same address (SO_REUSEPORT), so the kernel
//! spreads new connections over the shards without a lock.

use super::{ShardRef, handshake};
use std::{net::SocketAddr, time::Duration};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the kernel may hold back for us.
const BACKLOG: u32 = 4096;
/// Pause after the kernel refused a connection (mostly: too many open files).
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// Opens one listener of an address that several shards share.
///
/// # Errors
/// What the operating system says, e.g. that the address is in use.
pub fn listen(addr: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(addr)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    Ok(listener)
}

/// Opens the first listener of an address: unlike [`listen`] it notices that another program has it.
///
/// # Errors
/// What the operating system says, e.g. that the address is in use.
pub fn listen_alone(addr: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    // Bound without SO_REUSEPORT, which would share the port with whoever has it; then let go.
    let probe = if addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    probe.set_reuseaddr(true)?;
    probe.bind(addr)?;
    let addr = probe.local_addr()?;
    drop(probe);
    listen(addr)
}

/// Takes connections until the node stops.
/// [MQTT-4.2-1]
pub(super) async fn accept(shard: ShardRef, listener: TcpListener) {
    let engine = shard.borrow().engine.clone();
    let mut stopping = engine.stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => match engine.admission.enter() {
                Some(ticket) => {
                    let _ = stream.set_nodelay(true);
                    tokio::task::spawn_local(handshake::handshake(
                        shard.clone(),
                        stream,
                        peer,
                        ticket,
                    ));
                }
                None => {
                    tracing::warn!(%peer, "connection refused: mqtt.max_connections is reached")
                }
            },
            Err(error) => {
                tracing::warn!(%error, "the operating system refused a connection");
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
}
