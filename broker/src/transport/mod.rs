//! What a client's bytes travel on: TCP, a Unix socket, TLS, WebSocket, WebSocket over TLS.
//!
//! The rest of a shard sees one type that it can read, write and wait for, and never learns which it is. Plain
//! sockets are variants of their own, so they cost what they always did; TLS and WebSocket are layers
//! over TCP ([`layered`]), worked by the connection's one task, with no task or buffer of their own. QUIC comes as
//! a Unix socket from a thread that speaks it ([`quic`]).
//!
//! | room | concern |
//! | --- | --- |
//! | [`layered`] | a TCP socket with TLS, WebSocket, or both |
//! | [`tls`] | certificates, their reload, the handshake, who a client's certificate names |
//! | [`websocket`] | opening handshake and frames, pure |
//! | [`quic`] | MQTT over QUIC streams |

mod layered;
pub(crate) mod quic;
pub(crate) mod tls;
mod websocket;

use layered::{Layered, Layers};
use rustls::ServerConnection;
use std::{
    io::{self, ErrorKind},
    net::Shutdown,
    task::{Context, Poll},
};
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
};

pub(crate) use websocket::upgrade;

/// A client's stream of MQTT bytes, in both directions.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    Layered(Box<Layered>),
}

/// A [`Transport`] on its way to another thread.
pub(crate) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
    Layered(std::net::TcpStream, Box<Layers>),
}

/// Room that a buffer needs to be read into, in bytes, while a CONNECT is awaited.
const CONNECT_READ_BYTES: usize = 1024;

impl Transport {
    /// TLS over a socket, after its handshake.
    pub fn tls(socket: TcpStream, tls: ServerConnection) -> Transport {
        Transport::Layered(Box::new(Layered::new(socket, Layers::tls(tls))))
    }

    /// The same stream in frames of WebSocket, of which the first `bytes` have come. Returns the bytes of MQTT in
    /// them, too.
    ///
    /// # Errors
    /// It is none over which WebSocket is spoken, or the client broke a rule of frames.
    pub fn into_websocket(self, bytes: Vec<u8>) -> io::Result<(Transport, Vec<u8>)> {
        let layered = match self {
            Transport::Tcp(socket) => Layered::new(socket, Layers::plain()),
            Transport::Layered(layered) => *layered,
            Transport::Unix(_) => return Err(ErrorKind::Unsupported.into()),
        };
        let layered = layered.with_websocket();
        let bytes = layered.unframe(bytes)?;
        Ok((Transport::Layered(Box::new(layered)), bytes))
    }

