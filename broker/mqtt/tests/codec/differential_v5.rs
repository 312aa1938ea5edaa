//! MQTT 5: rumqttc reads what we write, and we read what it writes.
//!
//! The order of properties is free, so packets are compared, not bytes. rumqttc 0.25 has faults of its
//! own; each is named where it is stepped around.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use raftmq_mqtt::codec::{self, PayloadFormat, Property, RetainHandling, Version, decode, frame};
use rumqttc::v5::mqttbytes::v5::{
    self, ConnAckProperties, ConnectProperties, DisconnectProperties, Filter, LastWill,
    LastWillProperties, Login, PublishProperties, RetainForwardRule, SubscribeProperties,
    UnsubscribeProperties,
};
use rumqttc::v5::mqttbytes::{self, QoS};

use super::generate::packet;

type Pairs = Vec<(String, String)>;

fn pairs(user_properties: codec::UserProperties<'_>) -> Pairs {
    let pairs = user_properties.iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn text(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn bytes(bytes: Option<&[u8]>) -> Option<Bytes> {
    bytes.map(Bytes::copy_from_slice)
}

fn flag(flag: Option<bool>) -> Option<u8> {
    flag.map(u8::from)
}

fn qos(qos: codec::QoS) -> QoS {
    mqttbytes::qos(qos.number()).expect("a QoS")
}

/// rumqttc's properties are `None` if there is no property at all.
fn unless_empty<T>(properties: T, is_empty: bool) -> Option<T> {
    Some(properties).filter(|_| !is_empty)
}

/// Properties of an acknowledgement; the types differ by name only.
macro_rules! diagnostics {
    ($properties:ident, $diagnostics:expr) => {{
        let reason_string = text($diagnostics.reason_string);
        let user_properties = pairs($diagnostics.user_properties);
        let is_empty = reason_string.is_none() && user_properties.is_empty();
        let properties = v5::$properties {
            reason_string,
            user_properties,
        };
        unless_empty(properties, is_empty)
    }};
}

/// An acknowledgement of a PUBLISH. Its reason cannot be built from a number, so it is read by rumqttc
/// from the packet that consists of nothing else.
macro_rules! ack {
    ($packet:ident, $properties:ident, $first_byte:expr, $ack:expr) => {{
        let [high, low] = $ack.packet_id.get().to_be_bytes();
        let bare = [$first_byte, 3, high, low, $ack.reason_code.byte()];
        match read_by_rumqttc(&bare) {
            Some(v5::Packet::$packet(mut packet)) => {
                packet.properties = diagnostics!($properties, $ack.diagnostics);
                v5::Packet::$packet(packet)
            }
            other => panic!("{other:?}"),
        }
    }};
}

/// The packet as rumqttc has it; `None` if it cannot say it.
fn theirs(packet: &codec::Packet<'_>) -> Option<v5::Packet> {
    Some(match packet {
        codec::Packet::Connect(packet) => connect(packet)?,
        codec::Packet::ConnAck(packet) => connack(packet),
        codec::Packet::Publish(packet) => v5::Packet::Publish(publish(packet)),
        codec::Packet::PubAck(packet) => ack!(PubAck, PubAckProperties, 0x40, packet),
        codec::Packet::PubRec(packet) => ack!(PubRec, PubRecProperties, 0x50, packet),
        codec::Packet::PubRel(packet) => ack!(PubRel, PubRelProperties, 0x62, packet),
        codec::Packet::PubComp(packet) => ack!(PubComp, PubCompProperties, 0x70, packet),
        codec::Packet::Subscribe(packet) => v5::Packet::Subscribe(subscribe(packet)),
        codec::Packet::SubAck(packet) => suback(packet),
        codec::Packet::Unsubscribe(packet) => v5::Packet::Unsubscribe(unsubscribe(packet)),
        codec::Packet::UnsubAck(packet) => unsuback(packet),
        codec::Packet::PingReq => v5::Packet::PingReq(v5::PingReq),
        codec::Packet::PingResp => v5::Packet::PingResp(v5::PingResp),
        codec::Packet::Disconnect(packet) => disconnect(packet)?,
        // rumqttc writes AUTH but neither reads it nor lets its properties be built.
        codec::Packet::Auth(_) => return None,
    })
}

/// rumqttc cannot tell an empty user name or password from none, nor send a password that is not UTF-8.
fn connect(packet: &codec::Connect<'_>) -> Option<v5::Packet> {
    if packet.user_name == Some("") || packet.password == Some(b"") {
        return None;
    }
    let password = std::str::from_utf8(packet.password.unwrap_or_default()).ok()?;
    let has_login = packet.user_name.is_some() || packet.password.is_some();
    let login = Login::new(packet.user_name.unwrap_or_default(), password);
    let connect = v5::Connect {
        keep_alive: packet.keep_alive,
        client_id: packet.client_id.to_owned(),
        clean_start: packet.clean_start,
        properties: connect_properties(&packet.properties),
    };
    let will = packet.will.as_ref().map(will);
    Some(v5::Packet::Connect(
        connect,
        will,
        Some(login).filter(|_| has_login),
    ))
}

fn connect_properties(packet: &codec::ConnectProperties<'_>) -> Option<ConnectProperties> {
    let properties = ConnectProperties {
        session_expiry_interval: packet.session_expiry_interval,
        receive_maximum: packet.receive_maximum.map(|v| v.get()),
        max_packet_size: packet.maximum_packet_size.map(|v| v.get()),
        topic_alias_max: packet.topic_alias_maximum,
        request_response_info: flag(packet.request_response_information),
        request_problem_info: flag(packet.request_problem_information),
        user_properties: pairs(packet.user_properties),
        authentication_method: text(packet.authentication_method),
        authentication_data: bytes(packet.authentication_data),
    };
    let is_empty = properties == ConnectProperties::new();
    unless_empty(properties, is_empty)
}

/// The properties that a PUBLISH and a Will have in common.
fn message(properties: &codec::PublishProperties<'_>) -> PublishProperties {
    let mut message = PublishProperties {
        payload_format_indicator: properties
            .payload_format_indicator()
            .map(|format| (format == PayloadFormat::Utf8).into()),
        message_expiry_interval: properties.message_expiry_interval(),
        topic_alias: properties.topic_alias().map(|alias| alias.get()),
        user_properties: pairs(properties.user_properties()),
        subscription_identifiers: properties
            .subscription_identifiers()
            .map(|identifier| identifier.get() as usize)
            .collect(),
        ..PublishProperties::default()
    };
    for property in &properties.properties() {
        match property {
            Property::ContentType(v) => message.content_type = text(Some(v)),
            Property::ResponseTopic(v) => message.response_topic = text(Some(v)),
            Property::CorrelationData(v) => message.correlation_data = bytes(Some(v)),
            _ => {}
        }
    }
    message
}

fn will(will: &codec::Will<'_>) -> LastWill {
    let message = message(will.properties.message());
    let properties = LastWillProperties {
        delay_interval: will.properties.will_delay_interval(),
        payload_format_indicator: message.payload_format_indicator,
        message_expiry_interval: message.message_expiry_interval,
        content_type: message.content_type,
        response_topic: message.response_topic,
        correlation_data: message.correlation_data,
        user_properties: message.user_properties,
    };
    let is_empty = will.properties.message().properties().is_empty();
    let properties = unless_empty(properties, is_empty);
    LastWill::new(
        will.topic,
        will.payload,
        qos(will.qos),
        will.retain,
        properties,
    )
}

fn publish(packet: &codec::Publish<'_>) -> v5::Publish {
    let properties = message(&packet.properties);
    let is_empty = properties == PublishProperties::default();
    let payload = Bytes::copy_from_slice(packet.payload);
    let properties = unless_empty(properties, is_empty);
    let mut publish = v5::Publish::new(packet.topic, qos(packet.qos), payload, properties);
    publish.dup = packet.dup;
    publish.retain = packet.retain;
    publish.pkid = packet.packet_id.map_or(0, |id| id.get());
    publish
}

fn connack(packet: &codec::ConnAck<'_>) -> v5::Packet {
    let bare = [
        0x20,
        3,
        packet.session_present.into(),
        packet.reason_code.byte(),
        0,
    ];
    let Some(v5::Packet::ConnAck(mut connack)) = read_by_rumqttc(&bare) else {
        panic!("rumqttc has no {:?}", packet.reason_code);
    };
    let ours = &packet.properties;
    let properties = ConnAckProperties {
        session_expiry_interval: ours.session_expiry_interval,
        receive_max: ours.receive_maximum.map(|v| v.get()),
        max_qos: ours.maximum_qos.map(|qos| qos.number()),
        retain_available: flag(ours.retain_available),
        max_packet_size: ours.maximum_packet_size.map(|v| v.get()),
        assigned_client_identifier: text(ours.assigned_client_identifier),
        topic_alias_max: ours.topic_alias_maximum,
        reason_string: text(packet.diagnostics.reason_string),
        user_properties: pairs(packet.diagnostics.user_properties),
        wildcard_subscription_available: flag(ours.wildcard_subscription_available),
        subscription_identifiers_available: flag(ours.subscription_identifier_available),
        shared_subscription_available: flag(ours.shared_subscription_available),
        server_keep_alive: ours.server_keep_alive,
        response_information: text(ours.response_information),
        server_reference: text(ours.server_reference),
        authentication_method: text(ours.authentication_method),
        authentication_data: bytes(ours.authentication_data),
    };
    let is_empty = packet.diagnostics == codec::Diagnostics::default()
        && *ours == codec::ConnAckProperties::default();
    connack.properties = unless_empty(properties, is_empty);
    v5::Packet::ConnAck(connack)
}

fn subscribe(packet: &codec::Subscribe<'_>) -> v5::Subscribe {
    let filters = packet.filters.iter().map(|entry| Filter {
        path: entry.filter.to_owned(),
        qos: qos(entry.options.qos),
        nolocal: entry.options.no_local,
        preserve_retain: entry.options.retain_as_published,
        retain_forward_rule: match entry.options.retain_handling {
            RetainHandling::SendAtSubscribe => RetainForwardRule::OnEverySubscribe,
            RetainHandling::SendIfNew => RetainForwardRule::OnNewSubscribe,
            RetainHandling::DoNotSend => RetainForwardRule::Never,
        },
    });
    let id = packet
        .subscription_identifier
        .map(|identifier| identifier.get() as usize);
    let user_properties = pairs(packet.user_properties);
    let is_empty = id.is_none() && user_properties.is_empty();
    let properties = SubscribeProperties {
        id,
        user_properties,
    };
    let mut subscribe = v5::Subscribe::new_many(filters, unless_empty(properties, is_empty));
    subscribe.pkid = packet.packet_id.get();
    subscribe
}

fn unsubscribe(packet: &codec::Unsubscribe<'_>) -> v5::Unsubscribe {
    let user_properties = pairs(packet.user_properties);
    let is_empty = user_properties.is_empty();
    v5::Unsubscribe {
        pkid: packet.packet_id.get(),
        filters: packet.filters.iter().map(str::to_owned).collect(),
        properties: unless_empty(UnsubscribeProperties { user_properties }, is_empty),
    }
}

/// SUBACK or UNSUBACK with nothing but its codes.
fn bare_codes(first_byte: u8, id: codec::PacketId, codes: &codec::ReasonCodes<'_>) -> Vec<u8> {
    let [high, low] = id.get().to_be_bytes();
    let header = [first_byte, 3 + codes.len() as u8, high, low, 0];
    header
        .into_iter()
        .chain(codes.iter().map(|code| code.byte()))
        .collect()
}

fn suback(packet: &codec::SubAck<'_>) -> v5::Packet {
    match read_by_rumqttc(&bare_codes(0x90, packet.packet_id, &packet.reason_codes)) {
        Some(v5::Packet::SubAck(mut suback)) => {
            suback.properties = diagnostics!(SubAckProperties, packet.diagnostics);
            v5::Packet::SubAck(suback)
        }
        other => panic!("{other:?}"),
    }
}

fn unsuback(packet: &codec::UnsubAck<'_>) -> v5::Packet {
    match read_by_rumqttc(&bare_codes(0xb0, packet.packet_id, &packet.reason_codes)) {
        Some(v5::Packet::UnsubAck(mut unsuback)) => {
            unsuback.properties = diagnostics!(UnsubAckProperties, packet.diagnostics);
            v5::Packet::UnsubAck(unsuback)
        }
        other => panic!("{other:?}"),
    }
}

/// rumqttc does not know 0x8C in DISCONNECT, and does not read a DISCONNECT without a body.
fn disconnect(packet: &codec::Disconnect<'_>) -> Option<v5::Packet> {
    let reason_code = packet.reason_code.byte().try_into().ok()?;
    let properties = DisconnectProperties {
        session_expiry_interval: packet.session_expiry_interval,
        reason_string: text(packet.diagnostics.reason_string),
        user_properties: pairs(packet.diagnostics.user_properties),
        server_reference: text(packet.server_reference),
    };
    let bare = codec::Disconnect::new(packet.reason_code);
    if *packet == codec::Disconnect::default() {
        return None;
    }
    let properties = unless_empty(properties, *packet == bare);
    Some(v5::Packet::Disconnect(v5::Disconnect {
        reason_code,
        properties,
    }))
}

fn read_by_rumqttc(bytes: &[u8]) -> Option<v5::Packet> {
    v5::Packet::read(&mut BytesMut::from(bytes), None).ok()
}

/// rumqttc counts a subscription identifier as one byte more than it has, so it may stop reading
/// properties before their end.
fn is_miscounted(packet: &codec::Packet<'_>) -> bool {
    match packet {
        codec::Packet::Publish(packet) => packet.properties.has_subscription_identifier(),
        codec::Packet::Subscribe(packet) => packet.subscription_identifier.is_some(),
        _ => false,
    }
}

/// rumqttc writes a wrong remaining length for a DISCONNECT with a reason but without properties.
fn is_miswritten(packet: &v5::Packet) -> bool {
    matches!(packet, v5::Packet::Disconnect(packet) if packet.properties.is_none())
}

proptest! {
    #![proptest_config(super::cases(4096))]

    #[test]
    fn rumqttc_reads_what_we_write(model in packet(Version::V5)) {
        let ours = model.bytes(Version::V5);
        let theirs = model.with(Version::V5, |packet| theirs(packet).filter(|_| !is_miscounted(packet)));
        if let Some(theirs) = theirs {
            prop_assert_eq!(read_by_rumqttc(&ours), Some(theirs));
        }
    }

    #[test]
    fn we_read_what_rumqttc_writes(model in packet(Version::V5)) {
        if let Some(packet) = model.with(Version::V5, theirs).filter(|packet| !is_miswritten(packet)) {
            let mut written = BytesMut::new();
            packet.write(&mut written, None).unwrap();
            let frame = frame(&written, u32::MAX).unwrap().expect("a whole packet");
            prop_assert_eq!(frame.total_len, written.len());
            let ours = decode(Version::V5, &frame).unwrap();
            prop_assert_eq!(theirs(&ours), Some(packet));
        }
    }
}

#[test]
fn a_publish_for_up_to_two_subscription_identifiers_is_read_by_rumqttc() {
    let identifiers = [1, 300].map(|number| codec::SubscriptionIdentifier::new(number).unwrap());
    let mut forwardable = Vec::new();
    let format = Property::PayloadFormatIndicator(PayloadFormat::Utf8);
    format.encode(&mut forwardable).unwrap();
    let mut publish = codec::OutgoingPublish::new("t", b"payload");
    publish.forwardable = &forwardable;
    publish.subscription_identifiers = &identifiers;
    let mut bytes = Vec::new();
    publish.encode(Version::V5, u32::MAX, &mut bytes).unwrap();
    let Some(v5::Packet::Publish(back)) = read_by_rumqttc(&bytes) else {
        panic!("not read: {bytes:?}");
    };
    let properties = back.properties.expect("properties");
    assert_eq!(properties.subscription_identifiers, [1, 300]);
    assert_eq!(properties.payload_format_indicator, Some(1));
    assert_eq!(back.payload, b"payload"[..]);
}
