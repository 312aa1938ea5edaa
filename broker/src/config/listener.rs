//! Listeners beside `mqtt.addr`: a table `[listener.<name>]` each, in every layer of the configuration. What one
//! does not say about its clients' limits is what the group `mqtt` says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::load::Layers;
use super::origin::Problem;
use super::settings::{MAX_PACKET_SIZE, Range};
use super::suggest::hint;
use super::types::{
    ByteCount, CertificateName, CertificateUse, ClientCertificates, Durability, ProxyProtocol,
    TransportKind,
};
use super::value::{Input, Value};

/// What the group is called in every layer.
pub(super) const GROUP: &str = "listener";
/// Listeners at most.
const LISTENERS_MAX: usize = 32;
/// Bytes of a listener's name at most.
const NAME_BYTES_MAX: usize = 32;

/// One setting of a listener.
pub(super) struct ListenerSetting {
    pub name: &'static str,
    doc: &'static str,
    pub range: Option<Range>,
    pub slot: for<'a> fn(&'a mut ListenerConfig) -> &'a mut dyn Value,
}

impl ListenerSetting {
    /// What it means, in Markdown, one paragraph.
    pub fn doc(&self) -> &'static str {
        self.doc.trim()
    }
}

macro_rules! listener_settings {
    ($(
        $(#[doc = $doc:literal])+
        $field:ident: $type:ty = $default:expr $(, $low:expr => $high:expr)?;
    )+) => {
        /// One listener, checked.
        #[derive(Clone, Debug, PartialEq)]
        pub struct ListenerConfig {$(
            $(#[doc = $doc])+
            pub $field: $type,
        )+}

        impl Default for ListenerConfig {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        /// Every setting of a listener, in the order of the reference.
        pub(super) static LISTENER_SETTINGS: &[ListenerSetting] = &[$(
            ListenerSetting {
                name: stringify!($field),
                doc: concat!($($doc),+),
                range: listener_settings!(@range $($low => $high)?),
                slot: |listener| &mut listener.$field,
            },
        )+];
    };
    (@range) => { None };
    (@range $low:expr => $high:expr) => { Some(($low, $high)) };
}

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000;

listener_settings! {
    /// What its clients speak: MQTT over TCP, TLS, WebSocket, WebSocket over TLS, a Unix socket, or QUIC.
    transport: TransportKind = TransportKind::Tcp;
    /// Address and port; not for `unix`. QUIC's is one of UDP.
    addr: Option<SocketAddr> = None;
    /// Path of the Unix socket; for `unix` only. Who may open it is decided by the directory's permissions and the umask.
    socket: Option<PathBuf> = None;
    /// Path of the URL of `ws` and `wss`; anything else is answered with 404.
    http_path: String = "/mqtt".to_owned(), 1 => 256;
    /// PEM file of the certificate, followed by those that lead to its root; for `tls`, `wss` and `quic`. Changed files are in force for new connections within seconds.
    tls_certificate: Option<PathBuf> = None;
    /// PEM file of the certificate's private key, not encrypted.
    tls_key: Option<PathBuf> = None;
    /// Whether clients are asked for a certificate, and let in without one. `optional` and `required` need `client_ca`.
    client_certificates: ClientCertificates = ClientCertificates::Off;
    /// PEM file of the certificates by which clients' certificates are judged.
    client_ca: Option<PathBuf> = None;
    /// PEM file of lists of revoked certificates (CRL) of those in `client_ca`.
    client_crl: Option<PathBuf> = None;
    /// The name in a client's certificate that says who it is: its subject's common name, or its first alternative name (DNS name, mail address or URI). A certificate without that name is refused.
    certificate_name: CertificateName = CertificateName::Off;
    /// What that name is: `user_name` stands in the place of CONNECT's; `client_id` is given to a client that names none, and one that names another is refused; or `both`.
    certificate_use: CertificateUse = CertificateUse::UserName;
    /// As `mqtt.proxy_protocol`; not for `quic`. On a Unix socket everybody is trusted who can open it.
    proxy_protocol: Option<ProxyProtocol> = None;
    /// As `mqtt.tcp_keepalive`.
    tcp_keepalive: Option<Duration> = None, 0 => 7_200 * SECOND;
    /// Connections of this listener at once, beside `mqtt.max_connections`; `0` is no limit of its own.
    max_connections: usize = 0, 0 => 100_000_000;
    /// Connections accepted in a second; more wait, first in the kernel. `0` is no limit.
    max_connects_per_second: u32 = 0, 0 => 1_000_000;
    /// As `mqtt.max_messages_per_second`.
    max_messages_per_second: Option<u32> = None, 0 => 10_000_000;
    /// As `mqtt.max_bytes_per_second`.
    max_bytes_per_second: Option<ByteCount> = None, 0 => GIB;
    /// As `mqtt.max_packet_size`.
    max_packet_size: Option<ByteCount> = None, KIB => MAX_PACKET_SIZE;
    /// As `mqtt.max_inflight`.
    max_inflight: Option<u16> = None, 1 => 65_535;
    /// As `mqtt.max_queued_messages`, from the connection on.
    max_queued_messages: Option<usize> = None, 0 => 10_000_000;
    /// As `mqtt.sessions`, for the sessions of clients whose latest CONNECT came by this listener.
    sessions: Option<Durability> = None;
    /// As `mqtt.max_topic_levels`.
    max_topic_levels: Option<usize> = None, 1 => 128;
    /// As `mqtt.min_keep_alive`.
    min_keep_alive: Option<Duration> = None, 0 => 65_535 * SECOND;
    /// As `mqtt.max_keep_alive`.
    max_keep_alive: Option<Duration> = None, SECOND => 65_535 * SECOND;
}

impl ListenerConfig {
    /// Where it listens, for people.
    pub fn place(&self) -> String {
        match (&self.addr, &self.socket) {
            (_, Some(socket)) => format!("unix:{}", socket.display()),
            (Some(addr), None) => addr.to_string(),
            (None, None) => String::new(),
        }
    }
}

/// The listeners of a configuration, by name.
pub type Listeners = BTreeMap<String, ListenerConfig>;

/// Puts a value over what is there. `key` is `<name>.<setting>`.
pub(super) fn set(layers: &mut Layers, key: &str, input: &Input) {
    let complain = |message: String| Problem::new(input.at.clone(), message);
    let Some((name, field)) = key.split_once('.') else {
        let message = format!("expected {GROUP}.<name>.<setting>, found {GROUP}.{key}");
        return layers.problems.push(complain(message));
    };
    let Some(setting) = LISTENER_SETTINGS.iter().find(|known| known.name == field) else {
        let hint = hint(field, LISTENER_SETTINGS.iter().map(|known| known.name));
        let message = format!("unknown key {field:?} of a listener{hint}");
        return layers.problems.push(complain(message));
    };
    if let Err(message) = check_name(name) {
        return layers.problems.push(complain(message));
    }
    let listeners = &mut layers.config.listeners;
    if listeners.len() >= LISTENERS_MAX && !listeners.contains_key(name) {
        let message = format!("at most {LISTENERS_MAX} listeners are possible");
        return layers.problems.push(complain(message));
    }
    let listener = listeners.entry(name.to_owned()).or_default();
    let read = (setting.slot)(listener).read(input, setting.range);
    layers.note(format!("{GROUP}.{key}"), input, read);
}

/// A name that every layer can say: that of a variable has no underscore.
fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if fits && name.chars().all(good) {
        return Ok(());
    }
    Err(format!(
        "the name of a listener is 1 to {NAME_BYTES_MAX} lower-case letters, digits and \"-\", not {name:?}"
    ))
}

/// `<name>.<setting>` of a variable's name without `RAFTMQ_LISTENER_`.
pub(super) fn key_of_variable(rest: &str) -> String {
    rest.replacen('_', ".", 1).to_lowercase()
}
