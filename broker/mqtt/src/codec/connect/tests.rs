use super::*;
use crate::codec::testing::{packet, read, refusal, string, written};
use crate::codec::{Packet, Property, QoS, ReasonCode};

/// A CONNECT of the version with these flags; `payload` begins with the client identifier.
fn connect(version: Version, flags: u8, payload: &[&[u8]]) -> Vec<u8> {
    let name = string(version.protocol_name());
    let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    let header = [&name[..], &[version.level(), flags, 0, 60], properties].concat();
    packet(0x10, &[&header, &payload.concat()])
}

fn connect_with_properties(properties: &[u8]) -> Vec<u8> {
    let header = [&string("MQTT")[..], &[5, 0, 0, 0, properties.len() as u8]].concat();
    packet(0x10, &[&header, properties, &string("id")])
}

/// The parsed CONNECT; its version is its own whatever the caller says.
fn parsed(bytes: &[u8]) -> Connect<'_> {
    match read(Version::V4, bytes) {
        Ok(Packet::Connect(connect)) => connect,
        other => panic!("{other:?}"),
    }
}

const ALL: [Version; 3] = [Version::V3, Version::V4, Version::V5];

#[test]
fn a_connect_says_its_own_version() {
    for version in ALL {
        let bytes = connect(version, flag::CLEAN_START, &[&string("me")]);
        let connect = parsed(&bytes);
        assert_eq!(connect.version, version);
        assert!(connect.clean_start);
        assert_eq!((connect.client_id, connect.keep_alive), ("me", 60));
        assert_eq!(
            (connect.will, connect.user_name, connect.password),
            (None, None, None)
        );
    }
}

/// [MQTT-3.1.2-1]
#[test]
fn an_unknown_protocol_name_is_unsupported_not_malformed() {
    let mut bytes = connect(Version::V4, 0, &[&string("")]);
    bytes[4] = b'm';
    let error = refusal(Version::V4, &bytes);
    assert_eq!(error, DecodeError::UnknownProtocolName);
    assert_eq!(error.reason_code(), ReasonCode::UnsupportedProtocolVersion);
}

/// [MQTT-3.1.2-2]
#[test]
fn an_unknown_protocol_level_is_unsupported() {
    for level in [0, 2, 3, 6, 0x84] {
        let mut bytes = connect(Version::V4, 0, &[&string("")]);
        bytes[8] = level;
        let error = refusal(Version::V4, &bytes);
        assert_eq!(error, DecodeError::UnsupportedProtocolVersion(level));
        assert_eq!(error.reason_code(), ReasonCode::UnsupportedProtocolVersion);
    }
}

#[test]
fn a_protocol_name_goes_with_its_level() {
    let mut bytes = connect(Version::V3, 0, &[&string("")]);
    bytes[10] = 4;
    assert_eq!(
        refusal(Version::V3, &bytes),
        DecodeError::UnsupportedProtocolVersion(4)
    );
}

#[test]
fn the_version_is_known_also_if_the_rest_is_malformed() {
    for version in ALL {
        let mut bytes = connect(version, 0, &[&string("me")]);
        bytes.truncate(if version == Version::V3 { 11 } else { 9 });
        bytes[1] = bytes.len() as u8 - 2;
        let frame = crate::codec::frame(&bytes, u32::MAX).unwrap().unwrap();
        assert_eq!(Connect::version_of(&frame), Ok(version));
        assert_eq!(refusal(version, &bytes), DecodeError::Truncated);
    }
}

/// [MQTT-3.1.2-3]
/// 3.1.1 [MQTT-3.1.2-3]
#[test]
fn the_reserved_flag_must_be_zero() {
    for version in [Version::V4, Version::V5] {
        let bytes = connect(version, flag::RESERVED, &[&string("")]);
        assert_eq!(refusal(version, &bytes), DecodeError::ConnectFlagReserved);
    }
}

#[test]
fn mqtt_3_1_does_not_use_the_reserved_flag_nor_will_bits_without_a_will() {
    let flags = flag::RESERVED | flag::WILL_QOS | flag::WILL_RETAIN;
    let bytes = connect(Version::V3, flags, &[&string("me")]);
    assert_eq!(parsed(&bytes).will, None);
}

/// [MQTT-3.1.2-11]
/// 3.1.1 [MQTT-3.1.2-11], 3.1.1 [MQTT-3.1.2-13]
#[test]
fn will_qos_without_a_will_is_refused() {
    for version in [Version::V4, Version::V5] {
        let bytes = connect(version, 1 << 3, &[&string("")]);
        assert_eq!(refusal(version, &bytes), DecodeError::WillQosWithoutWill);
    }
}

/// [MQTT-3.1.2-13]
/// 3.1.1 [MQTT-3.1.2-11], 3.1.1 [MQTT-3.1.2-15]
#[test]
fn will_retain_without_a_will_is_refused() {
    for version in [Version::V4, Version::V5] {
        let bytes = connect(version, flag::WILL_RETAIN, &[&string("")]);
        assert_eq!(refusal(version, &bytes), DecodeError::WillRetainWithoutWill);
    }
}

