//! Every packet of every version comes back as it went.

use proptest::prelude::*;
use raftmq_mqtt::codec::{OutgoingPublish, Packet, PublishProperties, Version, decode, frame};

use super::generate::{any_packet, packet};

proptest! {
    #![proptest_config(super::cases(8192))]

    #[test]
    fn a_packet_comes_back_as_it_went((version, model) in any_packet()) {
        let bytes = model.bytes(version);
        let frame = frame(&bytes, u32::MAX).unwrap().expect("a whole packet");
        prop_assert_eq!(frame.total_len, bytes.len());
        let back = decode(version, &frame).unwrap();
        model.with(version, |packet| assert_eq!(back, *packet));
        let mut again = Vec::new();
        back.encode(version, u32::MAX, &mut again).unwrap();
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn a_packet_is_written_behind_what_is_there((version, model) in any_packet()) {
        let mut out = vec![1, 2, 3];
        model.with(version, |packet| packet.encode(version, u32::MAX, &mut out)).unwrap();
        prop_assert_eq!(&out[..3], &[1, 2, 3]);
        prop_assert_eq!(&out[3..], model.bytes(version));
    }

    #[test]
    fn no_packet_exceeds_the_maximum_packet_size((version, model) in any_packet(), max in 0u32..200) {
        let mut out = vec![7];
        let result = model.with(version, |packet| packet.encode(version, max, &mut out));
        prop_assert_eq!(out[0], 7);
        // Pings are never larger than what anybody takes.
        let is_ping = out.len() == 3 && matches!(out[1], 0xc0 | 0xd0);
        prop_assert!(out.len() - 1 <= max as usize || is_ping);
        prop_assert!(result.is_ok() || out.len() == 1);
    }

    #[test]
    fn forwarding_keeps_all_that_goes_to_the_subscribers(model in packet(Version::V5)) {
        let bytes = model.bytes(Version::V5);
        let frame = frame(&bytes, u32::MAX).unwrap().unwrap();
        if let Packet::Publish(publish) = decode(Version::V5, &frame).unwrap() {
            let mut forwardable = Vec::new();
            publish.properties.append_forwardable(&mut forwardable);
            if let Some(together) = publish.properties.forwardable() {
                prop_assert_eq!(together, &forwardable[..]);
            }
            let forwarded = PublishProperties::parse(&forwardable).unwrap();
            prop_assert_eq!(forwarded.topic_alias(), None);
            prop_assert_eq!(forwarded.message_expiry_interval(), None);
            prop_assert!(!forwarded.has_subscription_identifier());
            prop_assert_eq!(forwarded.user_properties(), publish.properties.user_properties());
            prop_assert_eq!(forwarded.forwardable(), Some(&forwardable[..]));
            let mut outgoing = OutgoingPublish::new(publish.topic, publish.payload);
            outgoing.forwardable = &forwardable;
            let mut out = Vec::new();
            outgoing.encode(Version::V5, u32::MAX, &mut out).unwrap();
            prop_assert_eq!(out.len(), outgoing.encoded_len(Version::V5));
        }
    }
}
