//! What all handlers hold: the configuration, the replicated table, and the nodes to ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::page::Consistency;
use crate::http::rate::RateLimits;
use crate::node::{Identity, Node, NodeError, PeerNode};
use crate::replicated::ReplicatedView;

/// Limits and the token. The defaults serve a cluster on one local network.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Every request below `/api/v1` must carry it. Default: none needed.
    pub http_bearer_token: Option<String>,
    /// Rows of one answer, at least 1. Default 10,000.
    pub max_row_limit: u32,
    /// How long a node may take to answer. Default 5 s.
    pub peer_timeout: Duration,
    /// Bytes of a request's body. Default 2 MiB: a 1 MiB payload in base64 fits.
    pub max_body_bytes: usize,
    /// Connections served at a time, 1 to 1,000,000; more wait. Default 1,024.
    pub max_connections: usize,
    /// How long a client may take for the header of a request, and how long a connection may be idle
    /// between two. Default 30 s.
    pub header_timeout: Duration,
    /// How long a TLS handshake may take. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long a client may read nothing of an answer that waits for it. Default 30 s.
    pub write_timeout: Duration,
    /// Requests per second from one client address (IPv6: one /64), twice as many at once; beyond it 429.
    /// `/live` and `/ready` are not counted. Default 1,000; 0: no limit.
    pub max_requests_per_second_per_address: u32,
    /// Requests per second from all together, twice as many at once; beyond it 429. Default 0: no limit.
    pub max_requests_per_second: u32,
    /// Requests without the right token that one client address may send in a minute, and at once; beyond
    /// it everything that needs the token is 429. Default 60; 0: no limit.
    pub max_wrong_tokens_per_minute: u32,
    /// Networks of the proxies whose `X-Forwarded-For` is believed. Default: none.
    pub proxy_trusted: Vec<IpNet>,
    /// How long a client may take for a body; with `peer_timeout` on top, how long a whole request
    /// may take. Default 30 s.
    pub request_timeout: Duration,
    /// How long requests under way may take when the server stops. Default 5 s.
    pub drain_timeout: Duration,
    /// How many may listen to `/tail` on this node at a time. Default 64.
    pub max_listeners: usize,
    /// How often a `/tail` without events says that it lives. Default 15 s: proxies end a
    /// connection that is silent for longer, many of them after 30 or 60 s.
    pub tail_heartbeat: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            http_bearer_token: None,
            max_row_limit: 10_000,
            peer_timeout: Duration::from_secs(5),
            max_body_bytes: 2 * 1024 * 1024,
            max_connections: 1_024,
            header_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            max_requests_per_second_per_address: 1_000,
            max_requests_per_second: 0,
            max_wrong_tokens_per_minute: 60,
            proxy_trusted: Vec::new(),
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
            max_listeners: 64,
            tail_heartbeat: Duration::from_secs(15),
        }
    }
}

/// Where the process is in its life, as `/ready` needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its listeners are not all up yet.
    Starting,
    /// Its listeners take connections.
    Serving,
    /// It is about to stop, or told to let its clients go.
    Draining,
}

impl Phase {
    /// Whether new clients are welcome: the listeners are up, nobody told the node to drain, and the
    /// replicated state is `ready`.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn admits(self, ready: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        match self {
            Phase::Starting => Err("The listeners are not up yet.".to_owned()),
            Phase::Draining => Err("The node is draining.".to_owned()),
            Phase::Serving => ready(),
        }
    }
}

/// The HTTP API of one node. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    config: RwLock<Arc<ApiConfig>>,
    replicated: Arc<dyn ReplicatedView>,
    identity: Arc<Identity>,
    address: String,
    local: Arc<dyn Node>,
    peers: Mutex<BTreeMap<u64, Arc<PeerNode>>>,
    phase: watch::Receiver<Phase>,
    /// Places of those who listen to `/tail`.
    listeners: Arc<Semaphore>,
    comparing: Semaphore,
    rate_limits: RateLimits,
}

