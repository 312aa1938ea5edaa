//! What a node knows of its cluster, for listings and metrics.

use std::time::Duration;

/// The part that a node plays in Raft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not a voter (yet).
    Learner,
    /// Follows a leader, or waits for one.
    Follower,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
    /// Raft has stopped.
    Stopped,
}

/// A member of the cluster as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Node id of the configuration.
    pub node_id: u64,
    /// Its name.
    pub name: String,
    /// "host:port" of its RPC service.
    pub address: String,
    /// Whether it votes.
    pub is_voter: bool,
    /// Whether the table shows it as up.
    pub is_up: bool,
    /// The log index that it is known to have applied.
    pub applied_index: u64,
    /// Only on the leader: the last log index that it is known to hold.
    pub replicated_index: Option<u64>,
    /// Only on the leader: time since it last acknowledged a heartbeat or entries.
    pub last_contact: Option<Duration>,
}

/// A node's view of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// `None` until the node is part of a cluster.
    pub cluster_id: Option<String>,
    /// Node id of the leader, if one is known.
    pub leader: Option<u64>,
    /// Raft's term.
    pub term: u64,
    /// This node's part.
    pub role: Role,
    /// Index of the last entry in this node's log.
    pub last_log_index: u64,
    /// The last index that this node knows to be committed.
    pub committed_index: u64,
    /// The last index that this node's table shows.
    pub applied_index: u64,
    /// The last index in the latest snapshot.
    pub snapshot_index: Option<u64>,
    /// Bytes of the entries in the log.
    pub log_bytes: u64,
    /// All members, by node id.
    pub members: Vec<MemberStatus>,
}

/// Whether this node may serve clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It holds a serving lease.
    Ready,
    /// Not now; why, in words.
    NotReady(String),
}
