//! The table beside its readers.
//!
//! One writer applies; publishers read. A reader that remembers what the table said for a topic asks
//! [`SharedTable::changes_since`] which filters have changed since, so that it forgets just those.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use raftmq_proto::v1::Entry;

use super::outcome::Changed;
use super::{Applied, Drain, Frozen, NodeId, Table};

/// Changed filters that are remembered for readers that come later.
const CHANGES_MAX: usize = 16 * 1024;

/// A table that is being read.
pub type TableGuard<'a> = RwLockReadGuard<'a, Table>;

/// The newest generation of the table's routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// Number of changes so far.
    pub generation: u64,
    /// Index of the log entry that made the last of them.
    pub index: u64,
}

/// More has changed than is remembered: everything is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflowed {
    /// The newest generation.
    pub newest: Newest,
}

/// A node for those who follow lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLife {
    /// The node.
    pub node_id: u64,
    /// The data directory that it lives on.
    pub raft_id: u64,
    /// Its current or last life.
    pub incarnation: u64,
    /// Whether that life goes on.
    pub is_up: bool,
    /// Set while its clients are sent away.
    pub drain: Option<Drain>,
}

/// The table with its lock and its generations.
#[derive(Default)]
pub struct SharedTable {
    table: RwLock<Table>,
    /// Number of changes of routes so far. Raised after the table shows them: what is read after a
    /// generation was seen is at least as new as that generation.
    generation: AtomicU64,
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    /// Generation of the first in `filters`.
    first: u64,
    /// Index of the log entry that made the last change.
    index: u64,
    filters: VecDeque<Arc<str>>,
}

impl Changes {
    fn newest(&self) -> Newest {
        Newest {
            generation: self.first + self.filters.len() as u64,
            index: self.index,
        }
    }
}

impl SharedTable {
    /// Reads. Keep it short: applying waits meanwhile.
    pub fn read(&self) -> TableGuard<'_> {
        self.table.read()
    }

    /// Number of changes of routes so far.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The newest generation and where it comes from.
    pub fn newest(&self) -> Newest {
        self.changes.lock().newest()
    }

    /// Tells which filters have changed since `generation`, and returns the newest generation.
    ///
    /// # Errors
    /// [`Overflowed`]: anything may have changed.
    pub fn changes_since(
        &self,
        generation: u64,
        mut visit: impl FnMut(&str),
    ) -> Result<Newest, Overflowed> {
        let changes = self.changes.lock();
        let newest = changes.newest();
        let Some(skip) = generation.checked_sub(changes.first) else {
            return Err(Overflowed { newest });
        };
        changes
            .filters
            .iter()
            .skip(skip as usize)
            .for_each(|filter| visit(filter));
        Ok(newest)
    }

    /// Applies one log entry.
    pub fn apply(&self, index: u64, entry: &Entry) -> Applied {
        let mut table = self.table.write();
        let mut applied = table.apply(index, entry);
        self.note(index, std::mem::take(&mut applied.changed));
        applied
    }

    /// Puts another table in the place of this one.
    pub fn replace(&self, table: Table) {
        let mut current = self.table.write();
        let index = table.applied_index();
        *current = table;
        let everything = Changed {
            filters: Vec::new(),
            everything: true,
        };
        self.note(index, everything);
    }

    /// What the table is now, for a snapshot.
    pub fn freeze(&self) -> Frozen {
        self.table.read().freeze()
    }

    /// The nodes with their lives.
    pub fn nodes(&self) -> Vec<NodeLife> {
        let table = self.table.read();
        let life = |(NodeId(node_id), entry): (NodeId, &super::NodeEntry)| NodeLife {
            node_id,
            raft_id: entry.raft_id,
            incarnation: entry.incarnation,
            is_up: entry.is_up,
            drain: entry.drain,
        };
        table.nodes().map(life).collect()
    }

    /// When the next session, will, retained or delayed message or ban is due, Unix milliseconds.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.table.read().next_due_ms()
    }

    fn note(&self, index: u64, changed: Changed) {
        if !changed.everything && changed.filters.is_empty() {
            return;
        }
        let mut changes = self.changes.lock();
        changes.filters.extend(changed.filters);
        let excess = match changed.everything {
            true => changes.filters.len(),
            false => changes.filters.len().saturating_sub(CHANGES_MAX),
        };
        changes.filters.drain(..excess);
        // One more than was dropped, so that a reader of the newest generation notices, too.
        changes.first += excess as u64 + u64::from(changed.everything);
        changes.index = index;
        self.generation
            .store(changes.newest().generation, Ordering::Release);
    }
}