/// Will properties (MQTT 5), topic and payload.
fn will(version: Version) -> Vec<u8> {
    let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    [properties, &string("w"), &string("gone")].concat()
}

/// [MQTT-3.1.2-12]
/// 3.1.1 [MQTT-3.1.2-14]
#[test]
fn will_qos_3_is_refused() {
    for version in ALL {
        let flags = flag::WILL | flag::WILL_QOS;
        let bytes = connect(version, flags, &[&string(""), &will(version)]);
        assert_eq!(refusal(version, &bytes), DecodeError::WillQos3);
    }
}

/// [MQTT-3.1.2-9]
#[test]
fn the_will_is_read() {
    for version in ALL {
        let flags = flag::WILL | flag::WILL_RETAIN | 2 << 3;
        let bytes = connect(version, flags, &[&string("me"), &will(version)]);
        let will = parsed(&bytes).will.unwrap();
        assert_eq!((will.qos, will.retain), (QoS::ExactlyOnce, true));
        assert_eq!((will.topic, will.payload), ("w", &b"gone"[..]));
    }
}

/// [MQTT-3.1.2-9]
/// 3.1.1 [MQTT-3.1.2-9]
#[test]
fn a_will_that_is_announced_must_be_there() {
    for version in ALL {
        let bytes = connect(version, flag::WILL, &[&string("me")]);
        assert_eq!(refusal(version, &bytes), DecodeError::Truncated);
    }
}

/// 3.1.1 [MQTT-3.1.2-22]
#[test]
fn a_password_needs_a_user_name_before_mqtt_5() {
    for version in [Version::V3, Version::V4] {
        let bytes = connect(version, flag::PASSWORD, &[&string("me"), &string("pw")]);
        assert_eq!(
            refusal(version, &bytes),
            DecodeError::PasswordWithoutUserName
        );
    }
    let bytes = connect(Version::V5, flag::PASSWORD, &[&string("me"), &string("pw")]);
    assert_eq!(parsed(&bytes).password, Some(&b"pw"[..]));
}

/// [MQTT-3.1.2-17], [MQTT-3.1.2-19]
/// [MQTT-3.1.3-1], 3.1.1 [MQTT-3.1.2-19], 3.1.1 [MQTT-3.1.2-21], 3.1.1 [MQTT-3.1.3-1]
#[test]
fn user_name_and_password_are_there_if_their_flags_say_so() {
    let flags = flag::USER_NAME | flag::PASSWORD;
    for version in ALL {
        let bytes = connect(
            version,
            flags,
            &[&string("me"), &string("u"), &[0, 1, 0xff]],
        );
        let connect = parsed(&bytes);
        assert_eq!(
            (connect.user_name, connect.password),
            (Some("u"), Some(&[0xff][..]))
        );
    }
    for version in [Version::V4, Version::V5] {
        let bytes = connect(version, flags, &[&string("me"), &string("u")]);
        assert_eq!(refusal(version, &bytes), DecodeError::Truncated);
    }
}

#[test]
fn mqtt_3_1_lets_announced_user_name_and_password_be_missing() {
    let flags = flag::USER_NAME | flag::PASSWORD;
    let bytes = connect(Version::V3, flags, &[&string("me")]);
    assert_eq!(
        (parsed(&bytes).user_name, parsed(&bytes).password),
        (None, None)
    );
    let bytes = connect(Version::V3, flags, &[&string("me"), &string("u")]);
    assert_eq!(parsed(&bytes).user_name, Some("u"));
}

/// [MQTT-3.1.2-16], [MQTT-3.1.2-18]
/// 3.1.1 [MQTT-3.1.2-18], 3.1.1 [MQTT-3.1.2-20]
#[test]
fn a_user_name_that_is_not_announced_must_not_be_there() {
    for version in ALL {
        let bytes = connect(version, 0, &[&string("me"), &string("u")]);
        assert_eq!(refusal(version, &bytes), DecodeError::TrailingBytes);
    }
}

/// [MQTT-3.1.3-3], [MQTT-3.1.3-4]
/// 3.1.1 [MQTT-3.1.3-3], 3.1.1 [MQTT-3.1.3-4]
#[test]
fn the_client_identifier_must_be_there_as_a_string() {
    for version in ALL {
        let bytes = connect(version, 0, &[]);
        assert_eq!(refusal(version, &bytes), DecodeError::Truncated);
        let bytes = connect(version, 0, &[&[0, 1, 0xff]]);
        assert_eq!(refusal(version, &bytes), DecodeError::StringNotUtf8);
    }
}

