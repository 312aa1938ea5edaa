//! MQTT over QUIC (RFC 9000): one bidirectional stream that the client opens is one MQTT connection, under the
//! application protocol `mqtt` (ALPN).
//!
//! QUIC is a transport in user space, with timers and cryptography of its own; a thread of its own speaks it, so
//! that it delays neither a shard nor a heartbeat. Each stream is carried to its shard by a pair of Unix sockets,
//! whose buffers in the kernel, and the windows of QUIC, bound what waits: a shard that does not read is felt by
//! the client. A client that closes the stream closes the MQTT connection; one connection of QUIC may open streams
//! one after the other.

use super::{Transport, tls, tls::TlsSource};
use crate::{
    engine::Engine,
    listener::{Listener, Tickets},
    shard::{Arrival, ShardId, mailbox::Mail},
};
use quinn::{
    Connection, Endpoint, EndpointConfig, IdleTimeout, Incoming, RecvStream, SendStream,
    ServerConfig, TokioRuntime, TransportConfig, VarInt, crypto::rustls::QuicServerConfig,
};
use raftmq_api::counters::Metric;
use rustls::pki_types::CertificateDer;
use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};
use tokio::net::UnixStream;

/// Silence after which a connection of QUIC is over; the kernel's part of TCP. MQTT's keep alive is another one.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How often a silent client is asked whether it is still there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Streams of one connection at a time: one is one client.
const STREAMS_MAX: u32 = 1;
/// Bytes of a stream under way towards us, at most.
const WINDOW_BYTES: u32 = 256 * 1024;
/// How often it is looked whether the files of certificates have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long what was sent at the end may take to be acknowledged.
const LINGER: Duration = Duration::from_secs(1);

/// Starts the thread of all QUIC listeners; none when there are none.
///
/// # Errors
/// The operating system gives no thread.
pub(crate) fn start(engine: &Arc<Engine>, sockets: Vec<(usize, UdpSocket)>) -> io::Result<()> {
    if sockets.is_empty() {
        return Ok(());
    }
    let engine = engine.clone();
    let thread = std::thread::Builder::new().name("quic".to_owned());
    thread.spawn(move || {
        if let Err(error) = run(&engine, sockets) {
            tracing::error!(%error, "MQTT over QUIC could not start");
        }
    })?;
    Ok(())
}

fn run(engine: &Arc<Engine>, sockets: Vec<(usize, UdpSocket)>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut ended = engine.ended.clone();
        for (place, socket) in sockets {
            let listener = engine.listeners[place].clone();
            let Some(source) = listener.tls.clone() else {
                continue;
            };
            let config = server_config(&source)?;
            let endpoint = Endpoint::new(
                EndpointConfig::default(),
                Some(config),
                socket,
                Arc::new(TokioRuntime),
            )?;
            tokio::spawn(follow(endpoint.clone(), source));
            tokio::spawn(accept(engine.clone(), endpoint, listener));
        }
        let _ = ended.wait_for(|end| *end).await;
        Ok(())
    })
}

fn server_config(source: &TlsSource) -> io::Result<ServerConfig> {
    let crypto = QuicServerConfig::try_from(source.current())
        .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(IDLE_MAX).map_err(io::Error::other)?;
    transport
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(0_u32.into())
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE_INTERVAL))
        .stream_receive_window(WINDOW_BYTES.into())
        .receive_window(WINDOW_BYTES.into())
        .send_window(WINDOW_BYTES.into())
        .datagram_receive_buffer_size(None);
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// New connections get the new certificate.
async fn follow(endpoint: Endpoint, source: Arc<TlsSource>) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let looking = source.clone();
        let followed = tokio::task::spawn_blocking(move || looking.follow()).await;
        if let Ok(Some(_)) = followed
            && let Ok(config) = server_config(&source)
        {
            endpoint.set_server_config(Some(config));
        }
    }
}

