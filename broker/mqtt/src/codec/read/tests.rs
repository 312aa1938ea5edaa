use super::*;

fn string(bytes: &[u8]) -> Result<&str, DecodeError> {
    Reader::new(bytes).string()
}

/// [MQTT-1.5.4-1]
#[test]
fn a_string_must_be_well_formed_utf8() {
    assert_eq!(string(&[0, 2, 0xc3, 0xa9]), Ok("é"));
    assert_eq!(string(&[0, 1, 0xc3]), Err(DecodeError::StringNotUtf8));
    let surrogate = [0, 3, 0xed, 0xa0, 0x80];
    assert_eq!(string(&surrogate), Err(DecodeError::StringNotUtf8));
    let overlong_null = [0, 2, 0xc0, 0x80];
    assert_eq!(string(&overlong_null), Err(DecodeError::StringNotUtf8));
}

/// [MQTT-1.5.4-2]
#[test]
fn a_string_must_not_contain_null() {
    assert_eq!(
        string(&[0, 3, b'a', 0, b'b']),
        Err(DecodeError::StringHasNull)
    );
}

/// [MQTT-1.5.4-3]
#[test]
fn a_byte_order_mark_is_kept() {
    assert_eq!(string(&[0, 4, 0xef, 0xbb, 0xbf, b'a']), Ok("\u{feff}a"));
}

#[test]
fn control_characters_are_accepted() {
    assert_eq!(string(&[0, 2, 0x01, 0x7f]), Ok("\u{1}\u{7f}"));
}

#[test]
fn a_field_that_runs_past_the_end_is_refused() {
    assert_eq!(string(&[0]), Err(DecodeError::Truncated));
    assert_eq!(string(&[0, 2, b'a']), Err(DecodeError::Truncated));
    assert_eq!(Reader::new(&[0, 0, 0]).u32(), Err(DecodeError::Truncated));
    assert_eq!(
        Reader::new(&[0x80]).variable_byte_integer(),
        Err(DecodeError::Truncated)
    );
    assert_eq!(
        Reader::new(&[5, 1]).property_block(),
        Err(DecodeError::Truncated)
    );
}

/// [MQTT-1.5.5-1]
#[test]
fn a_variable_byte_integer_must_be_as_short_as_possible() {
    let padded = [0x81, 0x00];
    assert_eq!(
        Reader::new(&padded).variable_byte_integer(),
        Err(DecodeError::VariableByteIntegerNotMinimal)
    );
    assert_eq!(Reader::new(&[0x80, 0x01]).variable_byte_integer(), Ok(128));
}

/// [MQTT-2.2.1-3]
#[test]
fn a_packet_identifier_must_not_be_zero() {
    assert_eq!(
        Reader::new(&[0, 0]).packet_id(),
        Err(DecodeError::PacketIdZero)
    );
}
