//! Raft's types as protobuf messages: the one encoding of the log on disk, of snapshots and of the
//! requests between nodes. Fields are only ever added, so that neighbouring versions understand each
//! other.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{CommittedLeaderId, EntryPayload, LeaderId};
use raftmq_proto::v1 as proto;

use crate::raft_types::{
    Command, LogEntry, LogId, Member, Membership, SnapshotMeta, StoredMembership, Vote,
};

/// A message lacks a part that it cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message lacks its {0}")]
pub(crate) struct Incomplete(pub(crate) &'static str);

/// From Raft's type to the message.
pub(crate) trait ToWire {
    type Wire;
    fn to_wire(self) -> Self::Wire;
}

/// From the message to Raft's type.
pub(crate) trait ToRaft {
    type Raft;
    fn to_raft(self) -> Self::Raft;
}

impl ToWire for LogId {
    type Wire = proto::RaftLogId;

    fn to_wire(self) -> Self::Wire {
        proto::RaftLogId {
            term: self.leader_id.term,
            leader_id: self.leader_id.node_id,
            index: self.index,
        }
    }
}

impl ToRaft for proto::RaftLogId {
    type Raft = LogId;

    fn to_raft(self) -> LogId {
        LogId::new(
            CommittedLeaderId::new(self.term, self.leader_id),
            self.index,
        )
    }
}

impl ToWire for Vote {
    type Wire = proto::RaftVote;

    fn to_wire(self) -> Self::Wire {
        proto::RaftVote {
            term: self.leader_id.term,
            node_id: self.leader_id.node_id,
            committed: self.committed,
        }
    }
}

impl ToRaft for proto::RaftVote {
    type Raft = Vote;

    fn to_raft(self) -> Vote {
        Vote {
            leader_id: LeaderId::new(self.term, self.node_id),
            committed: self.committed,
        }
    }
}

impl ToWire for &Membership {
    type Wire = proto::RaftMembership;

    fn to_wire(self) -> Self::Wire {
        let configs = self.get_joint_config().iter();
        proto::RaftMembership {
            configs: configs
                .map(|ids| proto::RaftVoterSet {
                    raft_ids: ids.iter().copied().collect(),
                })
                .collect(),
            members: self
                .nodes()
                .map(|(id, member)| member_to_proto(*id, member))
                .collect(),
        }
    }
}

fn member_to_proto(raft_id: u64, member: &Member) -> proto::RaftMember {
    proto::RaftMember {
        raft_id,
        node_id: member.node_id,
        name: member.name.clone(),
        address: member.address.clone(),
        disk_id: member.disk_id.clone(),
        address_is_fixed: member.address_is_fixed,
    }
}

impl ToRaft for proto::RaftMembership {
    type Raft = Membership;

    fn to_raft(self) -> Membership {
        let configs = self.configs.into_iter();
        let configs = configs
            .map(|set| set.raft_ids.into_iter().collect::<BTreeSet<_>>())
            .collect();
        let members: BTreeMap<u64, Member> = self
            .members
            .into_iter()
            .map(|member| (member.raft_id, member_from_proto(member)))
            .collect();
        Membership::new(configs, members)
    }
}

fn member_from_proto(member: proto::RaftMember) -> Member {
    Member {
        node_id: member.node_id,
        name: member.name,
        address: member.address,
        disk_id: member.disk_id,
        address_is_fixed: member.address_is_fixed,
    }
}

impl ToWire for LogEntry {
    type Wire = proto::RaftLogEntry;

    fn to_wire(self) -> Self::Wire {
        use proto::raft_log_entry::Payload;
        let payload = match self.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(command) => Some(Payload::Command(proto::RaftCommand {
                only_in_term: command.only_in_term,
                entry: command.entry,
            })),
            EntryPayload::Membership(membership) => Some(Payload::Membership(membership.to_wire())),
        };
        proto::RaftLogEntry {
            log_id: Some(self.log_id.to_wire()),
            payload,
        }
    }
}

impl ToRaft for proto::RaftLogEntry {
    type Raft = Result<LogEntry, Incomplete>;

    fn to_raft(self) -> Self::Raft {
        use proto::raft_log_entry::Payload;
        let payload = match self.payload {
            None => EntryPayload::Blank,
            Some(Payload::Command(command)) => EntryPayload::Normal(Command {
                only_in_term: command.only_in_term,
                entry: command.entry,
            }),
            Some(Payload::Membership(membership)) => EntryPayload::Membership(membership.to_raft()),
        };
        Ok(LogEntry {
            log_id: self.log_id.ok_or(Incomplete("log id"))?.to_raft(),
            payload,
        })
    }
}

impl ToWire for &SnapshotMeta {
    type Wire = proto::SnapshotMeta;

    fn to_wire(self) -> Self::Wire {
        proto::SnapshotMeta {
            last_log_id: self.last_log_id.map(ToWire::to_wire),
            membership_log_id: (*self.last_membership.log_id()).map(ToWire::to_wire),
            membership: Some(self.last_membership.membership().to_wire()),
            snapshot_id: self.snapshot_id.clone(),
        }
    }
}

impl ToRaft for proto::SnapshotMeta {
    type Raft = Result<SnapshotMeta, Incomplete>;

    fn to_raft(self) -> Self::Raft {
        let membership = self.membership.ok_or(Incomplete("membership"))?.to_raft();
        Ok(SnapshotMeta {
            last_log_id: self.last_log_id.map(ToRaft::to_raft),
            last_membership: StoredMembership::new(
                self.membership_log_id.map(ToRaft::to_raft),
                membership,
            ),
            snapshot_id: self.snapshot_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(node_id: u64) -> Member {
        Member {
            node_id,
            name: format!("n{node_id}"),
            address: format!("host-{node_id}:7000"),
            disk_id: format!("disk-{node_id}"),
            address_is_fixed: node_id.is_multiple_of(2),
        }
    }

    #[test]
    fn every_kind_of_log_entry_survives_the_wire() {
        let members: BTreeMap<u64, Member> = (1..=4).map(|id| (id, member(id))).collect();
        let membership = Membership::new(vec![[1, 2, 3].into(), [2, 3].into()], members);
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Command {
                only_in_term: 7,
                entry: vec![1, 2, 3].into(),
            }),
            EntryPayload::Membership(membership),
        ] {
            let entry = LogEntry {
                log_id: LogId::new(CommittedLeaderId::new(3, 2), 9),
                payload,
            };
            let back = entry.clone().to_wire().to_raft();
            assert_eq!(
                back.map(|e| (e.log_id, e.payload)),
                Ok((entry.log_id, entry.payload))
            );
        }
    }

    #[test]
    fn an_entry_without_its_log_id_is_refused() {
        let entry = proto::RaftLogEntry {
            log_id: None,
            payload: None,
        };
        assert!(entry.to_raft().is_err());
    }
}
