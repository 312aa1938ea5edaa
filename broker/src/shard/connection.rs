//! One client's connection: its socket, what waits to be sent, and what the client can take.

use super::{exchange::Authentication, permission::ClientIdentity};
use crate::{
    gauges::Counted,
    listener::{Listener, client_rate::ClientRate},
    transport::Transport,
};
use raftmq_mqtt::{
    codec::Version,
    session::Wire,
    topic_alias::{InboundAliases, OutboundAliases},
};
use std::{collections::VecDeque, rc::Rc, sync::Arc, task::Waker};

/// Tells a connection from the others that its session had, or has next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(pub u64);

/// An established connection. Idle, it holds no buffer.
pub(crate) struct Connection {
    pub id: ConnectionId,
    pub stream: Rc<Transport>,
    /// Where it came in, and what it goes by.
    pub listener: Arc<Listener>,
    /// What the client may still send now, if that is limited.
    pub rate: Option<Box<ClientRate>>,
    /// Wakes the task that reads from the socket.
    pub waker: Option<Waker>,
    pub version: Version,
    /// Who the client is.
    pub identity: Box<ClientIdentity>,
    /// Deliveries with QoS 1 and 2 at a time.
    pub window: u16,
    pub max_packet_size: u32,
    pub congested_bytes: usize,
    /// Topic aliases that the client has set, from the first on.
    pub inbound_aliases: Option<Box<InboundAliases>>,
    /// Topic aliases towards a client that takes them.
    pub outbound_aliases: Option<Box<OutboundAliases>>,
    /// How the client has authenticated itself, if it exchanged AUTH packets.
    pub authentication: Option<Box<Authentication>>,
    /// Whether reason strings are sent [MQTT-3.1.2-29].
    pub wants_reason_strings: bool,
    /// Shows the connection in the gauge, until it is gone.
    pub _counted: Counted,
    /// Silence after which the client is gone, in seconds; 0: never [MQTT-3.1.2-22].
    pub silence_seconds_max: u32,
    /// When the last byte came, in seconds of the shard's clock.
    pub heard_at: u32,
    /// The beginning of a packet that is not complete, or packets that wait while paused.
    pub partial: Vec<u8>,
    /// Bytes to be sent, from `sent` on.
    pub out: Vec<u8>,
    pub sent: usize,
    /// Places in `out` from which on bytes wait for the journal.
    pub holds: VecDeque<Hold>,
    /// SUBSCRIBE and UNSUBSCRIBE packets that are not answered yet.
    pub requests: u16,
    /// In the list of connections to be written this turn.
    pub dirty: bool,
    /// The socket took less than there was: its task waits until it takes more.
    pub blocked: bool,
    /// Nothing is read for now.
    pub paused: bool,
}

/// From here on nothing is sent before the journal has got so far. There is at most one for each
/// chunk of the journal, and the bytes behind it count as unsent, so a client's out-buffer bounds it.
pub(crate) struct Hold {
    from: usize,
    position: u64,
}

/// How far writing got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Everything is sent.
    All,
    /// The rest waits for the journal.
    Held,
    /// The socket does not take more now.
    Blocked,
}

impl Connection {
    pub fn wire(&mut self) -> Wire<'_> {
        Wire {
            version: self.version,
            window: self.window,
            max_packet_size: self.max_packet_size,
            congested_bytes: self.congested_bytes,
            out: &mut self.out,
            aliases: self.outbound_aliases.as_deref_mut(),
        }
    }

    /// The text, where the client wants such.
    pub fn reason_string<'t>(&self, text: &'t str) -> Option<&'t str> {
        (self.wants_reason_strings && self.version == Version::V5).then_some(text)
    }

    pub fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What was appended to `out` from `from` on waits until the journal has got to `position`.
    pub fn hold(&mut self, from: usize, position: u64) {
        let is_held = self
            .holds
            .back()
            .is_some_and(|last| last.position >= position);
        if !is_held && from < self.out.len() {
            self.holds.push_back(Hold { from, position });
        }
    }

    /// The connection ends: what still waits for the journal is never said, so that a good-bye can be.
    pub fn drop_held(&mut self, durable: u64) {
        self.forget_reached(durable);
        if let Some(first) = self.holds.front() {
            self.out.truncate(first.from);
            self.holds.clear();
        }
    }

    fn forget_reached(&mut self, durable: u64) {
        while self
            .holds
            .front()
            .is_some_and(|hold| hold.position <= durable)
        {
            self.holds.pop_front();
        }
    }

    /// Writes what the socket takes now, of what need not wait for more of the journal than there is on
    /// the disk.
    pub fn write(&mut self, durable: u64) -> std::io::Result<Written> {
        self.forget_reached(durable);
        let end = self.holds.front().map_or(self.out.len(), |hold| hold.from);
        while self.sent < end || !self.stream.is_flushed() {
            match self.stream.try_write(&self.out[self.sent..end]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let is_done = self.sent == end && self.stream.is_flushed();
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            return Ok(match self.stream.is_flushed() {
                true => Written::All,
                false => Written::Blocked,
            });
        }
        if self.sent > self.out.len() / 2 {
            self.out.drain(..self.sent);
            self.holds
                .iter_mut()
                .for_each(|hold| hold.from -= self.sent);
            self.sent = 0;
        }
        Ok(match is_done {
            true => Written::Held,
            false => Written::Blocked,
        })
    }
}