/// The parts of an [`Api`].
pub struct ApiParts {
    /// Limits and the token.
    pub config: ApiConfig,
    /// The replicated table.
    pub replicated: Arc<dyn ReplicatedView>,
    /// This node's identifier and, once known, its cluster's.
    pub identity: Arc<Identity>,
    /// This node's rpc address, shown in its name.
    pub address: String,
    /// This node.
    pub local: Arc<dyn Node>,
    /// The configured peers. Nodes that the table knows and this list does not are asked at the
    /// address in the table.
    pub peers: Vec<PeerNode>,
    /// Where the process is in its life.
    pub phase: watch::Receiver<Phase>,
}

/// A question that is under way.
pub(crate) type Asked<T> = BoxFuture<'static, Result<T, NodeError>>;

/// A node of the cluster and how to ask it.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) id: u64,
    /// `{id}@{address}`.
    pub(crate) name: String,
    node: Result<Arc<dyn Node>, NodeError>,
}

impl Member {
    /// Asks the node, for at most `deadline`.
    pub(crate) async fn ask<T>(
        &self,
        deadline: Duration,
        question: impl FnOnce(Arc<dyn Node>) -> Asked<T>,
    ) -> Result<T, NodeError> {
        let node = self.node.clone()?;
        let answer = tokio::time::timeout(deadline, question(node)).await;
        let late = || format!("{} did not answer in {deadline:?}", self.name);
        answer.unwrap_or_else(|_| Err(NodeError::Unreachable(late())))
    }
}

