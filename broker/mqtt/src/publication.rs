//! A publication on its way through the broker: one flat form for everything that happens between
//! the publisher's socket and the subscribers' sockets.
//!
//! The same bytes travel from shard to shard and from node to node, and lie in session queues, so a
//! message is laid out once and afterwards only copied. [`Publication`] is a view that borrows from
//! such bytes, or straight from the PUBLISH packet in the socket's buffer.
//!
//! Layout (little endian; `FRAME_VERSION` names it):
//!
//! ```text
//! length     u32   of what follows
//! flags      u8    bits 0-1 QoS, 2 retain, 3 expiry present, 4 target present, 5-7 origin
//! [expiry    u32 seconds, u64 received at, Unix milliseconds]
//! [target    u16 length + client identifier, u8 subscription options, u32 subscription identifier]
//! publisher  u16 length + client identifier
//! topic      u16 length + topic name
//! properties u32 length + MQTT 5 properties as on the wire
//! payload    the rest
//! ```

use crate::codec::QoS;

/// Version of the layout above, told to peers before the first byte of it.
pub const FRAME_VERSION: u32 = 1;

/// Length prefix of a frame, in bytes.
pub const LENGTH_PREFIX_BYTES: usize = 4;

/// Where a publication came from; metrics are kept per origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// An MQTT client.
    Client = 0,
    /// The HTTP API.
    Admin = 1,
    /// A will.
    Will = 2,
    /// The broker itself (`$SYS`).
    System = 3,
    /// The retained store, towards a new subscription.
    Retained = 4,
    /// A bridge, from another broker.
    Bridge = 5,
}

impl Origin {
    fn from_bits(bits: u8) -> Option<Origin> {
        Some(match bits {
            0 => Origin::Client,
            1 => Origin::Admin,
            2 => Origin::Will,
            3 => Origin::System,
            4 => Origin::Retained,
            5 => Origin::Bridge,
            _ => return None,
        })
    }
}

/// Message Expiry Interval [MQTT-3.3.2-5] and the time from which it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Lifetime in seconds.
    pub seconds: u32,
    /// When the broker took the message, Unix milliseconds.
    pub received_at_ms: u64,
}

impl Expiry {
    /// Seconds left at `now_ms`; `None` when the message has expired.
    pub fn remaining_seconds(&self, now_ms: u64) -> Option<u32> {
        let waited = now_ms.saturating_sub(self.received_at_ms) / 1000;
        let left = u64::from(self.seconds).checked_sub(waited)?;
        (left > 0).then_some(left as u32)
    }
}

/// The one session that a publication is for: the chosen member of a share group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Client identifier.
    pub client_id: &'a str,
    /// Subscription options, MQTT 5 §3.8.3.1.
    pub options: u8,
    /// Subscription identifier; 0: none.
    pub subscription_id: u32,
}

/// A message to be routed or delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Application message.
    pub payload: &'a [u8],
    /// MQTT 5 properties that travel with the message (§3.3.2.3), encoded, without length.
    pub properties: &'a [u8],
    /// QoS at which it was published.
    pub qos: QoS,
    /// RETAIN flag of the PUBLISH.
    pub retain: bool,
    /// Message expiry; `None`: never.
    pub expiry: Option<Expiry>,
    /// Where it came from.
    pub origin: Origin,
    /// Client identifier of the publisher; empty: none.
    pub publisher: &'a str,
    /// Set for a share group's chosen member.
    pub target: Option<Target<'a>>,
}

/// The bytes are not a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length points beyond the end.
    #[error("publication frame is truncated")]
    Truncated,
    /// A text is not UTF-8.
    #[error("publication frame holds text that is not UTF-8")]
    NotUtf8,
    /// A flag has a value that this version does not know.
    #[error("publication frame has unknown flags")]
    UnknownFlags,
}

