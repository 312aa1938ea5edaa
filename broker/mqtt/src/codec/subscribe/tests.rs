use super::*;
use crate::codec::testing::{id, packet, read, refusal, string, written};
use crate::codec::{Packet, QoS, ReasonCode};

fn parsed(version: Version, bytes: &[u8]) -> Subscribe<'_> {
    match read(version, bytes) {
        Ok(Packet::Subscribe(subscribe)) => subscribe,
        other => panic!("{other:?}"),
    }
}

/// A SUBSCRIBE with one filter and this options byte.
fn one(version: Version, filter: &str, options: u8) -> Vec<u8> {
    let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    packet(0x82, &[&[0, 1], properties, &string(filter), &[options]])
}

#[test]
fn filters_and_options_are_read_in_their_order() {
    let properties = [0x0b, 0x80, 1, 0x26, 0, 1, b'a', 0, 1, b'b'];
    let bytes = packet(
        0x82,
        &[
            &[1, 2, 10],
            &properties,
            &string("a/+"),
            &[0b10_1101],
            &string("#"),
            &[2],
        ],
    );
    let subscribe = parsed(Version::V5, &bytes);
    assert_eq!(subscribe.packet_id, id(0x0102));
    assert_eq!(
        subscribe.subscription_identifier.map(|id| id.get()),
        Some(128)
    );
    assert_eq!(
        subscribe.user_properties.iter().collect::<Vec<_>>(),
        [("a", "b")]
    );
    assert_eq!(subscribe.filters.len(), 2);
    let entries: Vec<_> = subscribe.filters.iter().collect();
    assert_eq!((entries[0].filter, entries[1].filter), ("a/+", "#"));
    let options = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    assert_eq!(entries[0].options, options);
    assert_eq!(entries[1].options.qos, QoS::ExactlyOnce);
    assert_eq!(written(Version::V5, &Packet::Subscribe(subscribe)), bytes);
}

#[test]
fn every_options_byte_that_is_read_is_written_the_same() {
    for version in [Version::V4, Version::V5] {
        for byte in 0..=u8::MAX {
            if let Ok(options) = SubscriptionOptions::from_byte(version, byte) {
                assert_eq!(options.byte(), byte);
            }
        }
    }
}

#[test]
fn before_mqtt_5_the_options_are_a_qos() {
    let list = [SubscribeFilter {
        filter: "t",
        options: SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::SendIfNew,
        },
    }];
    let packet = Packet::Subscribe(Subscribe {
        packet_id: id(1),
        subscription_identifier: SubscriptionIdentifier::new(5),
        user_properties: UserProperties::default(),
        filters: SubscribeFilters::new(&list),
    });
    for version in [Version::V3, Version::V4] {
        assert_eq!(written(version, &packet), [0x82, 6, 0, 1, 0, 1, b't', 1]);
    }
}

/// [MQTT-3.8.3-2]
#[test]
fn a_subscribe_needs_a_filter() {
    assert_eq!(
        refusal(Version::V4, &[0x82, 2, 0, 1]),
        DecodeError::NoTopicFilter
    );
    let error = refusal(Version::V5, &[0x82, 3, 0, 1, 0]);
    assert_eq!(error, DecodeError::NoTopicFilter);
    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    let empty = Subscribe {
        packet_id: id(1),
        subscription_identifier: None,
        user_properties: UserProperties::default(),
        filters: SubscribeFilters::new(&[]),
    };
    let mut out = Vec::new();
    let result = empty.encode(Version::V5, u32::MAX, &mut out);
    assert_eq!((result, out.len()), (Err(EncodeError::NoEntry), 0));
}

#[test]
fn a_filter_needs_its_options() {
    let bytes = packet(0x82, &[&[0, 1], &string("t")]);
    assert_eq!(refusal(Version::V4, &bytes), DecodeError::Truncated);
}

/// [MQTT-3.8.3-1]
/// 3.1.1 [MQTT-3.8.3-1]
#[test]
fn a_filter_must_be_utf8() {
    let bytes = packet(0x82, &[&[0, 1], &[0, 1, 0xff, 0]]);
    assert_eq!(refusal(Version::V4, &bytes), DecodeError::StringNotUtf8);
}

/// [MQTT-3.8.3-5]
#[test]
fn reserved_options_are_malformed() {
    for options in [0x40, 0x80] {
        let error = refusal(Version::V5, &one(Version::V5, "t", options));
        assert_eq!(error, DecodeError::SubscriptionOptionsReserved);
        assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
    }
    for options in [0x04, 0x08, 0x10, 0x20, 0x40, 0x80] {
        assert_eq!(
            refusal(Version::V4, &one(Version::V4, "t", options)),
            DecodeError::SubscriptionOptionsReserved
        );
        let bytes = one(Version::V3, "t", options);
        assert_eq!(parsed(Version::V3, &bytes).filters.len(), 1);
    }
}

#[test]
fn qos_3_is_a_protocol_error() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let error = refusal(version, &one(version, "t", 3));
        assert_eq!(error, DecodeError::SubscriptionQos3);
        assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    }
}

#[test]
fn retain_handling_3_is_a_protocol_error() {
    let error = refusal(Version::V5, &one(Version::V5, "t", 0x30));
    assert_eq!(error, DecodeError::RetainHandling3);
    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
}

/// [MQTT-3.8.3-4]
#[test]
fn no_local_does_not_go_with_a_shared_subscription() {
    let error = refusal(Version::V5, &one(Version::V5, "$share/g/t", 4));
    assert_eq!(error, DecodeError::NoLocalOnSharedSubscription);
    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    assert!(read(Version::V5, &one(Version::V5, "$share/g/t", 0)).is_ok());
    assert!(read(Version::V5, &one(Version::V5, "$shared", 4)).is_ok());
}

/// [MQTT-3.8.1-1]
/// 3.1.1 [MQTT-3.8.1-1]
#[test]
fn the_flags_are_2() {
    for version in [Version::V4, Version::V5] {
        let mut bytes = one(version, "t", 0);
        bytes[0] = 0x80;
        let packet_type = PacketType::Subscribe;
        assert_eq!(
            refusal(version, &bytes),
            DecodeError::FixedHeaderFlags {
                packet_type,
                flags: 0
            }
        );
    }
}

#[test]
fn mqtt_3_1_lets_dup_be_set() {
    let mut bytes = one(Version::V3, "t", 0);
    bytes[0] = 0x8a;
    assert_eq!(parsed(Version::V3, &bytes).filters.len(), 1);
}

/// [MQTT-2.2.1-3]
#[test]
fn packet_identifier_zero_is_refused() {
    let bytes = packet(0x82, &[&[0, 0], &string("t"), &[0]]);
    assert_eq!(refusal(Version::V4, &bytes), DecodeError::PacketIdZero);
}

#[test]
fn there_is_at_most_one_subscription_identifier() {
    let bytes = packet(0x82, &[&[0, 1, 4, 0x0b, 1, 0x0b, 2], &string("t"), &[0]]);
    assert_eq!(
        refusal(Version::V5, &bytes),
        DecodeError::PropertyDuplicate(0x0b)
    );
}
