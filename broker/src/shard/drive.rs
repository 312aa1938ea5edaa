//! A connection's task: waits until its socket can be read, and lets the shard do the rest.
//!
//! The task holds nothing but its place; bytes are read into the shard's one buffer and decoded
//! there, so an idle connection has no buffer. After a short read the readiness is cleared by hand,
//! which saves the system call that would only say "nothing there".

use super::{
    READ_BUFFER_BYTES, Shard, ShardRef,
    connection::{Connection, ConnectionId},
    packets::Next,
    slots::SlotKey,
};
use crate::{listener::Tickets, transport::Transport};
use raftmq_api::counters::Metric;
use raftmq_mqtt::codec::ReasonCode;
use std::{
    io::ErrorKind,
    rc::Rc,
    task::{Context, Poll},
};

/// Full reads in a row before the other connections get their turn.
const READS_PER_TURN_MAX: usize = 8;

/// Bytes read at once from a client whose messages or bytes are counted.
const LIMITED_READ_BYTES: usize = 32 * 1024;

/// Runs until the connection is closed by either side.
pub(super) async fn drive(
    shard: ShardRef,
    key: SlotKey,
    id: ConnectionId,
    stream: Rc<Transport>,
    tickets: Tickets,
) {
    let _tickets = tickets;
    std::future::poll_fn(|cx| shard.borrow_mut().poll_connection(key, id, &stream, cx)).await;
}

/// What one read brought.
enum Read {
    /// Whatever there was.
    Done,
    Closed,
}

