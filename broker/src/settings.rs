//! The settings of the MQTT engine in the units in which it calculates.

use crate::{
    config::{Config, Durability, ListenerConfig, MqttConfig, ProxyProtocol, QueueDrop},
    connect::{self, ConnectRequest},
};
use raftmq_mqtt::{
    codec::{QoS, ReasonCode},
    session::{self, OutboundLimits, QueuedQos0},
    topic::SharedFilter,
};
use std::{net::IpAddr, time::Duration};

/// Session Expiry Interval that means "never" (MQTT 5 §3.1.2.11.2).
pub const EXPIRY_NEVER: u32 = u32::MAX;
/// Messages that may wait for a bridge that does not say otherwise (`message_channel_capacity`).
pub const BRIDGE_QUEUE_MESSAGES: u32 = 100_000;

/// What listeners, connections and sessions go by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// See `mqtt.max_packet_size`; bytes.
    pub max_packet_size: u32,
    /// See `mqtt.connect_timeout`.
    pub connect_timeout: Duration,
    /// See `mqtt.max_inflight`.
    pub max_inflight: u16,
    /// See `mqtt.max_queued_messages`.
    pub outbound_limits: OutboundLimits,
    /// See `mqtt.sessions`.
    pub durability: Durability,
    /// See `mqtt.max_qos`.
    pub max_qos: QoS,
    /// See `mqtt.retain_available`.
    pub retain_available: bool,
    /// See `mqtt.delayed_publish`.
    pub delayed_publish: bool,
    /// See `mqtt.max_delayed_messages`.
    pub delayed_messages_max: u64,
    /// See `mqtt.wildcard_subscription_available`.
    pub wildcard_subscription_available: bool,
    /// See `mqtt.shared_subscription_available`.
    pub shared_subscription_available: bool,
    /// See `mqtt.subscription_identifier_available`.
    pub subscription_identifier_available: bool,
    /// See `mqtt.topic_alias_max`.
    pub topic_alias_max: u16,
    /// See `mqtt.response_information`.
    pub response_information: Option<String>,
    /// See `mqtt.check_payload_format`.
    pub check_payload_format: bool,
    /// See `mqtt.max_client_id_3_1`; characters.
    pub client_id_chars_max_3_1: usize,
    max_topic_levels: usize,
    /// See `mqtt.max_subscriptions`; 0: no limit.
    pub max_subscriptions: usize,
    /// See `mqtt.out_buffer`.
    pub out_buffer_bytes: usize,
    /// See `mqtt.allow_anonymous`.
    pub allow_anonymous: bool,
    /// See `cluster.partition_grace`.
    pub partition_grace: Duration,
    proxy_protocol: ProxyProtocol,
    proxy_trusted: Vec<ipnet::IpNet>,
    min_keep_alive_seconds: u16,
    max_keep_alive_seconds: u16,
    keep_alive_multiplier: f64,
    session_expiry_default_seconds: u32,
    session_expiry_seconds_max: u32,
}

impl Settings {
    /// From the checked configuration.
    pub fn new(config: &Config) -> Settings {
        let mqtt = &config.mqtt;
        Settings {
            max_packet_size: u32::try_from(mqtt.max_packet_size.get()).unwrap_or(u32::MAX),
            connect_timeout: mqtt.connect_timeout,
            max_inflight: mqtt.max_inflight,
            outbound_limits: outbound_limits(mqtt),
            durability: mqtt.sessions,
            max_qos: QoS::from_number(mqtt.max_qos).unwrap_or(QoS::ExactlyOnce),
            retain_available: mqtt.retain_available,
            delayed_publish: mqtt.delayed_publish,
            delayed_messages_max: mqtt.max_delayed_messages,
            wildcard_subscription_available: mqtt.wildcard_subscription_available,
            shared_subscription_available: mqtt.shared_subscription_available,
            subscription_identifier_available: mqtt.subscription_identifier_available,
            topic_alias_max: mqtt.topic_alias_max,
            response_information: mqtt.response_information.clone(),
            check_payload_format: mqtt.check_payload_format,
            client_id_chars_max_3_1: mqtt.max_client_id_3_1,
            max_topic_levels: mqtt.max_topic_levels,
            max_subscriptions: mqtt.max_subscriptions,
            out_buffer_bytes: mqtt.out_buffer.get(),
            allow_anonymous: mqtt.allow_anonymous,
            partition_grace: config.cluster.partition_grace,
            proxy_protocol: mqtt.proxy_protocol,
            proxy_trusted: mqtt.proxy_trusted.clone(),
            min_keep_alive_seconds: keep_alive(mqtt.min_keep_alive),
            max_keep_alive_seconds: keep_alive(mqtt.max_keep_alive),
            keep_alive_multiplier: mqtt.keep_alive_multiplier,
            session_expiry_default_seconds: seconds(mqtt.session_expiry_default),
            session_expiry_seconds_max: seconds(mqtt.max_session_expiry),
        }
    }

