//! PROXY protocol (HAProxy's specification): the client's own address, told by a trusted load balancer in front
//! of the first byte of whatever follows.

mod v1;
mod v2;

use crate::config::ProxyProtocol;
use std::net::SocketAddr;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes that the header takes.
    pub len: usize,
    /// The client's address; `None`: the load balancer speaks for itself (a health check), or the
    /// address family is not IP.
    pub source: Option<SocketAddr>,
}

/// Why a header cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Neither version 2 nor a known command.
    #[error("unknown PROXY protocol version or command {0:#04x}")]
    UnknownVersion(u8),
    /// The header is longer than one can be, or shorter than its addresses.
    #[error("a PROXY protocol header of {0} bytes")]
    Length(usize),
    /// A line of version 1 that says something else than the specification lets it.
    #[error("a PROXY protocol line that is none")]
    Line,
}

/// Whether `bytes` may be the beginning of a header of these versions.
pub fn may_begin(bytes: &[u8], versions: ProxyProtocol) -> bool {
    match versions {
        ProxyProtocol::Off => false,
        ProxyProtocol::V1 => v1::may_begin(bytes),
        ProxyProtocol::V2 => v2::may_begin(bytes),
        ProxyProtocol::Any => v1::may_begin(bytes) || v2::may_begin(bytes),
    }
}

/// Reads the header at the beginning of `bytes`, which may be one; `None`: it is not complete yet.
///
/// # Errors
/// [`HeaderError`] when there is a header that cannot be accepted.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    match v1::may_begin(bytes) {
        true => v1::parse(bytes),
        false => v2::parse(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_versions_that_are_wanted_are_headers() {
        let (line, binary) = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n");
        let cases = [
            (ProxyProtocol::Off, false, false),
            (ProxyProtocol::V1, true, false),
            (ProxyProtocol::V2, false, true),
            (ProxyProtocol::Any, true, true),
        ];
        for (versions, of_line, of_binary) in cases {
            assert_eq!(may_begin(line, versions), of_line, "{versions:?}");
            assert_eq!(may_begin(binary, versions), of_binary, "{versions:?}");
        }
    }

    #[test]
    fn mqtt_http_and_tls_do_not_look_like_a_header() {
        for bytes in [&[0x10, 12][..], b"GET /", b"PO", &[0x16, 3, 1], &[]] {
            assert!(!may_begin(bytes, ProxyProtocol::Any), "{bytes:?}");
        }
    }
}
