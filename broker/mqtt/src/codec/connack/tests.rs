use super::*;
use crate::codec::Packet;
use crate::codec::testing::{read, refusal, written};

#[test]
fn success_without_properties_is_the_shortest_connack() {
    let connack = Packet::ConnAck(ConnAck {
        session_present: true,
        ..ConnAck::default()
    });
    assert_eq!(written(Version::V3, &connack), [0x20, 2, 0, 0]);
    assert_eq!(written(Version::V4, &connack), [0x20, 2, 1, 0]);
    assert_eq!(written(Version::V5, &connack), [0x20, 3, 1, 0, 0]);
}

/// [MQTT-3.2.2-6]
#[test]
fn session_present_goes_with_success_only() {
    let connack = Packet::ConnAck(ConnAck {
        session_present: true,
        reason_code: ReasonCode::NotAuthorized,
        ..ConnAck::default()
    });
    assert_eq!(written(Version::V4, &connack), [0x20, 2, 0, 5]);
    assert_eq!(written(Version::V5, &connack), [0x20, 3, 0, 0x87, 0]);
    for (version, bytes) in [
        (Version::V4, &[0x20, 2, 1, 5][..]),
        (Version::V5, &[0x20, 3, 1, 0x87, 0]),
    ] {
        assert_eq!(
            refusal(version, bytes),
            DecodeError::SessionPresentInRefusal
        );
    }
}

/// [MQTT-3.2.2-1]
#[test]
fn reserved_acknowledge_flags_must_be_zero() {
    assert_eq!(
        refusal(Version::V4, &[0x20, 2, 2, 0]),
        DecodeError::ConnectAcknowledgeFlags
    );
    assert!(read(Version::V3, &[0x20, 2, 2, 0]).is_ok());
}

#[test]
fn a_reason_without_a_return_code_is_not_written_in_mqtt_3_1_1() {
    let connack = ConnAck {
        reason_code: ReasonCode::MalformedPacket,
        ..ConnAck::default()
    };
    let mut out = vec![7];
    let result = connack.encode(Version::V4, u32::MAX, &mut out);
    assert_eq!(result, Err(EncodeError::NoReturnCode));
    assert_eq!(out, [7]);
}

/// [MQTT-3.2.2-8]
#[test]
fn an_unknown_return_code_is_refused() {
    for (version, bytes, code) in [
        (Version::V4, &[0x20, 2, 0, 6][..], 6),
        (Version::V5, &[0x20, 3, 0, 0x8e, 0], 0x8e),
    ] {
        let packet_type = PacketType::ConnAck;
        assert_eq!(
            refusal(version, bytes),
            DecodeError::ReasonCodeNotAllowed { packet_type, code }
        );
    }
}

#[test]
fn maximum_qos_2_is_said_by_leaving_it_out() {
    let mut connack = ConnAck::default();
    connack.properties.maximum_qos = Some(QoS::ExactlyOnce);
    assert_eq!(
        written(Version::V5, &Packet::ConnAck(connack)),
        [0x20, 3, 0, 0, 0]
    );
    assert_eq!(
        refusal(Version::V5, &[0x20, 5, 0, 0, 2, 0x24, 2]),
        DecodeError::PropertyNotZeroOrOne(0x24)
    );
}

/// [MQTT-3.2.2-19], [MQTT-3.2.2-20]
#[test]
fn diagnostics_are_left_out_rather_than_exceeding_the_maximum_packet_size() {
    let connack = ConnAck {
        reason_code: ReasonCode::Banned,
        diagnostics: Diagnostics {
            reason_string: Some("no"),
            user_properties: UserProperties::Pairs(&[("key", "value")]),
        },
        ..ConnAck::default()
    };
    let sizes = [(23, 23), (22, 10), (10, 10), (9, 5), (5, 5)];
    for (limit, size) in sizes {
        let mut out = Vec::new();
        connack.encode(Version::V5, limit, &mut out).unwrap();
        assert_eq!(out.len(), size, "at most {limit}");
        let Ok(Packet::ConnAck(back)) = read(Version::V5, &out) else {
            panic!("not a CONNACK: {out:?}");
        };
        assert_eq!(back.diagnostics.reason_string.is_some(), size > 5);
        assert_eq!(back.diagnostics.user_properties.is_empty(), size < 23);
    }
    let mut out = Vec::new();
    let result = connack.encode(Version::V5, 4, &mut out);
    assert_eq!((result, out.len()), (Err(EncodeError::PacketTooLarge), 0));
}
