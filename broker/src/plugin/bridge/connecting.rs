//! The two connections of an entry, from the socket to CONNACK.
//!
//! The own node is reached through a pair of Unix sockets, one end of which is handed to the shard that owns the
//! client identifier, as QUIC's streams are. No port is needed, and a listener of its own says that this
//! client is one of the broker's.

use super::{
    relay::{Broken, Target},
    remote::Remote,
    settings::{Direction, Entry},
    wire::{Stream, Wire},
};
use crate::{
    connect::BRIDGE_PROPERTY,
    engine::Engine,
    listener::Listener,
    settings::EXPIRY_NEVER,
    shard::{Arrival, mailbox::Mail},
    transport::{Transport, tls::Named},
};
use raftmq_mqtt::codec::{
    ConnAck, Connect, ConnectProperties, PACKET_SIZE_MAX, Packet, QoS, ReasonCode, UserProperties,
    Version, Will, WillProperties,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
    time::Duration,
};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// What the listener of the own node's clients is called.
const LISTENER: &str = "bridge";
/// User name of the own node's clients.
const USER_NAME: &str = "$bridge";
/// How long the own node may take for CONNACK: it may have to wait for a new leader.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection that has been accepted.
pub(super) struct Accepted {
    pub wire: Wire,
    pub session_present: bool,
    /// What it takes, if it is to be sent something.
    pub target: Target,
    /// The cluster that it is, when it has told.
    pub cluster_id: Option<String>,
}

/// Connects with the own node.
///
/// # Errors
/// Why not.
pub(super) async fn local(engine: &Arc<Engine>, entry: &Entry) -> Result<Accepted, Broken> {
    let client_id = entry.local_client_id();
    let stream = door(engine, entry, &client_id).map_err(|error| Broken(error.to_string()))?;
    let is_source = entry.direction == Direction::Egress;
    let connect = Connect {
        version: Version::V5,
        // What is forwarded to it is not its session's affair.
        clean_start: !is_source,
        keep_alive: 0,
        client_id: &client_id,
        will: None,
        user_name: Some(USER_NAME),
        password: None,
        properties: ConnectProperties {
            session_expiry_interval: is_source.then_some(EXPIRY_NEVER),
            receive_maximum: NonZeroU16::new(entry.remote.receive_maximum),
            maximum_packet_size: NonZeroU32::new(entry.remote.packet_bytes_max),
            ..ConnectProperties::default()
        },
    };
    let wire = Wire::new(Box::new(stream), Version::V5, PACKET_SIZE_MAX);
    tokio::time::timeout(LOCAL_TIMEOUT, shake_hands(wire, &connect))
        .await
        .unwrap_or_else(|_| Err(Broken("no answer to CONNECT".into())))
}

fn door(engine: &Arc<Engine>, entry: &Entry, client_id: &str) -> std::io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?;
    let settings = engine.settings.clone();
    let settings = settings.for_bridge(entry.queue_messages_max);
    let listener = Arc::new(Listener::internal(LISTENER, settings));
    let tickets = engine.admission.enter();
    let tickets = tickets.and_then(|ticket| listener.enter(ticket));
    let tickets =
        tickets.ok_or_else(|| std::io::Error::other("mqtt.max_connections is reached"))?;
    let arrive = move || {
        Ok(Arrival {
            transport: Transport::Unix(UnixStream::from_std(theirs)?),
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            listener,
            tickets,
            named: Named::Nobody,
        })
    };
    engine
        .mailbox_of(client_id)
        .put(Mail::Arrived(Box::new(arrive)));
    Ok(ours)
}

/// Connects with the remote broker.
///
/// # Errors
/// Why not.
pub(super) async fn remote(entry: Arc<Entry>, cluster_id: String) -> Result<Accepted, Broken> {
    let limit = entry.remote.connect_timeout;
    let connecting = async {
        let remote = &entry.remote;
        let stream = reach(remote).await?;
        let is_source = entry.direction == Direction::Ingress;
        let client_id = entry.remote_client_id(&cluster_id);
        let own = [(BRIDGE_PROPERTY, &*cluster_id)];
        let connect = Connect {
            version: remote.version,
            clean_start: remote.clean_start || !is_source,
            keep_alive: remote.keep_alive_seconds,
            client_id: &client_id,
            will: will_of(remote),
            user_name: remote.user_name.as_deref(),
            password: remote.password.as_deref().map(str::as_bytes),
            properties: match remote.version {
                Version::V5 => properties(remote, is_source, UserProperties::Pairs(&own)),
                _ => ConnectProperties::default(),
            },
        };
        let wire = Wire::new(stream, remote.version, remote.packet_bytes_max);
        let mut accepted = shake_hands(wire, &connect).await?;
        // MQTT 3.1.1 names no limit: as many as there are here.
        let target = &mut accepted.target;
        target.receive_maximum = target.receive_maximum.min(remote.receive_maximum);
        Ok(accepted)
    };
    tokio::time::timeout(limit, connecting)
        .await
        .unwrap_or_else(|_| Err(Broken("not connected within connect_timeout".into())))
}

