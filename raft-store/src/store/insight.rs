//! What the store says about itself beyond its status: whether its table equals the others', and how long
//! its disk takes.

use raftmq_proto::v1::{Checkpoint, Op, op::Kind};

use super::Store;
use crate::checkpoints::NoTableHash;
use crate::error::ProposeError;
use crate::log::FlushTimes;
use crate::table::Outcome;

impl Store {
    /// Writes an entry at which all nodes hash their tables, and returns its index when every node
    /// that is up has applied it.
    ///
    /// # Errors
    /// As [`Store::propose`].
    pub async fn checkpoint(&self) -> Result<u64, ProposeError> {
        let kind = Some(Kind::Checkpoint(Checkpoint {}));
        match self.propose(Op { kind }).await? {
            Outcome::Checkpoint { index } => Ok(index),
            refused => Err(ProposeError::NotReady(format!("{refused:?}"))),
        }
    }

    /// The hash of this node's table at the entry that a node's [`Store::checkpoint`] wrote. Waits until
    /// this node has applied it; the caller sets a deadline.
    ///
    /// # Errors
    /// [`NoTableHash`].
    pub async fn table_hash(&self, index: u64) -> Result<u64, NoTableHash> {
        let mut applied = self.inner.followers.progress.subscribe();
        let reached = applied.wait_for(|applied| *applied >= index).await;
        reached.map_err(|_| NoTableHash)?;
        self.inner.followers.checkpoints.at(index).await
    }

    /// How long writing the log takes.
    pub fn flush_times(&self) -> FlushTimes {
        self.inner.log.flush_times()
    }
}
