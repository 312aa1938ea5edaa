use std::sync::Arc;

use raftmq_proto::v1::{ClientAttributes, Message};

use super::{Epoch, NodeId, Session, Subscription};

/// What applying one log entry did.
#[derive(Debug, Default)]
pub struct Applied {
    /// Per batch of the entry, one outcome per command; none for a batch that had been applied before.
    pub outcomes: Vec<Vec<Outcome>>,
    /// What others have to know, in order.
    pub events: Vec<TableEvent>,
    /// Topic filters whose subscribers changed.
    pub(super) changed: Changed,
}

/// Which topics may go to other places than before.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub filters: Vec<Arc<str>>,
    pub everything: bool,
}

/// What one command did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The client identifier is claimed.
    Claimed {
        /// The claim.
        epoch: Epoch,
        /// Whether a session goes on.
        session_present: bool,
        /// Who had it before.
        previous: Option<Previous>,
        /// Subscriptions of a session that goes on.
        subscriptions: Vec<Subscription>,
    },
    /// Per subscription, whether it existed before.
    Subscribed {
        /// In the order of the command.
        existed: Vec<bool>,
    },
    /// Per subscription, whether it existed.
    Unsubscribed {
        /// In the order of the command.
        existed: Vec<bool>,
    },
    /// The connection is released.
    Released,
    /// The session has ended.
    Ended(Box<Ended>),
    /// The retained message is set or deleted.
    Retained,
    /// The node's new life has begun.
    NodeUp,
    /// The node's life has ended.
    NodeDown,
    /// The node's clients are sent away, or are welcome again.
    DrainSet,
    /// The node is not part of the cluster any more.
    NodeForgotten,
    /// Somebody is kept out.
    BanSet,
    /// Whether there was a ban to be lifted.
    BanLifted {
        /// It was in force.
        existed: bool,
    },
    /// The message is kept until it is due.
    Delayed,
    /// Per delayed message, whether it was there and the proposer was the one to publish it.
    DelayedEnded {
        /// In the order of the command.
        was_its_own: Vec<bool>,
    },
    /// Time has passed.
    Ticked,
    /// The tables are compared as they are after this entry.
    Checkpoint {
        /// Index of the log entry.
        index: u64,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// The owner of a session before a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its node.
    pub node: NodeId,
    /// Its claim.
    pub epoch: Epoch,
    /// Whether a client was connected.
    pub connected: bool,
}

/// A session that an administrator ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Its node.
    pub node: NodeId,
    /// Its claim.
    pub epoch: Epoch,
    /// Whether a client was connected.
    pub connected: bool,
    /// What was known of the client.
    pub attributes: ClientAttributes,
}

/// Why a command changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The session belongs to a later claim.
    StaleEpoch,
    /// There is no such session.
    NoSession,
    /// The proposing node's life is not up.
    NodeNotUp,
    /// The life is not newer than the one that is known.
    StaleIncarnation,
    /// The table knows no such node.
    UnknownNode,
    /// No other node that is up would take the clients.
    NoOtherNode,
    /// The client is kept out.
    Banned,
    /// There is no room for another one.
    TooMany,
    /// A topic name or filter is not valid.
    InvalidTopic,
    /// The command is empty or unknown to this version.
    Malformed,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its connection ended and it was not to outlive it, or it expired.
    Expired,
    /// A client came with clean start.
    CleanStart,
    /// An administrator ended it.
    Administrator,
    /// Its node went down and it was not to outlive its connection.
    NodeDown,
}

/// What others than the proposer have to know.
#[derive(Clone, Debug, PartialEq)]
pub enum TableEvent {
    /// A claim took a session, or its identifier, from an earlier claim.
    SessionTaken {
        /// Client identifier.
        client_id: Arc<str>,
        /// Node of the earlier claim.
        previous_node: NodeId,
        /// The earlier claim.
        previous_epoch: Epoch,
        /// Whether its client was connected.
        was_connected: bool,
        /// Node of the claim.
        node: NodeId,
        /// The claim.
        epoch: Epoch,
        /// Whether the claim goes on with the session, and not only with the identifier.
        goes_on: bool,
    },
    /// A session ended.
    SessionEnded {
        /// Client identifier.
        client_id: Arc<str>,
        /// Its node.
        node: NodeId,
        /// Its claim.
        epoch: Epoch,
        /// Why.
        reason: EndReason,
    },
    /// An administrator ended the connection of a session that goes on.
    Disconnected {
        /// Client identifier.
        client_id: Arc<str>,
        /// Its node.
        node: NodeId,
        /// Its claim.
        epoch: Epoch,
    },
    /// A will is to be published: by every node to its own subscribers, so once cluster-wide.
    WillDue(Arc<Message>),
    /// Delayed messages are to be published, by the nodes that the table names.
    DelayedDue,
    /// A node's new life began.
    NodeUp {
        /// The node.
        node: NodeId,
    },
    /// A node's life ended.
    NodeDown {
        /// The node.
        node: NodeId,
    },
    /// Something that the metrics count: every node applies it, one node counts it.
    Counted {
        /// The node that counts: the one concerned, or in its place the lowest that is up.
        by: NodeId,
        /// What it counts.
        what: Countable,
    },
}

/// What is counted once cluster-wide, when it is applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Countable {
    /// A claim made a session: this one.
    SessionCreated(Arc<Session>),
    /// A claim found its session.
    SessionResumed,
    /// A session is no more.
    SessionTerminated {
        /// As it was at the end.
        session: Arc<Session>,
        /// Why it ended.
        reason: EndReason,
    },
    /// A will was published.
    WillPublished(Arc<Message>),
}
