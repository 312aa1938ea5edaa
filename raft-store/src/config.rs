//! What a store is opened with.

use std::path::PathBuf;
use std::time::Duration;

/// A node of the configured list of peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Node id, the same on every node. At least 1.
    pub id: u64,
    /// "host:port" of the node's RPC service. The name need not resolve yet.
    pub address: String,
}

/// What [`Store::open`](crate::Store::open) is given.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// This node's id, at least 1; one of `peers` unless that list is empty.
    pub node_id: u64,
    /// Name for people: listings and logs.
    pub node_name: String,
    /// Version of the program, for listings.
    pub version: String,
    /// "host:port" under which the other nodes reach this one; used when `peers` does not name it.
    pub rpc_address: String,
    /// Server Reference that leads MQTT clients to this node (MQTT 5 §4.13); empty: it has none.
    pub server_reference: String,
    /// Directory of this node's identity, log and snapshots; created when it is missing.
    pub data_dir: PathBuf,
    /// All nodes of the cluster, this one included, the same list on every node. Empty: a cluster of
    /// one node.
    pub peers: Vec<Peer>,
    /// The node never forms a cluster: it waits until one admits it. Without effect on a node that is a
    /// member.
    pub joins: bool,
    /// How often and how long. The defaults suit machines in one datacentre.
    pub timing: Timing,
    /// How much.
    pub limits: Limits,
}

/// Intervals and time-outs. All nodes of a cluster use the same.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Time between the leader's heartbeats. Default 100 ms. Also how long a peer has for one
    /// AppendEntries, its fsync included.
    pub heartbeat: Duration,
    /// Least time without heartbeats after which a follower stands for election. Default 300 ms; at
    /// least ten times what an fsync takes.
    pub election_min: Duration,
    /// The longest; nobody votes for another leader within this time of a heartbeat. Default 600 ms.
    pub election_max: Duration,
    /// How long a node may serve after the leader was last in contact with a quorum. Default 1,500 ms,
    /// at least twice `election_max`. Longer: fewer lost leases when the machine stalls, later
    /// failover.
    pub lease: Duration,
    /// Time between a node's requests for a lease. Default 200 ms.
    pub lease_renewal: Duration,
    /// Added to every time after which a lease counts as ended: clocks that run differently fast.
    /// Default 100 ms.
    pub lease_margin: Duration,
    /// A node that is further than this behind in applying gets no lease. Default 1 s.
    pub apply_lag: Duration,
    /// How long a proposal may take before it is answered with an error. Default 10 s.
    pub propose: Duration,
    /// A node that was asked to leave and is still a member after this serves again: whoever wanted to
    /// remove it did not come to an end. Longer than a removal takes. Default 40 s.
    pub recall: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
            lease: Duration::from_millis(1500),
            lease_renewal: Duration::from_millis(200),
            lease_margin: Duration::from_millis(100),
            apply_lag: Duration::from_secs(1),
            propose: Duration::from_secs(10),
            recall: Duration::from_secs(40),
        }
    }
}

/// Bounds.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Proposals of this node that are not answered yet; more are refused as overload. Default 65,536.
    pub proposals_waiting: usize,
    /// Commands in one batch of a node. Default 512.
    pub batch_ops: usize,
    /// Commands in one log entry, merged from the batches of several nodes. Default 1,024.
    pub entry_ops: usize,
    /// Encoded bytes of a batch and of a log entry with more than one command. Default 60 KiB.
    pub batch_bytes: usize,
    /// Encoded bytes of a single command. Default and maximum 120 KiB.
    pub op_bytes: usize,
    /// A snapshot is taken when the log after the last one has this many bytes. Default 64 MiB.
    pub snapshot_log_bytes: u64,
    /// Log kept below a snapshot, for followers that are a little behind. Default 32 MiB.
    pub log_keep_bytes: u64,
    /// The node stops when its disk has less free space than this. Default 16 MiB.
    pub disk_reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            proposals_waiting: 65_536,
            batch_ops: 512,
            entry_ops: 1024,
            batch_bytes: 60 << 10,
            op_bytes: 120 << 10,
            snapshot_log_bytes: 64 << 20,
            log_keep_bytes: 32 << 20,
            disk_reserve_bytes: 16 << 20,
        }
    }
}

