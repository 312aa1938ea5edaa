//! A cluster as the API sees it: this node, peers behind real gRPC, and replicated state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use raftmq_api::counters::{Metric, Metrics, Sample, Stat, Stats};
use raftmq_api::event::{EventFeed, EventFilter, Told};
use raftmq_api::node::*;
use raftmq_api::{
    Api, ApiConfig, ApiParts, BanRefusal, DrainOrder, DrainRefusal, Identity, KnownDrain,
    KnownNode, KnownRetained, KnownSession, KnownSubscription, Node, NodeError, PeerNode, Phase,
    ReplicatedView, ReplicationError, RetainedPiece, Subscribing, SubscriptionPiece,
    SubscriptionPlace, SubscriptionScope, query_server, serve,
};
use raftmq_store::table::{Ban, BanOf};
use raftmq_store::{MembershipChange, MembershipError, Mode};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::BroadcastStream;

use crate::live::{Clock, Events};

pub const CLUSTER: &str = "7d1e2a54-cluster";

/// 2022-07-30 10:14:08 UTC.
pub const CONNECTED_AT_MS: u64 = 1_659_176_048_000;

/// Filter, share group, options, subscription identifier.
pub type Subscription = (String, Option<String>, u8, u32);

/// By what they name and whom.
pub type Bans = BTreeMap<(BanOf, Arc<str>), Arc<Ban>>;

/// Replicated state in memory.
pub struct View {
    pub nodes: Vec<KnownNode>,
    pub sessions: Mutex<BTreeMap<String, KnownSession>>,
    /// By client, in order of filter and share group.
    pub subscriptions: BTreeMap<String, Vec<Subscription>>,
    pub retained: Mutex<BTreeMap<String, KnownRetained>>,
    /// Clients that come back just before their session is ended.
    pub returning: Vec<String>,
    pub no_leader: bool,
    pub not_ready: Option<&'static str>,
    /// Orders given through the API.
    pub drains: Mutex<BTreeMap<u64, Option<DrainOrder>>>,
    pub drain_refusal: Option<DrainRefusal>,
    pub bans: Mutex<Bans>,
    pub ban_refusal: Option<BanRefusal>,
    pub members: BTreeMap<u64, String>,
    /// The answer to every change of the membership.
    pub membership: Result<MembershipChange, MembershipError>,
    /// Changes of the membership that were asked for.
    pub asked: Mutex<Vec<String>>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            sessions: Mutex::default(),
            subscriptions: BTreeMap::new(),
            retained: Mutex::default(),
            returning: Vec::new(),
            no_leader: false,
            not_ready: None,
            drains: Mutex::default(),
            drain_refusal: None,
            bans: Mutex::default(),
            ban_refusal: None,
            members: BTreeMap::new(),
            membership: Ok(MembershipChange::default()),
            asked: Mutex::default(),
        }
    }
}

