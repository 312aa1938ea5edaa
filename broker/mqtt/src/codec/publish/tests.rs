use super::*;
use crate::codec::testing::{id, packet, read, refusal, string, written};
use crate::codec::{Packet, Property, ReasonCode, SubscriptionIdentifier};

/// A PUBLISH of MQTT 5 with QoS 0, topic `t` and these properties.
fn with_properties(properties: &[u8]) -> Vec<u8> {
    packet(
        0x30,
        &[
            &string("t"),
            &[properties.len() as u8],
            properties,
            b"payload",
        ],
    )
}

fn parsed(version: Version, bytes: &[u8]) -> Publish<'_> {
    match read(version, bytes) {
        Ok(Packet::Publish(publish)) => publish,
        other => panic!("{other:?}"),
    }
}

fn block(properties: &[Property<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for property in properties {
        property.encode(&mut block).unwrap();
    }
    block
}

#[test]
fn a_publish_is_read_in_every_version() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let bytes = packet(0x3d, &[&string("a/b"), &[1, 2], properties, b"hello"]);
        let publish = parsed(version, &bytes);
        assert!(publish.dup && publish.retain);
        assert_eq!(publish.qos, QoS::ExactlyOnce);
        assert_eq!(publish.packet_id, Some(id(0x0102)));
        assert_eq!((publish.topic, publish.payload), ("a/b", &b"hello"[..]));
        assert_eq!(written(version, &Packet::Publish(publish)), bytes);
    }
}

/// [MQTT-2.2.1-2]
#[test]
fn qos_0_has_no_packet_identifier() {
    let bytes = packet(0x30, &[&string("t"), &[0, 1]]);
    let publish = parsed(Version::V4, &bytes);
    assert_eq!((publish.packet_id, publish.payload), (None, &[0, 1][..]));
}

#[test]
fn a_payload_may_be_empty() {
    let bytes = packet(0x30, &[&string("t")]);
    assert_eq!(parsed(Version::V4, &bytes).payload, b"");
}

/// [MQTT-3.3.1-4]
#[test]
fn qos_3_is_malformed() {
    let error = refusal(Version::V5, &packet(0x36, &[&string("t"), &[0, 1, 0]]));
    assert_eq!(error, DecodeError::PublishQos3);
    assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
}

/// [MQTT-3.3.1-2]
#[test]
fn dup_does_not_go_with_qos_0() {
    let bytes = packet(0x38, &[&string("t"), &[0]]);
    for version in [Version::V4, Version::V5] {
        assert_eq!(refusal(version, &bytes), DecodeError::DupOfQos0);
    }
    assert!(!parsed(Version::V3, &bytes).dup);
}

/// [MQTT-2.2.1-3]
#[test]
fn packet_identifier_zero_is_refused() {
    let bytes = packet(0x32, &[&string("t"), &[0, 0, 0]]);
    assert_eq!(refusal(Version::V5, &bytes), DecodeError::PacketIdZero);
}

/// [MQTT-3.3.2-1]
#[test]
fn the_topic_must_be_there_as_a_string() {
    assert_eq!(refusal(Version::V4, &[0x30, 0]), DecodeError::Truncated);
    let bytes = packet(0x30, &[&[0, 1, 0xff]]);
    assert_eq!(refusal(Version::V4, &bytes), DecodeError::StringNotUtf8);
}

/// [MQTT-4.7.3-1]
#[test]
fn an_empty_topic_needs_a_topic_alias() {
    assert_eq!(
        refusal(Version::V4, &packet(0x30, &[&string("")])),
        DecodeError::TopicNameEmpty
    );
    let error = refusal(Version::V5, &packet(0x30, &[&string(""), &[0]]));
    assert_eq!(error, DecodeError::TopicNameEmpty);
    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    let bytes = packet(0x30, &[&string(""), &[3, 0x23, 0, 7]]);
    let alias = parsed(Version::V5, &bytes).properties.topic_alias();
    assert_eq!(alias.map(|alias| alias.get()), Some(7));
}