async fn accept(engine: Arc<Engine>, endpoint: Endpoint, listener: Arc<Listener>) {
    let mut stopping = engine.stopping.clone();
    let counters = engine.counters.quic();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let Some(incoming) = incoming else { return };
        // A source whose address is not proven is made to prove it before it costs anything.
        if !incoming.remote_address_validated() {
            let _ = incoming.retry();
            continue;
        }
        let wait = listener.connect_wait();
        if !wait.is_zero() {
            counters.add(Metric::ListenerConnectionsDelayed, 1);
            tokio::time::sleep(wait).await;
        }
        let node = engine.admission.enter();
        let Some(tickets) = node.and_then(|node| listener.enter(node)) else {
            counters.add(Metric::ListenerConnectionsRefused, 1);
            incoming.refuse();
            continue;
        };
        tokio::spawn(converse(
            engine.clone(),
            listener.clone(),
            incoming,
            tickets,
        ));
    }
}

/// One connection, from its handshake to its end.
async fn converse(
    engine: Arc<Engine>,
    listener: Arc<Listener>,
    incoming: Incoming,
    tickets: Tickets,
) {
    let peer = incoming.remote_address();
    let deadline = engine.settings.connect_timeout;
    let opening = async {
        let connection = incoming.await?;
        let streams = connection.accept_bi().await?;
        Ok::<_, quinn::ConnectionError>((connection, streams))
    };
    let (connection, (sending, receiving)) = match tokio::time::timeout(deadline, opening).await {
        Ok(Ok(opened)) => opened,
        other => {
            engine
                .counters
                .quic()
                .add(Metric::ListenerHandshakeError, 1);
            let why = other.map(|failed| failed.err().map(|error| error.to_string()));
            tracing::debug!(%peer, listener = &*listener.name, ?why, "no MQTT over QUIC");
            return;
        }
    };
    if let Err(error) = carry(
        &engine,
        listener,
        &connection,
        peer,
        tickets,
        sending,
        receiving,
    )
    .await
    {
        tracing::debug!(%peer, %error, "a stream of QUIC ended");
    }
    connection.close(VarInt::from_u32(0), b"");
}

async fn carry(
    engine: &Arc<Engine>,
    listener: Arc<Listener>,
    connection: &Connection,
    peer: SocketAddr,
    tickets: Tickets,
    mut sending: SendStream,
    mut receiving: RecvStream,
) -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?;
    let named = tls::named(
        certificates(connection).as_deref(),
        listener.certificate_name,
    );
    let arrive = move || {
        Ok(Arrival {
            transport: Transport::Unix(UnixStream::from_std(theirs)?),
            peer,
            listener,
            tickets,
            named,
        })
    };
    // Any shard may read its CONNECT; which one owns the client is known after that.
    let shards = engine.mailboxes.len();
    let ShardId(shard) = crate::shard::shard_of(&peer.to_string(), shards);
    engine.mailboxes[usize::from(shard)].put(Mail::Arrived(Box::new(arrive)));
    let (mut from_shard, mut to_shard) = ours.into_split();
    let upwards = async {
        tokio::io::copy(&mut receiving, &mut to_shard).await?;
        // The shard sees the end of the stream as that of a socket.
        drop(to_shard);
        Ok::<_, io::Error>(())
    };
    let downwards = async {
        tokio::io::copy(&mut from_shard, &mut sending).await?;
        let _ = sending.finish();
        let _ = tokio::time::timeout(LINGER, sending.stopped()).await;
        Ok::<_, io::Error>(())
    };
    // The shard always ends it: when it closes, and when it has seen the client's end.
    let upwards = async {
        if upwards.await.is_err() {
            // The client is gone without a word; the other half is of no use to anybody.
            return;
        }
        std::future::pending().await
    };
    tokio::select! {
        ended = downwards => ended,
        () = upwards => Ok(()),
    }
}

fn certificates(connection: &Connection) -> Option<Vec<CertificateDer<'static>>> {
    let identity = connection.peer_identity()?;
    identity.downcast().ok().map(|chain| *chain)
}
