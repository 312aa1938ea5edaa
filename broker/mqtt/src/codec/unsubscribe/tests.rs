use super::*;
use crate::codec::testing::{id, packet, read, refusal, string, written};
use crate::codec::{Packet, ReasonCode};

#[test]
fn filters_are_read_in_their_order() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let bytes = packet(0xa2, &[&[0, 7], properties, &string("a"), &string("b/#")]);
        let Ok(Packet::Unsubscribe(unsubscribe)) = read(version, &bytes) else {
            panic!("not an UNSUBSCRIBE");
        };
        assert_eq!(unsubscribe.packet_id, id(7));
        assert_eq!(unsubscribe.filters.iter().collect::<Vec<_>>(), ["a", "b/#"]);
        assert_eq!(unsubscribe.filters, UnsubscribeFilters::new(&["a", "b/#"]));
        assert_eq!(written(version, &Packet::Unsubscribe(unsubscribe)), bytes);
    }
}

/// [MQTT-3.10.3-2]
#[test]
fn an_unsubscribe_needs_a_filter() {
    assert_eq!(
        refusal(Version::V4, &[0xa2, 2, 0, 1]),
        DecodeError::NoTopicFilter
    );
    let error = refusal(Version::V5, &[0xa2, 3, 0, 1, 0]);
    assert_eq!(error, DecodeError::NoTopicFilter);
    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
}

/// [MQTT-3.10.3-1]
/// 3.1.1 [MQTT-3.10.3-1]
#[test]
fn a_filter_must_be_utf8() {
    let bytes = packet(0xa2, &[&[0, 1], &[0, 1, 0xff]]);
    assert_eq!(refusal(Version::V4, &bytes), DecodeError::StringNotUtf8);
}

/// [MQTT-3.10.1-1]
/// 3.1.1 [MQTT-3.10.1-1]
#[test]
fn the_flags_are_2() {
    let packet_type = PacketType::Unsubscribe;
    let bytes = packet(0xa0, &[&[0, 1], &string("t")]);
    assert_eq!(
        refusal(Version::V4, &bytes),
        DecodeError::FixedHeaderFlags {
            packet_type,
            flags: 0
        }
    );
    let bytes = packet(0xaa, &[&[0, 1], &string("t")]);
    assert!(read(Version::V3, &bytes).is_ok());
}

#[test]
fn a_subscription_identifier_does_not_belong_into_unsubscribe() {
    let bytes = packet(0xa2, &[&[0, 1, 2, 0x0b, 1], &string("t")]);
    assert_eq!(
        refusal(Version::V5, &bytes),
        DecodeError::PropertyNotAllowed(0x0b)
    );
}
