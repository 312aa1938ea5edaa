//! Forming the cluster, once.
//!
//! All nodes have the same list of peers and may start in any order, at any time. Only the one with
//! the lowest id may form the cluster, and only when every listed peer has answered that it has never
//! been part of one and has the same list: so there is one who decides, and it never decides while
//! somebody is missing. The membership that it writes names each node's data directory; the others
//! become members when Raft's first request names theirs (`network::admission`).
//!
//! A node with an empty directory whose peers already form a cluster is new, or has lost its disk. It
//! waits, and says what for, until an operator admits it (`membership`). Its empty log must not vote in
//! the place of a lost one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{InitializeError, RaftError};
use raftmq_proto::v1 as proto;
use tokio::sync::watch;

use crate::config::Peer;
use crate::local::LocalNode;
use crate::network::pool::{PeerPool, Purpose};
use crate::raft_types::{Member, Raft};

const HELLO_TIMEOUT: Duration = Duration::from_millis(500);
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(1);

/// How far this node is from being part of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Formation {
    /// Waiting; for what, in words.
    Waiting(String),
    /// It cannot become part of the cluster as it is; why and what to do.
    Refused(String),
    Formed,
}

pub(crate) struct Forming {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) raft: Raft,
    pub(crate) pool: Arc<PeerPool>,
    pub(crate) peers: Vec<Peer>,
    /// See [`StoreConfig::joins`](crate::StoreConfig::joins).
    pub(crate) joins: bool,
    pub(crate) state: watch::Sender<Formation>,
}

/// What the answers of the peers mean.
enum Finding {
    /// Everybody is ready; the members of the cluster to be.
    Ready(BTreeMap<u64, Member>),
    Waiting(String),
    Refused(String),
}

impl Forming {
    /// Ends when this node is part of a cluster.
    pub(crate) async fn run(self) {
        let mut pause = RETRY_FIRST;
        loop {
            // What has changed until now is seen; a receiver that has just been made would report it.
            let mut metrics = self.raft.server_metrics();
            metrics.borrow_and_update();
            if self.is_member() {
                break;
            }
            match self.look_around().await {
                Finding::Ready(members) if self.forms() => self.initialize(members).await,
                Finding::Ready(_) if self.joins => self.set(Formation::Waiting(
                    "waiting for a cluster to join (cluster.join): none of the listed nodes is part of one".into(),
                )),
                Finding::Ready(_) => self.set(Formation::Waiting(
                    "waiting for the first node to form the cluster".into(),
                )),
                Finding::Waiting(reason) => self.set(Formation::Waiting(reason)),
                Finding::Refused(reason) => self.set(Formation::Refused(reason)),
            }
            let _ = tokio::time::timeout(pause, metrics.changed()).await;
            pause = (pause * 2).min(RETRY_LAST);
        }
        self.set(Formation::Formed);
    }

    /// Raft has a membership that includes this node.
    fn is_member(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow();
        metrics
            .membership_config
            .membership()
            .get_node(&self.local.raft_id)
            .is_some()
    }

    /// Whether it is this node that forms the cluster.
    fn forms(&self) -> bool {
        let lowest = self.peers.iter().all(|peer| self.local.node_id <= peer.id);
        lowest && !self.joins
    }

    fn set(&self, formation: Formation) {
        let changed = self.state.send_if_modified(|state| {
            let changed = *state != formation;
            state.clone_from(&formation);
            changed
        });
        match formation {
            Formation::Refused(reason) if changed => {
                tracing::error!(reason, "this node cannot take part")
            }
            Formation::Waiting(reason) if changed => {
                tracing::info!(reason, "not part of a cluster yet")
            }
            _ => {}
        }
    }

    async fn look_around(&self) -> Finding {
        let others: Vec<&Peer> = self
            .peers
            .iter()
            .filter(|peer| peer.id != self.local.node_id)
            .collect();
        let answers = futures::future::join_all(others.iter().map(|peer| self.hello(peer))).await;
        let mut members = BTreeMap::from([(self.local.raft_id, self.local.member())]);
        let mut waiting = None;
        for (peer, answer) in others.into_iter().zip(answers) {
            match answer.map(|reply| self.judge(peer, reply)) {
                Ok(Ok((raft_id, member))) => drop(members.insert(raft_id, member)),
                Ok(Err(finding @ Finding::Refused(_))) => return finding,
                Ok(Err(finding)) => waiting = Some(finding),
                Err(reason) => {
                    waiting = Some(Finding::Waiting(format!(
                        "node {} ({}) does not answer: {reason}",
                        peer.id, peer.address
                    )));
                }
            }
        }
        waiting.unwrap_or(Finding::Ready(members))
    }

