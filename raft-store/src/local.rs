//! This node: its identity on disk, and what of it every task reads.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use raftmq_proto::v1 as proto;

use crate::identity::{DataDir, Identity};
use crate::raft_types::{Member, TABLE_GROUP};

/// Version of the protocol between nodes.
pub(crate) const PROTOCOL_VERSION: u32 = 1;

/// Values of `LocalNode::dismissed`, in the order in which they follow each other.
const MEMBER: u8 = 0;
const GOING: u8 = 1;
const REMOVED: u8 = 2;

/// This node.
#[derive(Debug)]
pub(crate) struct LocalNode {
    pub(crate) node_id: u64,
    pub(crate) raft_id: u64,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) address: String,
    pub(crate) server_reference: String,
    pub(crate) disk_id: String,
    pub(crate) peers_hash: u64,
    cluster_id: OnceLock<String>,
    incarnation: AtomicU64,
    /// The table shows the present life as up.
    up: AtomicBool,
    /// The node is on its way out: it takes no new life.
    leaving: AtomicBool,
    /// The cluster is about to remove the node, or has removed it.
    dismissed: AtomicU8,
    dir: Mutex<DataDir>,
}

impl LocalNode {
    pub(crate) fn new(dir: DataDir, config: &crate::config::StoreConfig) -> Self {
        let identity = dir.identity().clone();
        Self {
            node_id: identity.node_id,
            raft_id: identity.raft_id,
            name: identity.node_name,
            version: config.version.clone(),
            address: config.own_address().to_owned(),
            server_reference: config.server_reference.clone(),
            disk_id: identity.disk_id,
            peers_hash: config.peers_hash(),
            cluster_id: identity
                .cluster_id
                .map_or_else(OnceLock::new, OnceLock::from),
            incarnation: AtomicU64::new(identity.incarnation),
            up: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            dismissed: AtomicU8::new(MEMBER),
            dir: Mutex::new(dir),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.dir.lock().identity().clone()
    }

    pub(crate) fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.get().map(String::as_str)
    }

    /// Becomes part of a cluster, for good. Returns whether it is part of that one now.
    pub(crate) fn join_cluster(&self, cluster_id: &str) -> io::Result<bool> {
        let mut dir = self.dir.lock();
        if self.cluster_id.get().is_none() {
            dir.join_cluster(cluster_id)?;
            let _ = self.cluster_id.set(cluster_id.to_owned());
        }
        Ok(self.cluster_id() == Some(cluster_id))
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    /// Begins a new life, later than `after`; it is not up yet.
    pub(crate) fn begin_life(&self, after: u64) -> io::Result<u64> {
        let incarnation = self.dir.lock().begin_life(after)?;
        self.up.store(false, Ordering::Release);
        self.incarnation.store(incarnation, Ordering::Release);
        Ok(incarnation)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Notes what the table shows; returns what it showed before.
    pub(crate) fn set_up(&self, up: bool) -> bool {
        self.up.swap(up, Ordering::AcqRel)
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    pub(crate) fn set_leaving(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether the node's part in the cluster is over, or about to be: it takes no new life.
    pub(crate) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire) != MEMBER
    }

    /// Whether the cluster has removed this data directory, for good.
    pub(crate) fn is_removed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire) == REMOVED
    }

    /// The cluster is about to remove the node.
    pub(crate) fn dismiss(&self) {
        self.dismissed.fetch_max(GOING, Ordering::AcqRel);
    }

    /// It was not removed after all.
    pub(crate) fn recall(&self) {
        let from_going = (Ordering::AcqRel, Ordering::Relaxed);
        let _ = self
            .dismissed
            .compare_exchange(GOING, MEMBER, from_going.0, from_going.1);
    }

    /// The cluster has removed this data directory, which is final.
    pub(crate) fn set_removed(&self) {
        if self.dismissed.swap(REMOVED, Ordering::AcqRel) != REMOVED {
            tracing::error!("this node has been removed from the cluster: stop it");
        }
    }

    /// Lets go of the data directory.
    pub(crate) fn release(&self) {
        self.dir.lock().release();
    }

    pub(crate) fn member(&self) -> Member {
        Member {
            node_id: self.node_id,
            name: self.name.clone(),
            address: self.address.clone(),
            disk_id: self.disk_id.clone(),
            address_is_fixed: false,
        }
    }

    /// The header of a request to a member; an empty `to_disk_id` means that it is not known.
    pub(crate) fn header(&self, to: u64, to_disk_id: &str) -> proto::RaftHeader {
        proto::RaftHeader {
            protocol_version: PROTOCOL_VERSION,
            cluster_id: self.cluster_id().unwrap_or_default().to_owned(),
            group_id: TABLE_GROUP,
            from: self.raft_id,
            to,
            to_disk_id: to_disk_id.to_owned(),
            to_incarnation: 0,
        }
    }
}
