//! An HTTP API that everybody on the network may use: it publishes, disconnects and subscribes.

use std::net::SocketAddr;

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::answered;

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    let open = answered(&evidence.nodes).filter(|(_, answer)| {
        let address: Option<SocketAddr> = answer.http_address.parse().ok();
        !answer.http_has_token && !address.is_some_and(|address| address.ip().is_loopback())
    });
    let finding = |address: &str, id: u64| {
        let message =
            format!("The HTTP API of node {id} asks for no token and listens on {address}.");
        Finding::new(Severity::Warning, "http_without_token", message)
            .at(id)
            .shown_by("http_address", address)
            .fixed_by("Set RAFTMQ_HTTP_BEARER_TOKEN in the environment of every node (or http.bearer_token in its file), or listen on this machine alone: --set http.addr=127.0.0.1:6060. Then restart the node.")
    };
    open.map(|(node, answer)| finding(&answer.http_address, node.id))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{codes, healthy_with};
    use super::*;

    fn listening(address: &str, has_token: bool) -> Vec<Finding> {
        findings(&healthy_with(2, |node| {
            node.http_address = address.into();
            node.http_has_token = has_token;
        }))
    }

    #[test]
    fn an_open_api_beyond_loopback_is_found() {
        for address in ["0.0.0.0:6060", "[::]:6060", "10.1.2.3:6060"] {
            assert_eq!(
                codes(&listening(address, false)),
                ["http_without_token"],
                "{address}"
            );
            assert_eq!(listening(address, true), []);
        }
    }

    #[test]
    fn on_loopback_no_token_is_needed() {
        assert_eq!(listening("127.9.9.9:6060", false), []);
        assert_eq!(listening("[::1]:6060", false), []);
    }
}
