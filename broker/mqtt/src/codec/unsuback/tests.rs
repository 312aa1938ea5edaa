use super::*;
use crate::codec::testing::{id, read, refusal, written};
use crate::codec::{Packet, ReasonCode};

fn unsuback<'a>(codes: &'a [ReasonCode]) -> Packet<'a> {
    Packet::UnsubAck(UnsubAck {
        packet_id: id(1),
        diagnostics: Diagnostics::default(),
        reason_codes: ReasonCodes::new(codes),
    })
}

/// [MQTT-3.11.3-1]
#[test]
fn codes_keep_their_order() {
    let codes = [ReasonCode::NoSubscriptionExisted, ReasonCode::Success];
    let bytes = written(Version::V5, &unsuback(&codes));
    assert_eq!(bytes, [0xb0, 5, 0, 1, 0, 0x11, 0]);
    assert_eq!(read(Version::V5, &bytes), Ok(unsuback(&codes)));
}

#[test]
fn before_mqtt_5_there_are_no_codes() {
    for version in [Version::V3, Version::V4] {
        let bytes = written(version, &unsuback(&[ReasonCode::NoSubscriptionExisted]));
        assert_eq!(bytes, [0xb0, 2, 0, 1]);
        assert_eq!(read(version, &bytes), Ok(unsuback(&[])));
        assert_eq!(
            refusal(version, &[0xb0, 3, 0, 1, 0]),
            DecodeError::TrailingBytes
        );
    }
}

/// [MQTT-3.11.3-2]
#[test]
fn a_code_that_is_not_unsubacks_is_refused() {
    let (packet_type, code) = (PacketType::UnsubAck, 1);
    assert_eq!(
        refusal(Version::V5, &[0xb0, 4, 0, 1, 0, 1]),
        DecodeError::ReasonCodeNotAllowed { packet_type, code }
    );
}

#[test]
fn an_unsuback_of_mqtt_5_needs_a_code() {
    assert_eq!(
        refusal(Version::V5, &[0xb0, 3, 0, 1, 0]),
        DecodeError::NoReasonCode
    );
}

/// [MQTT-3.11.2-1], [MQTT-3.11.2-2]
#[test]
fn diagnostics_are_left_out_rather_than_exceeding_the_maximum_packet_size() {
    let packet = UnsubAck {
        packet_id: id(1),
        diagnostics: Diagnostics {
            reason_string: Some("why"),
            user_properties: crate::codec::UserProperties::Pairs(&[("a", "b")]),
        },
        reason_codes: ReasonCodes::new(&[ReasonCode::NotAuthorized]),
    };
    let lens = [19, 18, 11].map(|max| {
        let mut out = Vec::new();
        packet.encode(Version::V5, max, &mut out).unwrap();
        out.len()
    });
    assert_eq!(lens, [19, 12, 6], "all, the reason string, the bare code");
}
