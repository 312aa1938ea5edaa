//! What all threads of a node share: settings, the replicated table, the ways to shards and peers.
//! Built once, then only read.

use crate::{
    admission::Admission,
    counting::Counters,
    drain::Draining,
    events::EventSink,
    gauges::Gauges,
    journal::Journal,
    link::{self, Links},
    listener::Listener,
    plugin::{ExtensionsCell, PluginHost},
    router::Resolver,
    settings::Settings,
    shard::{ShardId, mailbox::Mailbox},
    takeovers::Takeovers,
};
use raftmq_proto::v1;
use raftmq_store::{Lease, ProposeError, Store, table::Outcome};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, Semaphore, watch};

/// How long a command waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a node is waited for before a session moves on without what it may still send.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// One node's MQTT engine.
pub struct Engine {
    /// This node.
    pub node_id: u64,
    /// Settings of listeners, connections and sessions.
    pub settings: Settings,
    /// The replicated table.
    pub store: Store,
    /// Whether this node may serve.
    pub lease: Lease,
    /// Entrances of the shards.
    pub mailboxes: Vec<Arc<Mailbox>>,
    /// What sessions are owed, on disk; `None`: in memory only.
    pub journal: Option<Arc<Journal>>,
    /// Links to the other members.
    pub links: Arc<Links>,
    /// Counters of the shards.
    pub counters: Counters,
    /// Where shards tell what happens to their clients.
    pub events: Arc<EventSink>,
    /// What is, and the highest that it was.
    pub gauges: Gauges,
    /// How many connections there may be.
    pub admission: Admission,
    /// Where clients come in; the one at `mqtt.addr` first.
    pub listeners: Vec<Arc<Listener>>,
    /// Whether an operator wants this node's clients on other nodes.
    pub draining: Draining,
    /// Set when the node begins to stop: nothing new is accepted.
    pub stopping: watch::Receiver<bool>,
    /// Set when everything has been sent: the shards end.
    pub ended: watch::Receiver<bool>,
    /// Turns of commands: as many as the store takes at once.
    pub proposals: Semaphore,
    /// Client identifiers that are taken over from connected clients.
    pub takeovers: Arc<Takeovers>,
    /// Counts the node's lives in the cluster.
    pub lives: Arc<AtomicU64>,
    /// Rung when the table has delayed messages to be published.
    pub delayed_due: Arc<Notify>,
    /// What plugins change in the engine.
    pub(crate) extensions: Arc<ExtensionsCell>,
    /// The plugins.
    pub(crate) plugins: PluginHost,
}

impl Engine {
    /// Reads the table for this node.
    pub fn resolver(&self) -> Resolver {
        Resolver {
            node: self.node_id.into(),
            shards: self.mailboxes.len(),
        }
    }

    /// Whether the levels of topics are limited beyond what topics can have, for some clients.
    pub fn limits_levels(&self) -> bool {
        let settings = self.listeners.iter().map(|listener| &listener.settings);
        let mut all = settings.chain([&self.settings]);
        all.any(Settings::limits_levels)
    }

    /// Identifier of the cluster; empty before the node belongs to one.
    pub fn cluster_id(&self) -> String {
        self.store.identity().cluster_id.unwrap_or_default()
    }

    /// Which life of the node this is; a new one begins when the cluster has given it up.
    pub fn life(&self) -> u64 {
        self.lives.load(Ordering::Acquire)
    }

    /// Proposes a command; while this node has as many under way as it may, it waits for its turn.
    /// Turns come in the order of the calls, so that a client's commands keep theirs.
    ///
    /// # Errors
    /// As the store's; overload when the turn does not come in time.
    pub async fn propose(&self, op: v1::Op) -> Result<Outcome, ProposeError> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.proposals.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(ProposeError::Overloaded);
        };
        self.store.propose(op).await
    }

    /// Asks another node for the state of a session that has moved here.
    ///
    /// # Errors
    /// The node is unknown or does not answer.
    pub async fn take_session(
        &self,
        node: u64,
        request: v1::TakeSessionRequest,
    ) -> Result<v1::TakeSessionReply, tonic::Status> {
        let place = self.links.place_of(node);
        link::take_session(self, &self.links.list()[place], request).await
    }

    /// Asks another node to take in what a client that has connected here has said there.
    ///
    /// # Errors
    /// The node is unknown or does not answer.
    pub async fn hear_out(
        &self,
        node: u64,
        request: v1::HearOutRequest,
    ) -> Result<(), tonic::Status> {
        let place = self.links.place_of(node);
        link::hear_out(self, &self.links.list()[place], request).await
    }

    /// Tells another node that the state of a session which it handed out is on this node's disk.
    ///
    /// # Errors
    /// The node is unknown or does not answer.
    pub async fn confirm_session(
        &self,
        node: u64,
        request: v1::ConfirmSessionRequest,
    ) -> Result<(), tonic::Status> {
        let place = self.links.place_of(node);
        link::confirm_session(self, &self.links.list()[place], request).await
    }

    /// Hands over everything that this node's shards have staged for each other and for other nodes.
    pub async fn flush_shards(&self) {
        let flushing = self
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.ask(|shard| shard.flush()));
        futures::future::join_all(flushing).await;
    }

    /// Waits until everything that any node had routed to this one, before it saw the table as it is
    /// now, has been taken here. A node that does not answer in time is not waited for.
    pub async fn settle_all(&self) {
        let up: Vec<u64> = {
            let table = self.store.table().read();
            let others = table
                .nodes()
                .filter(|(id, node)| node.is_up && u64::from(*id) != self.node_id);
            others.map(|(id, _)| u64::from(id)).collect()
        };
        // Whoever is up may have routed something here, whether this node has sent there or not.
        let places: Vec<_> = up.iter().map(|node| self.links.place_of(*node)).collect();
        let links = self.links.list();
        let settling = places.iter().map(|place| {
            let link = &links[*place];
            let request = v1::SettleRequest {
                cluster_id: self.cluster_id(),
                from_node_id: self.node_id,
                to_node_id: link.peer(),
            };
            tokio::time::timeout(SETTLE_TIMEOUT, link::settle(self, link, request))
        });
        futures::future::join_all(settling).await;
        self.flush_shards().await;
    }

    /// The entrance of the shard that owns a client identifier.
    pub fn mailbox_of(&self, client_id: &str) -> &Arc<Mailbox> {
        let ShardId(index) = crate::shard::shard_of(client_id, self.mailboxes.len());
        &self.mailboxes[usize::from(index)]
    }
}
