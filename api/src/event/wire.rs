//! Events and filters between nodes. What a newer node sends and this one does not know is left out,
//! and counted as skipped.

use std::borrow::Cow;
use std::sync::Arc;

use raftmq_proto::v1::{self, event_row};

use super::{ClaimName, Event, EventClient, EventFilter, EventKind, EventName};

impl From<&EventFilter> for v1::EventFilter {
    fn from(filter: &EventFilter) -> Self {
        let all = || EventName::ALL.to_vec();
        let names = filter.names.clone().unwrap_or_else(all);
        Self {
            client_id: filter.client_id.clone(),
            topic: filter.topic.clone(),
            names: names.into_iter().map(|n| n.as_str().to_owned()).collect(),
        }
    }
}

impl From<v1::EventFilter> for EventFilter {
    fn from(filter: v1::EventFilter) -> Self {
        let known = |names: &[String]| names.iter().filter_map(|n| EventName::parse(n)).collect();
        Self {
            client_id: filter.client_id,
            topic: filter.topic,
            names: (!filter.names.is_empty()).then(|| known(&filter.names)),
        }
    }
}

impl From<&Event> for v1::EventRow {
    fn from(event: &Event) -> Self {
        Self {
            node_id: event.node_id,
            at_ms: event.at_ms,
            client_id: event.client.client_id.to_string(),
            username: event.client.username.as_deref().map(str::to_owned),
            peer_address: event.client.peer.map(|peer| peer.to_string()),
            kind: Some(kind_to_wire(&event.kind)),
        }
    }
}

fn kind_to_wire(kind: &EventKind) -> event_row::Kind {
    match kind.clone() {
        EventKind::Connected {
            protocol_version,
            session_present,
            epoch,
        } => event_row::Kind::Connected(v1::ConnectedEvent {
            protocol_version: protocol_version.into(),
            session_present,
            epoch,
        }),
        EventKind::Disconnected {
            reason,
            reason_code,
        } => event_row::Kind::Disconnected(v1::DisconnectedEvent {
            reason,
            reason_code: reason_code.map(u32::from),
        }),
        EventKind::TakenOver { previous, new } => event_row::Kind::TakenOver(v1::TakenOverEvent {
            previous_node_id: previous.node_id,
            previous_epoch: previous.epoch,
            new_node_id: new.node_id,
            new_epoch: new.epoch,
        }),
        EventKind::Dropped {
            reason,
            topic,
            count,
        } => event_row::Kind::Dropped(v1::DroppedEvent {
            reason: reason.into_owned(),
            topic,
            count,
        }),
        EventKind::Subscribed { filter, share, qos } => {
            event_row::Kind::Subscribed(v1::SubscribedEvent {
                filter,
                share,
                qos: qos.into(),
            })
        }
        EventKind::Unsubscribed { filter, share } => {
            event_row::Kind::Unsubscribed(v1::SubscribedEvent {
                filter,
                share,
                qos: 0,
            })
        }
    }
}

impl Event {
    /// `None`: of a kind that this version does not know.
    pub(crate) fn from_wire(row: v1::EventRow) -> Option<Self> {
        Some(Self {
            node_id: row.node_id,
            at_ms: row.at_ms,
            client: EventClient {
                client_id: row.client_id.into(),
                username: row.username.map(Arc::from),
                peer: row.peer_address.and_then(|peer| peer.parse().ok()),
            },
            kind: kind_from_wire(row.kind?),
        })
    }
}

fn kind_from_wire(kind: event_row::Kind) -> EventKind {
    let byte = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    match kind {
        event_row::Kind::Connected(it) => EventKind::Connected {
            protocol_version: byte(it.protocol_version),
            session_present: it.session_present,
            epoch: it.epoch,
        },
        event_row::Kind::Disconnected(it) => EventKind::Disconnected {
            reason: it.reason,
            reason_code: it.reason_code.map(byte),
        },
        event_row::Kind::TakenOver(it) => EventKind::TakenOver {
            previous: ClaimName {
                node_id: it.previous_node_id,
                epoch: it.previous_epoch,
            },
            new: ClaimName {
                node_id: it.new_node_id,
                epoch: it.new_epoch,
            },
        },
        event_row::Kind::Dropped(it) => EventKind::Dropped {
            reason: Cow::Owned(it.reason),
            topic: it.topic,
            count: it.count,
        },
        event_row::Kind::Subscribed(it) => EventKind::Subscribed {
            filter: it.filter,
            share: it.share,
            qos: byte(it.qos),
        },
        event_row::Kind::Unsubscribed(it) => EventKind::Unsubscribed {
            filter: it.filter,
            share: it.share,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> Vec<EventKind> {
        let claim = |node_id, epoch| ClaimName { node_id, epoch };
        vec![
            EventKind::Connected {
                protocol_version: 5,
                session_present: true,
                epoch: 9,
            },
            EventKind::Disconnected {
                reason: "keep alive timeout".into(),
                reason_code: Some(0x8d),
            },
            EventKind::TakenOver {
                previous: claim(1, 9),
                new: claim(2, 10),
            },
            EventKind::Dropped {
                reason: "queue_full".into(),
                topic: Some("a/b".into()),
                count: 7,
            },
            EventKind::Subscribed {
                filter: "a/#".into(),
                share: Some("g".into()),
                qos: 2,
            },
            EventKind::Unsubscribed {
                filter: "a/#".into(),
                share: None,
            },
        ]
    }

    #[test]
    fn every_kind_arrives_as_it_was_sent() {
        assert_eq!(kinds().len(), EventName::ALL.len());
        for kind in kinds() {
            let event = Event {
                node_id: 3,
                at_ms: 1_700_000_000_123,
                client: EventClient {
                    client_id: "c".into(),
                    username: Some("u".into()),
                    peer: Some(([127, 0, 0, 1], 5).into()),
                },
                kind,
            };
            assert_eq!(
                Event::from_wire(v1::EventRow::from(&event)),
                Some(event.clone())
            );
        }
    }

    #[test]
    fn an_unknown_kind_is_no_event() {
        assert_eq!(Event::from_wire(v1::EventRow::default()), None);
    }

    #[test]
    fn a_filter_arrives_as_it_was_sent() {
        let some = EventFilter {
            client_id: Some("c".into()),
            topic: Some("a/+".into()),
            names: Some(vec![EventName::Dropped]),
        };
        assert_eq!(EventFilter::from(v1::EventFilter::from(&some)), some);
        let all = EventFilter::from(v1::EventFilter::from(&EventFilter::default()));
        assert_eq!(all.names, Some(EventName::ALL.to_vec()));
    }

    #[test]
    fn names_that_are_all_unknown_want_nothing() {
        let wire = v1::EventFilter {
            names: vec!["exploded".into()],
            ..Default::default()
        };
        assert_eq!(EventFilter::from(wire).names, Some(Vec::new()));
    }
}
