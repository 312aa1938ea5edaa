//! rumqttc's MQTT 3.1.1 client behind the common face.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions,
    Outgoing, Packet, Publish, QoS, SubscribeFilter, SubscribeReasonCode,
};

use super::events::{Events, Seen};
use super::{Closed, Connect, Filter, Message, Refused};

/// Requests that may wait for the event loop.
const REQUESTS_MAX: usize = 1_000;

/// Packets up to this size are taken and sent, bytes.
const PACKET_BYTES_MAX: usize = 2 << 20;

pub(super) async fn connect(options: &Connect) -> Result<(AsyncClient, V4Events, bool), Refused> {
    let (client, mut events) = AsyncClient::new(mqtt_options(options), REQUESTS_MAX);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    match events.poll().await {
        Ok(Event::Incoming(Packet::ConnAck(connack))) => {
            Ok((client, V4Events(events), connack.session_present))
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
    mqtt.set_clean_session(options.clean_start)
        .set_keep_alive(Duration::from_secs(options.keep_alive_seconds.into()))
        .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX)
        .set_inflight(options.inflight);
    if let Some(will) = &options.will {
        let payload = will.payload.to_vec();
        mqtt.set_last_will(LastWill::new(
            &will.topic,
            payload,
            qos(will.qos),
            will.retain,
        ));
    }
    if let Some(name) = &options.username {
        mqtt.set_credentials(name, &options.password);
    }
    mqtt
}

fn refused(error: &ConnectionError) -> Refused {
    let code = match error {
        ConnectionError::ConnectionRefused(code) => Some(*code as u8),
        _ => None,
    };
    Refused {
        code,
        reason: error.to_string(),
    }
}

pub(super) async fn publish(
    client: &AsyncClient,
    topic: &str,
    level: u8,
    retain: bool,
    payload: Bytes,
) -> bool {
    client
        .publish_bytes(topic, qos(level), retain, payload)
        .await
        .is_ok()
}

pub(super) async fn subscribe(client: &AsyncClient, filters: &[Filter]) -> bool {
    let filters: Vec<_> = filters
        .iter()
        .map(|filter| SubscribeFilter::new(filter.path.clone(), qos(filter.qos)))
        .collect();
    client.subscribe_many(filters).await.is_ok()
}

fn qos(level: u8) -> QoS {
    match level {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        other => panic!("QoS {other}"),
    }
}

pub(super) struct V4Events(EventLoop);

impl Events for V4Events {
    async fn next(&mut self) -> Result<Seen, Closed> {
        match self.0.poll().await {
            Ok(Event::Incoming(packet)) => Ok(incoming(packet)),
            Ok(Event::Outgoing(outgoing)) => outgoing_seen(&outgoing),
            Err(error) => Err(Closed {
                code: None,
                reason: error.to_string(),
            }),
        }
    }
}

/// Shared by both versions: rumqttc has one type for what was sent.
pub(super) fn outgoing_seen(outgoing: &Outgoing) -> Result<Seen, Closed> {
    match *outgoing {
        Outgoing::Publish(id) => Ok(Seen::PublishSent(id)),
        Outgoing::Subscribe(id) => Ok(Seen::SubscribeSent(id)),
        Outgoing::Unsubscribe(id) => Ok(Seen::UnsubscribeSent(id)),
        Outgoing::Disconnect => Err(Closed {
            code: None,
            reason: "DISCONNECT sent".into(),
        }),
        _ => Ok(Seen::Nothing),
    }
}

fn incoming(packet: Packet) -> Seen {
    match packet {
        Packet::Publish(publish) => Seen::Message(message(publish)),
        Packet::PubAck(ack) => Seen::PublishSettled(ack.pkid, 0),
        Packet::PubComp(ack) => Seen::PublishSettled(ack.pkid, 0),
        Packet::SubAck(ack) => {
            Seen::SubscribeSettled(ack.pkid, ack.return_codes.iter().map(suback_code).collect())
        }
        Packet::UnsubAck(ack) => Seen::UnsubscribeSettled(ack.pkid, Vec::new()),
        _ => Seen::Nothing,
    }
}

fn suback_code(code: &SubscribeReasonCode) -> u8 {
    match code {
        SubscribeReasonCode::Success(qos) => *qos as u8,
        SubscribeReasonCode::Failure => 0x80,
    }
}

fn message(publish: Publish) -> Message {
    Message {
        topic: publish.topic,
        payload: publish.payload,
        qos: publish.qos as u8,
        retain: publish.retain,
        dup: publish.dup,
        subscription_ids: Vec::new(),
    }
}
