//! Retained messages of the table, as the HTTP API shows them: with their properties decoded.

use raftmq_api::{
    KnownRetained, RetainedPiece,
    node::{PublishProperties, UserProperty},
};
use raftmq_mqtt::{
    codec::{self, PayloadFormat, Property},
    topic,
};
use raftmq_proto::v1;
use raftmq_store::table::Table;
use std::sync::Arc;

/// Looks at `count` retained messages behind `after`.
pub(super) fn piece(
    table: &Table,
    filter: &str,
    after: Option<&str>,
    count: usize,
) -> RetainedPiece {
    let messages: Vec<_> = table.retained_from(after).take(count).collect();
    let last = messages.last().filter(|_| messages.len() == count);
    let next = last.map(|message| message.topic.clone());
    let matching = messages
        .into_iter()
        .filter(|message| topic::matches(filter, &message.topic));
    RetainedPiece {
        found: matching.map(known).collect(),
        next,
    }
}

/// A message as the HTTP API shows it.
pub(super) fn known(message: &Arc<v1::Message>) -> KnownRetained {
    KnownRetained {
        topic: message.topic.clone(),
        payload: message.payload.clone(),
        qos: message.qos,
        properties: PublishProperties {
            expiry_seconds: message.expiry_seconds,
            ..properties(&message.properties)
        },
        client_id: message.client_id.clone(),
        received_at_ms: message.received_at_ms,
    }
}

/// The properties were checked when the message came; should they not be readable they are left out, which
/// must not hide the message.
fn properties(encoded: &[u8]) -> PublishProperties {
    let mut shown = PublishProperties::default();
    let Ok(decoded) = codec::PublishProperties::parse(encoded) else {
        return shown;
    };
    for property in decoded.properties().iter() {
        match property {
            Property::PayloadFormatIndicator(format) => {
                shown.payload_is_utf8 = Some(format == PayloadFormat::Utf8);
            }
            Property::ContentType(text) => shown.content_type = Some(text.to_owned()),
            Property::ResponseTopic(topic) => shown.response_topic = Some(topic.to_owned()),
            Property::CorrelationData(bytes) => {
                shown.correlation_data = Some(bytes.to_vec().into());
            }
            Property::UserProperty(name, value) => shown.user_properties.push(UserProperty {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => {}
        }
    }
    shown
}

/// The command that deletes the retained message of a topic [MQTT-3.3.1-6].
pub(super) fn deletion(topic: &str, now_ms: u64) -> v1::Op {
    let message = v1::Message {
        topic: topic.to_owned(),
        retain: true,
        received_at_ms: now_ms,
        ..Default::default()
    };
    v1::Op {
        kind: Some(v1::op::Kind::SetRetained(v1::SetRetained {
            message: Some(message),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_properties_of_a_message_are_shown_in_their_order() {
        let mut encoded = Vec::new();
        for property in [
            Property::PayloadFormatIndicator(PayloadFormat::Utf8),
            Property::UserProperty("b", "1"),
            Property::ContentType("text/plain"),
            Property::ResponseTopic("answers"),
            Property::CorrelationData(&[7, 8]),
            Property::UserProperty("a", "2"),
        ] {
            property.encode(&mut encoded).unwrap();
        }
        let shown = properties(&encoded);
        assert_eq!(shown.payload_is_utf8, Some(true));
        assert_eq!(shown.content_type.as_deref(), Some("text/plain"));
        assert_eq!(shown.response_topic.as_deref(), Some("answers"));
        assert_eq!(shown.correlation_data.as_deref(), Some(&[7, 8][..]));
        let names: Vec<_> = shown.user_properties.iter().map(|p| &*p.name).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn properties_that_cannot_be_read_do_not_hide_the_message() {
        let message = v1::Message {
            topic: "t".into(),
            properties: vec![0xff, 0xff].into(),
            expiry_seconds: Some(9),
            ..Default::default()
        };
        let known = known(&Arc::new(message));
        assert_eq!(known.topic, "t");
        assert_eq!(known.properties.expiry_seconds, Some(9));
        assert_eq!(known.properties.content_type, None);
    }
}
