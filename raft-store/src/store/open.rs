//! Wiring a store: the only place that knows all of its parts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Inner, Store};
use crate::applied::{Followers, Observer};
use crate::batcher::ProposalQueue;
use crate::batcher::in_flight::InFlight;
use crate::batcher::merger::Merger;
use crate::batcher::sender::Sender;
use crate::campaigning::Campaigning;
use crate::checkpoints::Checkpoints;
use crate::clock::Moment;
use crate::compaction::Compaction;
use crate::config::{Peer, StoreConfig, Timing};
use crate::error::{OpenError, ProposeError};
use crate::failure::Failure;
use crate::fence::Fence;
use crate::formation::{Formation, Forming};
use crate::hand_over::HandOver;
use crate::identity::DataDir;
use crate::leader::{LeaderLink, LeaderSeen};
use crate::lease::Lease;
use crate::lease::quorum::QuorumContact;
use crate::lease::renewal::Renewal;
use crate::leases::LeaderLeases;
use crate::life::LifeCycle;
use crate::lives::LivesView;
use crate::local::LocalNode;
use crate::log::LogStore;
use crate::membership::Members;
use crate::network::admission::Admission;
use crate::network::pool::PeerPool;
use crate::network::raft_client::Network;
use crate::network::service::ServiceParts;
use crate::progress::Progress;
use crate::progress_links::ProgressLinks;
use crate::raft_types::{Raft, TABLE_GROUP};
use crate::read_index::ReadIndex;
use crate::reserve::Reserve;
use crate::state_machine::StateMachine;
use crate::table::SharedTable;

/// How often late proposals are looked for.
const EXPIRE: Duration = Duration::from_millis(100);

/// A data directory, opened and checked.
struct Opened {
    local: Arc<LocalNode>,
    log: LogStore,
    followers: Arc<Followers>,
    state_machine: StateMachine,
    failure: Failure,
}

impl Store {
    /// Opens the data directory and takes part in the cluster, or in forming it, from now on. Does not
    /// wait for anybody: [`Store::readiness`] says how far it is. Runs on the current tokio runtime,
    /// which should have threads to spare: a late heartbeat is an election.
    pub async fn open(config: StoreConfig, observer: impl Observer) -> Result<Self, OpenError> {
        let config = with_peers(config)?;
        let opening = config.clone();
        let opened =
            tokio::task::spawn_blocking(move || open_dir(&opening, Box::new(observer))).await;
        let opened = opened.map_err(|error| OpenError::Raft(error.to_string()))??;
        let pool = Arc::new(PeerPool::new(&config.peers));
        let contact = Arc::new(QuorumContact::default());
        let network = Network {
            local: Arc::clone(&opened.local),
            pool: Arc::clone(&pool),
            contact: Arc::clone(&contact),
        };
        let Opened {
            local,
            log,
            followers,
            state_machine,
            failure,
        } = opened;
        let raft = Raft::new(
            local.raft_id,
            Arc::new(raft_config(&config.timing)?),
            network,
            log.clone(),
            state_machine,
        )
        .await
        .map_err(|error| OpenError::Raft(error.to_string()))?;
        followers.replayed();
        let merger = Merger::start(raft.clone(), &config.limits);
        let leader = LeaderLink {
            local: Arc::clone(&local),
            raft,
            pool,
            merger,
        };
        let parts = Parts {
            config,
            local,
            log,
            followers,
            failure,
            contact,
            leader,
        };
        Ok(parts.start())
    }
}

/// An empty list of peers means a cluster of this node alone.
fn with_peers(mut config: StoreConfig) -> Result<StoreConfig, OpenError> {
    config.check().map_err(OpenError::Config)?;
    if config.peers.is_empty() {
        config.peers = vec![Peer {
            id: config.node_id,
            address: config.rpc_address.clone(),
        }];
    }
    Ok(config)
}

fn open_dir(config: &StoreConfig, observer: Box<dyn Observer>) -> Result<Opened, OpenError> {
    let dir = DataDir::open(&config.data_dir, config.node_id, &config.node_name)?;
    let local = Arc::new(LocalNode::new(dir, config));
    let failure = Failure::new();
    let reserve = reserve(config);
    reserve.check().map_err(OpenError::DiskFull)?;
    let log = LogStore::open(&config.data_dir, TABLE_GROUP, reserve, failure.clone())?;
    let progress = Arc::new(Progress::new());
    let followers = Arc::new(Followers {
        local: Arc::clone(&local),
        table: Arc::new(SharedTable::default()),
        fence: Arc::new(Fence::new(Arc::clone(&progress))),
        progress,
        in_flight: Arc::default(),
        checkpoints: Checkpoints::default(),
        lease: Lease::new(),
        lives: LivesView::new(),
        own_drain: watch::Sender::new(None),
        observer: Mutex::new(observer),
        replaying: AtomicBool::new(true),
    });
    let snapshots = snapshot_dir(config);
    let state_machine = StateMachine::open(
        snapshots.clone(),
        TABLE_GROUP,
        Arc::clone(&followers),
        failure.clone(),
    )?;
    if log.purged_index() > state_machine.applied_index() {
        let reason = "it is missing, and the log before it is gone".to_owned();
        return Err(OpenError::Snapshot {
            path: snapshots,
            reason,
        });
    }
    Ok(Opened {
        local,
        log,
        followers,
        state_machine,
        failure,
    })
}

