//! Version 2 (§2.2): binary, with a signature that begins no other protocol.

use super::{Header, HeaderError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_LEN: usize = 16;
/// Longest header accepted, in bytes: addresses and a generous amount of TLVs.
const HEADER_BYTES_MAX: usize = 4096;

/// Whether `bytes` may be the beginning of a header.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let n = bytes.len().min(SIGNATURE.len());
    n > 0 && bytes[..n] == SIGNATURE[..n]
}

/// Reads the header at the beginning of `bytes`; `None`: it is not complete yet.
///
/// # Errors
/// [`HeaderError`] when there is a header that cannot be accepted.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let Some(fixed) = bytes.get(..FIXED_LEN) else {
        return Ok(None);
    };
    let (version_and_command, family) = (fixed[12], fixed[13]);
    let payload_len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let len = FIXED_LEN + payload_len;
    if !matches!(version_and_command, 0x20 | 0x21) {
        return Err(HeaderError::UnknownVersion(version_and_command));
    }
    if len > HEADER_BYTES_MAX {
        return Err(HeaderError::Length(len));
    }
    let Some(payload) = bytes.get(FIXED_LEN..len) else {
        return Ok(None);
    };
    let is_proxied = version_and_command == 0x21;
    let source = if is_proxied {
        source(family, payload).ok_or(HeaderError::Length(len))?
    } else {
        None
    };
    Ok(Some(Header { len, source }))
}

/// `None`: too short for its family; `Some(None)`: not an IP address.
fn source(family: u8, payload: &[u8]) -> Option<Option<SocketAddr>> {
    let port = |at: usize| {
        Some(u16::from_be_bytes([
            *payload.get(at)?,
            *payload.get(at + 1)?,
        ]))
    };
    match family >> 4 {
        1 => {
            let ip: [u8; 4] = payload.get(..4)?.try_into().ok()?;
            Some(Some(SocketAddr::new(
                IpAddr::V4(Ipv4Addr::from(ip)),
                port(8)?,
            )))
        }
        2 => {
            let ip: [u8; 16] = payload.get(..16)?.try_into().ok()?;
            Some(Some(SocketAddr::new(
                IpAddr::V6(Ipv6Addr::from(ip)),
                port(32)?,
            )))
        }
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn the_source_address_is_the_clients() {
        let bytes = header(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 0x30, 0x39, 7, 91]);
        let source = Some("192.0.2.1:12345".parse().expect("address"));
        assert_eq!(parse(&bytes), Ok(Some(Header { len: 28, source })));
    }

    #[test]
    fn a_local_command_has_no_source() {
        let bytes = header(0x20, 0, &[]);
        assert_eq!(
            parse(&bytes),
            Ok(Some(Header {
                len: 16,
                source: None
            }))
        );
    }

    #[test]
    fn an_incomplete_header_waits_for_more() {
        let bytes = header(0x21, 0x21, &[1; 36]);
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Ok(None), "cut at {end}");
            assert_eq!(may_begin(&bytes[..end]), end > 0);
        }
        assert!(matches!(
            parse(&bytes),
            Ok(Some(Header {
                len: 52,
                source: Some(_)
            }))
        ));
    }

    #[test]
    fn addresses_shorter_than_their_family_and_unknown_commands_are_errors() {
        assert_eq!(
            parse(&header(0x21, 0x11, &[1, 2])),
            Err(HeaderError::Length(18))
        );
        assert_eq!(
            parse(&header(0x11, 0x11, &[0; 12])),
            Err(HeaderError::UnknownVersion(0x11))
        );
    }
}
