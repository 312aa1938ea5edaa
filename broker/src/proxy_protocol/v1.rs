//! Version 1 (§2.1): one line of text.

use super::{Header, HeaderError};
use std::net::{IpAddr, SocketAddr};

const BEGINNING: &[u8] = b"PROXY ";
/// The longest line, with its end (§2.1).
const LINE_BYTES_MAX: usize = 107;

pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let n = bytes.len().min(BEGINNING.len());
    n > 0 && bytes[..n] == BEGINNING[..n]
}

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, HeaderError> {
    let within = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        return match bytes.len() >= LINE_BYTES_MAX {
            true => Err(HeaderError::Length(bytes.len())),
            false => Ok(None),
        };
    };
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| HeaderError::Line)?;
    let source = source(line).ok_or(HeaderError::Line)?;
    Ok(Some(Header {
        len: end + 2,
        source,
    }))
}

/// `None`: not as it should be; `Some(None)`: the address is not known.
fn source(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let ip: IpAddr = words.next()?.parse().ok()?;
    let _destination: IpAddr = words.next()?.parse().ok()?;
    let port = words.next()?.parse().ok()?;
    let _destination_port: u16 = words.next()?.parse().ok()?;
    let fits = match family {
        "TCP4" => ip.is_ipv4(),
        "TCP6" => ip.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then_some(Some(SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Header>, HeaderError> {
        parse(line.as_bytes())
    }

    #[test]
    fn the_source_address_is_the_clients() {
        let line = "PROXY TCP4 192.0.2.1 192.0.2.2 12345 1883\r\n";
        let source = Some("192.0.2.1:12345".parse().expect("address"));
        let header = Header {
            len: line.len(),
            source,
        };
        assert_eq!(parsed(&format!("{line}\u{10}rest")), Ok(Some(header)));
        let six = parsed("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n");
        let source = six.expect("good").expect("complete").source;
        assert_eq!(source, Some("[2001:db8::1]:1".parse().expect("address")));
    }

    #[test]
    fn an_unknown_source_is_none() {
        let header = Header {
            len: 15,
            source: None,
        };
        assert_eq!(parsed("PROXY UNKNOWN\r\n"), Ok(Some(header)));
    }

    #[test]
    fn an_incomplete_line_waits_and_an_endless_one_does_not() {
        let line = "PROXY TCP4 192.0.2.1 192.0.2.2 12345 1883\r\n";
        for end in 1..line.len() {
            assert_eq!(parsed(&line[..end]), Ok(None), "cut at {end}");
        }
        let endless = "PROXY ".to_owned() + &"1".repeat(200);
        assert_eq!(parsed(&endless), Err(HeaderError::Length(206)));
    }

    #[test]
    fn what_is_no_address_is_an_error() {
        for line in [
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n",
            "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            "PROXY TCP4\r\n",
        ] {
            assert_eq!(parsed(line), Err(HeaderError::Line), "{line}");
        }
    }
}
