//! What cannot be together in a listener, and in two of them.

use std::net::SocketAddr;

use super::listener::{GROUP, ListenerConfig};
use super::load::Layers;
use super::types::{
    CertificateName, ClientCertificates, MQTT_LISTENER, ProxyProtocol, TransportKind,
};

/// Adds a problem for every contradiction.
pub(super) fn contradictions(layers: &mut Layers) {
    let listeners = layers.config.listeners.clone();
    for (name, listener) in &listeners {
        let mut found = Vec::new();
        if name == MQTT_LISTENER {
            let why = "is the name of the listener at mqtt.addr; choose another one";
            found.push(("transport", why.to_owned()));
        }
        found.extend(place(listener));
        found.extend(certificates(listener));
        found.extend(limits(listener, layers));
        if listener.transport == TransportKind::Quic
            && listener
                .proxy_protocol
                .is_some_and(|p| p != ProxyProtocol::Off)
        {
            let why = "there is no PROXY protocol for QUIC";
            found.push(("proxy_protocol", why.to_owned()));
        }
        for (field, why) in found {
            let keys = [field, "transport"].map(|field| format!("{GROUP}.{name}.{field}"));
            let message = format!("{GROUP}.{name}.{field}: {why}");
            layers.contradiction(&[&keys[0], &keys[1]], message);
        }
    }
    ports(layers);
}

type Faults = Vec<(&'static str, String)>;

/// Where it listens.
fn place(listener: &ListenerConfig) -> Faults {
    let kind = listener.transport.word();
    let is_unix = listener.transport == TransportKind::Unix;
    let mut found = Faults::new();
    match (is_unix, &listener.addr, &listener.socket) {
        (true, _, None) => found.push(("socket", format!("a listener of {kind:?} needs it"))),
        (true, Some(_), _) => found.push(("addr", format!("a listener of {kind:?} has none"))),
        (false, None, _) => found.push(("addr", format!("a listener of {kind:?} needs it"))),
        (false, _, Some(_)) => found.push(("socket", format!("a listener of {kind:?} has none"))),
        _ => {}
    }
    if !listener.http_path.starts_with('/') || listener.http_path.contains(['?', ' ']) {
        let why = "must begin with \"/\" and have neither \"?\" nor a space";
        found.push(("http_path", why.to_owned()));
    }
    found
}

fn certificates(listener: &ListenerConfig) -> Faults {
    let kind = listener.transport.word();
    let mut found = Faults::new();
    let own = [
        ("tls_certificate", &listener.tls_certificate),
        ("tls_key", &listener.tls_key),
    ];
    for (field, file) in own {
        match (listener.transport.has_tls(), file) {
            (true, None) => found.push((field, format!("a listener of {kind:?} needs it"))),
            (false, Some(_)) => found.push((field, format!("a listener of {kind:?} has none"))),
            _ => {}
        }
    }
    let asks = listener.client_certificates != ClientCertificates::Off;
    if asks && !listener.transport.has_tls() {
        let why = format!("a listener of {kind:?} has no certificates");
        found.push(("client_certificates", why));
    }
    let needs = |given: bool, field, what: &str| {
        (given && !asks).then(|| (field, format!("{what} needs client_certificates, too")))
    };
    found.extend(needs(listener.client_ca.is_some(), "client_ca", "it"));
    found.extend(needs(listener.client_crl.is_some(), "client_crl", "it"));
    let named = listener.certificate_name != CertificateName::Off;
    found.extend(needs(named, "certificate_name", "it"));
    if asks && listener.client_ca.is_none() {
        let why = "client_certificates needs it".to_owned();
        found.push(("client_ca", why));
    }
    found
}

fn limits(listener: &ListenerConfig, layers: &Layers) -> Faults {
    let mqtt = &layers.config.mqtt;
    let mut found = Faults::new();
    let packet = listener.max_packet_size.unwrap_or(mqtt.max_packet_size);
    if packet > mqtt.out_buffer.min(layers.config.cluster.link_window) {
        let why = format!("{packet} does not fit into mqtt.out_buffer and cluster.link_window");
        found.push(("max_packet_size", why));
    }
    let shortest = listener.min_keep_alive.unwrap_or(mqtt.min_keep_alive);
    let longest = listener.max_keep_alive.unwrap_or(mqtt.max_keep_alive);
    if shortest > longest {
        let why = format!("{shortest:?} is more than the longest one ({longest:?})");
        found.push(("min_keep_alive", why));
    }
    found
}

/// Two listeners on one port, or on one Unix socket. UDP has ports of its own.
fn ports(layers: &mut Layers) {
    let config = &layers.config;
    let fixed = [
        ("mqtt.addr".to_owned(), config.mqtt.addr),
        ("http.addr".to_owned(), config.http.addr),
        ("rpc.addr".to_owned(), config.rpc.addr),
    ];
    let key = |name: &str, field: &str| format!("{GROUP}.{name}.{field}");
    let own = config.listeners.iter().filter_map(|(name, listener)| {
        let is_udp = listener.transport == TransportKind::Quic;
        Some((key(name, "addr"), listener.addr?, is_udp))
    });
    let fixed = fixed.into_iter().map(|(key, addr)| (key, addr, false));
    let places: Vec<(String, SocketAddr, bool)> = fixed.chain(own).collect();
    let sockets = config
        .listeners
        .iter()
        .filter_map(|(name, listener)| Some((key(name, "socket"), listener.socket.clone()?)));
    let sockets: Vec<_> = sockets.collect();
    let mut taken = Vec::new();
    for (index, (key, addr, is_udp)) in places.iter().enumerate() {
        for (earlier_key, earlier, earlier_udp) in &places[..index] {
            let is_new = key.starts_with(GROUP);
            if is_new && is_udp == earlier_udp && super::check::overlap(*addr, *earlier) {
                let why = format!("{key}: {addr} is already taken by {earlier_key} ({earlier})");
                taken.push((key.clone(), earlier_key.clone(), why));
            }
        }
    }
    for (index, (key, socket)) in sockets.iter().enumerate() {
        if let Some((earlier, _)) = sockets[..index].iter().find(|(_, other)| other == socket) {
            let why = format!("{key}: is already taken by {earlier}");
            taken.push((key.clone(), earlier.clone(), why));
        }
    }
    for (key, earlier, why) in taken {
        layers.contradiction(&[&key, &earlier], why);
    }
}
