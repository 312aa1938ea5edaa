//! A TCP socket with TLS, WebSocket, or WebSocket over TLS upon it, driven by hand.
//!
//! Everything happens in the caller's buffer: ciphertext is read into its upper part, plaintext comes to lie at its
//! beginning, and frames are taken off in place. Between two reads nothing decoded is left in a layer (rustls holds
//! part of a record at most), so readiness of the socket is readiness of the stream, and an idle connection holds
//! no buffer of ours (rustls keeps 4 KiB for the next record). Writing takes at most [`WRITE_BYTES_MAX`] at a time, and nothing while bytes of before wait, which is
//! the bound of what a layer holds for a slow reader.

use super::{
    nothing_there,
    websocket::{
        Control, Decoder,
        frame::{self, NORMAL_CLOSURE},
    },
};
use rustls::ServerConnection;
use std::{
    cell::RefCell,
    io::{self, ErrorKind, IoSlice, Read, Write},
    task::{Context, Poll},
};
use tokio::{io::Interest, net::TcpStream};

/// Plaintext that one TLS record can hold back, in bytes, with a margin (RFC 8446 §5.1: 2^14).
const RECORD_BYTES_MAX: usize = 20 * 1024;
/// Bytes that a buffer has at least to be read into.
pub(super) const READ_ROOM_BYTES: usize = 32 * 1024;
/// Bytes that a layer takes to be written at once.
const WRITE_BYTES_MAX: usize = 32 * 1024;

/// The socket, and what is upon it. Used by one thread; never borrowed across an await.
pub(crate) struct Layered {
    socket: TcpStream,
    layers: RefCell<Layers>,
}

/// The layers without their socket.
pub(crate) struct Layers {
    tls: Option<Box<ServerConnection>>,
    websocket: Option<Decoder>,
    /// Without TLS: frames that the socket has not taken.
    out: Vec<u8>,
    /// The client has said, in a layer's own words, that nothing more comes.
    is_over: bool,
}

impl Layers {
    pub fn plain() -> Layers {
        Layers {
            tls: None,
            websocket: None,
            out: Vec::new(),
            is_over: false,
        }
    }

    pub fn tls(tls: ServerConnection) -> Layers {
        Layers {
            tls: Some(Box::new(tls)),
            ..Layers::plain()
        }
    }

    /// `buffer[from..to]` is as it came from the socket. Returns the bytes of MQTT, at its beginning.
    fn take_in(&mut self, buffer: &mut [u8], from: usize, to: usize) -> io::Result<usize> {
        let n = match &mut self.tls {
            Some(tls) => {
                let (n, is_over) = decrypt(tls, buffer, from, to)?;
                self.is_over |= is_over;
                n
            }
            None => to,
        };
        self.unframe(&mut buffer[..n])
    }

    /// Takes the frames off what came out of TLS, or off the socket when there is none.
    fn unframe(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(websocket) = &mut self.websocket else {
            return Ok(bytes.len());
        };
        let mut controls = Vec::new();
        let decoded = websocket.decode(bytes, |control| controls.push(control));
        match decoded {
            Ok(n) => {
                controls.into_iter().for_each(|control| self.obey(control));
                Ok(n)
            }
            Err(error) => {
                self.push(&frame::close(error.status()));
                Err(io::Error::new(ErrorKind::InvalidData, error))
            }
        }
    }

    fn obey(&mut self, control: Control) {
        match control {
            // A client that pings and does not read is answered when it has read (RFC 6455 §5.5.3: the
            // latest ping may stand for those before).
            Control::Ping(_) if !self.is_flushed() => {}
            Control::Ping(payload) => self.push(&frame::pong(&payload)),
            Control::Close => self.say_closed(),
        }
    }

    /// The layers' good-bye, once.
    fn say_closed(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        if self.websocket.is_some() {
            self.push(&frame::close(NORMAL_CLOSURE));
        }
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
    }

