//! The settings of the MQTT engine in the units in which it calculates.

use crate::{
    config::{Config, Durability, ProxyProtocol},
    connect::ConnectRequest,
};
use raftmq_mqtt::{codec::QoS, session::OutboundLimits};
use std::{net::IpAddr, time::Duration};

/// Session Expiry Interval that means "never" (MQTT 5 §3.1.2.11.2).
pub const EXPIRY_NEVER: u32 = u32::MAX;

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
    max_topic_levels: usize,
    /// See `mqtt.max_subscriptions`; 0: no limit.
    pub max_subscriptions: usize,
    /// See `mqtt.out_buffer`.
    pub out_buffer_bytes: usize,
    /// See `mqtt.allow_anonymous`.
    pub allow_anonymous: bool,
    /// See `cluster.partition_grace`.
    pub partition_grace: Duration,
    proxy_trusted: Option<Vec<ipnet::IpNet>>,
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
            outbound_limits: OutboundLimits {
                queue_messages_max: u32::try_from(mqtt.max_queued_messages).unwrap_or(u32::MAX),
            },
            durability: mqtt.sessions,
            max_qos: QoS::from_number(mqtt.max_qos).unwrap_or(QoS::ExactlyOnce),
            retain_available: mqtt.retain_available,
            max_topic_levels: mqtt.max_topic_levels,
            max_subscriptions: mqtt.max_subscriptions,
            out_buffer_bytes: mqtt.out_buffer.get(),
            allow_anonymous: mqtt.allow_anonymous,
            partition_grace: config.cluster.partition_grace,
            proxy_trusted: (mqtt.proxy_protocol == ProxyProtocol::V2)
                .then(|| mqtt.proxy_trusted.clone()),
            max_keep_alive_seconds: u16::try_from(mqtt.max_keep_alive.as_secs())
                .unwrap_or(u16::MAX),
            keep_alive_multiplier: mqtt.keep_alive_multiplier,
            session_expiry_default_seconds: seconds(mqtt.session_expiry_default),
            session_expiry_seconds_max: seconds(mqtt.max_session_expiry),
        }
    }

    /// Whether a topic name or filter has no more levels than `mqtt.max_topic_levels`.
    pub fn allows_levels(&self, topic: &str) -> bool {
        self.max_topic_levels >= raftmq_mqtt::topic::LEVELS_MAX
            || topic.bytes().filter(|byte| *byte == b'/').count() < self.max_topic_levels
    }

    /// Whether a connection from `ip` may begin with a PROXY protocol header.
    pub fn believes_proxy(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.proxy_trusted
            .as_ref()
            .is_some_and(|nets| nets.iter().any(|net| net.contains(&ip)))
    }

    /// The keep alive in force, in seconds: what the client asked for, within our limit.
    pub fn keep_alive_seconds(&self, asked: u16) -> u16 {
        match asked {
            0 if self.max_keep_alive_seconds < u16::MAX => self.max_keep_alive_seconds,
            _ => asked.min(self.max_keep_alive_seconds),
        }
    }

    /// Silence after which a client is gone, in seconds; 0: never [MQTT-3.1.2-22].
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

    /// The expiry of a DISCONNECT, within our limit.
    pub fn limited_expiry_seconds(&self, asked: u32) -> u32 {
        asked.min(self.session_expiry_seconds_max)
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(EXPIRY_NEVER)
}
