//! Keys and values of the log on disk.
//!
//! Key: group (4 bytes) and index (8 bytes), big endian, so that a group's entries lie side by side in
//! order. Value: CRC-32 of what follows, index, term, then the entry as protobuf. Index and term stand
//! outside of the entry so that a value under a wrong key is noticed.

use prost::Message;
use raftmq_proto::v1 as proto;

use crate::raft_types::LogEntry;
use crate::wire::{ToRaft, ToWire};

const CRC_BYTES: usize = 4;
const HEAD_BYTES: usize = CRC_BYTES + 8 + 8;

/// Why a stored value is not a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("the value is too short")]
    Short,
    #[error("the checksum does not match")]
    Checksum,
    #[error("the value belongs to index {0}")]
    OtherIndex(u64),
    #[error("the entry cannot be decoded")]
    Undecodable,
}

pub(super) fn key(group: u32, index: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&group.to_be_bytes());
    key[4..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The index inside a key of this group; `None` when it is another's.
pub(super) fn index_of(group: u32, key: &[u8]) -> Option<u64> {
    let (prefix, index) = key.split_first_chunk::<4>()?;
    let index = index.try_into().ok()?;
    (u32::from_be_bytes(*prefix) == group).then(|| u64::from_be_bytes(index))
}

pub(super) fn encode(entry: LogEntry) -> Vec<u8> {
    let (index, term) = (entry.log_id.index, entry.log_id.leader_id.term);
    let message = entry.to_wire();
    let mut value = Vec::with_capacity(HEAD_BYTES + message.encoded_len());
    value.extend_from_slice(&[0; CRC_BYTES]);
    value.extend_from_slice(&index.to_be_bytes());
    value.extend_from_slice(&term.to_be_bytes());
    value.extend_from_slice(&message.encode_to_vec());
    let crc = crc32fast::hash(&value[CRC_BYTES..]);
    value[..CRC_BYTES].copy_from_slice(&crc.to_be_bytes());
    value
}

pub(super) fn decode(index: u64, value: &[u8]) -> Result<LogEntry, Damage> {
    let (crc, rest) = value
        .split_first_chunk::<CRC_BYTES>()
        .ok_or(Damage::Short)?;
    let (head_index, body) = rest.split_first_chunk::<8>().ok_or(Damage::Short)?;
    let (_term, body) = body.split_first_chunk::<8>().ok_or(Damage::Short)?;
    if crc32fast::hash(rest) != u32::from_be_bytes(*crc) {
        return Err(Damage::Checksum);
    }
    if u64::from_be_bytes(*head_index) != index {
        return Err(Damage::OtherIndex(u64::from_be_bytes(*head_index)));
    }
    let message = proto::RaftLogEntry::decode(body).map_err(|_| Damage::Undecodable)?;
    let entry = message.to_raft().map_err(|_| Damage::Undecodable)?;
    if entry.log_id.index == index {
        Ok(entry)
    } else {
        Err(Damage::OtherIndex(entry.log_id.index))
    }
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, EntryPayload};

    use super::*;
    use crate::raft_types::{Command, LogId};

    fn entry(index: u64) -> LogEntry {
        let command = Command {
            only_in_term: 0,
            entry: vec![7; 100].into(),
        };
        LogEntry {
            log_id: LogId::new(CommittedLeaderId::new(2, 1), index),
            payload: EntryPayload::Normal(command),
        }
    }

    #[test]
    fn a_value_with_any_flipped_bit_is_damaged() {
        let value = encode(entry(5));
        for position in 0..value.len() {
            let mut damaged = value.clone();
            damaged[position] ^= 1;
            assert!(decode(5, &damaged).is_err(), "byte {position}");
        }
        assert!(decode(5, &value).is_ok());
    }

    #[test]
    fn a_value_under_another_index_is_damaged() {
        assert_eq!(
            decode(6, &encode(entry(5))).err(),
            Some(Damage::OtherIndex(5))
        );
    }

    #[test]
    fn a_truncated_value_is_damaged() {
        let value = encode(entry(5));
        for length in 0..value.len() {
            assert!(decode(5, &value[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn keys_sort_by_group_and_index() {
        assert!(key(0, u64::MAX) < key(1, 0));
        assert!(key(1, 255) < key(1, 256));
        assert_eq!(index_of(1, &key(1, 77)), Some(77));
        assert_eq!(index_of(0, &key(1, 77)), None);
    }
}
