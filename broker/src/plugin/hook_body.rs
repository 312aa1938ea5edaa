//! A notice as the JSON object that a hook of RMQTT gets, field by field.

use super::desk::KnownClient;
use crate::events::{Copied, Introduction, Notice, What};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{Timestamp, tz::TimeZone};
use raftmq_api::event::EventClient;
use raftmq_mqtt::codec::{ReasonCode, Version};
use raftmq_proto::v1;
use serde_json::{Map, Value, json};

/// A JSON object.
pub(super) type Body = Map<String, Value>;

/// Where clients are looked up that are not connected here.
pub(super) type LookUp<'l> = &'l dyn Fn(&str) -> Option<KnownClient>;

/// In the place of a user name that was not given.
const NO_NAME: &str = "undefined";

/// All fields but `action`, which a rule may choose.
pub(super) fn body(notice: &Notice, look_up: LookUp<'_>) -> Body {
    let mut body = Body::new();
    let client = notice.client.as_ref();
    match &notice.what {
        What::Publish(_) => {}
        _ => add_client(&mut body, notice.node_id, client, look_up),
    }
    match &notice.what {
        What::Connect(introduction) => add_introduction(&mut body, introduction),
        What::Connack(introduction, reason) => {
            add_introduction(&mut body, introduction);
            add(&mut body, "conn_ack", json!(answer(*reason)));
        }
        What::Connected {
            introduction,
            session_present,
        } => {
            add_introduction(&mut body, introduction);
            add(&mut body, "connected_at", json!(notice.at_ms));
            add(&mut body, "session_present", json!(session_present));
        }
        What::Disconnected { reason } => {
            add(&mut body, "disconnected_at", json!(notice.at_ms));
            add(&mut body, "reason", json!(reason));
        }
        What::Subscribe(of) | What::SessionSubscribed(of) => {
            add(&mut body, "topic", json!(of.filter));
            add(&mut body, "opts", options(of));
        }
        What::Unsubscribe(of) | What::SessionUnsubscribed(of) => {
            add(&mut body, "topic", json!(of.filter));
        }
        What::SessionCreated { created_at_ms } => {
            add(&mut body, "created_at", json!(created_at_ms));
        }
        What::SessionTerminated { reason } => add(&mut body, "reason", json!(reason)),
        What::Publish(copy) => {
            add_publisher(&mut body, notice, copy, client, look_up);
            add_message(&mut body, copy);
            add(&mut body, "ts", json!(copy.message.taken_at_ms));
        }
        What::Delivered(copy) | What::Acked(copy) => add_copy(&mut body, notice, copy, look_up),
        What::Dropped { copy, reason } => {
            add_copy(&mut body, notice, copy, look_up);
            add(&mut body, "reason", json!(reason));
        }
    }
    add(&mut body, "time", json!(local_time(notice.at_ms)));
    body
}

fn add(body: &mut Body, name: &str, value: Value) {
    body.insert(name.to_owned(), value);
}

fn add_client(body: &mut Body, node_id: u64, client: Option<&EventClient>, look_up: LookUp<'_>) {
    let Some(client) = client else { return };
    let (address, user_name) = address_and_name(client, look_up);
    add(body, "node", json!(node_id));
    add(body, "ipaddress", json!(address));
    add(body, "clientid", json!(client.client_id));
    add(body, "username", json!(user_name));
}

fn address_and_name(client: &EventClient, look_up: LookUp<'_>) -> (Option<String>, String) {
    let given = client.username.as_deref().map(str::to_owned);
    let (address, user_name) = match client.peer {
        Some(peer) => (Some(peer.to_string()), given),
        None => {
            let known = look_up(&client.client_id).unwrap_or_default();
            (known.peer_address, given.or(known.user_name))
        }
    };
    (address, user_name.unwrap_or_else(|| NO_NAME.to_owned()))
}

