//! Nodes, the links between them, and what tests ask for again and again.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use raftmq_proto::v1::{
    LeaveRequest, Message, Op, RaftHeader, SetRetained, op::Kind, raft_client::RaftClient,
};
use raftmq_store::table::{Outcome, TableEvent};
use raftmq_store::{
    Limits, Observer, OpenError, Peer, Phase, ProposeError, Readiness, Role, Store, StoreConfig,
    Timing,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

pub type TestResult = Result<(), Box<dyn Error>>;

/// Everything that has to happen, happens within this time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Of the nodes' talk.
const PROTOCOL_VERSION: u32 = 1;

/// What a link does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Open,
    Slow(Duration),
    /// Swallows everything without a word, like a broken cable; goes on where it stopped.
    Cut,
}

/// The connections that one node makes to another one.
struct Link {
    address: String,
    condition: watch::Sender<Condition>,
    /// Raised to break all connections.
    breaks: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A loopback address of this cluster's own: clusters of other tests cannot take its ports.
fn own_host() -> Ipv4Addr {
    static CLUSTERS: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(
        127,
        high,
        low,
        CLUSTERS.fetch_add(1, Ordering::Relaxed).clamp(1, 254),
    )
}

impl Link {
    async fn start(to: String, host: Ipv4Addr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (condition, seen) = watch::channel(Condition::Open);
        let breaks = watch::Sender::new(0);
        let broken = breaks.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (connected, mut broken) = (
                    connect(stream, to.clone(), seen.clone()),
                    broken.subscribe(),
                );
                tokio::spawn(async move {
                    tokio::select! { () = connected => {}, _ = broken.changed() => {} }
                });
            }
        });
        Ok(Self {
            address,
            condition,
            breaks,
            task,
        })
    }
}

async fn connect(from: TcpStream, to: String, mut condition: watch::Receiver<Condition>) {
    let open = condition
        .wait_for(|condition| *condition != Condition::Cut)
        .await
        .is_ok();
    if !open {
        return;
    }
    let Ok(to) = TcpStream::connect(to).await else {
        return;
    };
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    let there = pump(from_read, to_write, condition.clone());
    let back = pump(to_read, from_write, condition);
    tokio::select! { () = there => {}, () = back => {} }
}

async fn pump(
    mut read: OwnedReadHalf,
    mut write: OwnedWriteHalf,
    mut condition: watch::Receiver<Condition>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(length @ 1..) = read.read(&mut buffer).await else {
            return;
        };
        let passing = condition
            .wait_for(|condition| *condition != Condition::Cut)
            .await;
        let Ok(passing) = passing.map(|passing| *passing) else {
            return;
        };
        if let Condition::Slow(delay) = passing {
            tokio::time::sleep(delay).await;
        }
        if write.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Counts what it is told.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    pub applied: Arc<AtomicU64>,
    pub replaced: Arc<AtomicU64>,
    pub lives_lost: Arc<AtomicU64>,
}

impl Observer for Witness {
    fn applied(&mut self, index: u64, _events: &[TableEvent], _phase: Phase) {
        let before = self.applied.swap(index, Ordering::SeqCst);
        assert!(index > before, "entries are told in order");
    }

    fn table_replaced(&mut self) {
        self.replaced.fetch_add(1, Ordering::SeqCst);
    }

    fn lost_life(&mut self) {
        self.lives_lost.fetch_add(1, Ordering::SeqCst);
    }
}

/// A node that runs.
pub struct Running {
    pub store: Store,
    pub witness: Witness,
    stop_server: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

pub struct Cluster {
    dir: TempDir,
    ports: BTreeMap<u64, String>,
    links: BTreeMap<(u64, u64), Link>,
    nodes: BTreeMap<u64, Running>,
    limits: Limits,
    pub timing: Timing,
    /// Nodes up to this one form the cluster; later ones join it.
    founders: u64,
}

impl Cluster {
    /// Links between `size` nodes, none of which runs.
    pub async fn new(size: u64) -> Result<Self, Box<dyn Error>> {
        Self::with_limits(size, Limits::default()).await
    }

    pub async fn with_limits(size: u64, limits: Limits) -> Result<Self, Box<dyn Error>> {
        let host = own_host();
        let mut ports = BTreeMap::new();
        // All held until all are known: a port that is let go may be given out again.
        let mut held = Vec::new();
        for id in 1..=size {
            let listener = TcpListener::bind((host, 0)).await?;
            ports.insert(id, listener.local_addr()?.to_string());
            held.push(listener);
        }
        let mut links = BTreeMap::new();
        for (from, to) in (1..=size).flat_map(|from| (1..=size).map(move |to| (from, to))) {
            if from != to {
                links.insert((from, to), Link::start(ports[&to].clone(), host).await?);
            }
        }
        drop(held);
        Ok(Self {
            dir: tempfile::tempdir()?,
            ports,
            links,
            nodes: BTreeMap::new(),
            limits,
            timing: Timing::default(),
            founders: size,
        })
    }

