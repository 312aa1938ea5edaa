//! The types that openraft is parameterized with. They stay inside this crate.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::snapshot::SnapshotFile;

openraft::declare_raft_types!(
    /// What the one Raft group of a node is made of.
    pub(crate) TypeConfig:
        D = Command,
        R = (),
        NodeId = u64,
        Node = Member,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = SnapshotFile,
        AsyncRuntime = openraft::TokioRuntime,
);

pub(crate) type Raft = openraft::Raft<TypeConfig>;
pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type LogEntry = openraft::Entry<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, Member>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<u64, Member>;
pub(crate) type Snapshot = openraft::Snapshot<TypeConfig>;
pub(crate) type StorageError = openraft::StorageError<u64>;
pub(crate) type RaftMetrics = openraft::RaftMetrics<u64, Member>;

/// The Raft group of the replicated table. There is one today; keys on disk and requests between
/// nodes name it, so that there can be several.
pub(crate) const TABLE_GROUP: u32 = 0;

/// What a log entry holds for the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// 0: takes effect whatever the term of its log entry; otherwise only in an entry of this term.
    /// A leader's verdict over a node must not take effect when another leader, who has renewed the
    /// node's lease, comes first.
    pub(crate) only_in_term: u64,
    /// An encoded [`raftmq_proto::v1::Entry`].
    pub(crate) entry: Bytes,
}

/// A member of the Raft group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// The node id of the configuration.
    pub(crate) node_id: u64,
    pub(crate) name: String,
    /// "host:port" of its RPC service.
    pub(crate) address: String,
    /// The data directory that became this member; another one is another member.
    pub(crate) disk_id: String,
    /// An operator gave the address at run time: no node's own list of peers replaces it.
    pub(crate) address_is_fixed: bool,
}

// openraft asks for serde, although entries are stored and sent as protobuf (`wire`).
impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.only_in_term, &self.entry[..]).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (only_in_term, entry) = <(u64, Vec<u8>)>::deserialize(deserializer)?;
        Ok(Self {
            only_in_term,
            entry: entry.into(),
        })
    }
}