/// Who published a message. What is not known here is known by the replicated table, as long as the
/// publisher has a session.
fn add_publisher(
    body: &mut Body,
    notice: &Notice,
    copy: &Copied,
    client: Option<&EventClient>,
    look_up: LookUp<'_>,
) {
    let publisher = &copy.message.publisher;
    let is_here = client.is_some_and(|client| client.peer.is_some());
    let known = match is_here {
        true => None,
        false => look_up(publisher),
    };
    let (address, user_name) = match (client, known) {
        (Some(client), _) if is_here => address_and_name(client, look_up),
        (_, Some(known)) => {
            let name = known.user_name.unwrap_or_else(|| NO_NAME.to_owned());
            add(body, "from_node", json!(known.node_id));
            (known.peer_address, name)
        }
        _ => (None, NO_NAME.to_owned()),
    };
    let is_published_here = matches!(notice.what, What::Publish(_));
    body.entry("from_node")
        .or_insert_with(|| json!(is_published_here.then_some(notice.node_id)));
    add(body, "from_ipaddress", json!(address));
    add(body, "from_clientid", json!(publisher));
    add(body, "from_username", json!(user_name));
}

fn add_copy(body: &mut Body, notice: &Notice, copy: &Copied, look_up: LookUp<'_>) {
    add_publisher(body, notice, copy, None, look_up);
    add_message(body, copy);
    add(body, "pts", json!(copy.message.taken_at_ms));
    add(body, "ts", json!(notice.at_ms));
}

fn add_message(body: &mut Body, copy: &Copied) {
    add(body, "dup", json!(copy.dup));
    add(body, "retain", json!(copy.retain));
    add(body, "qos", json!(copy.qos));
    add(body, "topic", json!(copy.message.topic));
    let packet_id = (copy.packet_id != 0).then_some(copy.packet_id);
    add(body, "packet_id", json!(packet_id));
    let payload = STANDARD.encode(&copy.message.payload);
    add(body, "payload", json!(payload));
}

fn add_introduction(body: &mut Body, introduction: &Introduction) {
    let clean = match introduction.version {
        Version::V5 => "clean_start",
        _ => "clean_session",
    };
    add(body, "keepalive", json!(introduction.keep_alive_seconds));
    add(body, "proto_ver", json!(introduction.version.level()));
    add(body, clean, json!(introduction.clean_start));
}

/// Subscription options as `/subscriptions` shows them.
fn options(of: &v1::Subscription) -> Value {
    let mut options = Body::new();
    add(&mut options, "qos", json!(of.options & 0b11));
    if !of.share.is_empty() {
        add(&mut options, "group", json!(of.share));
    }
    if of.id != 0 {
        add(&mut options, "id", json!(of.id));
    }
    if of.options & 0b100 != 0 {
        add(&mut options, "no_local", json!(true));
    }
    if of.options & 0b1000 != 0 {
        add(&mut options, "retain_as_published", json!(true));
    }
    if of.options >> 4 & 0b11 != 0 {
        add(
            &mut options,
            "retain_handling",
            json!(of.options >> 4 & 0b11),
        );
    }
    Value::Object(options)
}

/// The words of MQTT 3.1.1, table 3.1; where it has none, the name of the reason.
fn answer(reason: ReasonCode) -> String {
    let words = match reason.connect_return_code() {
        Some(0) => "Connection Accepted",
        Some(1) => "Connection Refused, unacceptable protocol version",
        Some(2) => "Connection Refused, identifier rejected",
        Some(3) => "Connection Refused, Server unavailable",
        Some(4) => "Connection Refused, bad user name or password",
        Some(5) => "Connection Refused, not authorized",
        _ => return format!("Connection Refused, {reason:?}"),
    };
    words.to_owned()
}

