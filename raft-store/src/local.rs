//! This node: its identity on disk, and what of it every task reads.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use raftmq_proto::v1 as proto;

use crate::identity::{DataDir, Identity};
use crate::raft_types::{Member, TABLE_GROUP};

/// Version of the protocol between nodes.
pub(crate) const PROTOCOL_VERSION: u32 = 1;

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
