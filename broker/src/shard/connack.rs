//! CONNACK (MQTT 5 §3.2): what the node grants to a client, and what it is able to take.

use super::screening::Proof;
use crate::{
    connect::{BRIDGE_PROPERTY, ConnectRequest},
    plugin,
    settings::Settings,
};
use raftmq_mqtt::{
    codec::{ConnAck, ConnAckProperties, Diagnostics, QoS, ReasonCode, UserProperties, Version},
    topic,
};
use std::num::{NonZeroU16, NonZeroU32};

/// What an accepting CONNACK depends on.
pub(super) struct Welcome<'a> {
    pub request: &'a ConnectRequest,
    pub settings: &'a Settings,
    pub session_present: bool,
    /// Whether messages can be retained now.
    pub retain_available: bool,
    /// The last word of an enhanced authentication [MQTT-4.12.0-5].
    pub proof: Option<&'a Proof>,
    /// For a bridge: which cluster it has reached.
    pub cluster_id: Option<&'a str>,
}

impl Welcome<'_> {
    /// Appends CONNACK, if it respects the client's Maximum Packet Size [MQTT-3.1.2-24].
    pub fn write(&self, max_packet_size: u32, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        let response_information = self.response_information();
        let told = [(BRIDGE_PROPERTY, self.cluster_id.unwrap_or_default())];
        let connack = ConnAck {
            session_present: self.session_present,
            reason_code: ReasonCode::Success,
            properties: self.properties(response_information.as_deref()),
            diagnostics: Diagnostics {
                reason_string: None,
                user_properties: match self.cluster_id {
                    Some(_) => UserProperties::Pairs(&told),
                    None => UserProperties::default(),
                },
            },
        };
        connack
            .encode(self.request.version, max_packet_size, out)
            .map_err(|_| Unsendable)
    }

    fn properties<'a>(&'a self, response_information: Option<&'a str>) -> ConnAckProperties<'a> {
        let (request, settings) = (self.request, self.settings);
        let expiry = settings.session_expiry_seconds(request);
        let keep_alive = settings.keep_alive_seconds(request.keep_alive_seconds);
        let unless = |is_available: bool| (!is_available).then_some(false);
        ConnAckProperties {
            session_expiry_interval: (request.session_expiry_seconds != Some(expiry))
                .then_some(expiry),
            receive_maximum: NonZeroU16::new(settings.max_inflight),
            maximum_qos: (settings.max_qos < QoS::ExactlyOnce).then_some(settings.max_qos),
            retain_available: unless(self.retain_available),
            maximum_packet_size: NonZeroU32::new(settings.max_packet_size),
            assigned_client_identifier: request.is_assigned.then_some(&*request.client_id),
            topic_alias_maximum: Some(settings.topic_alias_max).filter(|max| *max > 0),
            wildcard_subscription_available: unless(settings.wildcard_subscription_available),
            subscription_identifier_available: unless(settings.subscription_identifier_available),
            shared_subscription_available: unless(settings.shared_subscription_available),
            server_keep_alive: (keep_alive != request.keep_alive_seconds).then_some(keep_alive),
            response_information,
            // [MQTT-4.12.0-6]
            authentication_method: self.proof.map(|proof| proof.method),
            authentication_data: self.proof.map(|proof| &*proof.data),
            ..ConnAckProperties::default()
        }
    }

    /// The beginning of the client's response topics, only for a client that asks [MQTT-3.1.2-28]. None
    /// where no topic name can begin with it, such as for an identifier with a wildcard in it.
    fn response_information(&self) -> Option<String> {
        let request = self.request;
        if !request.wants_response_information || request.version != Version::V5 {
            return None;
        }
        let template = self.settings.response_information.as_ref()?;
        let values = [
            ("${clientid}", Some(&*request.client_id)),
            ("${username}", request.user_name.as_deref()),
        ];
        plugin::filled(template, &values).filter(|text| topic::validate_name(text).is_ok())
    }
}

