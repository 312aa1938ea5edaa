//! A client as `/clients` shows it: the fields of both generations of RMQTT's API.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;

use crate::node::{ClientRow, WillRow, shown_username, split_address};
use crate::time;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Client")]
pub(super) struct ClientJson<'a> {
    clean_start: bool,
    clientid: &'a str,
    connected: bool,
    connected_at: String,
    created_at: String,
    /// Empty while connected.
    disconnected_at: String,
    disconnected_reason: &'a str,
    expiry_interval: u32,
    extra_attrs: u64,
    inflight: u64,
    ip_address: &'a str,
    keepalive: u32,
    last_will: Option<WillJson<'a>>,
    /// By which it connected last: `mqtt` for the one at `mqtt.addr`; empty when that is not known.
    listener: &'a str,
    max_inflight: u64,
    max_mqueue: u64,
    max_subscriptions: u64,
    mqueue_len: u64,
    node_id: u64,
    port: u16,
    proto_ver: u32,
    session_present: bool,
    subscriptions_cnt: u64,
    superuser: bool,
    username: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Will")]
struct WillJson<'a> {
    /// Base64.
    message: String,
    qos: u32,
    retain: bool,
    topic: &'a str,
}

impl<'a> From<&'a WillRow> for WillJson<'a> {
    fn from(will: &'a WillRow) -> Self {
        let message = STANDARD.encode(&will.message);
        Self {
            message,
            qos: will.qos,
            retain: will.retain,
            topic: &will.topic,
        }
    }
}

impl<'a> From<&'a ClientRow> for ClientJson<'a> {
    fn from(row: &'a ClientRow) -> Self {
        let (ip_address, port) = split_address(&row.peer_address);
        let offline = !row.connected;
        Self {
            clean_start: row.clean_start,
            clientid: &row.client_id,
            connected: row.connected,
            connected_at: time::local(row.connected_at_ms),
            created_at: time::local(row.created_at_ms),
            disconnected_at: time::local(if offline { row.disconnected_at_ms } else { 0 }),
            disconnected_reason: if offline {
                &row.disconnected_reason
            } else {
                ""
            },
            expiry_interval: row.expiry_seconds,
            extra_attrs: row.extra_attributes,
            inflight: row.inflight,
            ip_address,
            keepalive: row.keep_alive_seconds,
            last_will: row.will.as_ref().map(WillJson::from),
            listener: &row.listener,
            max_inflight: row.inflight_max,
            max_mqueue: row.queue_max,
            max_subscriptions: row.subscriptions_max,
            mqueue_len: row.queue,
            node_id: row.node_id,
            port,
            proto_ver: row.protocol_version,
            session_present: row.session_present,
            subscriptions_cnt: row.subscriptions,
            superuser: row.superuser,
            username: shown_username(row),
        }
    }
}
