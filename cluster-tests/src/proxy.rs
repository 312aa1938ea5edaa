//! The network between two nodes, one direction of connecting, under the test's control.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Chunks under way in one direction of one connection; then reading waits, as behind a full pipe.
const CHUNKS_MAX: usize = 1_024;

/// Size of one chunk, bytes.
const CHUNK_BYTES: usize = 16 << 10;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Forwards at once.
    Open,
    /// Forwards everything this much later, in order.
    Delayed(Duration),
    /// Ends connections and refuses new ones.
    Cut,
    /// Keeps and takes connections and forwards nothing; what was held back goes on when it opens again,
    /// as TCP would repeat it.
    BlackHole,
}

/// A TCP proxy by which one node reaches another. Ends when dropped.
pub struct Link {
    state: watch::Sender<LinkState>,
    task: tokio::task::AbortHandle,
}

impl Link {
    /// Takes connections at `listen` and forwards them to `target`.
    #[must_use]
    pub fn start(listen: SocketAddr, target: SocketAddr) -> Self {
        let (state, watched) = watch::channel(LinkState::Open);
        let task = tokio::spawn(serve(listen, target, watched)).abort_handle();
        Self { state, task }
    }

    /// Changes what the network does, for connections that exist and for new ones.
    pub fn set(&self, state: LinkState) {
        self.state.send_replace(state);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listen: SocketAddr, target: SocketAddr, mut state: watch::Receiver<LinkState>) {
    let mut connections = JoinSet::new();
    loop {
        wait_until(&mut state, |state| state != LinkState::Cut).await;
        let listener = TcpListener::bind(listen)
            .await
            .expect("the link's own address");
        loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, target, state.clone()));
                },
                () = wait_until(&mut state, |state| state == LinkState::Cut) => break,
            }
            while connections.try_join_next().is_some() {}
        }
        connections.shutdown().await;
    }
}

async fn connection(inbound: TcpStream, target: SocketAddr, mut state: watch::Receiver<LinkState>) {
    wait_until(&mut state, |state| state != LinkState::BlackHole).await;
    let Ok(outbound) = TcpStream::connect(target).await else {
        return;
    };
    let _nodelay = (inbound.set_nodelay(true), outbound.set_nodelay(true));
    let (inbound_read, inbound_write) = inbound.into_split();
    let (outbound_read, outbound_write) = outbound.into_split();
    tokio::select! {
        () = pipe(inbound_read, outbound_write, state.clone()) => {}
        () = pipe(outbound_read, inbound_write, state.clone()) => {}
    }
}

/// Reading and writing are apart, so that a delay does not limit how much is under way.
async fn pipe(read: OwnedReadHalf, write: OwnedWriteHalf, state: watch::Receiver<LinkState>) {
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    tokio::join!(
        read_chunks(read, sender, state.clone()),
        write_chunks(write, chunks, state)
    );
}

async fn read_chunks(
    mut from: OwnedReadHalf,
    chunks: mpsc::Sender<(Instant, Bytes)>,
    state: watch::Receiver<LinkState>,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK_BYTES);
        match from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let delay = match *state.borrow() {
            LinkState::Delayed(delay) => delay,
            _ => Duration::ZERO,
        };
        if chunks
            .send((Instant::now() + delay, buffer.split().freeze()))
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn write_chunks(
    mut to: OwnedWriteHalf,
    mut chunks: mpsc::Receiver<(Instant, Bytes)>,
    mut state: watch::Receiver<LinkState>,
) {
    while let Some((due, chunk)) = chunks.recv().await {
        tokio::time::sleep_until(due).await;
        wait_until(&mut state, |state| state != LinkState::BlackHole).await;
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

/// Never returns when the link is gone; its tasks are ended with it.
async fn wait_until(
    state: &mut watch::Receiver<LinkState>,
    wanted: impl FnMut(LinkState) -> bool + Copy,
) {
    let mut wanted = wanted;
    if state.wait_for(|state| wanted(*state)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Loopback;

    async fn echo(listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.ok();
            });
        }
    }

    async fn linked_echo() -> (Loopback, Link) {
        let address = Loopback::reserve();
        tokio::spawn(echo(TcpListener::bind(address.port(20_001)).await.unwrap()));
        let link = Link::start(address.port(20_002), address.port(20_001));
        (address, link)
    }

    async fn open(address: &Loopback) -> TcpStream {
        let at = address.port(20_002);
        crate::eventually("the link listens", crate::SOON, async || {
            TcpStream::connect(at)
                .await
                .map_err(|error| error.to_string())
        })
        .await
    }

    async fn round_trip(stream: &mut TcpStream) -> Duration {
        let started = Instant::now();
        stream.write_all(b"x").await.unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).await.unwrap();
        started.elapsed()
    }

    #[tokio::test]
    async fn a_delayed_link_delays_each_direction() {
        let (address, link) = linked_echo().await;
        let mut stream = open(&address).await;
        link.set(LinkState::Delayed(Duration::from_millis(50)));
        assert!(round_trip(&mut stream).await >= Duration::from_millis(100));
    }

    #[tokio::test]
    async fn a_cut_link_ends_connections_and_refuses_new_ones() {
        let (address, link) = linked_echo().await;
        let mut stream = open(&address).await;
        round_trip(&mut stream).await;
        link.set(LinkState::Cut);
        let mut rest = Vec::new();
        let _end_or_reset = stream.read_to_end(&mut rest).await;
        crate::eventually("refusal", crate::SOON, async || {
            let refused = TcpStream::connect(address.port(20_002)).await.is_err();
            if refused {
                Ok(())
            } else {
                Err("connected".into())
            }
        })
        .await;
        link.set(LinkState::Open);
        round_trip(&mut open(&address).await).await;
    }

    #[tokio::test]
    async fn a_black_hole_keeps_what_was_sent_until_it_opens() {
        let (address, link) = linked_echo().await;
        let mut stream = open(&address).await;
        round_trip(&mut stream).await;
        link.set(LinkState::BlackHole);
        let silent = tokio::time::timeout(Duration::from_millis(100), round_trip(&mut stream));
        assert!(silent.await.is_err());
        link.set(LinkState::Open);
        let mut answer = [0];
        stream.read_exact(&mut answer).await.unwrap();
    }
}