    async fn hello(&self, peer: &Peer) -> Result<proto::HelloReply, String> {
        let mut client = self
            .pool
            .client(&peer.address, Purpose::Raft)
            .map_err(|status| status.message().to_owned())?;
        let header = Some(self.local.header(peer.id, ""));
        let request = proto::HelloRequest {
            header,
            peers_hash: self.local.peers_hash,
        };
        let reply = tokio::time::timeout(HELLO_TIMEOUT, client.hello(request)).await;
        match reply.map_err(|_| "no answer in time".to_owned())? {
            Ok(reply) => Ok(reply.into_inner()),
            Err(status) => Err(status.message().to_owned()),
        }
    }

    /// The peer as a member of the cluster to be, or why it cannot be formed with it now.
    fn judge(&self, peer: &Peer, reply: proto::HelloReply) -> Result<(u64, Member), Finding> {
        let local = &self.local;
        if reply.node_id != peer.id {
            return Err(Finding::Waiting(format!(
                "{} is the address of node {}, the list of peers says {}",
                peer.address, reply.node_id, peer.id
            )));
        }
        if reply.initialized {
            return Err(self.judge_existing(peer, &reply));
        }
        if reply.peers_hash != local.peers_hash {
            return Err(Finding::Waiting(format!(
                "node {} ({}) has another list of peers than this node: make them the same",
                peer.id, peer.address
            )));
        }
        if !reply.cluster_id.is_empty() && Some(reply.cluster_id.as_str()) != local.cluster_id() {
            return Err(Finding::Waiting(format!(
                "node {} is forming cluster {}",
                peer.id, reply.cluster_id
            )));
        }
        let member = Member {
            node_id: peer.id,
            name: reply.name,
            address: peer.address.clone(),
            disk_id: reply.disk_id,
            address_is_fixed: false,
        };
        Ok((reply.raft_id, member))
    }

    /// There is a cluster already.
    fn judge_existing(&self, peer: &Peer, reply: &proto::HelloReply) -> Finding {
        let local = &self.local;
        let members = reply
            .membership
            .iter()
            .flat_map(|membership| &membership.members);
        let same = members
            .clone()
            .find(|member| member.node_id == local.node_id);
        match same {
            Some(member) if member.disk_id == local.disk_id => Finding::Waiting(format!(
                "waiting for the leader of cluster {}",
                reply.cluster_id
            )),
            Some(_) => Finding::Refused(format!(
                "node {id} is already a member of cluster {cluster}, with another data directory. This node's \
                 directory is empty, and an empty log must not vote in the place of a lost one. Give the node its \
                 old directory back, or have it take the place of the lost one: raftmq ctl join {id} {address}",
                id = local.node_id,
                cluster = reply.cluster_id,
                address = local.address,
            )),
            None if members.clone().next().is_some() => Finding::Refused(format!(
                "node {peer} is part of cluster {cluster}, of which this node is not a member. To add this node: \
                 raftmq ctl join {id} {address}. If a new cluster was wanted: all its nodes have to start with \
                 empty data directories",
                peer = peer.id,
                cluster = reply.cluster_id,
                id = local.node_id,
                address = local.address,
            )),
            None => Finding::Waiting(format!(
                "waiting for node {} to learn its cluster's members",
                peer.id
            )),
        }
    }

    async fn initialize(&self, members: BTreeMap<u64, Member>) {
        let cluster_id = match self.local.cluster_id() {
            Some(cluster_id) => cluster_id.to_owned(),
            None => uuid::Uuid::new_v4().to_string(),
        };
        if let Err(error) = self.local.join_cluster(&cluster_id) {
            self.set(Formation::Waiting(format!(
                "the identity cannot be written: {error}"
            )));
            return;
        }
        match self.raft.initialize(members).await {
            Ok(()) => tracing::info!(cluster_id, "formed a new cluster"),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(error) => self.set(Formation::Waiting(format!(
                "the cluster cannot be formed: {error}"
            ))),
        }
    }
}
