//! Starting a node: all ports are opened before anything else happens, so that a port in use is the
//! first thing that is told.

use super::{
    Addresses, Node, Switches, history,
    http::{self, Http},
    learning,
    local::LocalNode,
    questions::QuestionThreads,
    sampling::Sampler,
};
use crate::{
    admission::Admission,
    config::{Config, ListenerConfig},
    counting::Counters,
    delayed,
    drain::{self, Draining},
    engine::Engine,
    gauges::Gauges,
    journal::{Image, Journal, JournalError, Owner, Waker},
    link::{
        self, CONNECTION_WINDOW, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, LinkService, Links,
        STREAM_WINDOW,
    },
    listener::{self, open, open::Opened},
    observer::TableObserver,
    plugin::{self, Deployment, EngineDesk, ExtensionsCell, HttpControl, PluginHost},
    settings::Settings,
    shard::{self, Doors, mailbox::Mailbox},
    takeovers::Takeovers,
    transport::quic,
};
use raftmq_api::{Identity, Phase, TlsError};
use raftmq_store::{Limits, OpenError, Peer, Store, StoreConfig, Timing};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
};
use tonic::transport::{Server, server::TcpIncoming};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be opened.
    #[error("cannot listen on {address} for {purpose} ({setting}): {error}{}", advice(.error, .setting))]
    Listen {
        /// What for.
        purpose: &'static str,
        /// The setting that names the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// What sessions were owed cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The files of plugins, or their names.
    #[error("the plugins cannot start (plugins.dir, plugins.default_startups):\n  {0}")]
    Plugins(String),
    /// The certificate of the HTTP API, or its key.
    #[error("the HTTP API cannot speak TLS (http.tls_certificate, http.tls_key): {0}")]
    Tls(#[from] TlsError),
    /// A certificate of a listener, or its key, or those who prove its clients.
    #[error("a listener cannot speak TLS (see its table [listener.<name>]): {0}")]
    ListenerTls(TlsError),
    /// A listener's address or path cannot be opened.
    #[error("cannot listen on {address} for MQTT (listener.{name}): {error}{}", advice(.error, "its setting"))]
    Listener {
        /// The listener.
        name: String,
        /// Address or path.
        address: String,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// A peer's address is of no use.
    #[error("cluster.peers: {0}")]
    Peer(String),
    /// The operating system refuses something.
    #[error("the operating system refuses a thread: {0}")]
    Thread(std::io::Error),
}

impl StartError {
    fn listener(name: &str, listener: &ListenerConfig, error: std::io::Error) -> StartError {
        StartError::Listener {
            name: name.to_owned(),
            address: listener.place(),
            error,
        }
    }
}

fn advice(error: &std::io::Error, setting: &str) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("; another program has the port: stop it, or choose another one with {setting}")
        }
        _ => String::new(),
    }
}

/// Files that a node needs beside its connections.
const FILES_RESERVED: u64 = 256;
/// Commands that do not come from clients: lives of nodes, passing time, administrators.
const PROPOSALS_OF_THE_NODE: usize = 1024;

impl Node {
    /// Opens ports and disk and starts all parts. Does not wait for other nodes.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(config: &Config) -> Result<Node, StartError> {
        let tls = http::tls(&config.http)?;
        let (http_control, later_listeners) = HttpControl::new(&config.http, tls.clone());
        let desk = Arc::new(EngineDesk::default());
        let (plugins, extensions) = plugins(config, &http_control, &desk)?;
        let listeners = listener::all(config).map_err(StartError::ListenerTls)?;
        let ports = Ports::open(config, http_control.settings().address).await?;
        let addresses = ports.addresses;
        let (stopping, stopping_seen) = watch::channel(false);
        let (ended, ended_seen) = watch::channel(false);
        let (phase, phase_seen) = watch::channel(Phase::Starting);
        let switches = Switches {
            stopping,
            ended,
            phase,
        };
        let mailboxes: Vec<_> = ports
            .doors
            .iter()
            .map(|_| Arc::new(Mailbox::default()))
            .collect();
        let links = links(config, &mailboxes)?;
        let lives = Arc::new(AtomicU64::new(0));
        let counters = Counters::new(mailboxes.len());
        let gauges = Gauges::default();
        let takeovers = Arc::new(Takeovers::default());
        let delayed_due = Arc::new(Notify::new());
        let observer = TableObserver {
            node_id: config.node.id,
            mailboxes: mailboxes.clone(),
            lives: lives.clone(),
            takeovers: takeovers.clone(),
            links: links.clone(),
            counters: counters.table(),
            delayed_due: delayed_due.clone(),
            gauges: gauges.clone(),
            extensions: extensions.clone(),
        };
        let store = Store::open(store_config(config, addresses), observer).await?;
        let (journal, images) = match config.keeps_sessions_on_disk() {
            true => open_journal(config, &store, &mailboxes)?,
            false => (None, Vec::new()),
        };
        let engine = Arc::new(Engine {
            node_id: config.node.id,
            settings: Settings::new(config),
            lease: store.lease(),
            draining: Draining::new(&store),
            store,
            journal,
            links,
            counters,
            mailboxes,
            events: Arc::default(),
            gauges,
            listeners,
            admission: Admission::new(connections_max(config)),
            stopping: stopping_seen,
            ended: ended_seen,
            proposals: Semaphore::new(config.cluster.proposal_queue),
            takeovers,
            lives,
            delayed_due,
            extensions,
            plugins,
        });
        for listener in &engine.listeners[1..] {
            tracing::info!(
                listener = &*listener.name,
                transport = listener.transport.word(),
                address = listener.address,
                "MQTT: one more listener"
            );
        }
        let shards = shard::start(&engine, ports.doors, images).map_err(StartError::Thread)?;
        let http = Http {
            listener: ports.http,
            later: later_listeners,
            tls,
            control: http_control,
            desk,
        };
        quic::start(&engine, ports.quic).map_err(StartError::Thread)?;
        let http_face = http.face();
        let questions = QuestionThreads::start().map_err(StartError::Thread)?;
        let servers = servers(
            config,
            &engine,
            http,
            ports.rpc,
            phase_seen,
            questions.handle(),
        )?;
        switches.phase.send_replace(Phase::Serving);
        let stop_timeout = config.node.stop_timeout;
        Ok(Node {
            engine,
            shards,
            addresses,
            http: http_face,
            switches,
            servers,
            questions,
            stop_timeout,
        })
    }
}

