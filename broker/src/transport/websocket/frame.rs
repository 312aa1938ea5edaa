//! WebSocket frames (RFC 6455 §5) as far as MQTT needs them (MQTT 5 §6): a stream of bytes in binary frames.
//!
//! Bytes in, bytes out: no socket and no clock. Payload is unmasked where it lies and moved together, so that
//! what comes out is the MQTT stream, whatever the frames were: packets may be split over frames and share
//! one [MQTT-6.0.0-2], 3.1.1 [MQTT-6.0.0-2]. Nothing is kept but the place within the frame, and the payload of a ping.

/// Bytes of a control frame's payload at most (§5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// Bytes of a client's frame header at most: two, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Status codes of a Close frame (§7.4.1).
pub(crate) const NORMAL_CLOSURE: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED_DATA: u16 = 1003;

/// A rule that the client broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// MQTT is sent in binary frames only.
    #[error("a text frame [MQTT-6.0.0-1]")]
    Text,
    /// §5.1: a client masks all its frames.
    #[error("a frame that is not masked")]
    NotMasked,
    /// §5.2: no extension was agreed upon that would give them a meaning.
    #[error("a frame with reserved bits or a reserved opcode")]
    Reserved,
    /// §5.5: control frames are short and whole.
    #[error("a control frame that is too long or fragmented")]
    Control,
    /// §5.4: fragments of messages do not interleave.
    #[error("a fragment out of its order")]
    Fragment,
    /// §5.2: the upper bit of a length is 0.
    #[error("a frame of more than 2^63 bytes")]
    Length,
}

impl FrameError {
    /// What the client is told.
    pub fn status(self) -> u16 {
        match self {
            FrameError::Text => UNSUPPORTED_DATA,
            _ => PROTOCOL_ERROR,
        }
    }
}

/// What the client wants answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// A ping, with what is to be sent back.
    Ping(Vec<u8>),
    /// It closes the connection.
    Close,
}

/// Where in a frame the next byte is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Header {
        bytes: [u8; HEADER_BYTES_MAX],
        len: usize,
    },
    Payload(Payload),
}

#[derive(Clone, Copy, Debug)]
struct Payload {
    opcode: u8,
    mask: [u8; 4],
    /// Bytes of it that have been seen, modulo 4.
    phase: usize,
    left: u64,
}

const AT_HEADER: Place = Place::Header {
    bytes: [0; HEADER_BYTES_MAX],
    len: 0,
};

/// Reads a client's frames.
#[derive(Debug)]
pub(crate) struct Decoder {
    place: Place,
    /// A message has begun whose last fragment has not come.
    in_message: bool,
    /// Payload of the control frame that is being read.
    control: Vec<u8>,
}

impl Decoder {
    pub fn new() -> Decoder {
        Decoder {
            place: AT_HEADER,
            in_message: false,
            control: Vec::new(),
        }
    }

    /// Takes all bytes of `bytes` and leaves the payload of its binary frames at the beginning; returns how
    /// much that is. Control frames are told to `on_control` in their order.
    ///
    /// # Errors
    /// A rule of RFC 6455 or of MQTT is broken; the connection is of no use any more.
    pub fn decode(
        &mut self,
        bytes: &mut [u8],
        mut on_control: impl FnMut(Control),
    ) -> Result<usize, FrameError> {
        let (mut at, mut out) = (0, 0);
        while at < bytes.len() {
            match &mut self.place {
                Place::Header { bytes: header, len } => {
                    header[*len] = bytes[at];
                    *len += 1;
                    at += 1;
                    if let Some(payload) = payload_of(&header[..*len])? {
                        self.begin(payload)?;
                    }
                }
                Place::Payload(payload) => {
                    let here = bytes.len() - at;
                    let n = usize::try_from(payload.left).map_or(here, |left| left.min(here));
                    unmask(&mut bytes[at..at + n], payload.mask, payload.phase);
                    payload.phase = (payload.phase + n) % 4;
                    payload.left -= n as u64;
                    if payload.opcode >= CLOSE {
                        self.control.extend_from_slice(&bytes[at..at + n]);
                    } else {
                        bytes.copy_within(at..at + n, out);
                        out += n;
                    }
                    at += n;
                }
            }
            self.end_if_complete(&mut on_control);
        }
        Ok(out)
    }

