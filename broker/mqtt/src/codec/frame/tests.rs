use super::*;
use crate::codec::{ReasonCode, Version, decode};

#[test]
fn a_packet_is_cut_out_of_a_stream_as_soon_as_it_is_whole() {
    let stream = [0x40, 2, 0, 1, 0xc0, 0];
    for len in 0..4 {
        assert_eq!(frame(&stream[..len], 100), Ok(None), "{len} bytes");
    }
    let first = frame(&stream, 100).unwrap().unwrap();
    assert_eq!(
        (first.first_byte, first.body, first.total_len),
        (0x40, &[0, 1][..], 4)
    );
    let second = frame(&stream[first.total_len..], 100).unwrap().unwrap();
    assert_eq!((second.first_byte, second.total_len), (0xc0, 2));
}

#[test]
fn the_length_of_a_packet_is_known_before_its_body_arrives() {
    assert_eq!(packet_len(&[0x30], 1000), Ok(None));
    assert_eq!(packet_len(&[0x30, 0x80], 1000), Ok(None));
    assert_eq!(packet_len(&[0x30, 0x80, 0x01], 1000), Ok(Some(131)));
}

/// [MQTT-3.2.2-15]
#[test]
fn a_packet_larger_than_announced_is_refused_from_its_header() {
    let header = [0x30, 0x80, 0x01];
    let error = frame(&header, 130).unwrap_err();
    assert_eq!(
        error,
        DecodeError::PacketTooLarge {
            size: 131,
            limit: 130
        }
    );
    assert_eq!(error.reason_code(), ReasonCode::PacketTooLarge);
    assert_eq!(frame(&header, 131), Ok(None));
}

#[test]
fn a_remaining_length_of_more_than_four_bytes_is_malformed() {
    let endless = [0x30, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(
        frame(&endless, u32::MAX),
        Err(DecodeError::VariableByteIntegerTooLong)
    );
    assert_eq!(
        frame(&endless[..5], u32::MAX),
        Err(DecodeError::VariableByteIntegerTooLong)
    );
    assert_eq!(frame(&endless[..4], u32::MAX), Ok(None));
    let error = DecodeError::VariableByteIntegerTooLong;
    assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
}

#[test]
fn the_largest_remaining_length_is_read() {
    let header = [0x30, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(
        packet_len(&header, PACKET_SIZE_MAX),
        Ok(Some(PACKET_SIZE_MAX as usize))
    );
}

#[test]
fn packet_type_0_is_refused_from_the_first_byte() {
    assert_eq!(frame(&[0x0f], 100), Err(DecodeError::ReservedPacketType(0)));
}

/// [MQTT-1.5.5-1]
#[test]
fn a_padded_remaining_length_is_malformed_in_mqtt_5_only() {
    for bytes in [
        &[0xc0, 0x80, 0x00][..],
        &[0x30, 0x84, 0x80, 0x00, 0, 1, b't', 0],
    ] {
        let frame = frame(bytes, 100).unwrap().unwrap();
        assert_eq!(
            decode(Version::V5, &frame),
            Err(DecodeError::VariableByteIntegerNotMinimal)
        );
        assert!(decode(Version::V4, &frame).is_ok());
    }
}

#[test]
fn the_length_of_a_variable_byte_integer_grows_at_the_powers_of_128() {
    for (value, len) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3)] {
        assert_eq!(variable_byte_integer_len(value), len, "{value}");
    }
    assert_eq!(variable_byte_integer_len(2_097_151), 3);
    assert_eq!(variable_byte_integer_len(2_097_152), 4);
}

#[test]
fn every_packet_type_is_found_by_its_first_byte() {
    assert_eq!(PacketType::of(0x0f), None);
    for number in 1..=15u8 {
        let packet_type = PacketType::of(number << 4).unwrap();
        assert_eq!(packet_type as u8, number);
    }
}