impl ReplicatedView for View {
    fn applied_index(&self) -> u64 {
        42
    }
    fn nodes(&self) -> Vec<KnownNode> {
        let drains = self.drains.lock().unwrap();
        let mut nodes = self.nodes.clone();
        for node in &mut nodes {
            if let Some(order) = drains.get(&node.id) {
                node.drain = order.map(|order| KnownDrain {
                    clients_per_second: order.clients_per_second,
                    since_ms: CONNECTED_AT_MS,
                });
            }
        }
        nodes
    }
    fn session(&self, client_id: &str) -> Option<KnownSession> {
        self.sessions.lock().unwrap().get(client_id).cloned()
    }
    fn sessions_after(&self, after: Option<&str>, count: usize) -> Vec<KnownSession> {
        let sessions = self.sessions.lock().unwrap();
        let behind = |id: &str| after.is_none_or(|after| id > after);
        sessions
            .iter()
            .filter(|(id, _)| behind(id))
            .map(|(_, s)| s.clone())
            .take(count)
            .collect()
    }
    fn subscriptions_after(
        &self,
        scope: &SubscriptionScope,
        after: Option<&SubscriptionPlace>,
        count: usize,
    ) -> SubscriptionPiece {
        let is_in_scope = |s: &KnownSubscription| match scope {
            SubscriptionScope::All => true,
            SubscriptionScope::Client(id) => **id == *s.client.client_id,
            SubscriptionScope::Filter(filter) => **filter == *s.filter,
            SubscriptionScope::Matching(topic) => raftmq_mqtt::topic::matches(&s.filter, topic),
        };
        let is_behind = |s: &KnownSubscription| {
            after.is_none_or(|after| {
                let share = s.share.clone().unwrap_or_else(|| "".into());
                let place = (s.client.client_id.clone(), Some((s.filter.clone(), share)));
                place > (after.client_id.clone(), after.within.clone())
            })
        };
        let all = self.all_subscriptions().into_iter();
        let mut rows: Vec<_> = all.filter(|s| is_in_scope(s) && is_behind(s)).collect();
        let more = rows.len() > count;
        rows.truncate(count);
        let place = |s: &KnownSubscription| SubscriptionPlace {
            client_id: s.client.client_id.clone(),
            within: Some((
                s.filter.clone(),
                s.share.clone().unwrap_or_else(|| "".into()),
            )),
        };
        let next = rows.last().filter(|_| more).map(place);
        SubscriptionPiece { rows, next }
    }
    fn routes_after(&self, after: Option<&(String, u64)>, count: usize) -> Vec<(String, u64)> {
        let routes = self.routes();
        routes
            .into_iter()
            .filter(|r| after.is_none_or(|after| r > after))
            .take(count)
            .collect()
    }
    fn routes_matching(
        &self,
        topic: &str,
        after: Option<&(String, u64)>,
        count: usize,
    ) -> Vec<(String, u64)> {
        let wanted = |r: &(String, u64)| {
            raftmq_mqtt::topic::matches(&r.0, topic) && after.is_none_or(|after| r > after)
        };
        self.routes()
            .into_iter()
            .filter(wanted)
            .take(count)
            .collect()
    }
    fn end_session(&self, client_id: &str) -> BoxFuture<'_, Result<(), ReplicationError>> {
        let ended = self.replicated().map(|()| {
            self.sessions.lock().unwrap().remove(client_id);
        });
        Box::pin(async move { ended })
    }
    fn end_offline(
        &self,
        client_id: &str,
        epoch: u64,
    ) -> BoxFuture<'_, Result<bool, ReplicationError>> {
        let mut sessions = self.sessions.lock().unwrap();
        let stays = |id: &str| self.returning.iter().any(|returning| returning == id);
        let ended = self.replicated().map(|()| {
            let is_meant = sessions.get(client_id).is_some_and(|s| s.epoch == epoch);
            is_meant && !stays(client_id) && sessions.remove(client_id).is_some()
        });
        Box::pin(async move { ended })
    }
    fn set_drain(
        &self,
        node_id: u64,
        order: Option<DrainOrder>,
    ) -> BoxFuture<'_, Result<(), DrainRefusal>> {
        let mut drains = self.drains.lock().unwrap();
        let is_known = self.nodes.iter().any(|node| node.id == node_id);
        let set = match self.drain_refusal.clone() {
            Some(refusal) => Err(refusal),
            None if !is_known => Err(DrainRefusal::UnknownNode),
            None => {
                drains.insert(node_id, order);
                Ok(())
            }
        };
        Box::pin(async move { set })
    }
    fn bans_after(&self, after: Option<(BanOf, &str)>, count: usize) -> Vec<Arc<Ban>> {
        let bans = self.bans.lock().unwrap();
        let behind = |ban: &&Arc<Ban>| after.is_none_or(|after| (ban.of, &*ban.who) > after);
        bans.values().filter(behind).take(count).cloned().collect()
    }
    fn set_ban(&self, ban: Ban) -> BoxFuture<'_, Result<(), BanRefusal>> {
        let set = self.ban_refusal.clone().map_or(Ok(()), Err).map(|()| {
            let key = (ban.of, ban.who.clone());
            self.bans.lock().unwrap().insert(key, Arc::new(ban));
        });
        Box::pin(async move { set })
    }
    fn lift_ban(&self, of: BanOf, who: &str) -> BoxFuture<'_, Result<bool, ReplicationError>> {
        let lifted = self.replicated().map(|()| {
            let mut bans = self.bans.lock().unwrap();
            bans.remove(&(of, who.into())).is_some()
        });
        Box::pin(async move { lifted })
    }
    fn members(&self) -> BTreeMap<u64, String> {
        self.members.clone()
    }
    fn admit(
        &self,
        node_id: u64,
        address: String,
        mode: Mode,
    ) -> BoxFuture<'_, Result<MembershipChange, MembershipError>> {
        self.asked
            .lock()
            .unwrap()
            .push(format!("{mode:?} admit {node_id} at {address}"));
        let answer = self.membership.clone();
        Box::pin(async move { answer })
    }
    fn remove(
        &self,
        node_id: u64,
        mode: Mode,
    ) -> BoxFuture<'_, Result<MembershipChange, MembershipError>> {
        self.asked
            .lock()
            .unwrap()
            .push(format!("{mode:?} remove {node_id}"));
        let answer = self.membership.clone();
        let answer = answer.map(|change| MembershipChange {
            change: "leaves".into(),
            ..change
        });
        Box::pin(async move { answer })
    }
    fn retained_after(&self, filter: &str, after: Option<&str>, _: usize) -> RetainedPiece {
        // Pieces of one: whoever reads must read on, also when a piece holds nothing.
        let retained = self.retained.lock().unwrap();
        let mut behind = retained
            .values()
            .filter(|m| after.is_none_or(|after| m.topic.as_str() > after));
        let Some(first) = behind.next().cloned() else {
            return RetainedPiece::default();
        };
        RetainedPiece {
            next: behind.next().map(|_| first.topic.clone()),
            found: Vec::from_iter(
                Some(first).filter(|m| raftmq_mqtt::topic::matches(filter, &m.topic)),
            ),
        }
    }
    fn retained(&self, topic: &str) -> Option<KnownRetained> {
        self.retained.lock().unwrap().get(topic).cloned()
    }
    fn delete_retained(&self, topic: &str) -> BoxFuture<'_, Result<(), ReplicationError>> {
        let deleted = self.replicated().map(|()| {
            self.retained.lock().unwrap().remove(topic);
        });
        Box::pin(async move { deleted })
    }
    fn read_barrier(&self) -> BoxFuture<'_, Result<(), ReplicationError>> {
        let done = self.replicated();
        Box::pin(async move { done })
    }
    fn checkpoint(&self) -> BoxFuture<'_, Result<u64, ReplicationError>> {
        let written = self.replicated().map(|()| 43);
        Box::pin(async move { written })
    }
    fn readiness(&self) -> Result<(), String> {
        let drains = self.drains.lock().unwrap();
        let own = drains.get(&1).copied().flatten();
        let why = self.not_ready.or(own.map(|_| "draining"));
        why.map_or(Ok(()), |why| Err(why.to_owned()))
    }
}

