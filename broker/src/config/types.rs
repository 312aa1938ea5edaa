//! The types of settings that are more than a number, a flag or a word.

use std::fmt;

/// A number of bytes. Written as `"64KiB"`, `"1MiB"`, `"1GiB"` or a bare integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub usize);

impl ByteCount {
    /// The number of bytes.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
            .into_iter()
            .find(|(size, _)| self.0 >= *size && self.0.is_multiple_of(*size))
            .map_or((self.0, "B"), |(size, unit)| (self.0 / size, unit));
        write!(f, "{number}{unit}")
    }
}

/// A value that nobody may read in a log: neither `Debug` nor any message shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) fn new(value: String) -> Self {
        Self(value)
    }

    /// The secret itself, for the one place that compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// A member of the static list of the cluster. Written as `1@host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The node id, 1..=65535.
    pub id: u64,
    /// `host:port` at which the other nodes reach its RPC port. The host may be a name, which is
    /// resolved when it is needed and again after each failure, never here.
    pub address: String,
}

impl Peer {
    /// The host and the port of the address; the host of an IPv6 address has no brackets.
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        let (host, port) = self.address.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']')?,
            None => host,
        };
        Some((host, port.parse().ok()?))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.address)
    }
}

/// Whether a load balancer in front may tell the client's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// The address of a client is the address of its socket.
    Off,
    /// A connection from a trusted source may begin with a PROXY protocol version 1 header, whose
    /// source address is then the client's.
    V1,
    /// The same with version 2.
    V2,
    /// The same with either version.
    Any,
}

/// Name of the listener at `mqtt.addr`.
pub const MQTT_LISTENER: &str = "mqtt";

/// What the clients of a listener speak below MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket over TCP.
    WebSocket,
    /// WebSocket over TLS.
    SecureWebSocket,
    /// A Unix socket of this machine.
    Unix,
    /// A bidirectional stream of QUIC.
    Quic,
}

impl TransportKind {
    /// The word for it in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
            Self::Unix => "unix",
            Self::Quic => "quic",
        }
    }

    /// Whether it is encrypted with a certificate.
    pub const fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket | Self::Quic)
    }
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for one.
    Off,
    /// They are asked, and let in without one. A wrong one is refused.
    Optional,
    /// Nobody is let in without one.
    Required,
}

/// The name in a client's certificate that says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// None.
    Off,
    /// The common name of its subject.
    CommonName,
    /// Its first alternative name.
    AlternativeName,
}

/// What the name in a client's certificate is to MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateUse {
    /// The user name.
    UserName,
    /// The client identifier.
    ClientId,
    /// Both.
    Both,
}

impl CertificateUse {
    /// Whether it is the user name.
    pub const fn names_user(self) -> bool {
        matches!(self, Self::UserName | Self::Both)
    }

    /// Whether it is the client identifier.
    pub const fn names_client(self) -> bool {
        matches!(self, Self::ClientId | Self::Both)
    }
}

/// What a full queue of QoS 1 and 2 messages drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueDrop {
    /// The message that arrives.
    Newest,
    /// The message that has waited longest.
    Oldest,
}

/// Where what sessions are owed is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On disk: what is acknowledged outlives the process.
    Disk,
    /// In memory only.
    Memory,
}

/// What a node does with its clients while it is cut off from the majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionPolicy {
    /// It accepts no CONNECT and no SUBSCRIBE, acknowledges no QoS 1 or 2 PUBLISH, and
    /// disconnects its clients after the grace period, so that they come back through the load
    /// balancer to the majority.
    Pause,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line per event.
    Text,
    /// One JSON object per line.
    Json,
}

/// Which events are logged: levels, each for everything or for one target, separated by commas
/// (`info`, `info,raftmq=debug`). Checked when the configuration is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(pub(super) String);

impl LogFilter {
    /// The directives as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
