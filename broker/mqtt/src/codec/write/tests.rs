use super::*;
use crate::codec::frame;
use crate::codec::frame::variable_byte_integer as read;

#[test]
fn a_length_is_read_as_it_was_written() {
    for len in [
        0,
        1,
        127,
        128,
        16_383,
        16_384,
        2_097_151,
        2_097_152,
        268_435_455,
    ] {
        let mut out = Vec::new();
        variable_byte_integer(&mut out, len);
        assert_eq!(read(&out), Ok(Some((len as u32, out.len()))));
        assert_eq!(out.len(), variable_byte_integer_len(len));
        let (bytes, count) = length_bytes(len);
        assert_eq!(bytes[..count], out);
    }
}

#[test]
fn the_body_moves_up_when_its_length_needs_more_bytes() {
    for len in [0, 127, 128, 16_383, 16_384, 2_097_152] {
        let body = vec![b'x'; len];
        let mut out = vec![7];
        let result = packet(&mut out, PacketType::SubAck, u32::MAX, |out| {
            out.extend_from_slice(&body);
            Ok(())
        });
        assert_eq!((result, out[0]), (Ok(()), 7));
        let frame = frame(&out[1..], u32::MAX).unwrap().unwrap();
        assert_eq!((frame.body, frame.total_len), (&body[..], out.len() - 1));
    }
}

#[test]
fn nothing_is_left_of_a_packet_that_failed() {
    let mut out = vec![7];
    let result = packet(&mut out, PacketType::SubAck, u32::MAX, |out| {
        binary(out, b"written")?;
        binary(out, &[0; 65_536])
    });
    assert_eq!((result, out), (Err(EncodeError::FieldTooLong), vec![7]));
}

#[test]
fn a_packet_of_exactly_the_maximum_packet_size_is_written() {
    let body = |out: &mut Vec<u8>| binary(out, b"12");
    let mut out = Vec::new();
    let too_large = packet(&mut out, PacketType::SubAck, 5, body);
    assert_eq!(too_large, Err(EncodeError::PacketTooLarge));
    assert_eq!(packet(&mut out, PacketType::SubAck, 6, body), Ok(()));
    assert_eq!(out, [0x90, 4, 0, 2, b'1', b'2']);
}
