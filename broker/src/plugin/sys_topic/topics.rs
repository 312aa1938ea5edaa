//! The names of the `$SYS` topics, which are RMQTT's.

use crate::events::NoticeKind;
use std::borrow::Cow;

/// The nodes of the cluster.
pub(super) const BROKERS: &str = "$SYS/brokers";

/// A node's own topic, for example its `stats`.
pub(super) fn of_node(node_id: u64, what: &str) -> String {
    format!("{BROKERS}/{node_id}/{what}")
}

/// Where it is told what happens to a client or its session; `None`: it is not told.
pub(super) fn of_client(node_id: u64, client_id: &str, kind: NoticeKind) -> Option<String> {
    let (place, what) = match kind {
        NoticeKind::ClientConnected => ("clients", "connected"),
        NoticeKind::ClientDisconnected => ("clients", "disconnected"),
        NoticeKind::SessionCreated => ("session", "created"),
        NoticeKind::SessionTerminated => ("session", "terminated"),
        NoticeKind::SessionSubscribed => ("session", "subscribed"),
        NoticeKind::SessionUnsubscribed => ("session", "unsubscribed"),
        _ => return None,
    };
    let client_id = name_of(client_id);
    Some(format!("{BROKERS}/{node_id}/{place}/{client_id}/{what}"))
}

/// A client identifier may have characters that no topic name has: they are percent-encoded.
fn name_of(client_id: &str) -> Cow<'_, str> {
    match client_id.contains(['+', '#']) {
        true => client_id.replace('+', "%2B").replace('#', "%23").into(),
        false => client_id.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_rmqtt() {
        let topic = of_client(2, "c", NoticeKind::SessionSubscribed);
        assert_eq!(
            topic.as_deref(),
            Some("$SYS/brokers/2/session/c/subscribed")
        );
        assert_eq!(of_node(2, "stats"), "$SYS/brokers/2/stats");
        assert_eq!(of_client(2, "c", NoticeKind::MessagePublish), None);
    }

    #[test]
    fn a_client_identifier_puts_no_wildcard_into_a_topic_name() {
        let topic = of_client(1, "a+b/#", NoticeKind::ClientConnected).expect("a topic");
        assert_eq!(topic, "$SYS/brokers/1/clients/a%2Bb/%23/connected");
        assert_eq!(raftmq_mqtt::topic::validate_name(&topic), Ok(()));
    }
}