/// [MQTT-3.3.2-8]
#[test]
fn topic_alias_zero_is_invalid() {
    let error = refusal(Version::V5, &with_properties(&[0x23, 0, 0]));
    assert_eq!(error, DecodeError::TopicAliasZero);
    assert_eq!(error.reason_code(), ReasonCode::TopicAliasInvalid);
}

/// [MQTT-3.3.2-14]
#[test]
fn a_response_topic_has_no_wildcards() {
    for topic in ["a/+", "#"] {
        let properties = [&[0x08][..], &string(topic)].concat();
        assert_eq!(
            refusal(Version::V5, &with_properties(&properties)),
            DecodeError::ResponseTopicHasWildcard
        );
    }
}

/// [MQTT-3.3.2-13], [MQTT-3.3.2-19]
#[test]
fn response_topic_and_content_type_must_be_utf8() {
    for identifier in [0x08, 0x03] {
        let error = refusal(Version::V5, &with_properties(&[identifier, 0, 1, 0xff]));
        assert_eq!(error, DecodeError::StringNotUtf8);
    }
}

/// [MQTT-3.3.4-4]
#[test]
fn several_subscription_identifiers_are_read() {
    let bytes = with_properties(&[0x0b, 1, 0x0b, 0x80, 1]);
    let properties = parsed(Version::V5, &bytes).properties;
    assert!(properties.has_subscription_identifier());
    let numbers = properties
        .subscription_identifiers()
        .map(SubscriptionIdentifier::get);
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 128]);
}

#[test]
fn subscription_identifier_zero_is_a_protocol_error() {
    let error = refusal(Version::V5, &with_properties(&[0x0b, 0]));
    assert_eq!(error, DecodeError::SubscriptionIdentifierZero);
    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
}

#[test]
fn what_goes_to_the_subscribers_is_borrowed_if_it_lies_together() {
    let forwarded = [
        Property::PayloadFormatIndicator(crate::codec::PayloadFormat::Utf8),
        Property::UserProperty("k", "1"),
        Property::ResponseTopic("r"),
        Property::CorrelationData(&[1, 2]),
        Property::UserProperty("k", "0"),
        Property::ContentType("c"),
    ];
    let expected = block(&forwarded);
    let around = [
        &[Property::TopicAlias(id(1))][..],
        &forwarded,
        &[Property::MessageExpiryInterval(3)],
    ]
    .concat();
    for properties in [&forwarded[..], &around] {
        let block = block(properties);
        let parsed = PublishProperties::parse(&block).unwrap();
        assert_eq!(parsed.forwardable(), Some(&expected[..]));
        let mut out = Vec::new();
        parsed.append_forwardable(&mut out);
        assert_eq!(out, expected);
    }
}

/// [MQTT-3.3.2-18]
#[test]
fn what_goes_to_the_subscribers_is_collected_in_order_if_it_is_scattered() {
    let block_of_all = block(&[
        Property::UserProperty("k", "1"),
        Property::MessageExpiryInterval(3),
        Property::ContentType("c"),
        Property::TopicAlias(id(1)),
        Property::UserProperty("k", "0"),
    ]);
    let parsed = PublishProperties::parse(&block_of_all).unwrap();
    assert_eq!(parsed.forwardable(), None);
    let mut out = Vec::new();
    parsed.append_forwardable(&mut out);
    let expected = block(&[
        Property::UserProperty("k", "1"),
        Property::ContentType("c"),
        Property::UserProperty("k", "0"),
    ]);
    assert_eq!(out, expected);
}

#[test]
fn nothing_to_pass_on_is_an_empty_slice() {
    let only_alias = block(&[Property::TopicAlias(id(1))]);
    let parsed = PublishProperties::parse(&only_alias).unwrap();
    assert_eq!(parsed.forwardable(), Some(&[][..]));
    assert_eq!(PublishProperties::default().forwardable(), Some(&[][..]));
}

