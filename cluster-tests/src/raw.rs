//! A client that sends what it is told to, right or wrong, and times answers to the byte.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::within;

/// Packets as bytes; only what the tests send.
pub mod packet {
    /// CONNECT for MQTT 3.1.1 (`level` 4) or 5 (`level` 5). MQTT 5 gets a Session Expiry Interval of an hour
    /// unless `clean`.
    #[must_use]
    pub fn connect(level: u8, id: &str, clean: bool, keep_alive_seconds: u16) -> Vec<u8> {
        let mut body = string("MQTT");
        body.extend([level, if clean { 0b10 } else { 0 }]);
        body.extend(keep_alive_seconds.to_be_bytes());
        match (level, clean) {
            (5, true) => body.push(0),
            (5, false) => body.extend([5, 0x11, 0, 0, 0x0E, 0x10]),
            _ => {}
        }
        body.extend(string(id));
        framed(0x10, &body)
    }

    /// SUBSCRIBE to one filter.
    #[must_use]
    pub fn subscribe(level: u8, packet_id: u16, filter: &str, options: u8) -> Vec<u8> {
        let mut body = packet_id.to_be_bytes().to_vec();
        if level == 5 {
            body.push(0);
        }
        body.extend(string(filter));
        body.push(options);
        framed(0x82, &body)
    }

    /// PUBLISH, DUP and RETAIN clear.
    #[must_use]
    pub fn publish(level: u8, topic: &str, qos: u8, packet_id: u16, payload: &[u8]) -> Vec<u8> {
        let mut body = string(topic);
        if qos > 0 {
            body.extend(packet_id.to_be_bytes());
        }
        if level == 5 {
            body.push(0);
        }
        body.extend(payload);
        framed(0x30 | (qos << 1), &body)
    }

    /// PUBACK, PUBREC (0x50), PUBREL (0x62) or PUBCOMP (0x70), by the first byte.
    #[must_use]
    pub fn acknowledgement(first: u8, packet_id: u16) -> Vec<u8> {
        framed(first, &packet_id.to_be_bytes())
    }

    /// PINGREQ.
    pub const PINGREQ: [u8; 2] = [0xC0, 0];

    /// DISCONNECT.
    pub const DISCONNECT: [u8; 2] = [0xE0, 0];

    /// A fixed header and a body of any length.
    #[must_use]
    pub fn framed(first: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![first];
        packet.extend(remaining_length(body.len()));
        packet.extend(body);
        packet
    }

    /// The Variable Byte Integer (MQTT 5 §1.5.5).
    #[must_use]
    pub fn remaining_length(mut length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = (length % 128) as u8;
            length /= 128;
            bytes.push(if length > 0 { low | 0x80 } else { low });
            if length == 0 {
                return bytes;
            }
        }
    }

    /// A UTF-8 Encoded String (MQTT 5 §1.5.4).
    ///
    /// # Panics
    /// Above 65,535 bytes.
    #[must_use]
    pub fn string(text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len()).expect("a short string");
        [&length.to_be_bytes(), text.as_bytes()].concat()
    }
}

/// A packet as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The first byte: packet type and flags.
    pub first: u8,
    /// What follows the fixed header.
    pub body: Bytes,
}

impl Frame {
    /// MQTT Control Packet type, 1 to 15.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// Reason code of a CONNACK (second byte of the body).
    ///
    /// # Panics
    /// When it is no CONNACK.
    #[must_use]
    pub fn connack_code(&self) -> u8 {
        assert_eq!(self.kind(), 2, "CONNACK expected: {self:?}");
        self.body[1]
    }

    /// Reason code of a DISCONNECT; without one it is 0 (MQTT 5 §3.14.2.1).
    ///
    /// # Panics
    /// When it is no DISCONNECT.
    #[must_use]
    pub fn disconnect_code(&self) -> u8 {
        assert_eq!(self.kind(), 14, "DISCONNECT expected: {self:?}");
        self.body.first().copied().unwrap_or(0)
    }
}

