//! What a CONNECT asks for, kept while the claim of its client identifier is under way.

use raftmq_mqtt::codec::{Connect, QoS, Version, Will};
use raftmq_proto::v1;

/// A password, which no log shows.
#[derive(Clone)]
pub struct Password(pub Vec<u8>);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// An owned CONNECT.
#[derive(Clone, Debug)]
pub struct ConnectRequest {
    /// Protocol version.
    pub version: Version,
    /// Clean Start (5.0) or Clean Session (3.1, 3.1.1).
    pub clean_start: bool,
    /// Keep Alive in seconds; 0: off.
    pub keep_alive_seconds: u16,
    /// Client identifier; assigned by us when the client gave none.
    pub client_id: String,
    /// Whether we assigned it [MQTT-3.1.3-6], [MQTT-3.1.3-7].
    pub is_assigned: bool,
    /// User name.
    pub user_name: Option<String>,
    /// Password.
    pub password: Option<Password>,
    /// Will.
    pub will: Option<v1::Will>,
    /// QoS of the will, for `mqtt.max_qos`.
    pub will_qos: QoS,
    /// Session Expiry Interval asked for, in seconds; `None` in 3.1 and 3.1.1.
    pub session_expiry_seconds: Option<u32>,
    /// Receive Maximum of the client.
    pub receive_maximum: u16,
    /// Maximum Packet Size of the client, in bytes.
    pub maximum_packet_size: u32,
    /// Extended authentication asked for (MQTT 5 §4.12).
    pub authentication_method: Option<String>,
}

impl ConnectRequest {
    /// Takes over what the packet says, and assigns a client identifier where there is none.
    pub fn new(connect: &Connect<'_>) -> ConnectRequest {
        let properties = &connect.properties;
        let is_assigned = connect.client_id.is_empty();
        let client_id = match is_assigned {
            true => format!("raftmq-{}", uuid::Uuid::new_v4().simple()),
            false => connect.client_id.to_owned(),
        };
        ConnectRequest {
            version: connect.version,
            clean_start: connect.clean_start,
            keep_alive_seconds: connect.keep_alive,
            will: connect.will.as_ref().map(|w| will(w, &client_id)),
            will_qos: connect.will.as_ref().map_or(QoS::AtMostOnce, |w| w.qos),
            client_id,
            is_assigned,
            user_name: connect.user_name.map(str::to_owned),
            password: connect.password.map(|bytes| Password(bytes.to_vec())),
            session_expiry_seconds: (connect.version == Version::V5)
                .then(|| properties.session_expiry_interval.unwrap_or(0)),
            receive_maximum: properties.receive_maximum.map_or(u16::MAX, |n| n.get()),
            maximum_packet_size: properties.maximum_packet_size.map_or(u32::MAX, |n| n.get()),
            authentication_method: properties.authentication_method.map(str::to_owned),
        }
    }
}

fn will(will: &Will<'_>, client_id: &str) -> v1::Will {
    let properties = will.properties.message();
    let mut forwardable = Vec::new();
    properties.append_forwardable(&mut forwardable);
    v1::Will {
        message: Some(v1::Message {
            topic: will.topic.to_owned(),
            payload: will.payload.to_vec().into(),
            qos: u32::from(will.qos.number()),
            retain: will.retain,
            properties: forwardable.into(),
            expiry_seconds: properties.message_expiry_interval(),
            client_id: client_id.to_owned(),
            received_at_ms: 0,
        }),
        delay_seconds: will.properties.will_delay_interval().unwrap_or(0),
    }
}
