//! What happens to clients, told while it happens: connects, disconnects, takeovers, drops, subscriptions.
//!
//! Counters say how many; these events say who and why. They are a courtesy of the broker, not a
//! record: every queue on their way is bounded, nobody waits for a reader, and what did not fit is
//! counted ([`Told::Skipped`]). `GET /api/v1/tail` shows the events of all nodes.

mod budget;
mod filter;
mod json;
mod wire;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::stream::BoxStream;

pub use budget::Budget;
pub use filter::EventFilter;
pub(crate) use json::Row;

use crate::node::NodeError;

/// Something that happened to one client on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The node that tells it.
    pub node_id: u64,
    /// When, by that node's clock; Unix milliseconds.
    pub at_ms: u64,
    /// To whom.
    pub client: EventClient,
    /// What.
    pub kind: EventKind,
}

impl Event {
    /// About how much memory it takes, in bytes.
    pub fn size_bytes(&self) -> usize {
        let username = self.client.username.as_ref().map_or(0, |name| name.len());
        let texts = match &self.kind {
            EventKind::Disconnected { reason, .. } => reason.len(),
            kind => kind.topic().map_or(0, str::len),
        };
        size_of::<Self>() + self.client.client_id.len() + username + texts
    }
}

/// The client of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventClient {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// User name; `None`: none given, or the client is not connected.
    pub username: Option<Arc<str>>,
    /// Where it connects from; `None`: it is not connected.
    pub peer: Option<SocketAddr>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// CONNACK with success was sent.
    Connected {
        /// Protocol level of CONNECT: 3, 4 or 5.
        protocol_version: u8,
        /// Whether a session goes on.
        session_present: bool,
        /// The claim by which the node owns the session.
        epoch: u64,
    },
    /// The connection ended.
    Disconnected {
        /// Why, for people.
        reason: String,
        /// Of the DISCONNECT that the broker sent; `None`: the broker did not end the connection.
        reason_code: Option<u8>,
    },
    /// Another CONNECT with the same identifier took over from a connection. Told by the node that
    /// had the connection, which also tells that it is disconnected.
    TakenOver {
        /// Who had the session.
        previous: ClaimName,
        /// Who has it now.
        new: ClaimName,
    },
    /// Messages were not delivered. Told at most once a second for each client, topic and reason.
    Dropped {
        /// One of a closed set: `offline`, `queue_full`, `slow_reader`, `too_large`, `expired`,
        /// `no_session` of the subscriber; `shard_full`, `link_full` with the publisher as client.
        reason: Cow<'static, str>,
        /// Topic name; `None`: of messages that had waited in a queue it is not known.
        topic: Option<String>,
        /// How many.
        count: u64,
    },
    /// SUBACK granted a topic filter.
    Subscribed {
        /// Topic filter without `$share/<group>/`.
        filter: String,
        /// Share group.
        share: Option<String>,
        /// Granted, 0 to 2.
        qos: u8,
    },
    /// A subscription was taken back.
    Unsubscribed {
        /// Topic filter without `$share/<group>/`.
        filter: String,
        /// Share group.
        share: Option<String>,
    },
}

/// A claim of a session: where, and its place in the replicated log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimName {
    /// Node.
    pub node_id: u64,
    /// Epoch.
    pub epoch: u64,
}

/// The kinds of events by name, as filters and rows write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "EventKind says what they are")]
pub enum EventName {
    Connected,
    Disconnected,
    TakenOver,
    Dropped,
    Subscribed,
    Unsubscribed,
}

impl EventName {
    /// All of them.
    pub const ALL: [EventName; 6] = [
        Self::Connected,
        Self::Disconnected,
        Self::TakenOver,
        Self::Dropped,
        Self::Subscribed,
        Self::Unsubscribed,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::TakenOver => "taken_over",
            Self::Dropped => "dropped",
            Self::Subscribed => "subscribed",
            Self::Unsubscribed => "unsubscribed",
        }
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl EventKind {
    /// Its name.
    pub fn name(&self) -> EventName {
        match self {
            Self::Connected { .. } => EventName::Connected,
            Self::Disconnected { .. } => EventName::Disconnected,
            Self::TakenOver { .. } => EventName::TakenOver,
            Self::Dropped { .. } => EventName::Dropped,
            Self::Subscribed { .. } => EventName::Subscribed,
            Self::Unsubscribed { .. } => EventName::Unsubscribed,
        }
    }

    /// The topic name or topic filter that it is about.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::Dropped { topic, .. } => topic.as_deref(),
            Self::Subscribed { filter, .. } | Self::Unsubscribed { filter, .. } => Some(filter),
            _ => None,
        }
    }
}

/// What a listener hears next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// An event.
    Event(Arc<Event>),
    /// So many events that the listener wanted were left out.
    Skipped(u64),
}

/// The events of one node, from the moment it was asked. It ends with an error when the node is
/// lost; it never ends by itself.
pub type EventFeed = BoxStream<'static, Result<Told, NodeError>>;
