//! Keeping the log short: a snapshot when enough has been written since the last one, then purging
//! what is in it, but for a rest from which a follower that is a little behind can still catch up.

use std::time::Duration;

use crate::config::Limits;
use crate::failure::Failure;
use crate::log::LogStore;
use crate::raft_types::Raft;
use crate::reserve::Reserve;

const LOOK: Duration = Duration::from_millis(500);

pub(crate) struct Compaction {
    pub(crate) raft: Raft,
    pub(crate) log: LogStore,
    pub(crate) limits: Limits,
    /// Spreads the snapshots of the nodes in time: all logs grow alike.
    pub(crate) node_id: u64,
    pub(crate) reserve: Reserve,
    pub(crate) failure: Failure,
}

impl Compaction {
    pub(crate) async fn run(self) {
        let threshold = self.limits.snapshot_log_bytes;
        let threshold = threshold.saturating_add(threshold / 8 * (self.node_id % 4));
        loop {
            tokio::time::sleep(LOOK).await;
            if self.failure.reason().is_some() {
                return;
            }
            // Others write to the disk, too; this node may have nothing to write just now.
            if let Err(full) = self.reserve.check() {
                self.failure.set(&full);
                return;
            }
            if self.compact(threshold).await.is_err() {
                return;
            }
        }
    }

    async fn compact(&self, threshold: u64) -> Result<(), openraft::error::Fatal<u64>> {
        if self.log.bytes() <= threshold.min(self.limits.log_keep_bytes) {
            return Ok(());
        }
        let (snapshot, purged) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow();
            (
                metrics.snapshot.map(|id| id.index),
                metrics.purged.map(|id| id.index),
            )
        };
        if let Some(upto) =
            snapshot.and_then(|index| self.log.purgeable_index(index, self.limits.log_keep_bytes))
            && purged.is_none_or(|purged| purged < upto)
        {
            self.raft.trigger().purge_log(upto).await?;
        }
        if self.log.bytes_after(snapshot) > threshold {
            self.raft.trigger().snapshot().await?;
        }
        Ok(())
    }
}
