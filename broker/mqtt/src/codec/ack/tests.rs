use super::*;
use crate::codec::Packet;
use crate::codec::testing::{id, packet, read, refusal};

const TYPES: [AckType; 4] = [
    AckType::PubAck,
    AckType::PubRec,
    AckType::PubRel,
    AckType::PubComp,
];

fn parsed(version: Version, bytes: &[u8]) -> Ack<'_> {
    match read(version, bytes) {
        Ok(
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack),
        ) => ack,
        other => panic!("{other:?}"),
    }
}

fn written(ack: &Ack<'_>, ack_type: AckType, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    ack.encode(ack_type, version, u32::MAX, &mut out).unwrap();
    out
}

#[test]
fn success_is_four_bytes_in_every_version() {
    for (ack_type, first_byte) in TYPES.into_iter().zip([0x40, 0x50, 0x62, 0x70]) {
        let mut success = Vec::new();
        Ack::encode_success(ack_type, id(0x0102), &mut success);
        assert_eq!(success, [first_byte, 2, 1, 2]);
        let ack = Ack::new(id(0x0102), ReasonCode::Success);
        for version in [Version::V3, Version::V4, Version::V5] {
            assert_eq!(written(&ack, ack_type, version), success);
            assert_eq!(parsed(version, &success), ack);
        }
    }
}

#[test]
fn the_property_length_is_left_out_without_properties() {
    let ack = Ack::new(id(1), ReasonCode::NotAuthorized);
    assert_eq!(
        written(&ack, AckType::PubAck, Version::V5),
        [0x40, 3, 0, 1, 0x87]
    );
    assert_eq!(written(&ack, AckType::PubAck, Version::V4), [0x40, 2, 0, 1]);
}

#[test]
fn all_three_forms_of_mqtt_5_are_read() {
    for bytes in [
        &[0x40, 2, 0, 1][..],
        &[0x40, 3, 0, 1, 0],
        &[0x40, 4, 0, 1, 0, 0],
    ] {
        assert_eq!(
            parsed(Version::V5, bytes),
            Ack::new(id(1), ReasonCode::Success)
        );
    }
}

#[test]
fn diagnostics_come_back_as_they_went() {
    let mut ack = Ack::new(id(1), ReasonCode::QuotaExceeded);
    ack.diagnostics.reason_string = Some("full");
    ack.diagnostics.user_properties = UserProperties::Pairs(&[("a", "b"), ("a", "c")]);
    let bytes = written(&ack, AckType::PubRec, Version::V5);
    assert_eq!(parsed(Version::V5, &bytes), ack);
}

/// [MQTT-3.4.2-2], [MQTT-3.4.2-3], [MQTT-3.5.2-2], [MQTT-3.5.2-3], [MQTT-3.6.2-2], [MQTT-3.6.2-3],
/// [MQTT-3.7.2-2], [MQTT-3.7.2-3]
#[test]
fn diagnostics_are_left_out_rather_than_exceeding_the_maximum_packet_size() {
    let mut ack = Ack::new(id(1), ReasonCode::PacketIdentifierNotFound);
    ack.diagnostics.reason_string = Some("gone");
    ack.diagnostics.user_properties = UserProperties::Pairs(&[("a", "b")]);
    for ack_type in TYPES {
        let lens = [20, 19, 12].map(|max| {
            let mut out = Vec::new();
            ack.encode(ack_type, Version::V5, max, &mut out).unwrap();
            out.len()
        });
        assert_eq!(lens, [20, 13, 5], "all, the reason string, the bare code");
    }
}

/// [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1]
#[test]
fn a_reason_code_of_another_packet_is_refused() {
    for (first_byte, code) in [(0x40, 0x92), (0x50, 0x01), (0x62, 0x10), (0x70, 0x80)] {
        let error = refusal(Version::V5, &packet(first_byte, &[&[0, 1, code]]));
        let packet_type = PacketType::of(first_byte).unwrap();
        assert_eq!(
            error,
            DecodeError::ReasonCodeNotAllowed { packet_type, code }
        );
        assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
    }
}

/// [MQTT-3.6.1-1]
/// 3.1.1 [MQTT-3.6.1-1]
#[test]
fn the_flags_of_pubrel_are_2() {
    for version in [Version::V4, Version::V5] {
        let packet_type = PacketType::PubRel;
        assert_eq!(
            refusal(version, &[0x60, 2, 0, 1]),
            DecodeError::FixedHeaderFlags {
                packet_type,
                flags: 0
            }
        );
    }
}

#[test]
fn mqtt_3_1_lets_dup_be_set_in_pubrel() {
    assert_eq!(parsed(Version::V3, &[0x6a, 2, 0, 1]).packet_id, id(1));
}

/// [MQTT-2.1.3-1]
#[test]
fn the_flags_of_the_others_are_0() {
    for first_byte in [0x42, 0x51, 0x78] {
        let packet_type = PacketType::of(first_byte).unwrap();
        assert_eq!(
            refusal(Version::V4, &[first_byte, 2, 0, 1]),
            DecodeError::FixedHeaderFlags {
                packet_type,
                flags: first_byte & 15
            }
        );
    }
}

#[test]
fn packet_identifier_zero_is_refused() {
    assert_eq!(
        refusal(Version::V4, &[0x40, 2, 0, 0]),
        DecodeError::PacketIdZero
    );
}

#[test]
fn before_mqtt_5_nothing_follows_the_packet_identifier() {
    for version in [Version::V3, Version::V4] {
        assert_eq!(
            refusal(version, &[0x40, 3, 0, 1, 0]),
            DecodeError::TrailingBytes
        );
    }
}

#[test]
fn nothing_follows_the_properties() {
    let bytes = [0x40, 5, 0, 1, 0, 0, 0];
    assert_eq!(refusal(Version::V5, &bytes), DecodeError::TrailingBytes);
}
