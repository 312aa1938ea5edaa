//! One node as the HTTP API sees it: what only the node itself knows.
//!
//! The replicated table answers who is connected where and who subscribes to what. Everything that
//! is live (queue lengths, load, counters) or has to happen inside a session is asked from the node
//! concerned through [`Node`]. The local node implements it, and so does [`PeerNode`], the client
//! of [`query_server`]: a handler cannot tell them apart.

mod feed;
mod page;
mod past;
mod peer;
mod plugin;
mod query;
mod service;

use std::net::IpAddr;

use futures::future::BoxFuture;
pub use raftmq_proto::v1::{
    AclVerdict, CertificateState, DrainProgress, DrainReply, ExplainReply, ExplainedGroup,
    ExplainedSubscriber, FlushState, InspectReply, LinkState, LiveSubscriber, MemberState,
    ShareMemberState, TakeoverCount,
};
pub use raftmq_proto::v1::{
    AdminPublication, BrokerReply, ClientFilter, ClientRow, FeaturesReply, LinkVitals, Machine,
    NodeReply, PublishProperties, UserProperty, VitalsReply, WillRow,
};

pub(crate) use page::merge;
pub use page::{ClientPage, PageBuilder};
pub use past::HistoryQuery;
pub use peer::PeerNode;
pub use plugin::{PluginCommand, PluginRow};
pub use query::ClientQuery;
pub(crate) use query::{shown_username, split_address};
pub use service::query_server;

use crate::counters::{Metrics, Sample, Stats};
use crate::event::{EventFeed, EventFilter};

/// What a node answers, some time.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, NodeError>>;

/// The live side of one node. Implementations bound their own work; callers set deadlines.
pub trait Node: Send + Sync + 'static {
    /// Software, uptime and clock.
    fn broker(&self) -> Answer<'_, BrokerReply>;

    /// Connections and the machine beneath.
    fn node(&self) -> Answer<'_, NodeReply>;

    /// Sessions that this node owns, connected or not, in ascending order of client identifier.
    /// [`PageBuilder`] makes the page out of rows in any order.
    fn clients(&self, query: ClientQuery) -> Answer<'_, ClientPage>;

    /// One session; `None` when this node does not own one of that client.
    fn client(&self, client_id: String) -> Answer<'_, Option<ClientRow>>;

    /// Publishes on every topic of the publication and counts each as `messages.publish.admin`.
    /// Done when all are routed and, with QoS 1 and 2, kept by their owners.
    fn publish(&self, publication: AdminPublication) -> Answer<'_, ()>;

    /// Subscribes inside the client's session, as if it had sent SUBSCRIBE (access rules, limits and
    /// retained messages apply). One answer per filter, in their order: whether it is subscribed now.
    /// Filters are valid and may carry `$share/<group>/`; `qos` is 0 to 2.
    ///
    /// # Errors
    /// [`NodeError::UnknownClient`], [`NodeError::ClientOffline`].
    fn subscribe(&self, client_id: String, filters: Vec<String>, qos: u8) -> Answer<'_, Vec<bool>>;

    /// Unsubscribes inside the client's session: whether there was such a subscription.
    ///
    /// # Errors
    /// [`NodeError::UnknownClient`], [`NodeError::ClientOffline`].
    fn unsubscribe(&self, client_id: String, filter: String) -> Answer<'_, bool>;

    /// Gauges.
    fn stats(&self) -> Answer<'_, Stats>;

    /// Counters.
    fn metrics(&self) -> Answer<'_, Metrics>;

    /// Whether the node serves, and what an operator watches beside its counters.
    fn vitals(&self) -> Answer<'_, VitalsReply>;

    /// What the node offers its clients.
    fn features(&self) -> Answer<'_, FeaturesReply>;

    /// What the counters were, in order of time.
    fn history(&self, query: HistoryQuery) -> Answer<'_, Vec<Sample>>;

    /// All plugins that the node knows, at work or not, in ascending order of name.
    fn plugins(&self) -> Answer<'_, Vec<PluginRow>>;

    /// The settings of a plugin in force, as a JSON object without secrets.
    ///
    /// # Errors
    /// [`NodeError::UnknownPlugin`].
    fn plugin_config(&self, plugin: String) -> Answer<'_, String>;

    /// Loads, unloads or reloads a plugin; whether that changed something.
    ///
    /// # Errors
    /// [`NodeError::UnknownPlugin`]; [`NodeError::Refused`] when it is immutable or its file is wrong,
    /// and nothing has changed.
    fn command_plugin(&self, plugin: String, command: PluginCommand) -> Answer<'_, bool>;

    /// What happens to this node's clients from the moment of the answer on.
    ///
    /// # Errors
    /// [`NodeError::NotServing`] when the node has as many listeners as it may.
    fn events(&self, filter: EventFilter) -> Answer<'_, EventFeed>;

    /// The node as a member of its cluster.
    fn inspect(&self) -> Answer<'_, InspectReply>;

    /// This node's clients and sessions, and how far it is with sending them away.
    fn drain(&self) -> Answer<'_, DrainReply>;

    /// The hash of this node's table at the checkpoint with this log index. Waits until the node has
    /// applied it.
    ///
    /// # Errors
    /// [`NodeError::Failed`] when this node never hashed its table there.
    fn table_hash(&self, index: u64) -> Answer<'_, u64>;

    /// Where a publication would go, if it came in at this node. Nothing is published.
    fn explain(&self, question: ExplainQuestion) -> Answer<'_, ExplainReply>;
}

/// What is to be explained.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExplainQuestion {
    /// A valid topic name.
    pub topic: String,
    /// Client identifier of the publisher; empty: nobody in particular.
    pub publisher: String,
    /// Its user name, for access rules, when it is not connected.
    pub username: Option<String>,
    /// Its address, for the same; `None`: not known.
    pub ip_address: Option<IpAddr>,
    /// At most so many subscribers, members of share groups included; at least 1.
    pub limit: u32,
}

/// Why a node gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The node could not be asked, or did not answer in time. What was asked may have happened.
    #[error("{0}")]
    Unreachable(String),
    /// The node answers, but does not serve now (no lease, starting, draining).
    #[error("{0}")]
    NotServing(String),
    /// The node owns no session of that client.
    #[error("there is no client with this identifier")]
    UnknownClient,
    /// The node has no such plugin.
    #[error("there is no plugin with this name")]
    UnknownPlugin,
    /// The session exists, but its client is not connected.
    #[error("the client is offline")]
    ClientOffline,
    /// The node found the request itself wrong.
    #[error("{0}")]
    Refused(String),
    /// The node failed.
    #[error("{0}")]
    Failed(String),
}

/// Who we are in requests to peers, and who a request from a peer must be meant for.
#[derive(Debug)]
pub struct Identity {
    node_id: u64,
    cluster_id: std::sync::OnceLock<String>,
}

impl Identity {
    /// A node that has not joined a cluster yet: it neither asks nor answers.
    pub fn new(node_id: u64) -> Self {
        Self {
            node_id,
            cluster_id: std::sync::OnceLock::new(),
        }
    }

    /// The cluster's identifier, known from the moment the node belongs to it. It never changes:
    /// a later call has no effect.
    pub fn set_cluster_id(&self, cluster_id: impl Into<String>) {
        let _ = self.cluster_id.set(cluster_id.into());
    }

    /// This node's identifier.
    pub fn node_id(&self) -> u64 {
        self.node_id
    }

    /// The cluster's identifier; `None` before the node belongs to a cluster.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.get().map(String::as_str)
    }
}