fn reserve(config: &StoreConfig) -> Reserve {
    Reserve::new(&config.data_dir, config.limits.disk_reserve_bytes)
}

fn snapshot_dir(config: &StoreConfig) -> PathBuf {
    config.data_dir.join("snapshots")
}

fn raft_config(timing: &Timing) -> Result<openraft::Config, OpenError> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = openraft::Config {
        cluster_name: "raftmq".into(),
        heartbeat_interval: ms(timing.heartbeat),
        election_timeout_min: ms(timing.election_min),
        election_timeout_max: ms(timing.election_max),
        // Snapshots and purging are decided by bytes, not by entries: `compaction`.
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        // A follower gets a snapshot when the log does not reach back to it, not for mere lag.
        replication_lag_threshold: u64::MAX,
        install_snapshot_timeout: 600_000,
        ..openraft::Config::default()
    };
    config
        .validate()
        .map_err(|error| OpenError::Config(error.to_string()))
}

/// What the tasks are made of.
struct Parts {
    config: StoreConfig,
    local: Arc<LocalNode>,
    log: LogStore,
    followers: Arc<Followers>,
    failure: Failure,
    contact: Arc<QuorumContact>,
    leader: LeaderLink,
}

impl Parts {
    fn start(self) -> Store {
        let (queue, receiver) = ProposalQueue::new(&self.config.limits, self.config.timing.propose);
        let leader_seen = LeaderSeen::default();
        let read_index = ReadIndex::start(self.leader.clone());
        let leases = self.leader_leases(&queue, &leader_seen);
        let (formation, formed) = watch::channel(Formation::Waiting("starting".into()));
        let hand_over = self.hand_over();
        let members = self.members(&queue, &hand_over);
        let service = self.service(&leases, &leader_seen, &read_index, &members);
        let mut tasks = vec![
            tokio::spawn(Arc::clone(&leases).run()),
            tokio::spawn(Arc::clone(&members).run()),
            tokio::spawn(self.sender(receiver).run()),
            tokio::spawn(self.campaigning(&leases).run()),
            tokio::spawn(self.renewal(leases).run()),
            tokio::spawn(self.forming(formation).run()),
        ];
        tasks.extend(self.life_tasks(&queue, formed.clone()));
        tasks.extend(self.upkeep_tasks());
        let Self {
            config,
            local,
            log,
            followers,
            failure,
            contact,
            leader,
        } = self;
        let inner = Inner {
            local,
            data_dir: config.data_dir,
            timing: config.timing,
            failure,
            log,
            followers,
            leader,
            contact,
            queue,
            read_index,
            formation: formed,
            service,
            members,
            hand_over,
            tasks: Mutex::new(tasks),
        };
        Store {
            inner: Arc::new(inner),
        }
    }

    fn leader_leases(&self, queue: &ProposalQueue, leader_seen: &LeaderSeen) -> Arc<LeaderLeases> {
        Arc::new(LeaderLeases {
            local: Arc::clone(&self.local),
            leader: self.leader.clone(),
            leader_seen: leader_seen.clone(),
            queue: queue.clone(),
            contact: Arc::clone(&self.contact),
            progress: Arc::clone(&self.followers.progress),
            fence: Arc::clone(&self.followers.fence),
            table: Arc::clone(&self.followers.table),
            lives: self.followers.lives.clone(),
            timing: self.config.timing.clone(),
            started: Moment::now(),
            grantor: Mutex::new(None),
        })
    }

    fn service(
        &self,
        leases: &Arc<LeaderLeases>,
        leader_seen: &LeaderSeen,
        read_index: &ReadIndex,
        members: &Arc<Members>,
    ) -> Arc<ServiceParts> {
        Arc::new(ServiceParts {
            local: Arc::clone(&self.local),
            admission: Admission::new(Arc::clone(&self.local), Arc::clone(&self.followers.table)),
            raft: self.leader.raft.clone(),
            log: self.log.clone(),
            merger: self.leader.merger.clone(),
            leases: Arc::clone(leases),
            leader_seen: leader_seen.clone(),
            progress: Arc::clone(&self.followers.progress),
            read_index: read_index.clone(),
            snapshot_dir: snapshot_dir(&self.config),
            failure: self.failure.clone(),
            lease: self.followers.lease.clone(),
            members: Arc::clone(members),
            recall: self.config.timing.recall,
        })
    }