/// `YYYY-MM-DD HH:MM:SS.mmm`, local.
fn local_time(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok();
    let at = at.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(String::new, |at| {
        let local = at.to_zoned(TimeZone::system());
        local.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::events::NoticedMessage;
    use std::sync::Arc;

    pub(in crate::plugin) fn notice(what: What) -> Notice {
        Notice {
            node_id: 2,
            at_ms: 1_700_000_000_123,
            client: Some(EventClient {
                client_id: "c".into(),
                username: None,
                peer: Some(([127, 0, 0, 1], 7).into()),
            }),
            what,
        }
    }

    pub(in crate::plugin) fn copied(topic: &str) -> Copied {
        Copied {
            message: Arc::new(NoticedMessage {
                topic: topic.to_owned(),
                payload: b"\xffx".to_vec(),
                publisher: "p".to_owned(),
                taken_at_ms: 5,
            }),
            qos: 1,
            retain: false,
            dup: false,
            packet_id: 9,
        }
    }

    fn made(notice: &Notice) -> Value {
        let look_up = |client_id: &str| {
            (client_id == "p").then(|| KnownClient {
                node_id: 3,
                user_name: Some("u".to_owned()),
                peer_address: Some("10.0.0.1:9".to_owned()),
            })
        };
        let mut body = body(notice, &look_up);
        let time = body.remove("time").expect("a time");
        assert_eq!(time.as_str().map(str::len), Some(23), "{time}");
        assert!(time.as_str().is_some_and(|time| time.ends_with(".123")));
        Value::Object(body)
    }

    #[test]
    fn a_connection_is_told_in_the_words_of_its_version() {
        let mut introduction = Introduction {
            version: Version::V5,
            clean_start: true,
            keep_alive_seconds: 60,
        };
        let expected = json!({"node": 2, "ipaddress": "127.0.0.1:7", "clientid": "c",
            "username": "undefined", "keepalive": 60, "proto_ver": 5, "clean_start": true});
        assert_eq!(made(&notice(What::Connect(introduction))), expected);
        introduction.version = Version::V4;
        let refused = made(&notice(What::Connack(introduction, ReasonCode::Banned)));
        assert_eq!(refused["conn_ack"], "Connection Refused, not authorized");
        assert_eq!(refused["clean_session"], true);
        let what = What::Connected {
            introduction,
            session_present: true,
        };
        let connected = made(&notice(what));
        assert_eq!(connected["connected_at"], 1_700_000_000_123_u64);
        assert_eq!(connected["session_present"], true);
    }

    #[test]
    fn a_delivered_message_names_publisher_and_subscriber() {
        let expected = json!({"from_node": 3, "from_ipaddress": "10.0.0.1:9", "from_clientid": "p",
            "from_username": "u", "node": 2, "ipaddress": "127.0.0.1:7", "clientid": "c",
            "username": "undefined", "dup": false, "retain": false, "qos": 1, "topic": "a/b",
            "packet_id": 9, "payload": "/3g=", "pts": 5, "ts": 1_700_000_000_123_u64});
        assert_eq!(made(&notice(What::Delivered(copied("a/b")))), expected);
        let lost = What::Dropped {
            copy: copied("a/b"),
            reason: "link_full",
        };
        let nobody = Notice {
            client: None,
            ..notice(lost)
        };
        let lost = made(&nobody);
        assert_eq!(lost["reason"], "link_full");
        assert!(lost.get("clientid").is_none() && lost.get("node").is_none());
        let unknown = body(&nobody, &|_| None);
        assert_eq!(unknown["from_node"], Value::Null);
        assert_eq!(unknown["from_username"], "undefined");
    }

    #[test]
    fn a_published_message_names_its_publisher() {
        let mut of_client = notice(What::Publish(copied("a/b")));
        let published = made(&of_client);
        assert_eq!(published["from_node"], 2);
        assert_eq!(published["from_ipaddress"], "127.0.0.1:7");
        assert_eq!(published["ts"], 5);
        assert!(published.get("clientid").is_none());
        of_client.client = None;
        assert_eq!(made(&of_client)["from_username"], "u");
    }

    #[test]
    fn options_of_a_subscription_are_told_when_they_say_something() {
        let plain = v1::Subscription {
            filter: "a/#".to_owned(),
            options: 1,
            ..Default::default()
        };
        let subscribed = made(&notice(What::SessionSubscribed(plain.clone())));
        assert_eq!(subscribed["opts"], json!({"qos": 1}));
        assert_eq!(subscribed["topic"], "a/#");
        let special = v1::Subscription {
            share: "g".to_owned(),
            options: 0b10_1110,
            id: 4,
            ..plain
        };
        let expected = json!({"qos": 2, "group": "g", "id": 4, "no_local": true,
            "retain_as_published": true, "retain_handling": 2});
        let asked = made(&notice(What::Subscribe(special)));
        assert_eq!(asked["opts"], expected);
    }
}
