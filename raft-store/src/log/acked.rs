//! The last thing this node acknowledged, outside of the database.
//!
//! A damaged tail of the database looks, after its own recovery, like a log that simply ends earlier.
//! For a Raft node that is not harmless: it has promised those entries and that vote. So what was
//! last made durable is also written, without a flush of its own, to this small file. After a crash of
//! the process it is exact; after a power cut it may be older, never newer, than what was promised. A
//! log that ends before it has lost something.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::raft_types::Vote;

const MAGIC: [u8; 4] = *b"RMQA";
const LENGTH: usize = 4 + 4 + 5 * 8;

/// What a node promised last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Acked {
    /// One more than the last index; 0: no entry was ever acknowledged.
    pub(super) next_index: u64,
    /// Term of the last entry.
    pub(super) term: u64,
    pub(super) vote: Option<Vote>,
}

#[derive(Debug)]
pub(super) struct AckedFile {
    file: File,
}

impl AckedFile {
    /// Opens or creates the file and reads it. A torn record (power cut) counts as "nothing known".
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Acked>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut record = [0; LENGTH];
        let known = match file.read_exact_at(&mut record, 0) {
            Ok(()) => decode(&record),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((Self { file }, known))
    }

    pub(super) fn write(&self, acked: Acked) -> io::Result<()> {
        self.file.write_all_at(&encode(acked), 0)
    }

    /// For the one case in which the record goes back: entries are about to be cut off.
    pub(super) fn write_durably(&self, acked: Acked) -> io::Result<()> {
        self.write(acked)?;
        self.file.sync_data()
    }
}

fn encode(acked: Acked) -> [u8; LENGTH] {
    let vote = acked.vote.unwrap_or_default();
    let flags = u64::from(acked.vote.is_some()) | (u64::from(vote.committed) << 1);
    let fields = [
        acked.next_index,
        acked.term,
        vote.leader_id.term,
        vote.leader_id.node_id,
        flags,
    ];
    let mut record = [0; LENGTH];
    record[..4].copy_from_slice(&MAGIC);
    for (chunk, field) in record[8..].chunks_exact_mut(8).zip(fields) {
        chunk.copy_from_slice(&field.to_be_bytes());
    }
    let crc = crc32fast::hash(&record[8..]);
    record[4..8].copy_from_slice(&crc.to_be_bytes());
    record
}

fn decode(record: &[u8; LENGTH]) -> Option<Acked> {
    let crc = u32::from_be_bytes(record[4..8].try_into().ok()?);
    if record[..4] != MAGIC || crc32fast::hash(&record[8..]) != crc {
        return None;
    }
    let mut fields = [0; 5];
    for (field, chunk) in fields.iter_mut().zip(record[8..].chunks_exact(8)) {
        *field = u64::from_be_bytes(chunk.try_into().ok()?);
    }
    let [next_index, term, vote_term, vote_node, flags] = fields;
    let mut vote = Vote::new(vote_term, vote_node);
    vote.committed = flags & 2 != 0;
    Some(Acked {
        next_index,
        term,
        vote: (flags & 1 != 0).then_some(vote),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_damage_counts_as_nothing_known() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("acked");
        let (file, known) = AckedFile::open(&path)?;
        assert_eq!(known, None);
        let acked = Acked {
            next_index: 9,
            term: 3,
            vote: Some(Vote::new_committed(3, 2)),
        };
        file.write(acked)?;
        assert_eq!(AckedFile::open(&path)?.1, Some(acked));
        std::fs::write(&path, [0x55; LENGTH])?;
        assert_eq!(AckedFile::open(&path)?.1, None);
        Ok(())
    }
}