impl View {
    fn replicated(&self) -> Result<(), ReplicationError> {
        if self.no_leader {
            Err(ReplicationError("no leader".into()))
        } else {
            Ok(())
        }
    }

    fn all_subscriptions(&self) -> Vec<KnownSubscription> {
        let sessions = self.sessions.lock().unwrap();
        let of_client = |(id, all): (&String, &Vec<Subscription>)| {
            let row = &sessions[id].row;
            let client = Arc::new(Subscribing {
                client_id: id.as_str().into(),
                node_id: row.node_id,
                peer_address: row.peer_address.clone(),
                protocol_version: row.protocol_version,
            });
            let known =
                |(filter, share, options, subscription_id): &Subscription| KnownSubscription {
                    client: client.clone(),
                    filter: filter.as_str().into(),
                    share: share.as_deref().map(Into::into),
                    options: *options,
                    id: *subscription_id,
                };
            all.iter().map(known).collect::<Vec<_>>()
        };
        self.subscriptions.iter().flat_map(of_client).collect()
    }

    fn routes(&self) -> Vec<(String, u64)> {
        let sessions = self.sessions.lock().unwrap();
        let mut routes: Vec<_> = self
            .subscriptions
            .iter()
            .flat_map(|(id, all)| {
                all.iter()
                    .map(|(filter, ..)| (filter.clone(), sessions[id].row.node_id))
            })
            .collect();
        routes.sort();
        routes.dedup();
        routes
    }
}

