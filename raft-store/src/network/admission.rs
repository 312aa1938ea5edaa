//! Which requests this node answers: those of its own cluster that mean this very node.
//!
//! A request names cluster, group, sender, receiver and the receiver's data directory. A wrong one
//! comes from another cluster, from an outdated list of peers, or is meant for what this node was
//! before it lost its disk; to answer it could break every promise of Raft.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use raftmq_proto::v1::RaftHeader;
use tonic::Status;

use crate::local::{LocalNode, PROTOCOL_VERSION};
use crate::raft_types::TABLE_GROUP;
use crate::table::SharedTable;

/// A sender that is refused all the time is logged once in this while.
const LOG_INTERVAL: Duration = Duration::from_secs(30);
/// Senders remembered for that.
const LOGGED_MAX: usize = 64;

pub(crate) struct Admission {
    local: Arc<LocalNode>,
    table: Arc<SharedTable>,
    logged: Mutex<HashMap<u64, Instant>>,
}

impl Admission {
    pub(crate) fn new(local: Arc<LocalNode>, table: Arc<SharedTable>) -> Self {
        Self {
            local,
            table,
            logged: Mutex::default(),
        }
    }

    /// Checks a request from a member of the cluster.
    pub(crate) fn member(&self, header: Option<RaftHeader>) -> Result<RaftHeader, Status> {
        let header = required(header)?;
        let refusal = self
            .receiver_refusal(&header)
            .or_else(|| self.cluster_refusal(&header))
            .or_else(|| self.sender_refusal(&header));
        self.outcome(header, refusal)
    }

    /// Checks a request of Raft itself. The first one that names this very data directory makes the
    /// node part of the cluster: whoever formed the cluster has learned the name from this node.
    pub(crate) fn raft(&self, header: Option<RaftHeader>) -> Result<RaftHeader, Status> {
        let header = required(header)?;
        let removed = self.local.is_removed();
        let removed = removed.then(|| "this node was removed from the cluster".to_owned());
        if let Some(refusal) = removed.or_else(|| self.receiver_refusal(&header)) {
            return self.outcome(header, Some(refusal));
        }
        if self.local.cluster_id().is_none()
            && !header.cluster_id.is_empty()
            && !header.to_disk_id.is_empty()
        {
            self.local
                .join_cluster(&header.cluster_id)
                .map_err(|error| Status::internal(error.to_string()))?;
            tracing::info!(
                cluster = header.cluster_id,
                "this node is part of the cluster now"
            );
        }
        let refusal = self.cluster_refusal(&header);
        let refusal = refusal.or_else(|| self.sender_refusal(&header));
        self.outcome(header, refusal)
    }

    /// Checks a greeting, which may come from outside of the cluster.
    pub(crate) fn greeting(&self, header: Option<RaftHeader>) -> Result<RaftHeader, Status> {
        let header = required(header)?;
        let own = self.local.cluster_id().unwrap_or_default();
        let foreign = !header.cluster_id.is_empty() && !own.is_empty() && header.cluster_id != own;
        let refusal = version_refusal(&header).or_else(|| foreign.then(|| self.foreign(&header)));
        self.outcome(header, refusal)
    }

    fn receiver_refusal(&self, header: &RaftHeader) -> Option<String> {
        let local = &self.local;
        if let Some(refusal) = version_refusal(header) {
            return Some(refusal);
        }
        if header.group_id != TABLE_GROUP {
            return Some(format!("there is no group {}", header.group_id));
        }
        if header.to != local.raft_id || header.from == local.raft_id {
            return Some(format!(
                "the request goes from node {} to node {}, but this is node {}: the lists of peers contradict each other",
                header.from, header.to, local.raft_id
            ));
        }
        if !header.to_disk_id.is_empty() && header.to_disk_id != local.disk_id {
            return Some(
                "the request is meant for a data directory that this node does not have any more"
                    .into(),
            );
        }
        if header.to_incarnation != 0 && header.to_incarnation != local.incarnation() {
            return Some("the request is meant for an earlier life of this node".into());
        }
        None
    }

    fn cluster_refusal(&self, header: &RaftHeader) -> Option<String> {
        match self.local.cluster_id() {
            Some(own) if own == header.cluster_id => None,
            Some(_) => Some(self.foreign(header)),
            None => Some("this node is not part of a cluster yet".into()),
        }
    }

    /// Whoever was removed has no say any more, whatever its log holds.
    fn sender_refusal(&self, header: &RaftHeader) -> Option<String> {
        let removed = self.is_removed(header.from);
        removed.then(|| "this data directory was removed from the cluster".to_owned())
    }

    /// Whether the data directory with this Raft id is out of the cluster for good.
    pub(crate) fn is_removed(&self, raft_id: u64) -> bool {
        self.table.read().is_removed(raft_id)
    }

    fn foreign(&self, header: &RaftHeader) -> String {
        format!(
            "node {} belongs to cluster {}, this node to cluster {}: they must not list each other as peers",
            header.from,
            header.cluster_id,
            self.local.cluster_id().unwrap_or("none")
        )
    }

    fn outcome(&self, header: RaftHeader, refusal: Option<String>) -> Result<RaftHeader, Status> {
        let Some(reason) = refusal else {
            return Ok(header);
        };
        let from = header.from;
        if self.local.cluster_id().is_none() {
            tracing::debug!(from, reason, "refused a request of another node");
        } else if self.is_news(from) {
            tracing::error!(from, reason, "refused a request of another node");
        }
        Err(Status::failed_precondition(reason))
    }

    fn is_news(&self, from: u64) -> bool {
        let mut logged = self.logged.lock();
        let now = Instant::now();
        if logged
            .get(&from)
            .is_some_and(|at| now.duration_since(*at) < LOG_INTERVAL)
        {
            return false;
        }
        if logged.len() >= LOGGED_MAX {
            logged.clear();
        }
        logged.insert(from, now);
        true
    }
}

fn required(header: Option<RaftHeader>) -> Result<RaftHeader, Status> {
    header.ok_or_else(|| Status::invalid_argument("the request lacks its header"))
}

fn version_refusal(header: &RaftHeader) -> Option<String> {
    (header.protocol_version != PROTOCOL_VERSION).then(|| {
        format!(
            "node {} speaks version {} of the protocol, this one {PROTOCOL_VERSION}",
            header.from, header.protocol_version
        )
    })
}
