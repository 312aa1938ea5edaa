use super::check::{CONNECT, Checked, PUBLISH, SUBSCRIBE};
use super::*;
use crate::codec::ReasonCode;

fn refusal(block: &[u8], allowed: check::PropertySet) -> DecodeError {
    let read: Result<Vec<_>, _> = Checked::new(block, allowed).collect();
    read.expect_err("the block breaks a rule")
}

#[test]
fn an_unknown_property_is_malformed() {
    for identifier in [0x00, 0x04, 0x20, 0x2b, 0x3f, 0x40, 0x80, 0xff] {
        let error = refusal(&[identifier, 0, 0, 0, 0], PUBLISH);
        assert_eq!(error, DecodeError::PropertyUnknown(identifier));
        assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
    }
}

#[test]
fn a_property_of_another_packet_is_malformed() {
    let error = refusal(&[id::WILL_DELAY_INTERVAL, 0, 0, 0, 1], PUBLISH);
    assert_eq!(
        error,
        DecodeError::PropertyNotAllowed(id::WILL_DELAY_INTERVAL)
    );
    assert_eq!(error.reason_code(), ReasonCode::MalformedPacket);
}

#[test]
fn a_property_twice_is_a_protocol_error() {
    let error = refusal(&[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1], CONNECT);
    assert_eq!(error, DecodeError::PropertyDuplicate(0x11));
    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
}

#[test]
fn user_properties_may_repeat_also_with_the_same_name() {
    let pair = [0x26, 0, 1, b'a', 0, 0];
    let block = [pair, pair].concat();
    assert_eq!(Checked::new(&block, SUBSCRIBE).count(), 2);
}

/// [MQTT-1.5.7-1]
#[test]
fn a_user_property_is_two_strings() {
    for block in [&[0x26, 0, 1, 0xff, 0, 0][..], &[0x26, 0, 0, 0, 1, 0xff]] {
        assert_eq!(refusal(block, SUBSCRIBE), DecodeError::StringNotUtf8);
    }
    assert_eq!(
        refusal(&[0x26, 0, 1, b'a'], SUBSCRIBE),
        DecodeError::Truncated
    );
}

#[test]
fn payload_format_indicator_is_0_or_1() {
    assert_eq!(
        refusal(&[0x01, 2], PUBLISH),
        DecodeError::PropertyNotZeroOrOne(0x01)
    );
}

#[test]
fn checking_stops_at_the_first_error() {
    let mut checked = Checked::new(&[0x01, 2, 0x01, 0], PUBLISH);
    assert!(matches!(checked.next(), Some(Err(_))));
    assert!(checked.next().is_none());
}

#[test]
fn a_subscription_identifier_is_between_1_and_268435455() {
    assert_eq!(SubscriptionIdentifier::new(0), None);
    assert!(SubscriptionIdentifier::new(SubscriptionIdentifier::MAX).is_some());
    assert_eq!(
        SubscriptionIdentifier::new(SubscriptionIdentifier::MAX + 1),
        None
    );
}

#[test]
fn a_value_of_more_than_65535_bytes_is_not_written() {
    let long = "x".repeat(65_536);
    let result = Property::ContentType(&long).encode(&mut Vec::new());
    assert_eq!(result, Err(EncodeError::FieldTooLong));
}