#[test]
fn an_outgoing_publish_has_the_parts_that_it_was_given() {
    let forwardable = block(&[Property::UserProperty("k", "v")]);
    let identifiers = [1, 300].map(|number| SubscriptionIdentifier::new(number).unwrap());
    let mut outgoing = OutgoingPublish::new("t", b"payload");
    outgoing.qos = QoS::AtLeastOnce;
    outgoing.dup = true;
    outgoing.packet_id = Some(id(9));
    outgoing.forwardable = &forwardable;
    outgoing.message_expiry_interval = Some(60);
    outgoing.subscription_identifiers = &identifiers;
    outgoing.topic_alias = Some(id(4));
    let mut out = Vec::new();
    outgoing.encode(Version::V5, u32::MAX, &mut out).unwrap();
    assert_eq!(out.len(), outgoing.encoded_len(Version::V5));
    let publish = parsed(Version::V5, &out);
    assert!(publish.dup);
    assert_eq!(publish.packet_id, Some(id(9)));
    assert_eq!(publish.properties.message_expiry_interval(), Some(60));
    assert_eq!(publish.properties.topic_alias(), Some(id(4)));
    assert!(
        publish
            .properties
            .subscription_identifiers()
            .eq(identifiers)
    );
    assert_eq!(publish.properties.forwardable(), Some(&forwardable[..]));
}

#[test]
fn properties_are_not_written_before_mqtt_5() {
    let mut outgoing = OutgoingPublish::new("t", b"p");
    outgoing.message_expiry_interval = Some(60);
    outgoing.forwardable = &[0x01, 1];
    for version in [Version::V3, Version::V4] {
        let mut out = Vec::new();
        outgoing.encode(version, u32::MAX, &mut out).unwrap();
        assert_eq!(out, [0x30, 4, 0, 1, b't', b'p']);
    }
}

/// [MQTT-3.3.1-2], [MQTT-2.2.1-2]
/// 3.1.1 [MQTT-2.3.1-5], [MQTT-4.3.1-1]
#[test]
fn dup_and_packet_identifier_are_not_written_with_qos_0() {
    let mut outgoing = OutgoingPublish::new("t", b"");
    outgoing.dup = true;
    outgoing.packet_id = Some(id(1));
    let mut out = Vec::new();
    outgoing.encode(Version::V4, u32::MAX, &mut out).unwrap();
    assert_eq!(out, [0x30, 3, 0, 1, b't']);
}

/// [MQTT-2.2.1-4]
#[test]
fn qos_1_is_not_written_without_a_packet_identifier() {
    let mut outgoing = OutgoingPublish::new("t", b"");
    outgoing.qos = QoS::AtLeastOnce;
    let mut out = Vec::new();
    let result = outgoing.encode(Version::V4, u32::MAX, &mut out);
    assert_eq!((result, out.len()), (Err(EncodeError::PacketIdMissing), 0));
}

/// [MQTT-3.1.2-24]
#[test]
fn a_packet_beyond_the_receivers_maximum_packet_size_is_not_written() {
    let outgoing = OutgoingPublish::new("t", b"12345");
    let size = outgoing.encoded_len(Version::V4) as u32;
    let mut out = Vec::new();
    let result = outgoing.encode(Version::V4, size - 1, &mut out);
    assert_eq!((result, out.len()), (Err(EncodeError::PacketTooLarge), 0));
    assert_eq!(outgoing.encode(Version::V4, size, &mut out), Ok(()));
}

/// [MQTT-4.7.3-3]
#[test]
fn a_topic_beyond_65535_bytes_is_not_written() {
    let topic = "t".repeat(65_536);
    let mut out = Vec::new();
    let result = OutgoingPublish::new(&topic, b"").encode(Version::V4, u32::MAX, &mut out);
    assert_eq!((result, out.len()), (Err(EncodeError::FieldTooLong), 0));
}
