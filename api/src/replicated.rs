//! The replicated table as the handlers read it.
//!
//! Lists are read in pieces ([`PIECE_SESSIONS`], [`PIECE_ROWS`]) and the task yields between them: a list of a
//! million subscriptions must hold up neither the table's writer nor the runtime.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use raftmq_store::{
    MembershipChange, MembershipError, Mode,
    table::{Ban, BanOf},
};

use crate::node::{ClientRow, PublishProperties};

/// Sessions read in one go.
pub const PIECE_SESSIONS: usize = 512;
/// Subscriptions or routes read in one go.
pub const PIECE_ROWS: usize = 512;

/// Retained messages looked at in one go.
pub const PIECE_RETAINED: usize = 512;

/// What the handlers ask from the replicated state.
pub trait ReplicatedView: Send + Sync + 'static {
    /// The log index up to which this node has applied.
    fn applied_index(&self) -> u64;
    /// All nodes that the table knows, in ascending order of identifier.
    fn nodes(&self) -> Vec<KnownNode>;
    /// One client's session.
    fn session(&self, client_id: &str) -> Option<KnownSession>;
    /// At most `count` sessions in ascending order of client identifier, behind `after`.
    fn sessions_after(&self, after: Option<&str>, count: usize) -> Vec<KnownSession>;
    /// At most `count` subscriptions in ascending order of (client identifier, filter, share group),
    /// behind `after`. There may be more though fewer came; [`SubscriptionPiece::next`] tells.
    fn subscriptions_after(
        &self,
        scope: &SubscriptionScope,
        after: Option<&SubscriptionPlace>,
        count: usize,
    ) -> SubscriptionPiece;
    /// At most `count` routes in ascending order of (filter, node), behind `after`.
    fn routes_after(&self, after: Option<&(String, u64)>, count: usize) -> Vec<(String, u64)>;
    /// At most `count` routes whose filter matches a topic name, in ascending order of (filter, node),
    /// behind `after`.
    fn routes_matching(
        &self,
        topic: &str,
        after: Option<&(String, u64)>,
        count: usize,
    ) -> Vec<(String, u64)>;
    /// Ends a client's session, whoever owns it. Done when it is committed and applied here.
    fn end_session(&self, client_id: &str) -> BoxFuture<'_, Result<(), ReplicationError>>;
    /// Ends the session of one claim, unless a client is connected to it (again) by then: whether it
    /// was ended. Done as [`end_session`](Self::end_session); waits for its turn.
    fn end_offline(
        &self,
        client_id: &str,
        epoch: u64,
    ) -> BoxFuture<'_, Result<bool, ReplicationError>>;
    /// Looks at `count` retained messages in ascending order of topic, behind `after`, for those
    /// whose topic `filter` matches, expired ones included.
    fn retained_after(&self, filter: &str, after: Option<&str>, count: usize) -> RetainedPiece;
    /// The retained message of a topic, also when it has expired.
    fn retained(&self, topic: &str) -> Option<KnownRetained>;
    /// Deletes the retained message of a topic. Done when it is committed and applied here.
    fn delete_retained(&self, topic: &str) -> BoxFuture<'_, Result<(), ReplicationError>>;
    /// Orders that a node's clients are sent away; `None`: it takes clients again. Done when every node
    /// that is up knows it.
    fn set_drain(
        &self,
        node_id: u64,
        order: Option<DrainOrder>,
    ) -> BoxFuture<'_, Result<(), DrainRefusal>>;
    /// At most `count` bans in order of what they name and of whom, behind `after`.
    fn bans_after(&self, after: Option<(BanOf, &str)>, count: usize) -> Vec<Arc<Ban>>;
    /// Keeps somebody out. Done when no node that serves lets them in any more.
    fn set_ban(&self, ban: Ban) -> BoxFuture<'_, Result<(), BanRefusal>>;
    /// Lets them in again: whether there was such a ban.
    fn lift_ban(&self, of: BanOf, who: &str) -> BoxFuture<'_, Result<bool, ReplicationError>>;
    /// The members by Raft's log, by id, and where this node reaches them; empty before this node is
    /// part of a cluster.
    fn members(&self) -> BTreeMap<u64, String>;
    /// Lets a node into the cluster, or tells what that would mean.
    fn admit(
        &self,
        node_id: u64,
        address: String,
        mode: Mode,
    ) -> BoxFuture<'_, Result<MembershipChange, MembershipError>>;
    /// Takes a node out of the cluster, or tells what that would mean.
    fn remove(
        &self,
        node_id: u64,
        mode: Mode,
    ) -> BoxFuture<'_, Result<MembershipChange, MembershipError>>;
    /// Done when everything that was acknowledged before the call is applied here.
    fn read_barrier(&self) -> BoxFuture<'_, Result<(), ReplicationError>>;
    /// Writes a log entry at which every node hashes its table ([`crate::Node::table_hash`]); its index,
    /// when every node that is up has applied it.
    fn checkpoint(&self) -> BoxFuture<'_, Result<u64, ReplicationError>>;
    /// Whether this node may serve, else why not.
    fn readiness(&self) -> Result<(), String>;
}

