//! Arbitrary bytes for the decoder: corpus packets, mutated, as one stream that is cut anywhere.

use super::{dice::Dice, runs::run};
use raftmq_mqtt::codec::{self, Connect, Packet, Version};

/// One packet of each type, MQTT 5 and 3.1.1, from which mutations begin.
pub const CORPUS: [&[u8]; 22] = [
    b"\x10\x10\0\x04MQTT\x05\xC2\0\x1e\0\0\x01c\0\0",
    b"\x10\x1a\0\x04MQTT\x05\x06\0\x1e\0\0\x01c\x05\x18\0\0\0\x01\0\x01w\0\x01x",
    b"\x10\x1e\0\x04MQTT\x05\x02\0\x1e\x11\x11\0\0\0\x05\x21\0\x05\x27\0\0\x10\0\x22\0\x05\x19\x01\0\x01c",
    b"\x10\x11\0\x04MQTT\x04\xC2\0\x1e\0\x01c\0\0\0\0",
    b"\x10\x10\0\x06MQIsdp\x03\x02\0\x1e\0\x02cd",
    b"\x20\x09\0\0\x06\x21\0\x05\x24\x01\x25",
    b"\x30\x06\0\x01t\0xy",
    b"\x3b\x0a\0\x01t\0\x07\x02\x01\x01xy",
    b"\x34\x15\0\x01t\0\x07\x0d\x02\0\0\0\x05\x26\0\x01a\0\x01b\x0bxy",
    b"\x32\x12\0\0\0\x07\x0c\x23\0\x01\x08\0\x01r\x09\0\x02\0\xffx",
    b"\x40\x02\0\x01",
    b"\x50\x04\0\x01\x97\0",
    b"\x62\x03\0\x01\x92",
    b"\x70\x0a\0\x01\0\x06\x1f\0\x03abc",
    b"\x82\x08\0\x01\x02\x0b\x07\0\x01#\x2e",
    b"\x82\x0b\0\x01\0\x01a\x01\0\x02+/\x02",
    b"\x90\x05\0\x01\0\x02\x87",
    b"\xa2\x06\0\x01\0\0\x01#",
    b"\xb0\x05\0\x01\0\0\x11",
    b"\xc0\0",
    b"\xe0\x07\x04\x05\x11\0\0\0\x05",
    b"\xf0\x0b\x18\x09\x15\0\x01m\x16\0\x02\0\xff",
];

/// Values at which lengths and flags change their meaning.
const EDGES: [u8; 10] = [0, 1, 2, 3, 0x7f, 0x80, 0xff, b'/', b'#', b'+'];

/// A packet of the corpus with a few bytes changed, and its length usually mended.
pub fn mutated(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.pick(&CORPUS).to_vec();
    for _ in 0..dice.below(4) {
        let at = dice.index(bytes.len());
        match dice.below(6) {
            0 => bytes[at] = dice.byte(),
            1 => bytes[at] = dice.pick(&EDGES),
            2 => bytes[at] ^= 1 << dice.below(8),
            3 => bytes.insert(at, dice.pick(&EDGES)),
            4 if bytes.len() > 2 => drop(bytes.remove(at)),
            _ => {
                let other = dice.pick(&CORPUS);
                let from = dice.index(other.len());
                bytes.truncate(at.max(2));
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    if bytes.len() >= 2 && bytes.len() < 130 && dice.percent(85) {
        bytes[1] = (bytes.len() - 2) as u8;
    }
    bytes
}

/// Whatever it is, it is accepted or refused; what is accepted can be written and is the same when read again.
fn accept_or_refuse(stream: &[u8], version: Version, max_packet_size: u32) {
    let mut rest = stream;
    while let Ok(Some(frame)) = codec::frame(rest, max_packet_size) {
        assert!(frame.total_len <= rest.len() && frame.total_len <= max_packet_size as usize);
        let cut = codec::frame(&rest[..frame.total_len - 1], max_packet_size);
        assert_eq!(cut, Ok(None), "a packet that is not whole is waited for");
        rest = &rest[frame.total_len..];
        let _ = Connect::version_of(&frame);
        let Ok(packet) = codec::decode(version, &frame) else {
            continue;
        };
        let version = match &packet {
            Packet::Connect(connect) => connect.version,
            _ => version,
        };
        let mut written = Vec::new();
        packet
            .encode(version, u32::MAX, &mut written)
            .expect("what was read can be written");
        let again = codec::frame(&written, u32::MAX)
            .expect("well-formed")
            .expect("whole");
        assert_eq!(codec::decode(version, &again).as_ref(), Ok(&packet));
    }
}

#[test]
fn the_decoder_accepts_or_refuses_whatever_comes() {
    run("decoder", 200_000, |dice| {
        let mut stream = mutated(dice);
        if dice.percent(30) {
            stream.extend(mutated(dice));
        }
        if dice.percent(10) {
            let junk = dice.index(30);
            stream.extend(dice.bytes(junk));
        }
        let max_packet_size = dice.pick(&[u32::MAX, 1 << 20, 20]);
        for version in [Version::V3, Version::V4, Version::V5] {
            accept_or_refuse(&stream, version, max_packet_size);
        }
    });
}

#[test]
fn most_packets_of_the_corpus_are_accepted() {
    let is_read = |bytes: &&[u8]| {
        let frame = codec::frame(bytes, u32::MAX).ok().flatten();
        frame.is_some_and(|frame| codec::decode(Version::V5, &frame).is_ok())
    };
    let read = CORPUS.iter().filter(|bytes| is_read(bytes)).count();
    assert!(
        read >= 15,
        "mutations begin at packets that are nearly right: {read}"
    );
}