    /// All nodes run and serve.
    pub async fn serving(size: u64) -> Result<Self, Box<dyn Error>> {
        Self::serving_with(size, Limits::default()).await
    }

    pub async fn serving_with(size: u64, limits: Limits) -> Result<Self, Box<dyn Error>> {
        let mut cluster = Self::with_limits(size, limits).await?;
        for id in 1..=size {
            cluster.start(id).await?;
        }
        cluster.all_serve().await?;
        Ok(cluster)
    }

    /// All nodes but the last form a cluster and serve; the last one runs and waits to be admitted.
    pub async fn with_newcomer(size: u64) -> Result<Self, Box<dyn Error>> {
        let mut cluster = Self::new(size).await?;
        cluster.founders = size - 1;
        for id in 1..size {
            cluster.start(id).await?;
        }
        cluster.all_serve().await?;
        cluster.start(size).await?;
        Ok(cluster)
    }

    /// Where the others reach a node that joins: through one of the links.
    pub fn address_for_others(&self, id: u64) -> String {
        let mut links = self.links.iter();
        let link = links.find(|((_, to), _)| *to == id);
        link.map_or_else(|| self.ports[&id].clone(), |(_, link)| link.address.clone())
    }

    pub fn data_dir(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("node-{id}"))
    }

    pub fn config(&self, id: u64) -> StoreConfig {
        let address = |to: u64| match self.links.get(&(id, to)) {
            Some(link) => link.address.clone(),
            None => self.ports[&to].clone(),
        };
        StoreConfig {
            node_id: id,
            node_name: format!("n{id}"),
            version: "test".into(),
            rpc_address: self.ports[&id].clone(),
            server_reference: String::new(),
            data_dir: self.data_dir(id),
            peers: self
                .ports
                .keys()
                .filter(|to| id > self.founders || **to <= self.founders)
                .map(|to| Peer {
                    id: *to,
                    address: address(*to),
                })
                .collect(),
            joins: id > self.founders,
            timing: self.timing.clone(),
            limits: self.limits.clone(),
        }
    }

    pub async fn start(&mut self, id: u64) -> Result<(), Box<dyn Error>> {
        let running = run(self.config(id), &self.ports[&id]).await?;
        self.nodes.insert(id, running);
        Ok(())
    }

    pub async fn open(&self, id: u64) -> Result<Store, OpenError> {
        Store::open(self.config(id), Witness::default()).await
    }

    /// Like kill -9: nothing is said, nothing more is sent.
    pub async fn kill(&mut self, id: u64) -> TestResult {
        let Some(mut node) = self.nodes.remove(&id) else {
            return Ok(());
        };
        self.isolate(id);
        node.end_server().await;
        // Stops Raft and frees the directory; the others do not hear of it.
        tokio::time::timeout(PATIENCE, node.store.shutdown(Duration::ZERO)).await?;
        drop(node);
        self.break_links(id);
        Ok(())
    }

    /// In good order.
    pub async fn stop(&mut self, id: u64) -> TestResult {
        let Some(mut node) = self.nodes.remove(&id) else {
            return Ok(());
        };
        tokio::time::timeout(PATIENCE, node.store.shutdown(Duration::from_secs(5))).await?;
        node.end_server().await;
        self.break_links(id);
        Ok(())
    }

    /// A process that has ended has no connections.
    fn break_links(&self, id: u64) {
        for (_, link) in self
            .links
            .iter()
            .filter(|((from, to), _)| *from == id || *to == id)
        {
            link.breaks.send_modify(|breaks| *breaks += 1);
            link.condition.send_replace(Condition::Open);
        }
    }

    pub fn store(&self, id: u64) -> &Store {
        &self.nodes[&id].store
    }

    pub fn witness(&self, id: u64) -> &Witness {
        &self.nodes[&id].witness
    }