    /// Whether there may be something to be read.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(socket) => socket.poll_read_ready(cx),
            Transport::Unix(socket) => socket.poll_read_ready(cx),
            Transport::Layered(layered) => layered.poll_read_ready(cx),
        }
    }

    /// Whether there may be room for something to be written.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(socket) => socket.poll_write_ready(cx),
            Transport::Unix(socket) => socket.poll_write_ready(cx),
            Transport::Layered(layered) => layered.socket().poll_write_ready(cx),
        }
    }

    /// Waits for [`poll_read_ready`](Self::poll_read_ready).
    pub async fn readable(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_read_ready(cx)).await
    }

    /// Waits for [`poll_write_ready`](Self::poll_write_ready).
    pub async fn writable(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_write_ready(cx)).await
    }

    /// Reads what is there; `buffer` has at least [`read_room`](Self::read_room) bytes. When that was all, the
    /// readiness is cleared by hand, which saves the system call that would only say "nothing there".
    ///
    /// # Errors
    /// `WouldBlock`: nothing for now. Otherwise the socket failed, or the client broke a rule of a layer.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(socket) => {
                let n = socket.try_read(buffer)?;
                if n < buffer.len() && n > 0 {
                    let _ = socket.try_io(Interest::READABLE, nothing_there);
                }
                Ok(n)
            }
            Transport::Unix(socket) => {
                let n = socket.try_read(buffer)?;
                if n < buffer.len() && n > 0 {
                    let _ = socket.try_io(Interest::READABLE, nothing_there);
                }
                Ok(n)
            }
            Transport::Layered(layered) => layered.try_read(buffer),
        }
    }

    /// Bytes that a buffer for [`try_read`](Self::try_read) has at least.
    pub fn read_room(&self) -> usize {
        match self {
            Transport::Tcp(_) | Transport::Unix(_) => CONNECT_READ_BYTES,
            Transport::Layered(_) => layered::READ_ROOM_BYTES,
        }
    }

    /// Writes what is taken now. What a layer has taken may still wait in it: see
    /// [`is_flushed`](Self::is_flushed).
    ///
    /// # Errors
    /// `WouldBlock`: nothing for now. Otherwise the socket failed.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(socket) => socket.try_write(bytes),
            Transport::Unix(socket) => socket.try_write(bytes),
            Transport::Layered(layered) => layered.try_write(bytes),
        }
    }

    /// Whether everything that was taken has reached the socket; [`try_write`](Self::try_write) goes on with it,
    /// also with no further bytes.
    pub fn is_flushed(&self) -> bool {
        match self {
            Transport::Tcp(_) | Transport::Unix(_) => true,
            Transport::Layered(layered) => layered.is_flushed(),
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// The socket failed.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() || !self.is_flushed() {
            self.writable().await?;
            match self.try_write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says in each layer's own words that nothing more comes, and closes our side.
    ///
    /// # Errors
    /// The socket failed; it is of no more use.
    pub async fn close_writing(&self) -> io::Result<()> {
        match self {
            Transport::Tcp(socket) => socket2::SockRef::from(socket).shutdown(Shutdown::Write),
            Transport::Unix(socket) => socket2::SockRef::from(socket).shutdown(Shutdown::Write),
            Transport::Layered(layered) => {
                layered.say_closed();
                self.write_all(&[]).await?;
                socket2::SockRef::from(layered.socket()).shutdown(Shutdown::Write)
            }
        }
    }

    /// Takes what arrives off the socket, whatever it means.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    pub fn try_discard(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Layered(layered) => layered.socket().try_read(buffer),
            plain => plain.try_read(buffer),
        }
    }

    /// Waits until [`try_discard`](Self::try_discard) may find something.
    pub async fn discardable(&self) -> io::Result<()> {
        match self {
            Transport::Layered(layered) => layered.socket().readable().await,
            plain => plain.readable().await,
        }
    }

    /// Address of our end, if it is one of IP.
    pub fn local_addr(&self) -> Option<std::net::SocketAddr> {
        match self {
            Transport::Tcp(socket) => socket.local_addr().ok(),
            Transport::Unix(_) => None,
            Transport::Layered(layered) => layered.socket().local_addr().ok(),
        }
    }

    /// Takes it off this thread's runtime.
    ///
    /// # Errors
    /// The socket failed.
    pub fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Transport::Tcp(socket) => Detached::Tcp(socket.into_std()?),
            Transport::Unix(socket) => Detached::Unix(socket.into_std()?),
            Transport::Layered(layered) => {
                let (socket, layers) = layered.into_parts();
                Detached::Layered(socket.into_std()?, Box::new(layers))
            }
        })
    }
}

impl Detached {
    /// Puts it on the runtime of the thread that calls.
    ///
    /// # Errors
    /// The socket failed.
    pub fn attach(self) -> io::Result<Transport> {
        Ok(match self {
            Detached::Tcp(socket) => Transport::Tcp(TcpStream::from_std(socket)?),
            Detached::Unix(socket) => Transport::Unix(UnixStream::from_std(socket)?),
            Detached::Layered(socket, layers) => {
                let socket = TcpStream::from_std(socket)?;
                Transport::Layered(Box::new(Layered::new(socket, *layers)))
            }
        })
    }
}

/// What clears a socket's readiness.
fn nothing_there() -> io::Result<()> {
    Err(ErrorKind::WouldBlock.into())
}
