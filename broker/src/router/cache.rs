//! What the table says for a topic, remembered until it may have changed.

use raftmq_mqtt::topic;
use raftmq_store::table::{Newest, SharedTable, Table};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Topics remembered at once; beyond it the cache begins anew.
const TOPICS_MAX: usize = 1 << 16;
/// Changed wildcard filters beyond which forgetting everything is cheaper than looking through.
const WILDCARD_CHANGES_MAX: usize = 8;

/// One thread's memory of resolved topics.
pub struct TopicCache<T> {
    table: Arc<SharedTable>,
    newest: Newest,
    topics: FxHashMap<Box<str>, Arc<T>>,
}

impl<T> TopicCache<T> {
    /// Nothing remembered yet.
    pub fn new(table: Arc<SharedTable>) -> TopicCache<T> {
        TopicCache {
            newest: table.newest(),
            table,
            topics: FxHashMap::default(),
        }
    }

    /// Index of the log entry up to which routes are seen by what [`TopicCache::get`] returned last.
    pub fn routed_at(&self) -> u64 {
        self.newest.index
    }

    /// What is remembered for `topic` and still true.
    pub fn get(&mut self, topic: &str) -> Option<Arc<T>> {
        self.forget_changed();
        self.topics.get(topic).cloned()
    }

    /// Asks the table and remembers the answer. Call it after [`TopicCache::get`] found nothing: the
    /// answer is kept under the generation seen there, so it is never newer than it claims to be.
    pub fn resolve(&mut self, topic: &str, resolve: impl FnOnce(&Table) -> T) -> Arc<T> {
        let resolved = Arc::new(resolve(&self.table.read()));
        if self.topics.len() >= TOPICS_MAX {
            self.topics.clear();
        }
        self.topics.insert(topic.into(), resolved.clone());
        resolved
    }

    fn forget_changed(&mut self) {
        if self.table.generation() == self.newest.generation {
            return;
        }
        let topics = &mut self.topics;
        let mut wildcard_changes = 0;
        let newest = self.table.changes_since(self.newest.generation, |filter| {
            if topics.is_empty() {
                return;
            }
            if !filter.contains(['+', '#']) {
                topics.remove(filter);
                return;
            }
            wildcard_changes += 1;
            if wildcard_changes > WILDCARD_CHANGES_MAX {
                topics.clear();
            } else {
                topics.retain(|name, _| !topic::matches(filter, name));
            }
        });
        self.newest = newest.unwrap_or_else(|overflow| {
            self.topics.clear();
            overflow.newest
        });
    }
}
