//! Which events a listener wants. Checked where they happen, so that nothing else travels.

use raftmq_mqtt::topic;

use super::{Event, EventName};

/// All given conditions hold for an event that is wanted. The default wants everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this client.
    pub client_id: Option<String>,
    /// With a topic that this topic filter matches. A subscribed topic filter counts as if it were a
    /// topic name: `a/#` wants subscriptions to `a/b`, to `a/+` and to `a/#`.
    pub topic: Option<String>,
    /// Of these kinds; `None`: of all kinds.
    pub names: Option<Vec<EventName>>,
}

impl EventFilter {
    /// Whether an event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        let is_kind = |names: &Vec<EventName>| names.contains(&event.kind.name());
        let has_topic = |wanted: &String| {
            event
                .kind
                .topic()
                .is_some_and(|t| topic::matches(wanted, t))
        };
        self.names.as_ref().is_none_or(is_kind)
            && self
                .client_id
                .as_ref()
                .is_none_or(|id| **id == *event.client.client_id)
            && self.topic.as_ref().is_none_or(has_topic)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EventClient, EventKind};
    use super::*;

    fn event(client_id: &str, kind: EventKind) -> Event {
        let client = EventClient {
            client_id: client_id.into(),
            username: None,
            peer: None,
        };
        Event {
            node_id: 1,
            at_ms: 0,
            client,
            kind,
        }
    }

    fn subscribed(filter: &str) -> Event {
        let kind = EventKind::Subscribed {
            filter: filter.into(),
            share: None,
            qos: 0,
        };
        event("c", kind)
    }

    fn disconnected(client_id: &str) -> Event {
        let kind = EventKind::Disconnected {
            reason: String::new(),
            reason_code: None,
        };
        event(client_id, kind)
    }

    #[test]
    fn without_conditions_everything_is_wanted() {
        assert!(EventFilter::default().wants(&disconnected("c")));
        assert!(EventFilter::default().wants(&subscribed("a")));
    }

    #[test]
    fn conditions_are_anded() {
        let filter = EventFilter {
            client_id: Some("c".into()),
            names: Some(vec![EventName::Disconnected]),
            topic: None,
        };
        assert!(filter.wants(&disconnected("c")));
        assert!(!filter.wants(&disconnected("d")));
        assert!(!filter.wants(&subscribed("a")));
    }

    #[test]
    fn a_subscribed_filter_is_matched_as_if_it_were_a_name() {
        let filter = EventFilter {
            topic: Some("a/#".into()),
            ..EventFilter::default()
        };
        for wanted in ["a", "a/b", "a/+/c", "a/#"] {
            assert!(filter.wants(&subscribed(wanted)), "{wanted}");
        }
        assert!(!filter.wants(&subscribed("b/a")));
    }

    #[test]
    fn what_has_no_topic_matches_no_topic() {
        let filter = EventFilter {
            topic: Some("#".into()),
            ..EventFilter::default()
        };
        assert!(!filter.wants(&disconnected("c")));
    }

    #[test]
    fn no_kinds_want_nothing() {
        let filter = EventFilter {
            names: Some(Vec::new()),
            ..EventFilter::default()
        };
        assert!(!filter.wants(&subscribed("a")));
    }
}
