//! An event as a row of `GET /api/v1/tail`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Event, EventKind};
use crate::time;

#[derive(Serialize, JsonSchema)]
pub(crate) struct Row<'a> {
    event: &'static str,
    node_id: u64,
    at_ms: u64,
    at: String,
    clientid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(flatten)]
    kind: Kind<'a>,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Kind<'a> {
    Connected {
        proto_ver: u8,
        session_present: bool,
        epoch: u64,
    },
    Disconnected {
        reason: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason_code: Option<u8>,
    },
    TakenOver {
        previous_node_id: u64,
        previous_epoch: u64,
        new_node_id: u64,
        new_epoch: u64,
    },
    Dropped {
        reason: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'a str>,
        count: u64,
    },
    Subscribed {
        topic: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        share: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        qos: Option<u8>,
    },
}

impl<'a> From<&'a EventKind> for Kind<'a> {
    fn from(kind: &'a EventKind) -> Self {
        match kind {
            EventKind::Connected {
                protocol_version,
                session_present,
                epoch,
            } => Kind::Connected {
                proto_ver: *protocol_version,
                session_present: *session_present,
                epoch: *epoch,
            },
            EventKind::Disconnected {
                reason,
                reason_code,
            } => Kind::Disconnected {
                reason,
                reason_code: *reason_code,
            },
            EventKind::TakenOver { previous, new } => Kind::TakenOver {
                previous_node_id: previous.node_id,
                previous_epoch: previous.epoch,
                new_node_id: new.node_id,
                new_epoch: new.epoch,
            },
            EventKind::Dropped {
                reason,
                topic,
                count,
            } => Kind::Dropped {
                reason,
                topic: topic.as_deref(),
                count: *count,
            },
            EventKind::Subscribed { filter, share, qos } => Kind::Subscribed {
                topic: filter,
                share: share.as_deref(),
                qos: Some(*qos),
            },
            EventKind::Unsubscribed { filter, share } => Kind::Subscribed {
                topic: filter,
                share: share.as_deref(),
                qos: None,
            },
        }
    }
}

impl Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = Row {
            event: self.kind.name().as_str(),
            node_id: self.node_id,
            at_ms: self.at_ms,
            at: time::local(self.at_ms),
            clientid: &self.client.client_id,
            username: self.client.username.as_deref(),
            ip_address: self.client.peer.map(|peer| peer.ip().to_string()),
            port: self.client.peer.map(|peer| peer.port()),
            kind: Kind::from(&self.kind),
        };
        row.serialize(serializer)
    }
}
