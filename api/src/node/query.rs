//! Finding clients: the conditions of `GET /clients`.

use super::{ClientFilter, ClientRow};

/// What is sent for a client that gave no username, and what a filter for it must say.
pub(crate) const NO_USERNAME: &str = "undefined";

/// Which clients, from where, and how many.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientQuery {
    /// All conditions that a row must meet.
    pub filter: ClientFilter,
    /// Only rows behind this client identifier.
    pub after: Option<String>,
    /// At most so many rows; at least 1.
    pub limit: u32,
}

impl ClientQuery {
    /// Whether the row belongs into the answer, its place in the order apart.
    pub fn matches(&self, row: &ClientRow) -> bool {
        let filter = &self.filter;
        self.may_match(row) && within(filter.queue_from, filter.queue_to, row.queue)
    }

    /// The same as far as the replicated table can tell: without the length of the queue, which only
    /// the session's node knows.
    pub fn may_match(&self, row: &ClientRow) -> bool {
        let after = self.after.as_deref();
        after.is_none_or(|after| row.client_id.as_str() > after)
            && names_match(&self.filter, row)
            && flags_match(&self.filter, row)
            && times_match(&self.filter, row)
    }
}

fn names_match(filter: &ClientFilter, row: &ClientRow) -> bool {
    let username = shown_username(row);
    let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|w| w == value);
    let has =
        |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|w| value.contains(w));
    is(&filter.client_id, &row.client_id)
        && is(&filter.username, username)
        && is(&filter.ip_address, split_address(&row.peer_address).0)
        && is(&filter.listener, &row.listener)
        && has(&filter.like_client_id, &row.client_id)
        && has(&filter.like_username, username)
}

fn flags_match(filter: &ClientFilter, row: &ClientRow) -> bool {
    filter.connected.is_none_or(|v| v == row.connected)
        && filter.clean_start.is_none_or(|v| v == row.clean_start)
        && filter
            .session_present
            .is_none_or(|v| v == row.session_present)
        && filter
            .protocol_version
            .is_none_or(|v| v == row.protocol_version)
}

fn within(from: Option<u64>, to: Option<u64>, value: u64) -> bool {
    from.is_none_or(|v| value >= v) && to.is_none_or(|v| value <= v)
}

fn times_match(filter: &ClientFilter, row: &ClientRow) -> bool {
    within(
        filter.created_from_ms,
        filter.created_to_ms,
        row.created_at_ms,
    ) && within(
        filter.connected_from_ms,
        filter.connected_to_ms,
        row.connected_at_ms,
    )
}

/// The username as the API shows it.
pub(crate) fn shown_username(row: &ClientRow) -> &str {
    if row.username.is_empty() {
        NO_USERNAME
    } else {
        &row.username
    }
}

/// "ip:port" in its parts; IPv6 without its brackets; an unknown port is 0.
pub(crate) fn split_address(address: &str) -> (&str, u16) {
    let Some((ip, port)) = address.rsplit_once(':') else {
        return (address, 0);
    };
    (
        ip.trim_start_matches('[').trim_end_matches(']'),
        port.parse().unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_are_split() {
        for (address, parts) in [
            ("10.0.0.1:80", ("10.0.0.1", 80)),
            ("[::1]:1883", ("::1", 1883)),
            ("", ("", 0)),
            ("host", ("host", 0)),
        ] {
            assert_eq!(split_address(address), parts, "{address}");
        }
    }

    #[test]
    fn every_condition_alone_keeps_its_rows_and_drops_the_others() {
        let row = ClientRow {
            client_id: "sensor-1".into(),
            peer_address: "10.0.0.1:5".into(),
            listener: "tls".into(),
            connected: true,
            protocol_version: 5,
            created_at_ms: 1000,
            connected_at_ms: 2000,
            queue: 7,
            ..Default::default()
        };
        let f = ClientFilter::default;
        let cases = [
            (
                ClientFilter {
                    client_id: Some("sensor-1".into()),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    client_id: Some("sensor".into()),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    listener: Some("tls".into()),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    listener: Some("mqtt".into()),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    username: Some("undefined".into()),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    username: Some("u".into()),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    ip_address: Some("10.0.0.1".into()),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    ip_address: Some("10.0.0.1:5".into()),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    connected: Some(true),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    connected: Some(false),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    clean_start: Some(true),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    session_present: Some(false),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    protocol_version: Some(4),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    like_client_id: Some("nsor".into()),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    like_client_id: Some("x".into()),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    like_username: Some("defin".into()),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    created_from_ms: Some(1000),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    created_from_ms: Some(1001),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    created_to_ms: Some(999),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    connected_from_ms: Some(2001),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    connected_to_ms: Some(2000),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    queue_from: Some(8),
                    ..f()
                },
                false,
            ),
            (
                ClientFilter {
                    queue_to: Some(7),
                    ..f()
                },
                true,
            ),
            (
                ClientFilter {
                    queue_to: Some(6),
                    connected: Some(true),
                    ..f()
                },
                false,
            ),
        ];
        for (filter, expected) in cases {
            let query = ClientQuery {
                filter: filter.clone(),
                after: None,
                limit: 1,
            };
            assert_eq!(query.matches(&row), expected, "{filter:?}");
        }
    }
}
