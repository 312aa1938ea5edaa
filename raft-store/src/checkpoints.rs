//! Whether all nodes hold the same table: each hashes its own as it is at one entry of the log.
//!
//! The entry (`Checkpoint`) changes nothing; applying it freezes the table, which takes microseconds, and
//! the hash is computed from the frozen view on another thread. So the log never waits for it. A node
//! that is asked for the hash at an index waits until it has applied that entry.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::table::Frozen;

/// Tables hashed at the same time; a frozen table costs memory for what changes meanwhile. More at once
/// are not hashed, and whoever asks is told so.
const HASHING_MAX: usize = 8;
/// Results that wait to be asked for. The oldest goes when there is another one.
const KEPT: usize = 64;

/// There is no hash of this node's table at that index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this node has no hash of its table at that index: it caught up past it, or too many were asked for"
)]
pub struct NoTableHash;

/// An index and, once it is computed, the hash of the table there.
type Known = (u64, Option<u64>);

/// The hashes of this node's table. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoints {
    known: Arc<Mutex<VecDeque<Known>>>,
    finished: watch::Sender<()>,
}

impl Checkpoints {
    /// Hashes a table, unless too many are being hashed.
    pub(crate) fn take(&self, frozen: Frozen) {
        if self.begin(frozen.applied_index()) {
            let this = self.clone();
            tokio::task::spawn_blocking(move || {
                this.finish(frozen.applied_index(), frozen.hash());
            });
        }
    }

    fn begin(&self, index: u64) -> bool {
        let mut known = self.known.lock();
        let hashing = known.iter().filter(|(_, hash)| hash.is_none()).count();
        if hashing >= HASHING_MAX {
            return false;
        }
        if known.len() >= KEPT {
            let oldest = known.iter().position(|(_, hash)| hash.is_some());
            oldest.and_then(|at| known.remove(at));
        }
        known.push_back((index, None));
        true
    }

    fn finish(&self, index: u64, hash: u64) {
        for (known, slot) in self.known.lock().iter_mut() {
            if *known == index {
                *slot = Some(hash);
            }
        }
        self.finished.send_replace(());
    }

    fn find(&self, index: u64) -> Option<Option<u64>> {
        let known = self.known.lock();
        let found = known.iter().rev().find(|(known, _)| *known == index);
        found.map(|(_, hash)| *hash)
    }

    /// The hash at an index that this node has applied; waits while it is being computed.
    pub(crate) async fn at(&self, index: u64) -> Result<u64, NoTableHash> {
        let mut finished = self.finished.subscribe();
        loop {
            finished.borrow_and_update();
            if let Some(hash) = self.find(index).ok_or(NoTableHash)? {
                return Ok(hash);
            }
            finished.changed().await.map_err(|_| NoTableHash)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    #[tokio::test]
    async fn the_hash_is_that_of_the_table_as_it_was() {
        let mut table = Table::new();
        let checkpoints = Checkpoints::default();
        table.apply(5, &raftmq_proto::v1::Entry::default());
        checkpoints.take(table.freeze());
        let hash = table.hash();
        table.apply(6, &raftmq_proto::v1::Entry::default());
        assert_eq!(checkpoints.at(5).await, Ok(hash));
        assert_ne!(table.hash(), hash);
    }

    #[tokio::test]
    async fn an_index_without_a_checkpoint_has_no_hash() {
        assert_eq!(Checkpoints::default().at(5).await, Err(NoTableHash));
    }

    #[tokio::test]
    async fn beyond_the_bound_nothing_is_hashed_and_the_asker_is_told() {
        let checkpoints = Checkpoints::default();
        for index in 1..=HASHING_MAX as u64 {
            assert!(checkpoints.begin(index));
        }
        assert!(!checkpoints.begin(99));
        assert_eq!(checkpoints.at(99).await, Err(NoTableHash));
        checkpoints.finish(1, 7);
        assert_eq!(checkpoints.at(1).await, Ok(7));
        assert!(checkpoints.begin(100));
    }

    #[test]
    fn old_results_make_room_for_new_ones() {
        let checkpoints = Checkpoints::default();
        for index in 0..2 * KEPT as u64 {
            assert!(checkpoints.begin(index));
            checkpoints.finish(index, index);
        }
        assert_eq!(checkpoints.known.lock().len(), KEPT);
        assert_eq!(checkpoints.find(0), None);
    }
}