/// The journal and the sessions in it.
fn open_journal(
    config: &Config,
    store: &Store,
    mailboxes: &[Arc<Mailbox>],
) -> Result<(Option<Arc<Journal>>, Vec<Image>), JournalError> {
    let owner = Owner {
        node_id: config.node.id,
        disk_id: store.identity().disk_id,
    };
    let shards = mailboxes
        .iter()
        .map(|mailbox| mailbox.clone() as Arc<dyn Waker>);
    let dir = config.node.data_dir.join("sessions");
    let (journal, images) = Journal::open(&dir, owner, shards.collect())?;
    Ok((Some(journal), images))
}

fn plugins(
    config: &Config,
    http: &Arc<HttpControl>,
    desk: &Arc<EngineDesk>,
) -> Result<(PluginHost, Arc<ExtensionsCell>), StartError> {
    let deployment = Deployment {
        dir: config.plugins.dir.clone(),
        startups: config.plugins.default_startups.clone(),
    };
    let members = config.members();
    let members: Vec<_> = members.iter().map(|member| member.to_string()).collect();
    let all = plugin::all(&members, http.clone(), desk);
    PluginHost::start(&deployment, all)
        .map_err(|problems| StartError::Plugins(problems.join("\n  ")))
}

/// The open ports.
struct Ports {
    /// What each shard accepts from.
    doors: Vec<Doors>,
    /// Sockets of QUIC, each with its listener's place.
    quic: Vec<(usize, std::net::UdpSocket)>,
    http: TcpListener,
    rpc: TcpListener,
    addresses: Addresses,
}

impl Ports {
    async fn open(config: &Config, http: SocketAddr) -> Result<Ports, StartError> {
        let mqtt_error = |error| StartError::Listen {
            purpose: "MQTT",
            setting: "mqtt.addr",
            address: config.mqtt.addr,
            error,
        };
        let shards = shard_count(config);
        let first = open::tcp(config.mqtt.addr, shards).map_err(mqtt_error)?;
        let mqtt_address = open::address_of(&first).unwrap_or(config.mqtt.addr);
        let mut doors: Vec<Doors> = first.into_iter().map(|door| vec![(0, door)]).collect();
        let mut quic = Vec::new();
        for (index, (name, own)) in config.listeners.iter().enumerate() {
            // The first place is that of `mqtt.addr`.
            let place = index + 1;
            let opened = open::any(own, shards);
            let opened = opened.map_err(|error| StartError::listener(name, own, error))?;
            match opened {
                Opened::Doors(opened) => {
                    for (all, door) in doors.iter_mut().zip(opened) {
                        all.push((place, door));
                    }
                }
                Opened::Quic(socket) => quic.push((place, socket)),
            }
        }
        let http_address = http;
        let http = bind("the HTTP API", "http.addr", http).await?;
        let rpc = bind("the other nodes", "rpc.addr", config.rpc_listen_addr()).await?;
        let addresses = Addresses {
            mqtt: mqtt_address,
            http: http.local_addr().unwrap_or(http_address),
            rpc: rpc.local_addr().unwrap_or(config.rpc.addr),
        };
        Ok(Ports {
            doors,
            quic,
            http,
            rpc,
            addresses,
        })
    }
}