/// [MQTT-3.1.3-11], [MQTT-3.1.3-12]
/// 3.1.1 [MQTT-3.1.3-10], 3.1.1 [MQTT-3.1.3-11]
#[test]
fn the_will_topic_and_the_user_name_must_be_utf8() {
    for version in ALL {
        let mut will = will(version);
        let topic = will.len() - string("gone").len() - 1;
        will[topic] = 0xff;
        let bytes = connect(version, flag::WILL, &[&string("me"), &will]);
        assert_eq!(refusal(version, &bytes), DecodeError::StringNotUtf8);
        let bytes = connect(version, flag::USER_NAME, &[&string("me"), &[0, 1, 0xff]]);
        assert_eq!(refusal(version, &bytes), DecodeError::StringNotUtf8);
    }
}

/// [MQTT-2.1.3-1]
#[test]
fn the_flags_of_the_fixed_header_must_be_zero() {
    for version in [Version::V4, Version::V5] {
        let mut bytes = connect(version, 0, &[&string("")]);
        bytes[0] = 0x12;
        let packet_type = PacketType::Connect;
        assert_eq!(
            refusal(version, &bytes),
            DecodeError::FixedHeaderFlags {
                packet_type,
                flags: 2
            }
        );
    }
}

#[test]
fn receive_maximum_zero_is_a_protocol_error() {
    let error = refusal(Version::V5, &connect_with_properties(&[0x21, 0, 0]));
    assert_eq!(error, DecodeError::ReceiveMaximumZero);
    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
}

#[test]
fn maximum_packet_size_zero_is_a_protocol_error() {
    let error = refusal(Version::V5, &connect_with_properties(&[0x27, 0, 0, 0, 0]));
    assert_eq!(error, DecodeError::MaximumPacketSizeZero);
}

#[test]
fn request_response_information_is_0_or_1() {
    let error = refusal(Version::V5, &connect_with_properties(&[0x19, 2]));
    assert_eq!(error, DecodeError::PropertyNotZeroOrOne(0x19));
}

#[test]
fn authentication_data_without_a_method_is_a_protocol_error() {
    let error = refusal(Version::V5, &connect_with_properties(&[0x16, 0, 1, 7]));
    assert_eq!(error, DecodeError::AuthenticationDataWithoutMethod);
}

#[test]
fn a_topic_alias_does_not_belong_into_connect() {
    let error = refusal(Version::V5, &connect_with_properties(&[0x23, 0, 1]));
    assert_eq!(error, DecodeError::PropertyNotAllowed(0x23));
}

#[test]
fn the_properties_are_read() {
    let bytes = connect_with_properties(&[
        0x11, 0, 0, 1, 0, 0x21, 0, 20, 0x27, 0, 0, 4, 0, 0x22, 0, 7, 0x19, 1, 0x17, 0, 0x26, 0, 1,
        b'a', 0, 1, b'b', 0x15, 0, 1, b'm', 0x16, 0, 1, b'd',
    ]);
    let properties = parsed(&bytes).properties;
    assert_eq!(properties.session_expiry_interval, Some(256));
    assert_eq!(properties.receive_maximum.map(|v| v.get()), Some(20));
    assert_eq!(properties.maximum_packet_size.map(|v| v.get()), Some(1024));
    assert_eq!(properties.topic_alias_maximum, Some(7));
    assert_eq!(properties.request_response_information, Some(true));
    assert_eq!(properties.request_problem_information, Some(false));
    assert_eq!(
        properties.user_properties.iter().collect::<Vec<_>>(),
        [("a", "b")]
    );
    assert_eq!(properties.authentication_method, Some("m"));
    assert_eq!(properties.authentication_data, Some(&b"d"[..]));
}

#[test]
fn will_properties_are_read_apart_from_those_of_connect() {
    let mut block = Vec::new();
    Property::WillDelayInterval(9).encode(&mut block).unwrap();
    Property::ContentType("text").encode(&mut block).unwrap();
    Property::MessageExpiryInterval(5)
        .encode(&mut block)
        .unwrap();
    let will = [&[block.len() as u8][..], &block, &string("w"), &string("")].concat();
    let bytes = connect(Version::V5, flag::WILL, &[&string("me"), &will]);
    let will = parsed(&bytes).will.unwrap();
    assert_eq!(will.properties.will_delay_interval(), Some(9));
    assert_eq!(will.properties.message().message_expiry_interval(), Some(5));
    assert_eq!(will.properties.message().forwardable(), Some(&block[5..12]));
}

#[test]
fn a_will_has_no_topic_alias() {
    let will = [&[3, 0x23, 0, 1][..], &string("w"), &string("")].concat();
    let bytes = connect(Version::V5, flag::WILL, &[&string("me"), &will]);
    assert_eq!(
        refusal(Version::V5, &bytes),
        DecodeError::PropertyNotAllowed(0x23)
    );
}

#[test]
fn connect_is_written_as_it_was_read() {
    for version in ALL {
        let flags = flag::WILL | flag::USER_NAME | flag::PASSWORD | 1 << 3;
        let login = [string("u"), string("pw")].concat();
        let bytes = connect(version, flags, &[&string("me"), &will(version), &login]);
        assert_eq!(written(version, &read(version, &bytes).unwrap()), bytes);
    }
}