/// A node that holds the rows it is given and writes down what it is told to do.
#[derive(Default)]
pub struct TestNode {
    pub rows: Vec<ClientRow>,
    pub stats: Stats,
    pub metrics: Metrics,
    pub told: Mutex<Vec<String>>,
    pub not_serving: bool,
    pub events: Events,
    pub inspection: InspectReply,
    pub drain: DrainReply,
    /// The hash of its table; `None`: it has none.
    pub table_hash: Option<u64>,
    pub explanation: ExplainReply,
    pub clock: Clock,
    pub vitals: VitalsReply,
    pub features: FeaturesReply,
    pub samples: Vec<Sample>,
}

impl TestNode {
    pub fn with_rows(rows: Vec<ClientRow>) -> Self {
        let mut node = Self {
            rows,
            ..Default::default()
        };
        node.stats.set(Stat::Connections, 2);
        node.stats.set(Stat::Routes, 7);
        node.stats.set(Stat::Retained, 1);
        node.metrics[Metric::MessagesPublish] = 10;
        node
    }

    fn row(&self, id: &str) -> Option<ClientRow> {
        self.rows.iter().find(|row| row.client_id == id).cloned()
    }

    fn tell(&self, what: String) {
        self.told.lock().unwrap().push(what);
    }

    fn connected(&self, id: &str) -> Result<(), NodeError> {
        let row = self.row(id).ok_or(NodeError::UnknownClient)?;
        if row.connected {
            Ok(())
        } else {
            Err(NodeError::ClientOffline)
        }
    }
}

fn now<T: Send + 'static>(value: Result<T, NodeError>) -> Answer<'static, T> {
    Box::pin(async move { value })
}