impl<'a> Publication<'a> {
    /// Length of the frame, prefix included, in bytes.
    pub fn frame_len(&self) -> usize {
        let expiry = if self.expiry.is_some() { 12 } else { 0 };
        let target = self.target.map_or(0, |t| 7 + t.client_id.len());
        LENGTH_PREFIX_BYTES
            + 1
            + expiry
            + target
            + 2
            + self.publisher.len()
            + 2
            + self.topic.len()
            + 4
            + self.properties.len()
            + self.payload.len()
    }

    /// Appends the frame to `out`.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let len = self.frame_len();
        out.reserve(len);
        out.extend_from_slice(&((len - LENGTH_PREFIX_BYTES) as u32).to_le_bytes());
        out.push(self.flags());
        if let Some(expiry) = self.expiry {
            out.extend_from_slice(&expiry.seconds.to_le_bytes());
            out.extend_from_slice(&expiry.received_at_ms.to_le_bytes());
        }
        if let Some(target) = self.target {
            append_text(out, target.client_id);
            out.push(target.options);
            out.extend_from_slice(&target.subscription_id.to_le_bytes());
        }
        append_text(out, self.publisher);
        append_text(out, self.topic);
        out.extend_from_slice(&(self.properties.len() as u32).to_le_bytes());
        out.extend_from_slice(self.properties);
        out.extend_from_slice(self.payload);
    }

    /// Reads the frame at the start of `bytes` and returns it with what follows it.
    ///
    /// # Errors
    /// [`FrameError`] when the bytes are not a complete frame.
    pub fn parse(bytes: &'a [u8]) -> Result<(Publication<'a>, &'a [u8]), FrameError> {
        let mut outer = Reader(bytes);
        let length = outer.u32()? as usize;
        let mut frame = Reader(outer.take(length)?);
        let flags = frame.take(1)?[0];
        let expiry = match flags & FLAG_EXPIRY {
            0 => None,
            _ => Some(Expiry {
                seconds: frame.u32()?,
                received_at_ms: frame.u64()?,
            }),
        };
        let target = match flags & FLAG_TARGET {
            0 => None,
            _ => Some(Target {
                client_id: frame.text()?,
                options: frame.take(1)?[0],
                subscription_id: frame.u32()?,
            }),
        };
        let publisher = frame.text()?;
        let topic = frame.text()?;
        let properties_len = frame.u32()? as usize;
        let properties = frame.take(properties_len)?;
        let publication = Publication {
            topic,
            payload: frame.0,
            properties,
            qos: QoS::from_number(flags & FLAG_QOS).ok_or(FrameError::UnknownFlags)?,
            retain: flags & FLAG_RETAIN != 0,
            expiry,
            origin: Origin::from_bits(flags >> ORIGIN_SHIFT).ok_or(FrameError::UnknownFlags)?,
            publisher,
            target,
        };
        Ok((publication, outer.0))
    }

    fn flags(&self) -> u8 {
        let mut flags = self.qos as u8 | ((self.origin as u8) << ORIGIN_SHIFT);
        if self.retain {
            flags |= FLAG_RETAIN;
        }
        if self.expiry.is_some() {
            flags |= FLAG_EXPIRY;
        }
        if self.target.is_some() {
            flags |= FLAG_TARGET;
        }
        flags
    }
}

const FLAG_QOS: u8 = 0b11;
const FLAG_RETAIN: u8 = 1 << 2;
const FLAG_EXPIRY: u8 = 1 << 3;
const FLAG_TARGET: u8 = 1 << 4;
const ORIGIN_SHIFT: u8 = 5;

fn append_text(out: &mut Vec<u8>, text: &str) {
    debug_assert!(
        text.len() <= usize::from(u16::MAX),
        "MQTT strings have at most 65,535 bytes"
    );
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(FrameError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        self.take(N)?.try_into().map_err(|_| FrameError::Truncated)
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<&'a str, FrameError> {
        let len = u16::from_le_bytes(self.array()?);
        std::str::from_utf8(self.take(usize::from(len))?).map_err(|_| FrameError::NotUtf8)
    }
}

/// A publication kept in memory, shared by all sessions that wait for it: one allocation, which is the
/// frame and behind it the time when it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored(std::rc::Rc<[u8]>);