    /// The same for the clients of a listener, with what that says in the place of what it stands for.
    pub fn limited_by(mut self, listener: &ListenerConfig) -> Settings {
        let packet = listener.max_packet_size;
        self.max_packet_size = packet.map_or(self.max_packet_size, |size| {
            u32::try_from(size.get()).unwrap_or(u32::MAX)
        });
        self.max_inflight = listener.max_inflight.unwrap_or(self.max_inflight);
        if let Some(queue) = listener.max_queued_messages {
            self.outbound_limits.queue_messages_max = u32::try_from(queue).unwrap_or(u32::MAX);
        }
        self.durability = listener.sessions.unwrap_or(self.durability);
        let levels = listener.max_topic_levels;
        self.max_topic_levels = levels.unwrap_or(self.max_topic_levels);
        self.proxy_protocol = listener.proxy_protocol.unwrap_or(self.proxy_protocol);
        let (shortest, longest) = (listener.min_keep_alive, listener.max_keep_alive);
        self.min_keep_alive_seconds = shortest.map_or(self.min_keep_alive_seconds, keep_alive);
        self.max_keep_alive_seconds = longest.map_or(self.max_keep_alive_seconds, keep_alive);
        self
    }

    /// The same for a bridge's own client: a queue of so many messages, and no header in front of CONNECT.
    pub fn for_bridge(mut self, queue_messages_max: u32) -> Settings {
        self.outbound_limits.queue_messages_max = queue_messages_max;
        self.proxy_protocol = ProxyProtocol::Off;
        self
    }

    /// Bounds of a session whose client has not connected here yet, or whose messages wait here for it.
    /// A bridge says its own bound when it connects; until then it has the default one.
    pub fn outbound_limits_of(&self, client_id: &str) -> OutboundLimits {
        let own = self.outbound_limits;
        match connect::is_reserved(client_id) {
            false => own,
            true => OutboundLimits {
                queue_messages_max: own.queue_messages_max.max(BRIDGE_QUEUE_MESSAGES),
                ..own
            },
        }
    }

    /// Whether `mqtt.max_topic_levels` is less than a topic can have.
    pub fn limits_levels(&self) -> bool {
        self.max_topic_levels < raftmq_mqtt::topic::LEVELS_MAX
    }

    /// Whether a topic name or filter has no more levels than `mqtt.max_topic_levels`.
    pub fn allows_levels(&self, topic: &str) -> bool {
        !self.limits_levels()
            || topic.bytes().filter(|byte| *byte == b'/').count() < self.max_topic_levels
    }

    /// Why a filter asks for a kind of subscription that is not offered, if it does.
    pub fn not_offered(&self, filter: &SharedFilter<'_>) -> Option<ReasonCode> {
        if filter.share.is_some() && !self.shared_subscription_available {
            return Some(ReasonCode::SharedSubscriptionsNotSupported);
        }
        let has_wildcard = filter.filter.contains(['+', '#']);
        (has_wildcard && !self.wildcard_subscription_available)
            .then_some(ReasonCode::WildcardSubscriptionsNotSupported)
    }

    /// The PROXY protocol headers with which a connection from `ip` may begin; `None`: from this machine, by a
    /// Unix socket.
    pub fn believed_proxy(&self, ip: Option<IpAddr>) -> ProxyProtocol {
        let is_trusted = ip.is_none_or(|ip| {
            let ip = ip.to_canonical();
            self.proxy_trusted.iter().any(|net| net.contains(&ip))
        });
        match is_trusted {
            true => self.proxy_protocol,
            false => ProxyProtocol::Off,
        }
    }

    /// The keep alive in force, in seconds: what the client asked for, within our limit.
    pub fn keep_alive_seconds(&self, asked: u16) -> u16 {
        match asked {
            0 if self.max_keep_alive_seconds < u16::MAX => self.max_keep_alive_seconds,
            0 => 0,
            _ => asked.clamp(self.min_keep_alive_seconds, self.max_keep_alive_seconds),
        }
    }

    /// Silence after which a client is gone, in seconds; 0: never [MQTT-3.1.2-22].
    /// [MQTT-3.2.2-22]
    pub fn silence_seconds_max(&self, asked: u16) -> u32 {
        let keep_alive = f64::from(self.keep_alive_seconds(asked));
        (keep_alive * self.keep_alive_multiplier).ceil() as u32
    }

    /// The session expiry in force, in seconds. 3.1 and 3.1.1 know only "ends with the connection"
    /// and "does not": the latter lasts for `mqtt.session_expiry_default`.
    pub fn session_expiry_seconds(&self, request: &ConnectRequest) -> u32 {
        match request.session_expiry_seconds {
            Some(asked) => asked.min(self.session_expiry_seconds_max),
            None if request.clean_start => 0,
            None => self.session_expiry_default_seconds,
        }
    }

    /// Where what the session is owed is kept. One that ends with its connection is owed nothing.
    pub fn durability_of(&self, request: &ConnectRequest) -> Durability {
        match self.session_expiry_seconds(request) {
            0 => Durability::Memory,
            _ => self.durability,
        }
    }

    /// The expiry of a DISCONNECT, within our limit.
    pub fn limited_expiry_seconds(&self, asked: u32) -> u32 {
        asked.min(self.session_expiry_seconds_max)
    }
}

fn keep_alive(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs()).unwrap_or(u16::MAX)
}

fn outbound_limits(mqtt: &MqttConfig) -> OutboundLimits {
    OutboundLimits {
        queue_messages_max: u32::try_from(mqtt.max_queued_messages).unwrap_or(u32::MAX),
        queue_drop: match mqtt.queue_drop {
            QueueDrop::Newest => session::QueueDrop::Newest,
            QueueDrop::Oldest => session::QueueDrop::Oldest,
        },
        queue_qos_0: match mqtt.queue_qos0 {
            true => QueuedQos0::Kept,
            false => QueuedQos0::Dropped,
        },
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(EXPIRY_NEVER)
}