    /// Bytes as they lie below WebSocket.
    fn push(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            // Without a limit of its own it takes everything; the bound is that of `try_write`.
            Some(tls) => drop(tls.writer().write(bytes)),
            None => self.out.extend_from_slice(bytes),
        }
    }

    fn push_mqtt(&mut self, bytes: &[u8]) {
        if self.websocket.is_none() {
            return self.push(bytes);
        }
        let header = frame::binary_header(bytes.len());
        match &mut self.tls {
            // Together, so that they share a record.
            Some(tls) => {
                let parts = [IoSlice::new(header.as_slice()), IoSlice::new(bytes)];
                drop(tls.writer().write_vectored(&parts));
            }
            None => {
                self.out
                    .reserve_exact(header.as_slice().len() + bytes.len());
                self.out.extend_from_slice(header.as_slice());
                self.out.extend_from_slice(bytes);
            }
        }
    }

    fn is_flushed(&self) -> bool {
        self.out.is_empty() && self.tls.as_ref().is_none_or(|tls| !tls.wants_write())
    }

    fn flush(&mut self, socket: &TcpStream) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            return flush_tls(tls, socket);
        }
        let mut sent = 0;
        let result = loop {
            if sent == self.out.len() {
                break Ok(());
            }
            match socket.try_write(&self.out[sent..]) {
                Ok(n) => sent += n,
                Err(error) => break Err(error),
            }
        };
        self.out.drain(..sent);
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        result
    }
}

/// Sends what TLS has to send.
///
/// # Errors
/// `WouldBlock`: the rest waits. Otherwise the socket failed.
pub(super) fn flush_tls(tls: &mut ServerConnection, socket: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut Outlet(socket))?;
    }
    Ok(())
}

/// A socket as rustls wants to write to it.
struct Outlet<'s>(&'s TcpStream);

impl Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `buffer[at..end]` is ciphertext, with [`RECORD_BYTES_MAX`] of room before it. Plaintext comes to lie at the
/// beginning: there is never more of it than ciphertext that was consumed, and one record that was held back.
/// Returns how much it is, and whether the client has said that it is all.
fn decrypt(
    tls: &mut ServerConnection,
    buffer: &mut [u8],
    mut at: usize,
    end: usize,
) -> io::Result<(usize, bool)> {
    let mut out = 0;
    let mut is_over = false;
    while at < end && !is_over {
        at += tls.read_tls(&mut &buffer[at..end])?;
        let state = tls
            .process_new_packets()
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        is_over = state.peer_has_closed();
        let mut left = state.plaintext_bytes_to_read();
        while left > 0 {
            let n = tls.reader().read(&mut buffer[out..at])?;
            out += n;
            left = left.saturating_sub(n.max(1));
        }
    }
    Ok((out, is_over))
}

impl Layered {
    pub fn new(socket: TcpStream, layers: Layers) -> Layered {
        Layered {
            socket,
            layers: RefCell::new(layers),
        }
    }

    pub fn with_websocket(self) -> Layered {
        self.layers.borrow_mut().websocket = Some(Decoder::new());
        self
    }

    pub fn into_parts(self) -> (TcpStream, Layers) {
        (self.socket, self.layers.into_inner())
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing more comes from the socket, and that has to be found out by reading.
        if self.layers.borrow().is_over {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_read_ready(cx)
    }

    /// As [`Transport::try_read`](super::Transport::try_read).
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        debug_assert!(buffer.len() >= READ_ROOM_BYTES);
        let mut layers = self.layers.borrow_mut();
        if layers.is_over {
            return Ok(0);
        }
        let from = layers.tls.as_ref().map_or(0, |_| RECORD_BYTES_MAX);
        let n = self.socket.try_read(&mut buffer[from..])?;
        if n == 0 {
            return Ok(0);
        }
        if from + n < buffer.len() {
            let _ = self.socket.try_io(Interest::READABLE, nothing_there);
        }
        let taken = layers.take_in(buffer, from, from + n);
        // Alerts, tickets, pongs. What the socket does not take now, the next write does.
        match layers.flush(&self.socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        match taken? {
            0 if !layers.is_over => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }

    /// Frames that came right behind the opening handshake. Returns the bytes of MQTT in them.
    pub fn unframe(&self, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let n = self.layers.borrow_mut().unframe(&mut bytes)?;
        bytes.truncate(n);
        Ok(bytes)
    }

    /// As [`Transport::try_write`](super::Transport::try_write).
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut layers = self.layers.borrow_mut();
        layers.flush(&self.socket)?;
        let n = bytes.len().min(WRITE_BYTES_MAX);
        if n == 0 {
            return Ok(0);
        }
        layers.push_mqtt(&bytes[..n]);
        match layers.flush(&self.socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(n),
        }
    }

    pub fn is_flushed(&self) -> bool {
        self.layers.borrow().is_flushed()
    }

    pub fn say_closed(&self) {
        self.layers.borrow_mut().say_closed();
    }
}
