//! What no single setting can see: values that depend on others, and values that contradict
//! each other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::load::Layers;
use super::types::Peer;

/// Heartbeats that must fit into a lease and into the shortest election timeout: one that is lost
/// and one that is late must not cost the lease or start an election.
const HEARTBEATS_MIN: u32 = 3;

/// Fills in the values that follow from others.
pub(super) fn complete(layers: &mut Layers) {
    if layers.given("rpc.addr") || layers.config.cluster.peers.len() < 2 {
        return;
    }
    let port = own_entry(layers).and_then(|peer| peer.host_and_port().map(|(_, port)| port));
    if let Some(port) = port {
        layers.config.rpc.addr = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    }
}

fn own_entry(layers: &Layers) -> Option<&Peer> {
    let config = &layers.config;
    let own = |peer: &&Peer| peer.id == config.node.id;
    config.cluster.peers.iter().find(own)
}

/// Adds a problem for every contradiction.
pub(super) fn contradictions(layers: &mut Layers) {
    members(layers);
    reachable(layers);
    ports(layers);
    timing(layers);
    sizes(layers);
    sessions(layers);
    tls(layers);
    super::check_listeners::contradictions(layers);
}

/// Raft needs a majority: an even number of members survives no more failures than the odd number
/// below it, and two survive none.
fn members(layers: &mut Layers) {
    let peers = &layers.config.cluster.peers;
    let (count, id) = (peers.len(), layers.config.node.id);
    let listed: Vec<_> = peers.iter().map(|peer| peer.id.to_string()).collect();
    if count > 1 && !layers.given("node.id") {
        let message = "node.id: must be given (--id) when cluster.peers names more than one node";
        layers.contradiction(&["cluster.peers", "node.id"], message);
    } else if count > 0 && !listed.contains(&id.to_string()) {
        let message = format!(
            "node.id: {id} is not among the members of cluster.peers ({})",
            listed.join(", ")
        );
        layers.contradiction(&["node.id", "cluster.peers"], message);
    }
    let joins = layers.config.cluster.join;
    if joins && count < 2 {
        let message = "cluster.join: cluster.peers has to name this node and at least one member";
        layers.contradiction(&["cluster.join", "cluster.peers"], message);
    } else if !joins && ![0, 1, 3, 5].contains(&count) {
        let message = format!("cluster.peers: {}", why_not_members(count));
        layers.contradiction(&["cluster.peers"], message);
    }
}

/// Why a cluster of this many members is refused.
pub(crate) fn why_not_members(count: usize) -> String {
    let reason = match count {
        2 => "a majority of 2 is 2, so that the loss of either node stops both",
        4 => "a majority of 4 is 3, so that 4 nodes survive no more failures than 3",
        _ => "each further member makes every change slower",
    };
    format!("{count} members are refused: {reason}; use 1, 3 or 5")
}

/// A member that listens on loopback cannot be reached from another machine.
fn reachable(layers: &mut Layers) {
    let listens_locally = layers.config.rpc.addr.ip().is_loopback();
    let Some(own) = own_entry(layers) else { return };
    let host = own.host_and_port().map_or("", |(host, _)| host);
    let local_name = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if listens_locally && !local_name && layers.config.cluster.peers.len() > 1 {
        let message = format!(
            "rpc.addr: {} is only reachable on this machine, but the others are told {:?}",
            layers.config.rpc.addr, own.address
        );
        layers.contradiction(&["rpc.addr", "cluster.peers"], message);
    }
}

/// Two listeners on one port. Port 0 is any free port.
fn ports(layers: &mut Layers) {
    let config = &layers.config;
    let listeners = [
        ("mqtt.addr", config.mqtt.addr),
        ("http.addr", config.http.addr),
        ("rpc.addr", config.rpc.addr),
    ];
    for (index, (key, addr)) in listeners.iter().enumerate() {
        for (earlier_key, earlier) in &listeners[..index] {
            if overlap(*addr, *earlier) {
                let message =
                    format!("{key}: {addr} is already taken by {earlier_key} ({earlier})");
                layers.contradiction(&[key, earlier_key], message);
            }
        }
    }
}

pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_ip
}

fn timing(layers: &mut Layers) {
    let cluster = &layers.config.cluster;
    let (heartbeat, lease) = (cluster.heartbeat, cluster.lease);
    let (low, high) = (cluster.election_min, cluster.election_max);
    let enough = heartbeat * HEARTBEATS_MIN;
    let too_short = |key: &str, value: Duration| {
        format!(
            "cluster.{key}: {value:?} must be at least {HEARTBEATS_MIN} heartbeats ({enough:?}; cluster.heartbeat is {heartbeat:?})"
        )
    };
    if low < enough {
        let keys = ["cluster.election_min", "cluster.heartbeat"];
        layers.contradiction(&keys, too_short("election_min", low));
    }
    if lease < enough {
        let keys = ["cluster.lease", "cluster.heartbeat"];
        layers.contradiction(&keys, too_short("lease", lease));
    }
    if high <= low {
        let keys = ["cluster.election_max", "cluster.election_min"];
        let message = format!(
            "cluster.election_max: {high:?} must be greater than cluster.election_min ({low:?})"
        );
        layers.contradiction(&keys, message);
    }
}

/// A buffer that is smaller than the largest packet could never pass it on.
fn sizes(layers: &mut Layers) {
    let packet = layers.config.mqtt.max_packet_size;
    let buffers = [
        ("mqtt.out_buffer", layers.config.mqtt.out_buffer),
        ("cluster.link_window", layers.config.cluster.link_window),
    ];
    for (key, buffer) in buffers {
        if buffer < packet {
            let message = format!(
                "{key}: {buffer} cannot hold a packet of mqtt.max_packet_size ({packet}): raise the one or lower the other"
            );
            layers.contradiction(&[key, "mqtt.max_packet_size"], message);
        }
    }
}

fn sessions(layers: &mut Layers) {
    let mqtt = &layers.config.mqtt;
    if mqtt.min_keep_alive > mqtt.max_keep_alive {
        let message = format!(
            "mqtt.min_keep_alive: {:?} is more than mqtt.max_keep_alive ({:?})",
            mqtt.min_keep_alive, mqtt.max_keep_alive
        );
        layers.contradiction(&["mqtt.min_keep_alive", "mqtt.max_keep_alive"], message);
    }
    let mqtt = &layers.config.mqtt;
    if mqtt.session_expiry_default > mqtt.max_session_expiry {
        let message = format!(
            "mqtt.session_expiry_default: {:?} is more than mqtt.max_session_expiry ({:?})",
            mqtt.session_expiry_default, mqtt.max_session_expiry
        );
        let keys = ["mqtt.session_expiry_default", "mqtt.max_session_expiry"];
        layers.contradiction(&keys, message);
    }
}

/// A certificate is of no use without its key.
fn tls(layers: &mut Layers) {
    let http = &layers.config.http;
    let (given, missing) = match (&http.tls_certificate, &http.tls_key) {
        (Some(_), None) => ("http.tls_certificate", "http.tls_key"),
        (None, Some(_)) => ("http.tls_key", "http.tls_certificate"),
        _ => return,
    };
    layers.contradiction(&[given], format!("{given}: needs {missing}, too"));
}