/// The client's Maximum Packet Size leaves no room for a CONNACK.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsendable;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use raftmq_mqtt::codec::{self, Connect, ConnectProperties, Packet};

    fn request(client_id: &str, asks: Option<bool>) -> ConnectRequest {
        ConnectRequest::new(&Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties {
                request_response_information: asks,
                user_properties: UserProperties::default(),
                ..ConnectProperties::default()
            },
        })
    }

    fn written(config: &Config, request: &ConnectRequest) -> Vec<u8> {
        let mut out = Vec::new();
        let welcome = Welcome {
            request,
            settings: &Settings::new(config),
            session_present: false,
            retain_available: true,
            proof: None,
            cluster_id: None,
        };
        welcome.write(u32::MAX, &mut out).expect("it fits");
        out
    }

    fn properties(bytes: &[u8]) -> ConnAckProperties<'_> {
        let frame = codec::frame(bytes, u32::MAX)
            .expect("a frame")
            .expect("whole");
        match codec::decode(Version::V5, &frame) {
            Ok(Packet::ConnAck(connack)) => connack.properties,
            other => panic!("{other:?}"),
        }
    }

    /// [MQTT-3.1.2-28]
    #[test]
    fn response_information_is_for_clients_that_ask() {
        let mut config = Config::default();
        config.mqtt.response_information = Some("response/${clientid}".into());
        for (asks, expected) in [
            (Some(true), Some("response/me")),
            (Some(false), None),
            (None, None),
        ] {
            let bytes = written(&config, &request("me", asks));
            assert_eq!(properties(&bytes).response_information, expected);
        }
    }

    #[test]
    fn response_information_is_a_topic_name_or_nothing() {
        let mut config = Config::default();
        config.mqtt.response_information = Some("response/${clientid}/${username}".into());
        let mut named = request("me", Some(true));
        let bytes = written(&config, &named);
        assert_eq!(
            properties(&bytes).response_information,
            None,
            "no user name"
        );
        named.user_name = Some("user".into());
        let bytes = written(&config, &named);
        assert_eq!(
            properties(&bytes).response_information,
            Some("response/me/user")
        );
        named.client_id = "a/#".into();
        let bytes = written(&config, &named);
        assert_eq!(properties(&bytes).response_information, None);
    }

    #[test]
    fn what_is_not_offered_is_said_and_what_is_the_default_is_not() {
        let config = Config::default();
        let bytes = written(&config, &request("me", None));
        let told = properties(&bytes);
        assert_eq!(told.topic_alias_maximum, Some(32));
        assert_eq!(told.wildcard_subscription_available, None);
        assert_eq!(told.shared_subscription_available, None);
        assert_eq!(told.subscription_identifier_available, None);
        let mut config = config;
        config.mqtt.topic_alias_max = 0;
        config.mqtt.wildcard_subscription_available = false;
        config.mqtt.shared_subscription_available = false;
        config.mqtt.subscription_identifier_available = false;
        let bytes = written(&config, &request("me", None));
        let told = properties(&bytes);
        assert_eq!(told.topic_alias_maximum, None);
        assert_eq!(told.wildcard_subscription_available, Some(false));
        assert_eq!(told.shared_subscription_available, Some(false));
        assert_eq!(told.subscription_identifier_available, Some(false));
    }

    #[test]
    fn only_a_bridge_is_told_which_cluster_it_has_reached() {
        let config = Config::default();
        let request = request("me", None);
        for cluster_id in [None, Some("here")] {
            let welcome = Welcome {
                request: &request,
                settings: &Settings::new(&config),
                session_present: false,
                retain_available: true,
                proof: None,
                cluster_id,
            };
            let mut bytes = Vec::new();
            welcome.write(u32::MAX, &mut bytes).expect("it fits");
            let frame = codec::frame(&bytes, u32::MAX)
                .expect("a frame")
                .expect("whole");
            let Ok(Packet::ConnAck(connack)) = codec::decode(Version::V5, &frame) else {
                panic!("no CONNACK");
            };
            let mut told = connack.diagnostics.user_properties.iter();
            assert_eq!(told.next(), cluster_id.map(|id| (BRIDGE_PROPERTY, id)));
        }
    }

    /// [MQTT-3.1.2-24]
    #[test]
    fn a_connack_that_the_client_cannot_take_is_not_written() {
        let config = Config::default();
        let request = request("me", None);
        let welcome = Welcome {
            request: &request,
            settings: &Settings::new(&config),
            session_present: false,
            retain_available: true,
            proof: None,
            cluster_id: None,
        };
        let mut out = Vec::new();
        assert_eq!(welcome.write(10, &mut out), Err(Unsendable));
        assert!(out.is_empty());
    }
}
