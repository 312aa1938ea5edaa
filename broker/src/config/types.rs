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
    /// A connection from a trusted source may begin with a PROXY protocol version 2 header, whose
    /// source address is then the client's.
    V2,
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