/// What a client's bytes can travel on.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection to a broker.
pub struct RawClient {
    stream: Box<dyn Stream>,
    received: BytesMut,
}

impl RawClient {
    /// Opens a TCP connection and sends nothing.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the broker listens");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self::over(stream)
    }

    /// Speaks MQTT on a stream that is there already, and sends nothing.
    #[must_use]
    pub fn over(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            received: BytesMut::new(),
        }
    }

    /// Sends CONNECT and waits for the CONNACK.
    ///
    /// # Panics
    /// When it does not accept, or none comes within [`crate::SOON`].
    pub async fn connected(mut self, level: u8, id: &str) -> Self {
        self.send(&packet::connect(level, id, true, 30)).await;
        let connack = self.next_frame(crate::SOON).await.expect("a CONNACK");
        assert_eq!(connack.connack_code(), 0, "{id}: {connack:?}");
        self
    }

    /// Opens, sends CONNECT and waits for the CONNACK, whatever it says.
    ///
    /// # Panics
    /// When none comes within [`crate::SOON`].
    pub async fn connect(address: SocketAddr, level: u8, id: &str, clean: bool) -> (Self, Frame) {
        let mut client = Self::open(address).await;
        client.send(&packet::connect(level, id, clean, 30)).await;
        let connack = client.next_frame(crate::SOON).await.expect("a CONNACK");
        (client, connack)
    }

    /// As [`RawClient::connect`], for a broker that may not be there.
    pub async fn try_connect(
        address: SocketAddr,
        level: u8,
        id: &str,
        clean: bool,
    ) -> Option<(Self, Frame)> {
        let stream = TcpStream::connect(address).await.ok()?;
        let mut client = Self {
            stream: Box::new(stream),
            received: BytesMut::new(),
        };
        client.send(&packet::connect(level, id, clean, 30)).await;
        let connack = client.frame_within(crate::SOON).await?;
        Some((client, connack))
    }

    /// Sends bytes. That the broker has closed already is no error: the answer tells.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _closed = self.stream.write_all(bytes).await;
    }

    /// Sends bytes and tells whether the socket took them all before the deadline.
    pub async fn try_send(&mut self, bytes: &[u8], deadline: Duration) -> bool {
        let sent = tokio::time::timeout(deadline, self.stream.write_all(bytes)).await;
        matches!(sent, Ok(Ok(())))
    }

    /// The next packet; `None` when the broker closed the connection.
    ///
    /// # Panics
    /// When neither happened before the deadline.
    pub async fn next_frame(&mut self, deadline: Duration) -> Option<Frame> {
        within(
            "a packet or the end of the connection",
            deadline,
            self.frame_or_end(),
        )
        .await
    }

    /// The next packet if one came before the deadline.
    pub async fn frame_within(&mut self, deadline: Duration) -> Option<Frame> {
        tokio::time::timeout(deadline, self.frame_or_end())
            .await
            .ok()
            .flatten()
    }

    /// Everything until the broker closes the connection.
    ///
    /// # Panics
    /// When it does not before the deadline.
    pub async fn frames_until_closed(&mut self, deadline: Duration) -> Vec<Frame> {
        within("the end of the connection", deadline, async {
            let mut frames = Vec::new();
            while let Some(frame) = self.frame_or_end().await {
                frames.push(frame);
            }
            frames
        })
        .await
    }

    async fn frame_or_end(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let (&first, rest) = self.received.split_first()?;
        let mut length = 0;
        for (index, byte) in rest.iter().take(4).enumerate() {
            length |= usize::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                return self.take_body(first, index + 2, length);
            }
        }
        None
    }

    fn take_body(&mut self, first: u8, header: usize, length: usize) -> Option<Frame> {
        if self.received.len() < header + length {
            return None;
        }
        self.received.advance(header);
        Some(Frame {
            first,
            body: self.received.split_to(length).freeze(),
        })
    }
}
