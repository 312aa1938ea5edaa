//! Accepting connections, until the node stops: one task for each of a shard's doors.

use super::{ShardRef, handshake, handshake::Arrival, opening};
use crate::{
    listener::{Listener, open::Door},
    transport::{Transport, tls::Named},
};
use raftmq_api::counters::Metric;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, UnixListener};

/// Pause after the kernel refused a connection (mostly: too many open files).
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// Where a client of a Unix socket comes from, as far as rules about addresses are concerned.
const THIS_MACHINE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A door on the shard's runtime.
enum OpenDoor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl OpenDoor {
    fn new(door: Door) -> io::Result<OpenDoor> {
        Ok(match door {
            Door::Tcp(listener) => OpenDoor::Tcp(TcpListener::from_std(listener)?),
            Door::Unix(listener) => OpenDoor::Unix(UnixListener::from_std(listener)?),
        })
    }

    async fn accept(&self, listener: &Listener) -> io::Result<(Transport, SocketAddr)> {
        match self {
            OpenDoor::Tcp(door) => {
                let (socket, peer) = door.accept().await?;
                Ok((opening::prepared(socket, listener)?, peer))
            }
            OpenDoor::Unix(door) => {
                let (socket, _) = door.accept().await?;
                Ok((Transport::Unix(socket), THIS_MACHINE))
            }
        }
    }
}

/// Starts taking connections from a door.
///
/// # Errors
/// The operating system does not let the shard wait for it.
pub(super) fn start(shard: &ShardRef, door: Door, listener: Arc<Listener>) -> io::Result<()> {
    let door = OpenDoor::new(door)?;
    tokio::task::spawn_local(accept(shard.clone(), door, listener));
    Ok(())
}

/// Takes connections until the node stops. [MQTT-4.2-1]
async fn accept(shard: ShardRef, door: OpenDoor, listener: Arc<Listener>) {
    let engine = shard.borrow().engine.clone();
    let mut stopping = engine.stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = door.accept(&listener) => accepted,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((transport, peer)) => {
                let wait = listener.connect_wait();
                if !wait.is_zero() {
                    count(&shard, Metric::ListenerConnectionsDelayed);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        _ = stopping.wait_for(|stop| *stop) => return,
                    }
                }
                let node = engine.admission.enter();
                let Some(tickets) = node.and_then(|node| listener.enter(node)) else {
                    count(&shard, Metric::ListenerConnectionsRefused);
                    tracing::warn!(%peer, listener = &*listener.name, "connection refused: max_connections is reached");
                    continue;
                };
                let arrival = Arrival {
                    transport,
                    peer,
                    listener: listener.clone(),
                    tickets,
                    named: Named::Nobody,
                };
                tokio::task::spawn_local(handshake::handshake(shard.clone(), arrival));
            }
            Err(error) => {
                tracing::warn!(%error, listener = &*listener.name, "the operating system refused a connection");
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

fn count(shard: &ShardRef, metric: Metric) {
    shard.borrow().counters.add(metric, 1);
}