    fn hand_over(&self) -> Arc<HandOver> {
        Arc::new(HandOver {
            local: Arc::clone(&self.local),
            leader: self.leader.clone(),
            table: Arc::clone(&self.followers.table),
            timing: self.config.timing.clone(),
            lock: tokio::sync::Mutex::default(),
        })
    }

    fn members(&self, queue: &ProposalQueue, hand_over: &Arc<HandOver>) -> Arc<Members> {
        Arc::new(Members {
            hand_over: Arc::clone(hand_over),
            local: Arc::clone(&self.local),
            leader: self.leader.clone(),
            table: Arc::clone(&self.followers.table),
            lives: self.followers.lives.clone(),
            queue: queue.clone(),
            changing: tokio::sync::Mutex::default(),
        })
    }

    fn sender(&self, receiver: tokio::sync::mpsc::Receiver<crate::batcher::Queued>) -> Sender {
        let in_flight: Arc<InFlight> = Arc::clone(&self.followers.in_flight);
        Sender::new(
            Arc::clone(&self.local),
            receiver,
            in_flight,
            self.leader.clone(),
            self.config.limits.clone(),
        )
    }

    fn renewal(&self, leases: Arc<LeaderLeases>) -> Renewal {
        Renewal {
            local: Arc::clone(&self.local),
            leader: self.leader.clone(),
            leases,
            lease: self.followers.lease.clone(),
            progress: Arc::clone(&self.followers.progress),
            fence: Arc::clone(&self.followers.fence),
            failure: self.failure.clone(),
            timing: self.config.timing.clone(),
        }
    }

    fn forming(&self, state: watch::Sender<Formation>) -> Forming {
        Forming {
            local: Arc::clone(&self.local),
            raft: self.leader.raft.clone(),
            pool: Arc::clone(&self.leader.pool),
            peers: self.config.peers.clone(),
            joins: self.config.joins,
            state,
        }
    }

    /// The node's own life, and following those of the others.
    fn life_tasks(
        &self,
        queue: &ProposalQueue,
        mut formed: watch::Receiver<Formation>,
    ) -> [JoinHandle<()>; 2] {
        let life = LifeCycle {
            local: Arc::clone(&self.local),
            lives: self.followers.lives.clone(),
            queue: queue.clone(),
            failure: self.failure.clone(),
        };
        let links = Arc::new(ProgressLinks {
            local: Arc::clone(&self.local),
            raft: self.leader.raft.clone(),
            pool: Arc::clone(&self.leader.pool),
            progress: Arc::clone(&self.followers.progress),
            fence: Arc::clone(&self.followers.fence),
        });
        let formed = async move {
            let _ = formed.wait_for(|state| *state == Formation::Formed).await;
        };
        [tokio::spawn(life.run(formed)), tokio::spawn(links.run())]
    }

    fn campaigning(&self, leases: &Arc<LeaderLeases>) -> Campaigning {
        Campaigning {
            leader: self.leader.clone(),
            leases: Arc::clone(leases),
            timing: self.config.timing.clone(),
        }
    }

    fn upkeep_tasks(&self) -> [JoinHandle<()>; 3] {
        let compaction = Compaction {
            raft: self.leader.raft.clone(),
            log: self.log.clone(),
            limits: self.config.limits.clone(),
            node_id: self.local.node_id,
            reserve: reserve(&self.config),
            failure: self.failure.clone(),
        };
        let followers = Arc::clone(&self.followers);
        let stop = stop_on_failure(
            self.failure.clone(),
            Arc::clone(&followers),
            self.leader.raft.clone(),
        );
        [
            tokio::spawn(compaction.run()),
            tokio::spawn(expire_late_answers(Arc::clone(&followers))),
            tokio::spawn(stop),
        ]
    }
}

async fn expire_late_answers(followers: Arc<Followers>) {
    loop {
        tokio::time::sleep(EXPIRE).await;
        followers.fence.expire(std::time::Instant::now());
    }
}

/// When the storage has failed, or Raft has stopped by itself, the node stops serving for good.
async fn stop_on_failure(failure: Failure, followers: Arc<Followers>, raft: Raft) {
    let mut metrics = raft.metrics();
    tokio::select! {
        _ = failure.failed() => {}
        stopped = metrics.wait_for(|metrics| metrics.running_state.is_err()) => {
            let reason = stopped.map_or_else(|_| "gone".to_owned(), |m| format!("{:?}", m.running_state.as_ref().err()));
            if !followers.local.is_leaving() {
                failure.set(&format!("Raft has stopped: {reason}"));
            }
        }
    }
    followers.lease.revoke();
    followers.in_flight.fail(&ProposeError::Stopped);
    followers.fence.fail(&ProposeError::Stopped);
    if raft.shutdown().await.is_err() {
        tracing::error!("Raft ended with a panic");
    }
}
