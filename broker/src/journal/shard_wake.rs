//! What the journal's thread says to a shard.

use crate::shard::mailbox::{Mail, Mailbox};

/// Is told how the journal gets on. Called by its thread, so it must not wait.
pub trait Waker: Send + Sync {
    /// More of what the shard handed over is on the disk.
    fn journal_moved(&self);
    /// The shard is to write the states of its sessions once more.
    fn checkpoint(&self);
}

impl Waker for Mailbox {
    fn journal_moved(&self) {
        self.put(Mail::JournalMoved);
    }

    fn checkpoint(&self) {
        self.put(Mail::Checkpoint);
    }
}