impl Node for TestNode {
    fn broker(&self) -> Answer<'_, BrokerReply> {
        now(Ok(BrokerReply {
            description: "RaftMQ Broker".into(),
            version: "raftmq/0.1.0".into(),
            uptime_seconds: 515_763,
            now_ms: self.clock.now_ms(),
        }))
    }
    fn node(&self) -> Answer<'_, NodeReply> {
        now(Ok(NodeReply {
            version: "raftmq/0.1.0".into(),
            uptime_seconds: 61,
            connections: self.rows.len() as u64,
            machine: Some(Machine {
                boot_time_ms: CONNECTED_AT_MS,
                load1: 0.25,
                load5: 0.5,
                load15: 0.75,
                memory_total_bytes: 1_000,
                memory_free_bytes: 300,
                disk_total_bytes: 9_000,
                disk_free_bytes: 8_000,
            }),
        }))
    }
    fn clients(&self, query: ClientQuery) -> Answer<'_, ClientPage> {
        let mut page = PageBuilder::new(query);
        self.rows.iter().for_each(|row| page.offer(row.clone()));
        now(Ok(page.finish()))
    }
    fn client(&self, client_id: String) -> Answer<'_, Option<ClientRow>> {
        now(Ok(self.row(&client_id)))
    }
    fn publish(&self, p: AdminPublication) -> Answer<'_, ()> {
        if self.not_serving {
            return now(Err(NodeError::NotServing("no lease".into())));
        }
        let (from, qos, retain) = (&p.client_id, p.qos, p.retain);
        self.tell(format!(
            "{from} {:?} {:?} qos {qos} retain {retain}",
            p.topics, p.payload
        ));
        now(Ok(()))
    }
    fn subscribe(&self, client: String, filters: Vec<String>, qos: u8) -> Answer<'_, Vec<bool>> {
        let connected = self.connected(&client);
        self.tell(format!("{client} subscribes {filters:?} qos {qos}"));
        now(connected.map(|()| filters.iter().map(|f| !f.starts_with("secret")).collect()))
    }
    fn unsubscribe(&self, client: String, filter: String) -> Answer<'_, bool> {
        let connected = self.connected(&client);
        self.tell(format!("{client} unsubscribes {filter}"));
        now(connected.map(|()| filter == "foo/a"))
    }
    fn stats(&self) -> Answer<'_, Stats> {
        now(Ok(self.stats.clone()))
    }
    fn metrics(&self) -> Answer<'_, Metrics> {
        now(Ok(self.metrics.clone()))
    }
    fn vitals(&self) -> Answer<'_, VitalsReply> {
        now(Ok(self.vitals.clone()))
    }
    fn features(&self) -> Answer<'_, FeaturesReply> {
        now(Ok(self.features))
    }
    fn history(&self, query: HistoryQuery) -> Answer<'_, Vec<Sample>> {
        self.tell(format!(
            "history by {} ms, {} at most",
            query.window_ms, query.limit
        ));
        now(Ok(self.samples.clone()))
    }
    fn plugins(&self) -> Answer<'_, Vec<PluginRow>> {
        let row = |name: &str, immutable| PluginRow {
            name: name.into(),
            version: "0.1.0".into(),
            description: "A plugin".into(),
            active: true,
            inited: true,
            immutable,
            attributes_json: r#"{"rules":2}"#.into(),
        };
        now(Ok(vec![
            row("rmqtt-acl", false),
            row("rmqtt-counter", true),
        ]))
    }
    fn plugin_config(&self, plugin: String) -> Answer<'_, String> {
        match plugin.as_str() {
            "rmqtt-acl" => now(Ok(r#"{"rules":[["allow","all"]]}"#.into())),
            _ => now(Err(NodeError::UnknownPlugin)),
        }
    }
    fn command_plugin(&self, plugin: String, command: PluginCommand) -> Answer<'_, bool> {
        self.tell(format!("{command:?} {plugin}"));
        match plugin.as_str() {
            "rmqtt-acl" => now(Ok(command != PluginCommand::Load)),
            "rmqtt-counter" => now(Err(NodeError::Refused("rmqtt-counter is immutable".into()))),
            _ => now(Err(NodeError::UnknownPlugin)),
        }
    }

    fn events(&self, filter: EventFilter) -> Answer<'_, EventFeed> {
        let heard = BroadcastStream::new(self.events.listen()).filter_map(move |told| {
            let wanted = match told {
                Ok(Told::Event(event)) => filter.wants(&event).then_some(Told::Event(event)),
                Ok(skipped) => Some(skipped),
                Err(_) => None,
            };
            std::future::ready(wanted.map(Ok))
        });
        now(Ok(Box::pin(heard) as EventFeed))
    }

    fn inspect(&self) -> Answer<'_, InspectReply> {
        now(Ok(self.inspection.clone()))
    }
    fn drain(&self) -> Answer<'_, DrainReply> {
        now(Ok(self.drain.clone()))
    }
    fn table_hash(&self, index: u64) -> Answer<'_, u64> {
        assert_eq!(index, 43, "that of the checkpoint");
        let none = || NodeError::Failed("no hash".into());
        now(self.table_hash.ok_or_else(none))
    }
    fn explain(&self, question: ExplainQuestion) -> Answer<'_, ExplainReply> {
        let ExplainQuestion {
            topic,
            publisher,
            username,
            ip_address,
            limit,
        } = question;
        let who = (username, ip_address.map(|ip| ip.to_string()));
        let who = match who {
            (None, None) => String::new(),
            (username, ip) => format!(
                " as {}@{}",
                username.unwrap_or_default(),
                ip.unwrap_or_default()
            ),
        };
        self.tell(format!(
            "explain {topic} by '{publisher}'{who} limit {limit}"
        ));
        now(Ok(self.explanation.clone()))
    }
}

/// A client on a node.
pub fn row(node_id: u64, client_id: &str) -> ClientRow {
    ClientRow {
        node_id,
        client_id: client_id.into(),
        protocol_version: 4,
        peer_address: "10.0.0.9:10839".into(),
        listener: "mqtt".into(),
        connected: true,
        connected_at_ms: CONNECTED_AT_MS,
        created_at_ms: CONNECTED_AT_MS,
        keep_alive_seconds: 60,
        clean_start: true,
        expiry_seconds: 7200,
        inflight_max: 16,
        queue_max: 1000,
        ..Default::default()
    }
}

