use super::*;
use crate::codec::testing::{id, read, refusal, written};
use crate::codec::{Packet, QoS};

fn suback<'a>(codes: &'a [ReasonCode]) -> Packet<'a> {
    Packet::SubAck(SubAck {
        packet_id: id(1),
        diagnostics: Diagnostics::default(),
        reason_codes: ReasonCodes::new(codes),
    })
}

/// [MQTT-3.9.3-1]
#[test]
fn codes_keep_their_order() {
    let codes = [
        QoS::ExactlyOnce.into(),
        ReasonCode::NotAuthorized,
        QoS::AtMostOnce.into(),
        QoS::AtLeastOnce.into(),
    ];
    let bytes = written(Version::V5, &suback(&codes));
    assert_eq!(bytes, [0x90, 7, 0, 1, 0, 2, 0x87, 0, 1]);
    assert_eq!(read(Version::V5, &bytes), Ok(suback(&codes)));
}

/// 3.1.1 [MQTT-3.9.3-2]
#[test]
fn every_failure_is_0x80_in_3_1_1() {
    let codes = [ReasonCode::GrantedQos1, ReasonCode::QuotaExceeded];
    let bytes = written(Version::V4, &suback(&codes));
    assert_eq!(bytes, [0x90, 4, 0, 1, 1, 0x80]);
    let back = [ReasonCode::GrantedQos1, ReasonCode::UnspecifiedError];
    assert_eq!(read(Version::V4, &bytes), Ok(suback(&back)));
}

#[test]
fn mqtt_3_1_hears_of_no_failure() {
    let codes = [ReasonCode::GrantedQos1, ReasonCode::NotAuthorized];
    let bytes = written(Version::V3, &suback(&codes));
    assert_eq!(bytes, [0x90, 4, 0, 1, 1, 0]);
}

/// [MQTT-3.9.3-2]
#[test]
fn a_code_that_is_not_subacks_is_refused() {
    for (version, bytes, code) in [
        (Version::V5, &[0x90, 4, 0, 1, 0, 3][..], 3),
        (Version::V5, &[0x90, 4, 0, 1, 0, 0x11], 0x11),
        (Version::V4, &[0x90, 3, 0, 1, 0x87], 0x87),
        (Version::V3, &[0x90, 3, 0, 1, 0x80], 0x80),
    ] {
        let packet_type = PacketType::SubAck;
        assert_eq!(
            refusal(version, bytes),
            DecodeError::ReasonCodeNotAllowed { packet_type, code }
        );
    }
}

/// [MQTT-3.8.4-6]
#[test]
fn a_suback_needs_a_code() {
    assert_eq!(
        refusal(Version::V4, &[0x90, 2, 0, 1]),
        DecodeError::NoReasonCode
    );
    let mut out = Vec::new();
    let result = suback(&[]).encode(Version::V4, u32::MAX, &mut out);
    assert_eq!((result, out.len()), (Err(EncodeError::NoEntry), 0));
}

/// [MQTT-3.9.2-1], [MQTT-3.9.2-2]
#[test]
fn diagnostics_are_left_out_rather_than_exceeding_the_maximum_packet_size() {
    let packet = SubAck {
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