/// Bytes of the time behind a kept frame.
const KEPT_AT_BYTES: usize = 8;

impl Stored {
    /// Copies the publication at `now_ms`, Unix milliseconds.
    pub fn new(publication: &Publication<'_>, now_ms: u64) -> Stored {
        Stored::laid_out_in(&mut Vec::new(), publication, now_ms)
    }

    /// The same by way of a buffer that is used again and again: the kept copy is then the only memory
    /// that is asked for.
    pub(crate) fn laid_out_in(
        buffer: &mut Vec<u8>,
        publication: &Publication<'_>,
        now_ms: u64,
    ) -> Stored {
        buffer.clear();
        buffer.reserve(publication.frame_len() + KEPT_AT_BYTES);
        publication.append_to(buffer);
        buffer.extend_from_slice(&now_ms.to_le_bytes());
        Stored(buffer.as_slice().into())
    }

    /// Takes over a frame that has come from elsewhere, at `now_ms`, Unix milliseconds.
    ///
    /// # Errors
    /// [`FrameError`] when `frame` is not exactly one frame.
    pub fn from_frame(frame: &[u8], now_ms: u64) -> Result<Stored, FrameError> {
        let (publication, rest) = Publication::parse(frame)?;
        if !rest.is_empty() {
            return Err(FrameError::Truncated);
        }
        Ok(Stored::new(&publication, now_ms))
    }

    /// The frame with its length prefix.
    pub fn frame(&self) -> &[u8] {
        &self.0[..self.0.len() - KEPT_AT_BYTES]
    }

    /// Tells whether two are the same allocation, as long as both live.
    pub fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// When this node began to keep it, Unix milliseconds.
    pub fn kept_at_ms(&self) -> u64 {
        let (_, kept_at) = self.0.split_at(self.0.len() - KEPT_AT_BYTES);
        kept_at.try_into().map_or(0, u64::from_le_bytes)
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        Origin::from_bits(self.0[LENGTH_PREFIX_BYTES] >> ORIGIN_SHIFT).unwrap_or(Origin::Client)
    }

    /// The view of it.
    pub fn publication(&self) -> Publication<'_> {
        match Publication::parse(self.frame()) {
            Ok((publication, _)) => publication,
            // Both constructors have proved that the bytes are one frame.
            Err(error) => unreachable!("a stored publication is a frame: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample<'a>(
        topic: &'a str,
        payload: &'a [u8],
        target: Option<Target<'a>>,
    ) -> Publication<'a> {
        Publication {
            topic,
            payload,
            properties: b"\x01\x01",
            qos: QoS::AtLeastOnce,
            retain: true,
            expiry: Some(Expiry {
                seconds: 7,
                received_at_ms: 1_000,
            }),
            origin: Origin::Will,
            publisher: "p",
            target,
        }
    }

    #[test]
    fn a_frame_reads_back_as_what_was_written() {
        let target = Target {
            client_id: "member",
            options: 2,
            subscription_id: 9,
        };
        for target in [None, Some(target)] {
            let publication = sample("a/b", b"hello", target);
            let mut bytes = vec![];
            publication.append_to(&mut bytes);
            assert_eq!(bytes.len(), publication.frame_len());
            bytes.extend_from_slice(b"next");
            assert_eq!(Publication::parse(&bytes), Ok((publication, &b"next"[..])));
        }
    }

    #[test]
    fn every_truncation_of_a_frame_is_an_error() {
        let mut bytes = vec![];
        sample("a/b", b"", None).append_to(&mut bytes);
        for end in 0..bytes.len() {
            assert!(Publication::parse(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_message_expires_when_its_seconds_are_over() {
        let expiry = Expiry {
            seconds: 2,
            received_at_ms: 10_000,
        };
        assert_eq!(expiry.remaining_seconds(10_999), Some(2));
        assert_eq!(expiry.remaining_seconds(11_000), Some(1));
        assert_eq!(expiry.remaining_seconds(12_000), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Publication::parse(&bytes);
        }
    }
}
