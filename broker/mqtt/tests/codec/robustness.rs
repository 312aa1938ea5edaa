//! No input makes the codec panic or read beyond a packet's end, and what it accepts it can write.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use raftmq_mqtt::codec::{Connect, Frame, Packet, Version, decode, frame, packet_len};

use super::generate::any_packet;

/// Reads bytes as a version; if they are a packet, it must survive being written and read again.
fn accept_or_refuse(version: Version, bytes: &[u8]) {
    let Ok(Some(frame)) = frame(bytes, 1 << 20) else {
        return;
    };
    assert!(frame.total_len <= bytes.len());
    let _ = Connect::version_of(&frame);
    if let Ok(packet) = decode(version, &frame) {
        survives(version, &packet);
    }
}

fn accept_or_refuse_in_all_versions(bytes: &[u8]) {
    for version in [Version::V3, Version::V4, Version::V5] {
        accept_or_refuse(version, bytes);
    }
}

fn survives(version: Version, packet: &Packet<'_>) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let mut out = Vec::new();
    packet.encode(version, u32::MAX, &mut out).unwrap();
    let frame = frame(&out, u32::MAX).unwrap().expect("a whole packet");
    assert_eq!(decode(version, &frame).as_ref(), Ok(packet));
}

/// Bytes with a plausible beginning, so that not all of them fail at once.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let first_byte = (1u8..=15, select(&[0u8, 0, 2, 2, 4, 13, 15])).prop_map(|(t, f)| t << 4 | f);
    (
        first_byte,
        vec(
            select(&[
                0u8, 0, 1, 1, 2, 3, 4, 5, 8, 0x26, 0x1f, b'a', b'T', 0x80, 0xff,
            ]),
            0..60,
        ),
    )
        .prop_map(|(first_byte, body)| [&[first_byte, body.len() as u8][..], &body].concat())
}

proptest! {
    #![proptest_config(super::cases(20_000))]

    #[test]
    fn arbitrary_bytes_are_accepted_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        accept_or_refuse_in_all_versions(&bytes);
    }

    #[test]
    fn plausible_bytes_are_accepted_or_refused(bytes in plausible()) {
        accept_or_refuse_in_all_versions(&bytes);
    }

    #[test]
    fn a_damaged_packet_is_accepted_or_refused(
        (version, model) in any_packet(),
        damage in vec((any::<Index>(), any::<u8>()), 1..5),
    ) {
        let mut bytes = model.bytes(version);
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        accept_or_refuse_in_all_versions(&bytes);
    }
}

proptest! {
    #![proptest_config(super::cases(512))]

    #[test]
    fn a_packet_cut_anywhere_is_waited_for((version, model) in any_packet()) {
        let bytes = model.bytes(version);
        for len in 0..bytes.len().min(300) {
            prop_assert_eq!(frame(&bytes[..len], u32::MAX), Ok(None));
            let whole = packet_len(&bytes[..len], u32::MAX).unwrap();
            prop_assert!(whole.is_none_or(|whole| whole == bytes.len()));
        }
    }

    #[test]
    fn a_packet_whose_length_lies_is_accepted_or_refused((version, model) in any_packet()) {
        let bytes = model.bytes(version);
        let whole = frame(&bytes, u32::MAX).unwrap().unwrap();
        for len in 0..whole.body.len().min(300) {
            let short = Frame { body: &whole.body[..len], total_len: 2 + len, ..whole };
            if let Ok(packet) = decode(version, &short) {
                survives(version, &packet);
            }
        }
    }

    #[test]
    fn what_follows_a_packet_is_not_read((version, model) in any_packet(), junk in vec(any::<u8>(), 1..20)) {
        let bytes = model.bytes(version);
        let stream = [&bytes[..], &junk].concat();
        let first = frame(&stream, u32::MAX).unwrap().unwrap();
        prop_assert_eq!(first.total_len, bytes.len());
        model.with(version, |packet| assert_eq!(decode(version, &first).as_ref(), Ok(packet)));
    }
}