async fn bind(
    purpose: &'static str,
    setting: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Listen {
            purpose,
            setting,
            address,
            error,
        })
}

fn shard_count(config: &Config) -> usize {
    match config.mqtt.shards {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
        n => n,
    }
}

/// `mqtt.max_connections`, as far as the limit of open files allows.
fn connections_max(config: &Config) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = limit.map_or(usize::MAX, |n| {
        n.saturating_sub(FILES_RESERVED)
            .try_into()
            .unwrap_or(usize::MAX)
    });
    config.mqtt.max_connections.min(files.max(1))
}

fn store_config(config: &Config, addresses: Addresses) -> StoreConfig {
    let cluster = &config.cluster;
    let rpc_address = match cluster.peers.is_empty() {
        true => addresses.rpc.to_string(),
        false => config.own_address(),
    };
    StoreConfig {
        node_id: config.node.id,
        node_name: config.node_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rpc_address,
        server_reference: config.mqtt.server_reference.clone().unwrap_or_default(),
        data_dir: config.node.data_dir.clone(),
        peers: cluster
            .peers
            .iter()
            .map(|p| Peer {
                id: p.id,
                address: p.address.clone(),
            })
            .collect(),
        joins: cluster.join,
        timing: Timing {
            heartbeat: cluster.heartbeat,
            election_min: cluster.election_min,
            election_max: cluster.election_max,
            lease: cluster.lease,
            // On a slow network everything takes longer, also asking for a lease and applying.
            lease_renewal: cluster.heartbeat * 2,
            apply_lag: cluster.lease,
            ..Timing::default()
        },
        limits: Limits {
            // Beside those of clients the store has a few of its own.
            proposals_waiting: cluster.proposal_queue + PROPOSALS_OF_THE_NODE,
            ..Limits::default()
        },
    }
}

fn links(config: &Config, mailboxes: &[Arc<Mailbox>]) -> Result<Arc<Links>, StartError> {
    let others = config
        .cluster
        .peers
        .iter()
        .filter(|peer| peer.id != config.node.id);
    let mut configured = BTreeMap::new();
    for peer in others {
        let address = link::channel(&peer.address);
        address.map_err(|error| StartError::Peer(format!("{peer}: {error}")))?;
        configured.insert(peer.id, peer.address.clone());
    }
    let window = config.cluster.link_window.get();
    Ok(Arc::new(Links::new(configured, window, mailboxes.to_vec())))
}

fn servers(
    config: &Config,
    engine: &Arc<Engine>,
    http: Http,
    rpc: TcpListener,
    phase: watch::Receiver<Phase>,
    questions: Handle,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let identity = Arc::new(Identity::new(config.node.id));
    let sampler = Arc::new(Sampler::new(engine.clone()));
    let node = LocalNode::new(
        engine.clone(),
        config,
        sampler.clone(),
        phase.clone(),
        http.control.clone(),
    );
    let node = Arc::new(node);
    let local: Arc<dyn raftmq_api::Node> = node.clone();
    http.desk.runs(engine, &local);
    let router = Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(engine.store.service())
        .add_service(LinkService::new(engine.clone()).into_server())
        .add_service(raftmq_api::query_server(
            identity.clone(),
            local.clone(),
            questions.clone(),
        ));
    let mut ended = engine.ended.clone();
    let mut servers = vec![tokio::spawn(async move {
        let serving = router.serve_with_incoming(TcpIncoming::from(rpc).with_nodelay(Some(true)));
        tokio::select! {
            served = serving => if let Err(error) = served {
                tracing::error!(%error, "the server for the other nodes ended");
            },
            _ = ended.wait_for(|end| *end) => {}
        }
    })];
    let (listeners, ended) = (engine.listeners.clone(), engine.ended.clone());
    servers.push(tokio::spawn(listener::follow_certificates(
        listeners, ended,
    )));
    servers.push(tokio::spawn(sampler.run()));
    servers.push(tokio::spawn(drain::run(engine.clone())));
    servers.push(tokio::spawn(delayed::run(engine.clone())));
    servers.push(tokio::spawn(learning::tell_leader(engine.clone())));
    servers.push(tokio::spawn(history::sample(node, engine.ended.clone())));
    servers.push(tokio::spawn(learning::learn_cluster_id(
        engine.clone(),
        identity.clone(),
    )));
    let api = http::api(
        config,
        &http.control.settings(),
        engine,
        identity,
        local,
        phase,
    )?;
    http.control.runs(api.clone());
    servers.push(questions.spawn(http::serve(api, http, engine.clone())));
    engine.links.run(engine);
    servers.push(tokio::spawn(link::follow_members(engine.clone())));
    Ok(servers)
}
