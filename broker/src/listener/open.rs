//! Opening the sockets that are listened on. Each shard has one of its own for each address (SO_REUSEPORT), so
//! the kernel spreads new connections over the shards without a lock; a Unix socket has no such thing and
//! is shared.

use crate::config::{ListenerConfig, TransportKind};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    os::unix::{fs::FileTypeExt, net::UnixListener, net::UnixStream},
    path::Path,
};
use tokio::net::TcpSocket;

/// Connections that the kernel may hold back for us.
const BACKLOG: u32 = 4096;

/// What one shard accepts connections from.
pub enum Door {
    /// An address.
    Tcp(std::net::TcpListener),
    /// A path.
    Unix(UnixListener),
}

/// Opens one listener of an address that several shards share.
///
/// # Errors
/// What the operating system says, e.g. that the address is in use.
pub fn listen(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket_for(addr)?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Opens the first listener of an address: unlike [`listen`] it notices that another program has it.
///
/// # Errors
/// What the operating system says, e.g. that the address is in use.
pub fn listen_alone(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    // Bound without SO_REUSEPORT, which would share the port with whoever has it; then let go.
    let probe = socket_for(addr)?;
    probe.set_reuseaddr(true)?;
    probe.bind(addr)?;
    let addr = probe.local_addr()?;
    drop(probe);
    listen(addr)
}

fn socket_for(addr: SocketAddr) -> io::Result<TcpSocket> {
    if addr.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
}

/// Opens an address for so many shards.
///
/// # Errors
/// As [`listen_alone`].
pub fn tcp(addr: SocketAddr, shards: usize) -> io::Result<Vec<Door>> {
    let first = listen_alone(addr)?;
    let addr = first.local_addr()?;
    let mut doors = vec![Door::Tcp(first)];
    for _ in 1..shards {
        doors.push(Door::Tcp(listen(addr)?));
    }
    Ok(doors)
}

/// Opens a Unix socket for so many shards. One that a process left behind that is gone is replaced.
///
/// # Errors
/// What the operating system says, or that somebody listens there.
pub fn unix(path: &Path, shards: usize) -> io::Result<Vec<Door>> {
    remove_leftover(path)?;
    let first = UnixListener::bind(path)?;
    first.set_nonblocking(true)?;
    let mut doors = Vec::with_capacity(shards);
    for _ in 1..shards {
        doors.push(Door::Unix(first.try_clone()?));
    }
    doors.push(Door::Unix(first));
    Ok(doors)
}

/// What a listener of the configuration is opened as.
pub enum Opened {
    /// For each shard one.
    Doors(Vec<Door>),
    /// One socket of UDP.
    Quic(std::net::UdpSocket),
}

/// Opens a listener for so many shards.
///
/// # Errors
/// As [`tcp`] and [`unix`].
pub fn any(listener: &ListenerConfig, shards: usize) -> io::Result<Opened> {
    let addr = listener.addr.ok_or(ErrorKind::AddrNotAvailable);
    let path = listener
        .socket
        .as_deref()
        .ok_or(ErrorKind::AddrNotAvailable);
    Ok(match listener.transport {
        TransportKind::Unix => Opened::Doors(unix(path?, shards)?),
        TransportKind::Quic => Opened::Quic(std::net::UdpSocket::bind(addr?)?),
        _ => Opened::Doors(tcp(addr?, shards)?),
    })
}

/// The address of the first door.
pub fn address_of(doors: &[Door]) -> Option<SocketAddr> {
    match doors.first() {
        Some(Door::Tcp(listener)) => listener.local_addr().ok(),
        _ => None,
    }
}

fn remove_leftover(path: &Path) -> io::Result<()> {
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mqtt.sock");
        let doors = unix(&path, 3).expect("opened");
        assert_eq!(doors.len(), 3);
        let again = unix(&path, 1).map(|doors| doors.len());
        assert_eq!(
            again.map_err(|error| error.kind()),
            Err(ErrorKind::AddrInUse)
        );
        drop(doors);
        assert_eq!(unix(&path, 1).expect("replaced").len(), 1);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(unix(file.path(), 1).is_err());
        assert!(file.path().exists());
    }
}