fn properties<'a>(
    remote: &Remote,
    is_source: bool,
    user_properties: UserProperties<'a>,
) -> ConnectProperties<'a> {
    ConnectProperties {
        session_expiry_interval: is_source.then_some(remote.session_expiry_seconds),
        receive_maximum: NonZeroU16::new(remote.receive_maximum),
        maximum_packet_size: NonZeroU32::new(remote.packet_bytes_max),
        user_properties,
        ..ConnectProperties::default()
    }
}

fn will_of(remote: &Remote) -> Option<Will<'_>> {
    remote.will.as_ref().map(|will| Will {
        qos: will.qos,
        retain: will.retain,
        topic: &will.topic,
        payload: &will.payload,
        properties: WillProperties::default(),
    })
}

async fn reach(remote: &Remote) -> Result<Box<dyn Stream>, Broken> {
    let socket = TcpStream::connect((&*remote.host, remote.port))
        .await
        .map_err(|error| Broken(error.to_string()))?;
    let _ = socket.set_nodelay(true);
    let Some((config, name)) = &remote.tls else {
        return Ok(Box::new(socket));
    };
    let connector = TlsConnector::from(config.clone());
    let stream = connector.connect(name.clone(), socket).await;
    let stream = stream.map_err(|error| Broken(format!("TLS: {error}")))?;
    Ok(Box::new(stream))
}

/// Sends CONNECT and waits for the answer.
async fn shake_hands(mut wire: Wire, connect: &Connect<'_>) -> Result<Accepted, Broken> {
    let lost = |error: std::io::Error| Broken(format!("no answer to CONNECT: {error}"));
    let mut bytes = Vec::new();
    connect
        .encode(PACKET_SIZE_MAX, &mut bytes)
        .map_err(|error| Broken(format!("CONNECT: {error}")))?;
    wire.outgoing.put(&mut bytes);
    while wire.outgoing.has_more() {
        wire.outgoing.send().await.map_err(lost)?;
    }
    let version = connect.version;
    loop {
        let mut answer = None;
        wire.packets(&mut answer, Option::is_none, |answer, packet| {
            *answer = Some(read_answer(version, connect.keep_alive, packet)?);
            Ok(())
        })?;
        if let Some((granted, keep_alive)) = answer {
            wire.set_keep_alive(keep_alive);
            return Ok(Accepted {
                wire,
                session_present: granted.session_present,
                target: granted.target,
                cluster_id: granted.cluster_id,
            });
        }
        wire.incoming.receive().await.map_err(lost)?;
    }
}

struct Granted {
    session_present: bool,
    target: Target,
    cluster_id: Option<String>,
}

/// What CONNACK grants, and the keep alive in force.
fn read_answer(
    version: Version,
    keep_alive: u16,
    packet: &Packet<'_>,
) -> Result<(Granted, u16), Broken> {
    let Packet::ConnAck(connack) = packet else {
        return Err(Broken("the answer to CONNECT is no CONNACK".into()));
    };
    if connack.reason_code != ReasonCode::Success {
        let why = connack.diagnostics.reason_string;
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let code = connack.reason_code;
        return Err(Broken(format!("CONNECT is refused, {code:?}{why}")));
    }
    let granted = Granted {
        session_present: connack.session_present,
        target: target_of(version, connack),
        cluster_id: cluster_of(connack),
    };
    let keep_alive = connack.properties.server_keep_alive.unwrap_or(keep_alive);
    Ok((granted, keep_alive))
}

fn target_of(version: Version, connack: &ConnAck<'_>) -> Target {
    let granted = &connack.properties;
    Target {
        version,
        receive_maximum: granted.receive_maximum.map_or(u16::MAX, |n| n.get()),
        packet_bytes_max: granted
            .maximum_packet_size
            .map_or(PACKET_SIZE_MAX, |n| n.get()),
        qos_max: granted.maximum_qos.unwrap_or(QoS::ExactlyOnce),
        retain_available: granted.retain_available != Some(false),
    }
}

fn cluster_of(connack: &ConnAck<'_>) -> Option<String> {
    let told = connack.diagnostics.user_properties;
    let mut told = told.iter();
    let found = told.find(|(name, value)| *name == BRIDGE_PROPERTY && !value.is_empty());
    found.map(|(_, cluster)| cluster.to_owned())
}
