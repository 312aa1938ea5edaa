//! Counting where things happen, without sharing: each shard adds to counters of its own, which only
//! it writes; readers add the shards up.

use crate::shard::ShardId;
use parking_lot::Mutex;
use raftmq_api::counters::{Metric, Metrics};
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// The counters that one shard writes.
pub struct ShardCounters {
    metrics: [AtomicU64; Metric::COUNT],
    gauges: Mutex<ShardGauges>,
}

impl Default for ShardCounters {
    fn default() -> Self {
        Self {
            metrics: std::array::from_fn(|_| AtomicU64::new(0)),
            gauges: Mutex::default(),
        }
    }
}

impl ShardCounters {
    /// Adds to a counter. Only the shard's own thread calls it, so a load and a store are enough.
    pub fn add(&self, metric: Metric, n: u64) {
        if n > 0 {
            let counter = &self.metrics[metric as usize];
            counter.store(counter.load(Relaxed) + n, Relaxed);
        }
    }

    /// Replaces the gauges.
    pub fn set_gauges(&self, gauges: ShardGauges) {
        *self.gauges.lock() = gauges;
    }
}

/// Gauges of one shard, as of its last sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardGauges {
    /// Clients connected.
    pub connections: u64,
    /// Sessions in memory.
    pub sessions: u64,
    /// Deliveries under way.
    pub inflight: u64,
    /// Messages in queues.
    pub queued: u64,
    /// QoS 2 publishes received and not released.
    pub unreleased: u64,
    /// Publishes that wait for other nodes.
    pub deferred: u64,
}

impl ShardGauges {
    fn add(&mut self, other: ShardGauges) {
        self.connections += other.connections;
        self.sessions += other.sessions;
        self.inflight += other.inflight;
        self.queued += other.queued;
        self.unreleased += other.unreleased;
        self.deferred += other.deferred;
    }
}

/// The counters of all shards of a node.
pub struct Counters {
    shards: Vec<Arc<ShardCounters>>,
}

impl Counters {
    /// For so many shards.
    pub fn new(shards: usize) -> Counters {
        Counters {
            shards: (0..shards).map(|_| Arc::default()).collect(),
        }
    }

    /// The counters of one shard.
    pub fn shard(&self, shard: ShardId) -> Arc<ShardCounters> {
        self.shards[shard.index()].clone()
    }

    /// All shards together, with the sums that the API shows beside their parts.
    pub fn metrics(&self) -> Metrics {
        let mut sum = Metrics::default();
        for shard in &self.shards {
            for metric in Metric::ALL {
                sum[*metric] += shard.metrics[*metric as usize].load(Relaxed);
            }
        }
        for (total, parts) in SUMS {
            sum[*total] = parts.iter().map(|part| sum[*part]).sum();
        }
        sum
    }

    /// All shards together.
    pub fn gauges(&self) -> ShardGauges {
        let mut sum = ShardGauges::default();
        for shard in &self.shards {
            sum.add(*shard.gauges.lock());
        }
        sum
    }
}

use Metric::*;

/// Metrics that are the sum of others.
const SUMS: &[(Metric, &[Metric])] = &[
    (
        MessagesPublish,
        &[
            MessagesPublishAdmin,
            MessagesPublishBridge,
            MessagesPublishCustom,
            MessagesPublishLastwill,
            MessagesPublishSystem,
        ],
    ),
    (
        MessagesDelivered,
        &[
            MessagesDeliveredAdmin,
            MessagesDeliveredBridge,
            MessagesDeliveredCustom,
            MessagesDeliveredLastwill,
            MessagesDeliveredRetain,
            MessagesDeliveredSystem,
        ],
    ),
    (
        MessagesAcked,
        &[
            MessagesAckedAdmin,
            MessagesAckedBridge,
            MessagesAckedCustom,
            MessagesAckedLastwill,
            MessagesAckedRetain,
            MessagesAckedSystem,
        ],
    ),
    (
        MessagesNonsubscribed,
        &[
            MessagesNonsubscribedAdmin,
            MessagesNonsubscribedBridge,
            MessagesNonsubscribedCustom,
            MessagesNonsubscribedLastwill,
            MessagesNonsubscribedSystem,
        ],
    ),
];

/// Connections on their way from accept to CONNACK.
#[derive(Debug, Default)]
pub struct HandshakeGauges {
    handshaking: Arc<AtomicUsize>,
    active: Arc<AtomicUsize>,
    begun: AtomicU64,
}

/// Counts one for as long as it lives.
#[derive(Debug)]
pub struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(gauge: &Arc<AtomicUsize>) -> Counted {
        gauge.fetch_add(1, Relaxed);
        Counted(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl HandshakeGauges {
    /// A connection without CONNACK.
    pub fn handshaking(&self) -> Counted {
        self.begun.fetch_add(1, Relaxed);
        Counted::new(&self.handshaking)
    }

    /// One whose CONNECT is being worked on.
    pub fn handshaking_active(&self) -> Counted {
        Counted::new(&self.active)
    }

    /// Now: without CONNACK, being worked on, begun since start.
    pub fn read(&self) -> (u64, u64, u64) {
        let (handshaking, active) = (self.handshaking.load(Relaxed), self.active.load(Relaxed));
        (handshaking as u64, active as u64, self.begun.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_the_sum_of_its_origins_over_all_shards() {
        let counters = Counters::new(2);
        counters.shard(ShardId(0)).add(MessagesPublishCustom, 2);
        counters.shard(ShardId(1)).add(MessagesPublishAdmin, 3);
        assert_eq!(counters.metrics()[MessagesPublish], 5);
    }

    #[test]
    fn a_handshake_is_counted_while_it_lasts() {
        let gauges = HandshakeGauges::default();
        let first = gauges.handshaking();
        assert_eq!(gauges.read(), (1, 0, 1));
        drop(first);
        assert_eq!(gauges.read(), (0, 0, 1));
    }
}