impl StoreConfig {
    /// The address under which the others reach this node.
    pub(crate) fn own_address(&self) -> &str {
        let own = self.peers.iter().find(|peer| peer.id == self.node_id);
        own.map_or(&self.rpc_address, |peer| &peer.address)
    }

    /// The same on two nodes exactly when their lists name the same nodes, in whatever order. The
    /// addresses may differ: a peer may be reached through a proxy, or by another name.
    pub(crate) fn peers_hash(&self) -> u64 {
        let mut ids: Vec<_> = self.peers.iter().map(|peer| peer.id).collect();
        ids.sort_unstable();
        let mut hash = crc32fast::Hasher::new();
        ids.iter().for_each(|id| hash.update(&id.to_be_bytes()));
        (u64::from(hash.finalize()) << 16) | (ids.len() as u64 & 0xffff)
    }

    /// What is impossible about it, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.node_id == 0 || self.peers.iter().any(|peer| peer.id == 0) {
            return Err("node ids start at 1".into());
        }
        if !self.peers.is_empty() && !self.peers.iter().any(|peer| peer.id == self.node_id) {
            return Err(format!(
                "the list of peers lacks this node, {}",
                self.node_id
            ));
        }
        for (position, peer) in self.peers.iter().enumerate() {
            let earlier = &self.peers[..position];
            if earlier
                .iter()
                .any(|other| other.id == peer.id || other.address == peer.address)
            {
                return Err(format!(
                    "the list of peers names {}@{} twice",
                    peer.id, peer.address
                ));
            }
        }
        self.timing.check()?;
        self.limits.check()
    }
}

impl Timing {
    fn check(&self) -> Result<(), String> {
        if self.heartbeat.is_zero()
            || self.election_min <= self.heartbeat
            || self.election_max <= self.election_min
        {
            return Err("heartbeat < election_min < election_max is required".into());
        }
        if self.lease < self.election_max * 2 || self.lease < self.lease_renewal * 3 {
            return Err(
                "a lease has to be at least 2 × election_max and 3 × lease_renewal long".into(),
            );
        }
        Ok(())
    }
}

impl Limits {
    fn check(&self) -> Result<(), String> {
        if self.op_bytes > 120 << 10 || self.batch_bytes > 120 << 10 {
            return Err("commands and batches have at most 120 KiB".into());
        }
        if [
            self.proposals_waiting,
            self.batch_ops,
            self.entry_ops,
            self.batch_bytes,
            self.op_bytes,
        ]
        .contains(&0)
        {
            return Err("no limit may be 0".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(peers: &[(u64, &str)]) -> StoreConfig {
        StoreConfig {
            node_id: 1,
            node_name: "one".into(),
            version: "0".into(),
            rpc_address: "one:7000".into(),
            server_reference: String::new(),
            data_dir: "unused".into(),
            peers: peers
                .iter()
                .map(|(id, address)| Peer {
                    id: *id,
                    address: (*address).into(),
                })
                .collect(),
            joins: false,
            timing: Timing::default(),
            limits: Limits::default(),
        }
    }

    #[test]
    fn lists_of_the_same_nodes_have_the_same_hash() {
        let forth = config(&[(1, "a:1"), (2, "b:1")]);
        let back = config(&[(2, "b:1"), (1, "a:1")]);
        assert_eq!(forth.peers_hash(), back.peers_hash());
        let elsewhere = config(&[(1, "a:1"), (2, "b:2")]);
        assert_eq!(forth.peers_hash(), elsewhere.peers_hash());
        let other = config(&[(1, "a:1"), (3, "b:1")]);
        assert_ne!(forth.peers_hash(), other.peers_hash());
        assert_ne!(forth.peers_hash(), config(&[(1, "a:1")]).peers_hash());
    }

    #[test]
    fn a_list_without_this_node_or_with_a_node_twice_is_refused() {
        assert!(config(&[]).check().is_ok());
        assert!(config(&[(1, "a:1"), (2, "b:1")]).check().is_ok());
        assert!(config(&[(2, "b:1")]).check().is_err());
        assert!(config(&[(1, "a:1"), (1, "b:1")]).check().is_err());
        assert!(config(&[(1, "a:1"), (2, "a:1")]).check().is_err());
    }
}