/// Why the replicated state could not be changed or read linearizably; 503. Whether a change
/// happened is then unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReplicationError(pub String);

/// A node in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    /// Its identifier.
    pub id: u64,
    /// Its rpc address, "host:port".
    pub rpc_address: String,
    /// Whether its life goes on.
    pub is_up: bool,
    /// Set while an operator has its clients sent away.
    pub drain: Option<KnownDrain>,
}

/// A drain in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownDrain {
    /// Clients sent away per second at most; 0: they stay.
    pub clients_per_second: u32,
    /// When it was ordered, Unix milliseconds.
    pub since_ms: u64,
}

/// What an operator orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainOrder {
    /// Clients sent away per second at most; 0: they stay, and only new ones go elsewhere.
    pub clients_per_second: u32,
}

/// Why a drain was not ordered, or not taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrainRefusal {
    /// The table knows no such node.
    #[error("there is no such node")]
    UnknownNode,
    /// Nobody would take the clients.
    #[error("no other node is up and takes clients")]
    NoOtherNode,
    /// The table could not be changed; whether it was is unknown.
    #[error("{0}")]
    NotReplicated(String),
}

/// Why somebody was not banned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BanRefusal {
    /// It names nobody, a text in it is too long, or it has ended already.
    #[error("it names nobody, a text in it is too long, or it has ended already")]
    Malformed,
    /// There are as many bans as there may be.
    #[error("there are as many bans as there may be")]
    TooMany,
    /// The table could not be changed; whether it was is unknown.
    #[error("{0}")]
    NotReplicated(String),
}

/// A session in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownSession {
    /// What the table knows of it, queue lengths being unknown and 0.
    pub row: ClientRow,
    /// Address that the client connected to, "ip:port".
    pub local_address: String,
    /// The claim of the client identifier that made it.
    pub epoch: u64,
}

/// What was found in one piece of the retained messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RetainedPiece {
    /// In ascending order of topic.
    pub found: Vec<KnownRetained>,
    /// The topic behind which the next piece begins; `None`: this was the last one.
    pub next: Option<String>,
}

/// A retained message in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRetained {
    /// Topic name.
    pub topic: String,
    /// Never empty.
    pub payload: Bytes,
    /// 0 to 2.
    pub qos: u32,
    /// The properties of an MQTT 5 PUBLISH; its expiry is the one that was asked for.
    pub properties: PublishProperties,
    /// Client identifier of the publisher.
    pub client_id: String,
    /// When the broker took the message, Unix milliseconds.
    pub received_at_ms: u64,
}

impl KnownRetained {
    /// Seconds until it expires, 0 when it has; `None`: it never does.
    pub fn seconds_left(&self, now_ms: u64) -> Option<u64> {
        let lifetime_ms = u64::from(self.properties.expiry_seconds?) * 1_000;
        let expires_at_ms = self.received_at_ms.saturating_add(lifetime_ms);
        Some(expires_at_ms.saturating_sub(now_ms).div_ceil(1_000))
    }
}

/// Which subscriptions are listed. All but the first are looked up, not searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionScope {
    /// All.
    All,
    /// Those of one client.
    Client(String),
    /// Those to exactly this topic filter, in share groups or not.
    Filter(String),
    /// Those whose filter matches this topic name.
    Matching(String),
}

/// Up to where a list of subscriptions has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionPlace {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Filter and share group (empty: none) of the last one; `None`: all of the client's are read.
    pub within: Option<(Arc<str>, Arc<str>)>,
}

/// A piece of a list of subscriptions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SubscriptionPiece {
    /// The rows.
    pub rows: Vec<KnownSubscription>,
    /// Where to read on; `None`: that was all.
    pub next: Option<SubscriptionPlace>,
}

/// A client that subscribes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribing {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Its node.
    pub node_id: u64,
    /// Its address, "ip:port".
    pub peer_address: String,
    /// 3, 4 or 5.
    pub protocol_version: u32,
}

/// A subscription in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSubscription {
    /// Whose it is.
    pub client: Arc<Subscribing>,
    /// Topic filter without `$share/<group>/`.
    pub filter: Arc<str>,
    /// Share group; `None`: an ordinary subscription.
    pub share: Option<Arc<str>>,
    /// Subscription options as in MQTT 5 §3.8.3.1.
    pub options: u8,
    /// Subscription identifier; 0: none.
    pub id: u32,
}
