//! rumqttc's MQTT 5 client behind the common face.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    self, ConnectProperties, ConnectReturnCode, LastWill, LastWillProperties, Packet, Publish,
    RetainForwardRule, SubscribeProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};

use super::events::{Events, Seen};
use super::v4::outgoing_seen;
use super::{Closed, Connect, Filter, Message, Refused};

/// Requests that may wait for the event loop.
const REQUESTS_MAX: usize = 1_000;

/// Packets up to this size are taken, bytes.
const PACKET_BYTES_MAX: u32 = 2 << 20;

pub(super) async fn connect(options: &Connect) -> Result<(AsyncClient, V5Events, bool), Refused> {
    let (client, mut events) = AsyncClient::new(mqtt_options(options), REQUESTS_MAX);
    match events.poll().await {
        Ok(Event::Incoming(Packet::ConnAck(connack))) => {
            Ok((client, V5Events(events), connack.session_present))
        }
        Ok(other) => Err(Refused {
            code: None,
            reason: format!("{other:?}"),
        }),
        Err(error) => Err(refused(&error)),
    }
}

fn mqtt_options(options: &Connect) -> MqttOptions {
    let (host, port) = (options.address.ip().to_string(), options.address.port());
    let mut mqtt = MqttOptions::new(&options.id, host, port);
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = Some(options.expiry_seconds);
    properties.max_packet_size = Some(PACKET_BYTES_MAX);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    mqtt.set_clean_start(options.clean_start)
        .set_keep_alive(Duration::from_secs(options.keep_alive_seconds.into()))
        .set_connect_properties(properties)
        .set_network_options(network)
        .set_outgoing_inflight_upper_limit(options.inflight);
    if let Some(will) = &options.will {
        mqtt.set_last_will(last_will(will));
    }
    if let Some(name) = &options.username {
        mqtt.set_credentials(name, &options.password);
    }
    mqtt
}

fn last_will(will: &super::Will) -> LastWill {
    let properties = LastWillProperties {
        delay_interval: Some(will.delay_seconds),
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: None,
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    };
    LastWill::new(
        &will.topic,
        will.payload.to_vec(),
        qos(will.qos),
        will.retain,
        Some(properties),
    )
}

fn refused(error: &ConnectionError) -> Refused {
    let code = match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => connack_code(*code),
        _ => None,
    };
    Refused {
        code,
        reason: error.to_string(),
    }
}

fn connack_code(code: ConnectReturnCode) -> Option<u8> {
    use ConnectReturnCode as Code;
    Some(match code {
        Code::UnspecifiedError => 0x80,
        Code::MalformedPacket => 0x81,
        Code::ProtocolError => 0x82,
        Code::ImplementationSpecificError => 0x83,
        Code::UnsupportedProtocolVersion => 0x84,
        Code::ClientIdentifierNotValid => 0x85,
        Code::BadUserNamePassword => 0x86,
        Code::NotAuthorized => 0x87,
        Code::ServerUnavailable => 0x88,
        Code::ServerBusy => 0x89,
        Code::Banned => 0x8A,
        Code::QuotaExceeded => 0x97,
        Code::UseAnotherServer => 0x9C,
        Code::ServerMoved => 0x9D,
        Code::ConnectionRateExceeded => 0x9F,
        _ => return None,
    })
}

pub(super) async fn publish(
    client: &AsyncClient,
    topic: &str,
    level: u8,
    retain: bool,
    payload: Bytes,
) -> bool {
    client
        .publish(topic, qos(level), retain, payload)
        .await
        .is_ok()
}

pub(super) async fn subscribe(client: &AsyncClient, filters: &[Filter], id: Option<usize>) -> bool {
    let filters: Vec<_> = filters.iter().map(filter_with_options).collect();
    let sent = match id {
        None => client.subscribe_many(filters).await,
        Some(_) => {
            let properties = SubscribeProperties {
                id,
                user_properties: Vec::new(),
            };
            client
                .subscribe_many_with_properties(filters, properties)
                .await
        }
    };
    sent.is_ok()
}

fn filter_with_options(filter: &Filter) -> v5::Filter {
    v5::Filter {
        path: filter.path.clone(),
        qos: qos(filter.qos),
        nolocal: filter.no_local,
        preserve_retain: filter.retain_as_published,
        retain_forward_rule: RetainForwardRule::OnEverySubscribe,
    }
}

fn qos(level: u8) -> QoS {
    match level {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        other => panic!("QoS {other}"),
    }
}

