use super::*;
use crate::codec::Packet;
use crate::codec::testing::{packet, read, refusal, written};

#[test]
fn normal_disconnection_is_two_bytes_in_every_version() {
    let normal = Packet::Disconnect(Disconnect::default());
    for version in [Version::V3, Version::V4, Version::V5] {
        assert_eq!(written(version, &normal), [0xe0, 0]);
        assert_eq!(read(version, &[0xe0, 0]), Ok(normal));
    }
}

#[test]
fn a_reason_is_said_in_mqtt_5_only() {
    let taken_over = Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver));
    assert_eq!(written(Version::V4, &taken_over), [0xe0, 0]);
    assert_eq!(written(Version::V5, &taken_over), [0xe0, 2, 0x8e, 0]);
    for bytes in [&[0xe0, 1, 0x8e][..], &[0xe0, 2, 0x8e, 0]] {
        assert_eq!(read(Version::V5, bytes), Ok(taken_over));
    }
}

#[test]
fn properties_come_back_as_they_went() {
    let mut disconnect = Disconnect::new(ReasonCode::UseAnotherServer);
    disconnect.session_expiry_interval = Some(0);
    disconnect.server_reference = Some("other:1883");
    disconnect.diagnostics.reason_string = Some("moving");
    disconnect.diagnostics.user_properties = UserProperties::Pairs(&[("a", "b")]);
    let disconnect = Packet::Disconnect(disconnect);
    let bytes = written(Version::V5, &disconnect);
    assert_eq!(read(Version::V5, &bytes), Ok(disconnect));
}

#[test]
fn a_new_session_expiry_interval_goes_with_normal_disconnection() {
    let disconnect = Packet::Disconnect(Disconnect {
        session_expiry_interval: Some(256),
        ..Disconnect::default()
    });
    let bytes = written(Version::V5, &disconnect);
    assert_eq!(bytes, [0xe0, 7, 0, 5, 0x11, 0, 0, 1, 0]);
    assert_eq!(read(Version::V5, &bytes), Ok(disconnect));
}

/// [MQTT-3.14.1-1]
#[test]
fn the_reserved_flags_must_be_zero() {
    for version in [Version::V4, Version::V5] {
        let packet_type = PacketType::Disconnect;
        let error = refusal(version, &[0xe1, 0]);
        assert_eq!(
            error,
            DecodeError::FixedHeaderFlags {
                packet_type,
                flags: 1
            }
        );
        assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
    }
}

/// [MQTT-3.14.2-1]
#[test]
fn a_reason_code_that_is_not_disconnects_is_refused() {
    let (packet_type, code) = (PacketType::Disconnect, 0x86);
    assert_eq!(
        refusal(Version::V5, &packet(0xe0, &[&[code]])),
        DecodeError::ReasonCodeNotAllowed { packet_type, code }
    );
}

#[test]
fn before_mqtt_5_there_is_no_body() {
    assert_eq!(
        refusal(Version::V4, &[0xe0, 1, 0]),
        DecodeError::TrailingBytes
    );
}

/// [MQTT-3.14.2-3], [MQTT-3.14.2-4]
#[test]
fn diagnostics_are_left_out_rather_than_exceeding_the_maximum_packet_size() {
    let mut disconnect = Disconnect::new(ReasonCode::ServerBusy);
    disconnect.diagnostics.reason_string = Some("busy");
    disconnect.diagnostics.user_properties = UserProperties::Pairs(&[("a", "b")]);
    let mut out = Vec::new();
    disconnect.encode(Version::V5, 11, &mut out).unwrap();
    assert_eq!(out.len(), 11);
    out.clear();
    disconnect.encode(Version::V5, 10, &mut out).unwrap();
    assert_eq!(out, [0xe0, 2, 0x89, 0]);
}

#[test]
fn a_ping_has_no_body() {
    for (bytes, ping) in [([0xc0, 0], Packet::PingReq), ([0xd0, 0], Packet::PingResp)] {
        assert_eq!(read(Version::V4, &bytes), Ok(ping));
        assert_eq!(written(Version::V4, &ping), bytes);
        assert_eq!(
            refusal(Version::V4, &[bytes[0], 1, 0]),
            DecodeError::TrailingBytes
        );
        let packet_type = ping.packet_type();
        assert_eq!(
            refusal(Version::V4, &[bytes[0] | 1, 0]),
            DecodeError::FixedHeaderFlags {
                packet_type,
                flags: 1
            }
        );
    }
}