impl Shard {
    /// The slot's connection, if it is still the one that is meant.
    pub(super) fn connection_of(
        &mut self,
        key: SlotKey,
        id: ConnectionId,
    ) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(key)?.connection.as_deref_mut()?;
        (connection.id == id).then_some(connection)
    }

    fn poll_connection(
        &mut self,
        key: SlotKey,
        id: ConnectionId,
        stream: &Transport,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.begin_turn();
        let Some(connection) = self.connection_of(key, id) else {
            return Poll::Ready(());
        };
        // Of a client that is counted not much more is read at once than it may send.
        let room = match connection.rate {
            Some(_) => LIMITED_READ_BYTES,
            None => READ_BUFFER_BYTES,
        };
        if connection
            .waker
            .as_ref()
            .is_none_or(|w| !w.will_wake(cx.waker()))
        {
            connection.waker = Some(cx.waker().clone());
        }
        if connection.blocked && stream.poll_write_ready(cx).is_ready() {
            self.unblock(key);
        }
        if self.take_up_backlog(key, id).is_break() {
            return self.pending_or_gone(key, id);
        }
        for _ in 0..READS_PER_TURN_MAX {
            match stream.poll_read_ready(cx) {
                Poll::Pending => return self.pending_or_gone(key, id),
                Poll::Ready(Err(error)) => {
                    self.lost(key, &format!("read: {error}"));
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(())) => {}
            }
            match self.read(key, id, stream, room) {
                Read::Closed => return Poll::Ready(()),
                Read::Done => {}
            }
            match self.connection_of(key, id) {
                None => return Poll::Ready(()),
                Some(connection) if connection.paused => return Poll::Pending,
                Some(_) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn pending_or_gone(&mut self, key: SlotKey, id: ConnectionId) -> Poll<()> {
        match self.connection_of(key, id) {
            Some(_) => Poll::Pending,
            None => Poll::Ready(()),
        }
    }

    /// The socket takes bytes again.
    fn unblock(&mut self, key: SlotKey) {
        if let Some(connection) = self
            .slots
            .get_mut(key)
            .and_then(|s| s.connection.as_deref_mut())
        {
            connection.blocked = false;
        }
        self.write(key);
        self.pump(key);
    }

    /// Packets that came with CONNECT or before a pause. `Break`: nothing is to be read now.
    fn take_up_backlog(&mut self, key: SlotKey, id: ConnectionId) -> std::ops::ControlFlow<()> {
        use std::ops::ControlFlow::{Break, Continue};
        match self.connection_of(key, id) {
            None => return Break(()),
            Some(connection) if connection.paused => return Break(()),
            Some(connection) if connection.partial.is_empty() => return Continue(()),
            Some(_) => {}
        }
        self.feed(key, id, &[]);
        match self.connection_of(key, id) {
            Some(connection) if !connection.paused => Continue(()),
            _ => Break(()),
        }
    }

    fn read(&mut self, key: SlotKey, id: ConnectionId, stream: &Transport, room: usize) -> Read {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        let read = match stream.try_read(&mut buffer[..room]) {
            Ok(0) => {
                self.lost(key, "closed by the client");
                Read::Closed
            }
            Ok(n) => {
                self.feed(key, id, &buffer[..n]);
                Read::Done
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Read::Done,
            Err(error) => {
                self.lost(key, &format!("read: {error}"));
                Read::Closed
            }
        };
        self.read_buffer = buffer;
        if !stream.is_flushed() {
            self.flush_later(key, id);
        }
        read
    }

    /// What a layer has to say, and the socket has not taken, goes on when it takes something again.
    fn flush_later(&mut self, key: SlotKey, id: ConnectionId) {
        if let Some(connection) = self.connection_of(key, id) {
            connection.blocked = true;
            connection.wake();
        }
    }

    /// Bytes from the socket: handles the packets that are complete and keeps the rest.
    fn feed(&mut self, key: SlotKey, id: ConnectionId, bytes: &[u8]) {
        let now = self.clock.seconds();
        let Some(connection) = self.connection_of(key, id) else {
            return;
        };
        connection.heard_at = now;
        if let Some(rate) = &mut connection.rate {
            rate.took_bytes(bytes.len());
        }
        let mut partial = std::mem::take(&mut connection.partial);
        let (used, next) = if partial.is_empty() {
            let (used, next) = self.packets(key, id, bytes);
            partial.extend_from_slice(&bytes[used..]);
            (0, next)
        } else {
            partial.extend_from_slice(bytes);
            self.packets(key, id, &partial)
        };
        partial.drain(..used);
        if partial.is_empty() {
            partial = Vec::new();
        }
        let Some(connection) = self.connection_of(key, id) else {
            return;
        };
        connection.partial = partial;
        let is_limited = connection.rate.is_some();
        match next {
            Next::More if is_limited && self.is_throttled(key, id) => self.throttle(key, id),
            Next::More => {}
            Next::Throttle => self.throttle(key, id),
            Next::Pause => self.pause(key, id),
            Next::Close(reason, why) => self.close(key, reason, &why),
            Next::Goodbye {
                discard_will,
                expiry_seconds,
            } => self.goodbye(key, discard_will, expiry_seconds),
        }
    }

    /// Whether the client has sent what it may for now.
    pub(super) fn is_throttled(&mut self, key: SlotKey, id: ConnectionId) -> bool {
        let now = self.clock.now;
        self.connection_of(key, id)
            .and_then(|connection| connection.rate.as_mut())
            .is_some_and(|rate| !rate.may_read(now))
    }

    fn throttle(&mut self, key: SlotKey, id: ConnectionId) {
        self.counters.add(Metric::ClientThrottled, 1);
        self.pause(key, id);
    }

    /// Reads nothing from this connection until the ticker finds that it can go on.
    fn pause(&mut self, key: SlotKey, id: ConnectionId) {
        let Some(connection) = self.connection_of(key, id) else {
            return;
        };
        if !std::mem::replace(&mut connection.paused, true) {
            self.paused.push((key, id));
            if let Some(ticker) = self.pause_ticker.take() {
                ticker.wake();
            }
        }
    }

    /// A rule was broken, or the server ends the connection: says why and closes.
    pub(super) fn close(&mut self, key: SlotKey, reason: ReasonCode, why: &str) {
        if let Some(slot) = self.slots.get(key) {
            tracing::debug!(client_id = %slot.client_id, ?reason, why, "connection closed by the broker");
        }
        self.end_connection(
            key,
            super::depart::End::Broker {
                reason,
                why: why.to_owned(),
            },
        );
    }
}
