use super::*;

#[test]
fn every_assigned_byte_and_no_other_is_a_reason_code() {
    let assigned = (0..=u8::MAX).filter_map(ReasonCode::from_byte);
    assert_eq!(assigned.clone().count(), 43);
    for byte in 0..=u8::MAX {
        let code = ReasonCode::from_byte(byte);
        assert!(code.is_none_or(|code| code.byte() == byte), "{byte:#04x}");
    }
    for byte in [0x03, 0x05, 0x12, 0x7f, 0xa3, 0xff] {
        assert_eq!(ReasonCode::from_byte(byte), None, "{byte:#04x}");
    }
}

fn allowed(packet_type: PacketType) -> Vec<u8> {
    let codes = (0..=u8::MAX).filter_map(ReasonCode::from_byte);
    let allowed = codes.filter(|code| code.is_allowed_in(packet_type));
    allowed.map(ReasonCode::byte).collect()
}

/// The table in §2.4.
#[test]
fn each_packet_has_its_own_reason_codes() {
    let connack = [
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95,
        0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
    ];
    assert_eq!(allowed(PacketType::ConnAck), connack);
    let puback = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    assert_eq!(allowed(PacketType::PubAck), puback);
    assert_eq!(allowed(PacketType::PubRec), puback);
    assert_eq!(allowed(PacketType::PubRel), [0x00, 0x92]);
    assert_eq!(allowed(PacketType::PubComp), [0x00, 0x92]);
    let suback = [
        0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2,
    ];
    assert_eq!(allowed(PacketType::SubAck), suback);
    let unsuback = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91];
    assert_eq!(allowed(PacketType::UnsubAck), unsuback);
    let disconnect = [
        0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93,
        0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
    ];
    assert_eq!(allowed(PacketType::Disconnect), disconnect);
    assert_eq!(allowed(PacketType::Auth), [0x00, 0x18, 0x19]);
    assert_eq!(allowed(PacketType::Publish), [0u8; 0]);
}

#[test]
fn return_codes_of_mqtt_3_1_1_come_back_as_they_went() {
    for code in 0..=5 {
        let reason = ReasonCode::from_connect_return_code(code).unwrap();
        assert_eq!(reason.connect_return_code(), Some(code));
    }
    assert_eq!(ReasonCode::from_connect_return_code(6), None);
}

/// 3.1.1 [MQTT-3.2.2-6]
#[test]
fn a_malformed_connect_has_no_return_code_in_3_1_1() {
    assert_eq!(ReasonCode::MalformedPacket.connect_return_code(), None);
    assert_eq!(ReasonCode::ServerBusy.connect_return_code(), Some(3));
    assert_eq!(ReasonCode::Banned.connect_return_code(), Some(5));
}