    pub fn running(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    pub fn isolate(&self, id: u64) {
        self.set_all(|(from, to)| from == id || to == id, Condition::Cut);
    }

    pub fn heal_all(&self) {
        self.set_all(|_| true, Condition::Open);
    }

    pub fn set_all(&self, which: impl Fn((u64, u64)) -> bool, condition: Condition) {
        for (_, link) in self.links.iter().filter(|(ends, _)| which(**ends)) {
            link.condition.send_replace(condition);
        }
    }

    /// The node that leads, once all running nodes agree.
    pub async fn leader(&self) -> Result<u64, Box<dyn Error>> {
        until("a leader", || async {
            let leaders: Vec<_> = self
                .nodes
                .values()
                .map(|node| node.store.status().leader)
                .collect();
            let first = (*leaders.first()?)?;
            let leads = self.nodes.get(&first)?.store.status().role == Role::Leader;
            (leads && leaders.iter().all(|leader| *leader == Some(first))).then_some(first)
        })
        .await
    }

    /// The node that leads, as one of these knows it.
    pub async fn leader_of(&self, ids: &[u64]) -> Result<u64, Box<dyn Error>> {
        until("a leader", || async {
            let leaders = ids.iter().map(|id| self.store(*id).status().leader);
            let leaders: Vec<_> = leaders.collect();
            let first = (*leaders.first()?)?;
            leaders
                .iter()
                .all(|leader| *leader == Some(first))
                .then_some(first)
        })
        .await
    }

    /// Asks node `of` to leave, as the leader does before it removes it.
    pub async fn ask_to_leave(&self, of: u64) -> TestResult {
        let header = {
            let table = self.store(of).table().read();
            let raft_id = |wanted: u64| {
                let mut nodes = table.nodes();
                nodes.find_map(|(id, node)| (u64::from(id) == wanted).then_some(node.raft_id))
            };
            let other = self.nodes.keys().copied().find(|id| *id != of);
            let identity = self.store(of).identity();
            RaftHeader {
                protocol_version: PROTOCOL_VERSION,
                cluster_id: identity.cluster_id.clone().unwrap_or_default(),
                from: other.and_then(raft_id).ok_or("no other node")?,
                to: raft_id(of).ok_or("an unknown node")?,
                to_disk_id: identity.disk_id.clone(),
                ..RaftHeader::default()
            }
        };
        let mut client = RaftClient::connect(format!("http://{}", self.ports[&of])).await?;
        client
            .leave(LeaveRequest {
                header: Some(header),
            })
            .await?;
        Ok(())
    }

    pub async fn all_serve(&self) -> TestResult {
        until("all nodes serve", || async {
            let ready = |node: &Running| node.store.readiness() == Readiness::Ready;
            self.nodes.values().all(ready).then_some(())
        })
        .await
        .map_err(|error| {
            let states: Vec<_> = self
                .nodes
                .iter()
                .map(|(id, node)| (*id, node.store.readiness(), node.store.status()))
                .collect();
            format!("{error}: {states:#?}").into()
        })
    }

    /// All running nodes show the same table.
    pub async fn tables_agree(&self) -> TestResult {
        until("equal tables", || async {
            let states: Vec<_> = self
                .nodes
                .values()
                .map(|node| {
                    let table = node.store.table().read();
                    (table.applied_index(), table.hash())
                })
                .collect();
            states
                .windows(2)
                .all(|pair| pair[0] == pair[1])
                .then_some(())
        })
        .await
    }
}

impl Running {
    async fn end_server(&mut self) {
        drop(self.stop_server.take());
        self.server.abort();
        let _ = (&mut self.server).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Opens a store and serves its requests at an address.
pub async fn run(config: StoreConfig, address: &str) -> Result<Running, Box<dyn Error>> {
    let witness = Witness::default();
    let store = Store::open(config, witness.clone()).await?;
    let listener = until("the port", || async {
        TcpListener::bind(address).await.ok()
    })
    .await?;
    let (stop_server, stopped) = oneshot::channel::<()>();
    let service = store.service();
    let server = tokio::spawn(async move {
        let server = tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .add_service(service);
        let serving =
            server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        tokio::select! { _ = serving => {}, _ = stopped => {} }
    });
    Ok(Running {
        store,
        witness,
        stop_server: Some(stop_server),
        server,
    })
}

/// Asks again and again until there is an answer.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T, Box<dyn Error>> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("not within {PATIENCE:?}: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A command with an effect that is easy to look for.
pub fn note(topic: &str, text: &str) -> Op {
    let message = Message {
        topic: topic.into(),
        payload: text.as_bytes().to_vec().into(),
        retain: true,
        received_at_ms: 1,
        ..Message::default()
    };
    Op {
        kind: Some(Kind::SetRetained(SetRetained {
            message: Some(message),
        })),
    }
}

/// What the table of that store shows for the topic.
pub fn noted(store: &Store, topic: &str) -> Option<String> {
    let table = store.table().read();
    let message = table.retained(topic)?;
    Some(String::from_utf8_lossy(&message.payload).into_owned())
}

/// Proposes until it is done; a proposal whose outcome is unknown is repeated.
pub async fn propose_until_done(store: &Store, op: &Op) -> Result<Outcome, Box<dyn Error>> {
    until("the command is carried out", || async {
        match store.propose(op.clone()).await {
            Ok(outcome) => Some(outcome),
            Err(ProposeError::TooLarge { .. }) => None,
            Err(_) => None,
        }
    })
    .await
}
