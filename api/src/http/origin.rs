//! Whose request it is: the address of the socket, or, when that is a proxy which is believed, the address
//! that the proxy names in `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Each proxy adds whom it was asked by at the end, so the list is read from there, for as long as those who
/// wrote it are believed. What a client itself claims stands before that, and nobody looks at it.
pub(crate) fn client_address(socket: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_believed = |address: IpAddr| {
        let address = address.to_canonical();
        trusted.iter().any(|network| network.contains(&address))
    };
    let mut client = socket;
    let values = headers.get_all(X_FORWARDED_FOR);
    let values: Vec<&str> = values
        .iter()
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    let mut named = values
        .iter()
        .flat_map(|value| value.split(','))
        .rev()
        .map(address);
    while is_believed(client) {
        match named.next() {
            Some(Some(address)) => client = address,
            _ => break,
        }
    }
    client
}

/// An address, which some proxies write with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    text.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn seen(socket: &str, forwarded: &[&'static str]) -> String {
        let trusted = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(value));
        }
        client_address(socket.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(seen("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn a_proxy_that_is_believed_names_the_client() {
        assert_eq!(seen("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("::ffff:10.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(seen("::1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_client_claims_itself_counts_for_nothing() {
        let claimed = ["203.0.113.1, 198.51.100.7, 10.0.0.2"];
        assert_eq!(seen("10.0.0.1", &claimed), "198.51.100.7");
        let claimed = ["203.0.113.1", "198.51.100.7"];
        assert_eq!(seen("10.0.0.1", &claimed), "198.51.100.7");
    }

    #[test]
    fn what_is_no_address_ends_the_list() {
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, unknown"]), "10.0.0.1");
        assert_eq!(
            seen("10.0.0.1", &["198.51.100.7, unknown, 10.0.0.3"]),
            "10.0.0.3"
        );
    }
}