impl Api {
    /// Puts the parts together. Nothing is asked or opened yet.
    pub fn new(parts: ApiParts) -> Self {
        let peers = parts
            .peers
            .into_iter()
            .map(|peer| (peer.id(), Arc::new(peer)));
        let inner = Inner {
            listeners: Arc::new(Semaphore::new(parts.config.max_listeners)),
            rate_limits: RateLimits::new(&parts.config),
            config: RwLock::new(Arc::new(parts.config)),
            replicated: parts.replicated,
            identity: parts.identity,
            address: parts.address,
            local: parts.local,
            peers: Mutex::new(peers.collect()),
            phase: parts.phase,
            comparing: Semaphore::new(1),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The limits in force.
    pub(crate) fn config(&self) -> Arc<ApiConfig> {
        let config = self.inner.config.read();
        config.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another token and row limit in force, for requests that begin from now on.
    pub fn reconfigure(&self, http_bearer_token: Option<String>, max_row_limit: u32) {
        let config = self.inner.config.write();
        let mut config = config.unwrap_or_else(PoisonError::into_inner);
        *config = Arc::new(ApiConfig {
            http_bearer_token,
            max_row_limit: max_row_limit.max(1),
            ..(**config).clone()
        });
    }

    /// As they were configured at the start.
    pub(crate) fn rate_limits(&self) -> &RateLimits {
        &self.inner.rate_limits
    }

    pub(crate) fn replicated(&self) -> &dyn ReplicatedView {
        self.inner.replicated.as_ref()
    }

    pub(crate) fn own_id(&self) -> u64 {
        self.inner.identity.node_id()
    }

    pub(crate) fn local(&self) -> &Arc<dyn Node> {
        &self.inner.local
    }

    /// Whose turn it is to have the tables compared: each comparison costs all nodes a pass over theirs.
    pub(crate) fn comparing(&self) -> &Semaphore {
        &self.inner.comparing
    }

    /// Whether this node can ask others and be asked by them, else why not.
    pub(crate) fn knows_its_cluster(&self) -> Result<(), String> {
        match self.inner.identity.cluster_id() {
            Some(_) => Ok(()),
            None => Err("this node has not joined its cluster yet".to_owned()),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.inner.phase.borrow()
    }

    /// Resolves when the node begins to stop.
    pub(crate) fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut phase = self.inner.phase.clone();
        async move {
            let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
        }
    }

    /// A place for one more who listens, kept until it is dropped; `None`: all are taken.
    pub(crate) fn listener_place(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.listeners.clone().try_acquire_owned().ok()
    }

    /// Waits until this node's state is as fresh as asked for.
    pub(crate) async fn freshen(&self, consistency: Consistency) -> Result<(), ApiError> {
        if consistency == Consistency::Local {
            return Ok(());
        }
        let limit = self.config().peer_timeout;
        let barrier = tokio::time::timeout(limit, self.replicated().read_barrier()).await;
        let failed = match barrier {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the leader did not answer in {limit:?}"),
        };
        Err(ApiError::new(Code::NoLeader, failed))
    }

    /// All nodes by identifier: this one and the members of the cluster. Before this node knows them: the
    /// configured peers and those in the table.
    pub(crate) fn members(&self) -> Vec<Member> {
        let own = self.inner.identity.node_id();
        let mut members = BTreeMap::new();
        members.insert(
            own,
            self.member(own, &self.inner.address, Ok(self.inner.local.clone())),
        );
        let known = self.replicated().members();
        if !known.is_empty() {
            for (id, address) in known.iter().filter(|(id, _)| **id != own) {
                let node = self.learn(*id, address);
                let node = node.map(|peer| peer as Arc<dyn Node>);
                members.insert(*id, self.member(*id, address, node));
            }
            return members.into_values().collect();
        }
        for known in self
            .replicated()
            .nodes()
            .iter()
            .filter(|known| known.id != own && !self.is_configured(known.id))
        {
            if let Err(error) = self.learn(known.id, &known.rpc_address) {
                members.insert(
                    known.id,
                    self.member(known.id, &known.rpc_address, Err(error)),
                );
            }
        }
        let peers = self
            .inner
            .peers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (id, peer) in peers.iter().filter(|(id, _)| **id != own) {
            members.insert(
                *id,
                self.member(*id, peer.address(), Ok(peer.clone() as Arc<dyn Node>)),
            );
        }
        members.into_values().collect()
    }

    fn member(&self, id: u64, address: &str, node: Result<Arc<dyn Node>, NodeError>) -> Member {
        Member {
            id,
            name: format!("{id}@{address}"),
            node,
        }
    }

    fn is_configured(&self, id: u64) -> bool {
        let peers = self.inner.peers.lock();
        let peers = peers.unwrap_or_else(PoisonError::into_inner);
        peers.contains_key(&id)
    }

    /// The client for a node at that address, made when there is none.
    fn learn(&self, id: u64, address: &str) -> Result<Arc<PeerNode>, NodeError> {
        let mut peers = self
            .inner
            .peers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.get(&id).filter(|known| known.address() == address) {
            return Ok(known.clone());
        }
        let identity = self.inner.identity.clone();
        let peer = PeerNode::new(identity, id, address, self.config().peer_timeout)?;
        let peer = Arc::new(peer);
        peers.insert(id, peer.clone());
        Ok(peer)
    }

    /// One node; 404 when there is none with this identifier.
    pub(crate) fn known_member(&self, id: u64) -> Result<Member, ApiError> {
        let member = self.members().into_iter().find(|member| member.id == id);
        member.ok_or_else(|| ApiError::unknown_node(id))
    }

    /// Asks one node.
    pub(crate) async fn ask<T>(
        &self,
        member: &Member,
        question: impl FnOnce(Arc<dyn Node>) -> Asked<T>,
    ) -> Result<T, NodeError> {
        member.ask(self.config().peer_timeout, question).await
    }

    /// Asks all nodes at the same time; answers are in ascending order of node identifier.
    pub(crate) async fn ask_all<T>(
        &self,
        question: impl Fn(Arc<dyn Node>) -> Asked<T>,
    ) -> Vec<(Member, Result<T, NodeError>)> {
        let question = &question;
        let ask = |member: Member| async move {
            let answer = self.ask(&member, question).await;
            (member, answer)
        };
        join_all(self.members().into_iter().map(ask)).await
    }
}
