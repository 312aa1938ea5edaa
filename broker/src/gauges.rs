//! Gauges of a node: what is, and the highest that it ever was in this life of the process.
//!
//! What changes seldom (connections, handshakes, the table) sets its gauge when it changes, so its
//! highest value is exact. What changes with every message (queues, messages under way) is sampled
//! once a second and when it is asked for; a peak between two samples is not seen.

use raftmq_api::counters::{Stat, Stats};
use raftmq_store::table::Counts;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// One value with its highest.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicU64,
    highest: AtomicU64,
}

impl Gauge {
    fn set(&self, value: u64) {
        self.now.store(value, Relaxed);
        self.highest.fetch_max(value, Relaxed);
    }

    fn enter(&self) {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.highest.fetch_max(now, Relaxed);
    }
}

/// All gauges of a node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gauges(Arc<[Arc<Gauge>; Stat::COUNT]>);

impl Default for Gauges {
    fn default() -> Self {
        Gauges(Arc::new(std::array::from_fn(|_| Arc::default())))
    }
}

/// Counts one for as long as it lives.
#[derive(Debug)]
pub struct Counted(Arc<Gauge>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Relaxed);
    }
}

impl Gauges {
    /// Counts one more, until what is returned is dropped.
    pub fn counted(&self, stat: Stat) -> Counted {
        let gauge = self.0[stat as usize].clone();
        gauge.enter();
        Counted(gauge)
    }

    /// Sets a value.
    pub fn set(&self, stat: Stat, value: u64) {
        self.0[stat as usize].set(value);
    }

    /// Sets what the replicated table knows.
    pub fn set_table(&self, counts: Counts) {
        for (stat, value) in [
            (Stat::Sessions, counts.sessions),
            (Stat::Subscriptions, counts.subscriptions),
            (Stat::SubscriptionsShared, counts.shared_subscriptions),
            (Stat::Topics, counts.topics),
            (Stat::Routes, counts.routes),
            (Stat::Retained, counts.retained),
            (Stat::DelayedPublishs, counts.delayed),
        ] {
            self.set(stat, value as u64);
        }
    }

    /// All values as they are now.
    pub fn read(&self) -> Stats {
        Stats {
            count: std::array::from_fn(|i| self.0[i].now.load(Relaxed)),
            max: std::array::from_fn(|i| self.0[i].highest.load(Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_and_max(gauges: &Gauges, stat: Stat) -> (u64, u64) {
        let stats = gauges.read();
        (stats.count[stat as usize], stats.max[stat as usize])
    }

    #[test]
    fn what_lives_is_counted_and_the_highest_stays() {
        let gauges = Gauges::default();
        let first = gauges.counted(Stat::Connections);
        let second = gauges.counted(Stat::Connections);
        drop(first);
        assert_eq!(count_and_max(&gauges, Stat::Connections), (1, 2));
        drop(second);
        assert_eq!(count_and_max(&gauges, Stat::Connections), (0, 2));
    }

    #[test]
    fn a_peak_is_kept_though_nobody_asked_while_it_lasted() {
        let gauges = Gauges::default();
        gauges.set_table(Counts {
            sessions: 3,
            ..Counts::default()
        });
        gauges.set_table(Counts::default());
        assert_eq!(count_and_max(&gauges, Stat::Sessions), (0, 3));
    }
}
