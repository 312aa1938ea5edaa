//! What a CONNECT asks for, kept while the claim of its client identifier is under way.

use raftmq_mqtt::codec::{Connect, PayloadFormat, QoS, Version, Will};
use raftmq_proto::v1;

/// How identifiers of the broker's own clients begin: of its bridges.
pub const RESERVED_PREFIX: &str = "$bridge:";
/// User property of CONNECT by which a bridge says that it is one, and of CONNACK by which it is told the
/// cluster that it has reached: a message is not sent where it has been.
pub const BRIDGE_PROPERTY: &str = "raftmq-bridge";

/// Whether only the broker itself may use this client identifier.
pub fn is_reserved(client_id: &str) -> bool {
    client_id.starts_with(RESERVED_PREFIX)
}

/// A password, or data of an authentication, which no log shows.
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
    /// Whether a certificate has said who it is.
    pub is_certified: bool,
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
    /// Topic Alias Maximum of the client; 0: it takes none.
    pub topic_alias_maximum: u16,
    /// Whether the client says that it is a bridge.
    pub is_bridge: bool,
    /// Whether the client wants Response Information [MQTT-3.1.2-28].
    pub wants_response_information: bool,
    /// Whether the client wants reason strings [MQTT-3.1.2-29].
    pub wants_reason_strings: bool,
    /// Whether the will says that its payload is UTF-8, and it is not (§3.1.3.2.3).
    pub will_breaks_its_format: bool,
    /// Enhanced authentication asked for (MQTT 5 §4.12).
    pub authentication_method: Option<String>,
    /// What it begins with.
    pub authentication_data: Option<Password>,
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
            is_certified: false,
            user_name: connect.user_name.map(str::to_owned),
            password: connect.password.map(|bytes| Password(bytes.to_vec())),
            session_expiry_seconds: (connect.version == Version::V5)
                .then(|| properties.session_expiry_interval.unwrap_or(0)),
            receive_maximum: properties.receive_maximum.map_or(u16::MAX, |n| n.get()),
            maximum_packet_size: properties.maximum_packet_size.map_or(u32::MAX, |n| n.get()),
            topic_alias_maximum: properties.topic_alias_maximum.unwrap_or(0),
            is_bridge: properties
                .user_properties
                .iter()
                .any(|(name, _)| name == BRIDGE_PROPERTY),
            wants_response_information: properties.request_response_information == Some(true),
            wants_reason_strings: properties.request_problem_information != Some(false),
            will_breaks_its_format: connect.will.as_ref().is_some_and(breaks_its_format),
            authentication_method: properties.authentication_method.map(str::to_owned),
            authentication_data: properties
                .authentication_data
                .map(|bytes| Password(bytes.to_vec())),
        }
    }
}

impl ConnectRequest {
    /// Gives the client an identifier that is known from elsewhere; its will is then that client's.
    pub fn set_client_id(&mut self, client_id: &str) {
        self.client_id = client_id.to_owned();
        if let Some(message) = self.will.as_mut().and_then(|will| will.message.as_mut()) {
            message.client_id = client_id.to_owned();
        }
    }
}

fn breaks_its_format(will: &Will<'_>) -> bool {
    let properties = will.properties.message();
    properties.payload_format_indicator() == Some(PayloadFormat::Utf8)
        && std::str::from_utf8(will.payload).is_err()
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