pub(super) struct V5Events(EventLoop);

impl Events for V5Events {
    async fn next(&mut self) -> Result<Seen, Closed> {
        match self.0.poll().await {
            Ok(Event::Incoming(packet)) => Ok(incoming(packet)),
            Ok(Event::Outgoing(outgoing)) => outgoing_seen(&outgoing),
            Err(error) => Err(closed(&error)),
        }
    }
}

fn closed(error: &ConnectionError) -> Closed {
    let code = match error {
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            Some(*reason_code as u8)
        }
        _ => None,
    };
    Closed {
        code,
        reason: error.to_string(),
    }
}

fn incoming(packet: Packet) -> Seen {
    match packet {
        Packet::Publish(publish) => Seen::Message(message(publish)),
        Packet::PubAck(ack) => Seen::PublishSettled(ack.pkid, puback_code(ack.reason)),
        Packet::PubRec(ack) => match pubrec_code(ack.reason) {
            failed @ 0x80.. => Seen::PublishSettled(ack.pkid, failed),
            _ => Seen::Nothing,
        },
        Packet::PubComp(ack) => Seen::PublishSettled(ack.pkid, pubcomp_code(ack.reason)),
        Packet::SubAck(ack) => {
            Seen::SubscribeSettled(ack.pkid, ack.return_codes.iter().map(suback_code).collect())
        }
        Packet::UnsubAck(ack) => {
            Seen::UnsubscribeSettled(ack.pkid, ack.reasons.iter().map(unsuback_code).collect())
        }
        _ => Seen::Nothing,
    }
}

fn puback_code(reason: v5::PubAckReason) -> u8 {
    use v5::PubAckReason as Reason;
    match reason {
        Reason::Success => 0x00,
        Reason::NoMatchingSubscribers => 0x10,
        Reason::UnspecifiedError => 0x80,
        Reason::ImplementationSpecificError => 0x83,
        Reason::NotAuthorized => 0x87,
        Reason::TopicNameInvalid => 0x90,
        Reason::PacketIdentifierInUse => 0x91,
        Reason::QuotaExceeded => 0x97,
        Reason::PayloadFormatInvalid => 0x99,
    }
}

fn pubrec_code(reason: v5::PubRecReason) -> u8 {
    use v5::PubRecReason as Reason;
    match reason {
        Reason::Success => 0x00,
        Reason::NoMatchingSubscribers => 0x10,
        Reason::UnspecifiedError => 0x80,
        Reason::ImplementationSpecificError => 0x83,
        Reason::NotAuthorized => 0x87,
        Reason::TopicNameInvalid => 0x90,
        Reason::PacketIdentifierInUse => 0x91,
        Reason::QuotaExceeded => 0x97,
        Reason::PayloadFormatInvalid => 0x99,
    }
}

fn pubcomp_code(reason: v5::PubCompReason) -> u8 {
    match reason {
        v5::PubCompReason::Success => 0x00,
        v5::PubCompReason::PacketIdentifierNotFound => 0x92,
    }
}

fn suback_code(code: &SubscribeReasonCode) -> u8 {
    use SubscribeReasonCode as Code;
    match code {
        Code::Success(qos) => *qos as u8,
        Code::Failure | Code::Unspecified => 0x80,
        Code::ImplementationSpecific => 0x83,
        Code::NotAuthorized => 0x87,
        Code::TopicFilterInvalid => 0x8F,
        Code::PkidInUse => 0x91,
        Code::QuotaExceeded => 0x97,
        Code::SharedSubscriptionsNotSupported => 0x9E,
        Code::SubscriptionIdNotSupported => 0xA1,
        Code::WildcardSubscriptionsNotSupported => 0xA2,
    }
}

fn unsuback_code(reason: &v5::UnsubAckReason) -> u8 {
    use v5::UnsubAckReason as Reason;
    match reason {
        Reason::Success => 0x00,
        Reason::NoSubscriptionExisted => 0x11,
        Reason::UnspecifiedError => 0x80,
        Reason::ImplementationSpecificError => 0x83,
        Reason::NotAuthorized => 0x87,
        Reason::TopicFilterInvalid => 0x8F,
        Reason::PacketIdentifierInUse => 0x91,
    }
}

fn message(publish: Publish) -> Message {
    let subscription_ids = publish
        .properties
        .map(|properties| properties.subscription_identifiers)
        .unwrap_or_default();
    Message {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload,
        qos: publish.qos as u8,
        retain: publish.retain,
        dup: publish.dup,
        subscription_ids,
    }
}