    /// The header is complete.
    fn begin(&mut self, (first, payload): (u8, Payload)) -> Result<(), FrameError> {
        match payload.opcode {
            TEXT => return Err(FrameError::Text),
            BINARY if self.in_message => return Err(FrameError::Fragment),
            CONTINUATION if !self.in_message => return Err(FrameError::Fragment),
            BINARY | CONTINUATION => self.in_message = first & FIN == 0,
            CLOSE | PING | PONG => {
                if first & FIN == 0 || payload.left > CONTROL_BYTES_MAX as u64 {
                    return Err(FrameError::Control);
                }
            }
            _ => return Err(FrameError::Reserved),
        }
        self.place = Place::Payload(payload);
        Ok(())
    }

    fn end_if_complete(&mut self, on_control: &mut impl FnMut(Control)) {
        let Place::Payload(payload) = self.place else {
            return;
        };
        if payload.left > 0 {
            return;
        }
        self.place = AT_HEADER;
        match payload.opcode {
            PING => on_control(Control::Ping(std::mem::take(&mut self.control))),
            CLOSE => on_control(Control::Close),
            _ => {}
        }
        self.control = Vec::new();
    }
}

/// The first byte and the payload that a header announces; `None`: it is not complete.
fn payload_of(header: &[u8]) -> Result<Option<(u8, Payload)>, FrameError> {
    let [first, second, rest @ ..] = header else {
        return Ok(None);
    };
    if first & 0x70 != 0 {
        return Err(FrameError::Reserved);
    }
    if second & MASKED == 0 {
        return Err(FrameError::NotMasked);
    }
    let length_bytes = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some((length, mask)) = rest.split_at_checked(length_bytes) else {
        return Ok(None);
    };
    let Ok(mask) = <[u8; 4]>::try_from(mask) else {
        return Ok(None);
    };
    let left = match length_bytes {
        0 => u64::from(second & 0x7F),
        _ => length
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    if left > u64::MAX >> 1 {
        return Err(FrameError::Length);
    }
    let payload = Payload {
        opcode: first & 0x0F,
        mask,
        phase: 0,
        left,
    };
    Ok(Some((*first, payload)))
}

/// §5.3. The mask is turned so that whole groups of four can be done at once.
fn unmask(bytes: &mut [u8], mask: [u8; 4], phase: usize) {
    let mut turned = mask;
    turned.rotate_left(phase);
    let word = u32::from_ne_bytes(turned);
    let mut words = bytes.chunks_exact_mut(4);
    for chunk in &mut words {
        let group: [u8; 4] = [chunk[0], chunk[1], chunk[2], chunk[3]];
        chunk.copy_from_slice(&(u32::from_ne_bytes(group) ^ word).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(turned) {
        *byte ^= mask;
    }
}

/// The header of a server's binary frame, which is whole and not masked [MQTT-6.0.0-1], 3.1.1 [MQTT-6.0.0-1].
pub(crate) fn binary_header(payload_bytes: usize) -> Header {
    Header::new(BINARY, payload_bytes)
}

/// A whole pong.
pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    let mut frame = Header::new(PONG, payload.len()).as_slice().to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// A whole Close frame.
pub(crate) fn close(status: u16) -> Vec<u8> {
    let mut frame = Header::new(CLOSE, 2).as_slice().to_vec();
    frame.extend(status.to_be_bytes());
    frame
}

/// The header of a frame that a server sends.
pub(crate) struct Header {
    bytes: [u8; 10],
    len: usize,
}

impl Header {
    fn new(opcode: u8, payload_bytes: usize) -> Header {
        let mut bytes = [0; 10];
        bytes[0] = FIN | opcode;
        let len = match payload_bytes {
            0..=125 => {
                bytes[1] = payload_bytes as u8;
                2
            }
            126..=0xFFFF => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
                10
            }
        };
        Header { bytes, len }
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A client's frame.
    fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = Header::new(0, payload.len()).as_slice().to_vec();
        bytes[0] = first;
        bytes[1] |= MASKED;
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        bytes
    }

    fn decoded(bytes: &[u8]) -> Result<(Vec<u8>, Vec<Control>), FrameError> {
        let (mut bytes, mut controls) = (bytes.to_vec(), Vec::new());
        let n = Decoder::new().decode(&mut bytes, |control| controls.push(control))?;
        bytes.truncate(n);
        Ok((bytes, controls))
    }

    /// [MQTT-6.0.0-2], 3.1.1 [MQTT-6.0.0-2]
    #[test]
    fn payload_of_several_frames_is_one_stream() {
        let mut bytes = frame(FIN | BINARY, b"ab", [1, 2, 3, 4]);
        bytes.extend(frame(BINARY, b"c", [9; 4]));
        bytes.extend(frame(FIN | PING, b"are you there", [7; 4]));
        bytes.extend(frame(FIN | CONTINUATION, b"def", [0; 4]));
        let ping = Control::Ping(b"are you there".to_vec());
        assert_eq!(decoded(&bytes), Ok((b"abcdef".to_vec(), vec![ping])));
    }

    /// [MQTT-6.0.0-1], 3.1.1 [MQTT-6.0.0-1]
    #[test]
    fn a_text_frame_is_an_error_with_its_status() {
        let error = decoded(&frame(FIN | TEXT, b"x", [0; 4]));
        assert_eq!(error, Err(FrameError::Text));
        assert_eq!(FrameError::Text.status(), 1003);
        assert_eq!(binary_header(5).as_slice(), &[0x82, 5]);
    }

    #[test]
    fn each_broken_rule_has_its_error() {
        let whole = |first, payload: &[u8]| frame(first, payload, [1; 4]);
        let cases = [
            (vec![FIN | BINARY, 1, b'x'], FrameError::NotMasked),
            (whole(FIN | 0x40 | BINARY, b"x"), FrameError::Reserved),
            (whole(FIN | 0x3, b""), FrameError::Reserved),
            (whole(PING, b""), FrameError::Control),
            (whole(FIN | PING, &[0; 126]), FrameError::Control),
            (whole(FIN | CONTINUATION, b"x"), FrameError::Fragment),
            (
                [whole(BINARY, b"x"), whole(FIN | BINARY, b"y")].concat(),
                FrameError::Fragment,
            ),
            (
                [&[FIN | BINARY, MASKED | 127][..], &[0xFF; 12]].concat(),
                FrameError::Length,
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(decoded(&bytes), Err(expected), "{bytes:?}");
        }
    }

    #[test]
    fn a_close_is_told() {
        let bytes = frame(FIN | CLOSE, &NORMAL_CLOSURE.to_be_bytes(), [3; 4]);
        assert_eq!(decoded(&bytes), Ok((Vec::new(), vec![Control::Close])));
        assert_eq!(close(1000), [0x88, 2, 0x03, 0xE8]);
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_stream_is_the_same(
            payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<[u8; 4]>()), 1..6),
            cuts in prop::collection::vec(1..97_usize, 1..8),
        ) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|(p, mask)| frame(FIN | BINARY, p, *mask)).collect();
            let whole: Vec<u8> = payloads.into_iter().flat_map(|(p, _)| p).collect();
            let (mut decoder, mut out, mut at) = (Decoder::new(), Vec::new(), 0);
            for cut in cuts.into_iter().cycle() {
                if at == bytes.len() {
                    break;
                }
                let end = (at + cut).min(bytes.len());
                let mut piece = bytes[at..end].to_vec();
                let n = decoder.decode(&mut piece, |_| {}).expect("good frames");
                out.extend_from_slice(&piece[..n]);
                at = end;
            }
            prop_assert_eq!(out, whole);
        }
    }
}
