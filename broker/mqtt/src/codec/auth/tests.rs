use super::*;
use crate::codec::testing::{packet, read, refusal, written};
use crate::codec::{Packet, Version};

#[test]
fn a_step_of_the_exchange_comes_back_as_it_went() {
    let auth = Packet::Auth(Auth {
        reason_code: ReasonCode::ContinueAuthentication,
        authentication_method: Some("SCRAM"),
        authentication_data: Some(&[0, 1, 2]),
        diagnostics: Diagnostics {
            reason_string: Some("more"),
            user_properties: UserProperties::Pairs(&[("a", "b")]),
        },
    });
    let bytes = written(Version::V5, &auth);
    assert_eq!(read(Version::V5, &bytes), Ok(auth));
}

#[test]
fn success_may_be_empty() {
    assert_eq!(
        read(Version::V5, &[0xf0, 0]),
        Ok(Packet::Auth(Auth::default()))
    );
    assert_eq!(
        written(Version::V5, &Packet::Auth(Auth::default())),
        [0xf0, 0]
    );
}

#[test]
fn there_is_no_auth_before_mqtt_5() {
    for version in [Version::V3, Version::V4] {
        assert_eq!(
            refusal(version, &[0xf0, 0]),
            DecodeError::ReservedPacketType(15)
        );
    }
}

#[test]
fn the_method_must_be_named() {
    let error = refusal(Version::V5, &[0xf0, 2, 0x18, 0]);
    assert_eq!(error, DecodeError::AuthenticationMethodMissing);
    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
}

/// [MQTT-3.15.1-1]
#[test]
fn the_flags_must_be_zero() {
    let packet_type = PacketType::Auth;
    assert_eq!(
        refusal(Version::V5, &[0xf1, 0]),
        DecodeError::FixedHeaderFlags {
            packet_type,
            flags: 1
        }
    );
}

/// [MQTT-3.15.2-1]
#[test]
fn a_reason_code_that_is_not_auths_is_refused() {
    let (packet_type, code) = (PacketType::Auth, 0x80);
    assert_eq!(
        refusal(Version::V5, &packet(0xf0, &[&[code, 0]])),
        DecodeError::ReasonCodeNotAllowed { packet_type, code }
    );
}

/// [MQTT-3.15.2-2], [MQTT-3.15.2-3]
#[test]
fn diagnostics_are_left_out_rather_than_exceeding_the_maximum_packet_size() {
    let auth = Auth {
        reason_code: ReasonCode::ContinueAuthentication,
        authentication_method: Some("M"),
        authentication_data: None,
        diagnostics: Diagnostics {
            reason_string: Some("why"),
            user_properties: UserProperties::Pairs(&[("a", "b")]),
        },
    };
    let lens = [21, 20, 13].map(|max| {
        let mut out = Vec::new();
        auth.encode(max, &mut out).unwrap();
        out.len()
    });
    assert_eq!(lens, [21, 14, 8], "all, the reason string, the bare code");
}
