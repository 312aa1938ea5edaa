//! A connection as packets: bytes that have come and wait to be read, bytes that wait to be sent, and the
//! keep alive. Every wait in here may be given up at any time without losing a byte.

use super::relay::Broken;
use bytes::{Buf, BytesMut};
use raftmq_mqtt::codec::{self, Disconnect, Packet, ReasonCode, Version, pingreq};
use std::{
    io,
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// Room for what is read at once, bytes.
const READ_BYTES: usize = 16 << 10;
/// How long the last words may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// A stream of bytes, whatever it travels on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One connection.
pub(super) struct Wire {
    pub incoming: Incoming,
    pub outgoing: Outgoing,
    version: Version,
    /// Zero: off.
    keep_alive: Duration,
    asked_at: Instant,
}

/// The half that is read.
pub(super) struct Incoming {
    stream: ReadHalf<Box<dyn Stream>>,
    bytes: BytesMut,
    packet_bytes_max: u32,
    heard_at: Instant,
}

/// The half that is written.
pub(super) struct Outgoing {
    stream: WriteHalf<Box<dyn Stream>>,
    bytes: BytesMut,
    is_flushed: bool,
}

impl Wire {
    /// `packet_bytes_max`: larger packets are not read.
    pub fn new(stream: Box<dyn Stream>, version: Version, packet_bytes_max: u32) -> Wire {
        let (reading, writing) = tokio::io::split(stream);
        let now = Instant::now();
        Wire {
            incoming: Incoming {
                stream: reading,
                bytes: BytesMut::new(),
                packet_bytes_max,
                heard_at: now,
            },
            outgoing: Outgoing {
                stream: writing,
                bytes: BytesMut::new(),
                is_flushed: true,
            },
            version,
            keep_alive: Duration::ZERO,
            asked_at: now,
        }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn set_keep_alive(&mut self, seconds: u16) {
        self.keep_alive = Duration::from_secs(seconds.into());
    }

    /// Hands the packets that are there to `read`, one after the other, as long as `goes_on` says so.
    ///
    /// # Errors
    /// They are none, or `read` says that the connection is of no use.
    pub fn packets<T>(
        &mut self,
        to: &mut T,
        goes_on: impl Fn(&T) -> bool,
        mut read: impl FnMut(&mut T, &Packet<'_>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let wrong = |error: codec::DecodeError| Broken(format!("no MQTT: {error}"));
        while goes_on(to) {
            let bytes = &mut self.incoming.bytes;
            let found = codec::frame(bytes, self.incoming.packet_bytes_max).map_err(wrong)?;
            let Some(frame) = found else { return Ok(()) };
            let packet = codec::decode(self.version, &frame).map_err(wrong)?;
            read(to, &packet)?;
            let len = frame.total_len;
            bytes.advance(len);
        }
        Ok(())
    }

    /// Asks whether the other side is there, when it is time.
    ///
    /// # Errors
    /// It has been silent for too long. `is_read`: what it says is read at once.
    pub fn tick(&mut self, now: Instant, is_read: bool) -> Result<(), Broken> {
        if self.keep_alive.is_zero() {
            return Ok(());
        }
        if !is_read {
            self.incoming.heard_at = now;
        }
        if now.saturating_duration_since(self.incoming.heard_at) > self.keep_alive * 3 / 2 {
            return Err(Broken("it does not answer within the keep alive".into()));
        }
        if now.saturating_duration_since(self.asked_at) >= self.keep_alive / 2 {
            self.asked_at = now;
            let mut ping = Vec::new();
            pingreq(&mut ping);
            self.outgoing.put(&mut ping);
        }
        Ok(())
    }

    /// Closes in good order. `forgets`: the session is to end, too (MQTT 5).
    pub async fn goodbye(mut self, forgets: bool) {
        let disconnect = Disconnect {
            session_expiry_interval: forgets.then_some(0),
            ..Disconnect::new(ReasonCode::Success)
        };
        let mut bytes = Vec::new();
        if disconnect
            .encode(self.version, u32::MAX, &mut bytes)
            .is_ok()
        {
            self.outgoing.put(&mut bytes);
        }
        let ending = async {
            while self.outgoing.has_more() {
                self.outgoing.send().await?;
            }
            self.outgoing.stream.shutdown().await
        };
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, ending).await;
    }
}

impl Incoming {
    /// Waits for bytes.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn receive(&mut self) -> io::Result<()> {
        self.bytes.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.bytes).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {
                self.heard_at = Instant::now();
                Ok(())
            }
        }
    }
}

impl Outgoing {
    /// Takes over what is to be sent.
    pub fn put(&mut self, bytes: &mut Vec<u8>) {
        self.bytes.extend_from_slice(bytes);
        bytes.clear();
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn has_more(&self) -> bool {
        !self.bytes.is_empty() || !self.is_flushed
    }

    /// Sends a part of it.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn send(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            self.stream.flush().await?;
            self.is_flushed = true;
            return Ok(());
        }
        let sent = self.stream.write(&self.bytes).await?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.bytes.advance(sent);
        self.is_flushed = false;
        Ok(())
    }
}