pub fn session(row: ClientRow) -> KnownSession {
    KnownSession {
        row,
        local_address: "10.0.0.1:1883".into(),
        epoch: 1,
    }
}

pub fn subscription(filter: &str, share: &str, options: u8) -> Subscription {
    let share = Some(share.to_owned()).filter(|share| !share.is_empty());
    (filter.into(), share, options, 0)
}

/// A running API server. Stops when dropped.
pub struct World {
    pub base: String,
    pub address: std::net::SocketAddr,
    pub http: reqwest::Client,
    pub phase: watch::Sender<Phase>,
    pub stop: Option<oneshot::Sender<()>>,
    pub server: tokio::task::JoinHandle<()>,
}

/// What a [`World`] is started with.
pub struct Setup {
    pub view: Arc<View>,
    pub local: Arc<TestNode>,
    /// Peers by address.
    pub peers: Vec<(u64, String)>,
    pub config: ApiConfig,
    pub tls: Option<Arc<raftmq_api::Tls>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            view: Arc::new(View::default()),
            local: Arc::new(TestNode::with_rows(Vec::new())),
            peers: Vec::new(),
            config: ApiConfig {
                peer_timeout: Duration::from_secs(2),
                ..Default::default()
            },
            tls: None,
        }
    }
}

pub fn identity(node_id: u64) -> Arc<Identity> {
    let identity = Identity::new(node_id);
    identity.set_cluster_id(CLUSTER);
    Arc::new(identity)
}

impl Setup {
    pub async fn start(self) -> World {
        let identity = identity(1);
        let deadline = self.config.peer_timeout;
        let peer = |(id, address): &(u64, String)| {
            PeerNode::new(identity.clone(), *id, address, deadline).unwrap()
        };
        let (phase, phases) = watch::channel(Phase::Serving);
        let api = Api::new(ApiParts {
            config: self.config,
            replicated: self.view,
            identity: identity.clone(),
            address: "n1:7000".into(),
            local: self.local,
            peers: self.peers.iter().map(peer).collect(),
            phase: phases,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (_later, later) = tokio::sync::mpsc::channel(1);
        let server = tokio::spawn(serve(listener, later, self.tls, api, async move {
            let _ = stopped.await;
        }));
        let base = format!("http://{address}");
        World {
            base,
            address,
            http: reqwest::Client::new(),
            phase,
            stop: Some(stop),
            server,
        }
    }
}

/// Serves a node to peers over gRPC; its address.
pub async fn serve_peer(id: u64, node: Arc<TestNode>) -> String {
    serve_as(identity(id), node).await
}

pub async fn serve_as(identity: Arc<Identity>, node: Arc<TestNode>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(query_server(
        identity,
        node,
        tokio::runtime::Handle::current(),
    ));
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

/// An address that takes connections and never answers.
pub async fn silent_peer() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    address
}

/// An address where nobody listens.
pub async fn dead_peer() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Status, headers and body of an answer.
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json; charset=utf-8")
        );
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn text(&self) -> &str {
        assert_eq!(
            self.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        &self.body
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The error's code; checks that the body has the one shape of errors.
    pub fn code(&self) -> String {
        let json = self.json();
        assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
        assert!(!json["message"].as_str().unwrap().is_empty());
        json["code"].as_str().unwrap().to_owned()
    }

    /// One field of every row.
    pub fn column(&self, field: &str) -> Vec<String> {
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.json()
            .as_array()
            .unwrap()
            .iter()
            .map(|row| text(&row[field]))
            .collect()
    }
}

impl World {
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.http.get(format!("{}{path}", self.base)))
            .await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(self.http.delete(format!("{}{path}", self.base)))
            .await
    }

    pub async fn post(&self, path: &str, body: &str) -> Reply {
        self.send(
            self.http
                .post(format!("{}{path}", self.base))
                .body(body.to_owned()),
        )
        .await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply {
            status,
            headers,
            body: response.text().await.unwrap(),
        }
    }
}
