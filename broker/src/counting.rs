//! Counting where things happen, without sharing: each shard adds to counters of its own, which only
//! it writes; readers add the shards up.

use crate::shard::ShardId;
use raftmq_api::counters::{Metric, Metrics};
use raftmq_mqtt::{publication::Origin, session::DropReason};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The counters that one thread writes.
pub struct ShardCounters {
    metrics: [AtomicU64; Metric::COUNT],
}

impl Default for ShardCounters {
    fn default() -> Self {
        Self {
            metrics: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl ShardCounters {
    /// Adds to a counter. Only the owning thread calls it, so a load and a store are enough.
    pub fn add(&self, metric: Metric, n: u64) {
        if n > 0 {
            let counter = &self.metrics[metric as usize];
            counter.store(counter.load(Relaxed) + n, Relaxed);
        }
    }
}

/// The counters of a node: those of its shards, and of what follows the replicated table.
pub struct Counters {
    shards: Vec<Arc<ShardCounters>>,
    table: Arc<ShardCounters>,
    quic: Arc<ShardCounters>,
}

impl Counters {
    /// For so many shards.
    pub fn new(shards: usize) -> Counters {
        Counters {
            shards: (0..shards).map(|_| Arc::default()).collect(),
            table: Arc::default(),
            quic: Arc::default(),
        }
    }

    /// The counters of one shard.
    pub fn shard(&self, shard: ShardId) -> Arc<ShardCounters> {
        self.shards[shard.index()].clone()
    }

    /// The counters of the thread that applies the log.
    pub fn table(&self) -> Arc<ShardCounters> {
        self.table.clone()
    }

    /// The counters of the thread that speaks QUIC.
    pub fn quic(&self) -> Arc<ShardCounters> {
        self.quic.clone()
    }

    /// All together, with the sums that the API shows beside their parts.
    pub fn metrics(&self) -> Metrics {
        let mut sum = Metrics::default();
        for counters in self.shards.iter().chain([&self.table, &self.quic]) {
            for metric in Metric::ALL {
                sum[*metric] += counters.metrics[*metric as usize].load(Relaxed);
            }
        }
        for (total, parts) in SUMS {
            sum[*total] = parts.iter().map(|part| sum[*part]).sum();
        }
        sum
    }
}

/// Where a message of this origin is counted when it is published.
pub fn published(origin: Origin) -> Metric {
    match origin {
        Origin::Client => MessagesPublishCustom,
        Origin::Admin => MessagesPublishAdmin,
        Origin::Will => MessagesPublishLastwill,
        Origin::System => MessagesPublishSystem,
        Origin::Bridge => MessagesPublishBridge,
        Origin::Retained => MessagesPublishRetain,
    }
}

/// Where it is counted when there is no subscription for it.
pub fn nonsubscribed(origin: Origin) -> Metric {
    match origin {
        // A retained message is sent to a subscription, so it always has one.
        Origin::Client | Origin::Retained => MessagesNonsubscribedCustom,
        Origin::Admin => MessagesNonsubscribedAdmin,
        Origin::Will => MessagesNonsubscribedLastwill,
        Origin::System => MessagesNonsubscribedSystem,
        Origin::Bridge => MessagesNonsubscribedBridge,
    }
}

/// Where it is counted when it is sent to a client.
pub fn delivered(origin: Origin) -> Metric {
    match origin {
        Origin::Client => MessagesDeliveredCustom,
        Origin::Admin => MessagesDeliveredAdmin,
        Origin::Will => MessagesDeliveredLastwill,
        Origin::System => MessagesDeliveredSystem,
        Origin::Bridge => MessagesDeliveredBridge,
        Origin::Retained => MessagesDeliveredRetain,
    }
}

/// Where it is counted when a client acknowledges it.
pub fn acked(origin: Origin) -> Metric {
    match origin {
        Origin::Client => MessagesAckedCustom,
        Origin::Admin => MessagesAckedAdmin,
        Origin::Will => MessagesAckedLastwill,
        Origin::System => MessagesAckedSystem,
        Origin::Bridge => MessagesAckedBridge,
        Origin::Retained => MessagesAckedRetain,
    }
}

/// Where it is counted, beside the sum, when it is dropped for a reason that a session has.
pub fn dropped(reason: DropReason) -> Metric {
    match reason {
        DropReason::Offline => MessagesDroppedOffline,
        DropReason::QueueFull => MessagesDroppedQueueFull,
        DropReason::SlowReader => MessagesDroppedSlowReader,
        DropReason::TooLarge => MessagesDroppedTooLarge,
        DropReason::Expired => MessagesDroppedExpired,
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
            MessagesPublishRetain,
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
    fn every_part_of_a_total_is_in_it() {
        let parts_of = |total: Metric| {
            let prefix = format!("{}.", total.name());
            let parts = Metric::ALL
                .iter()
                .filter(move |m| m.name().starts_with(&prefix));
            parts.copied().collect::<Vec<_>>()
        };
        for (total, parts) in SUMS {
            assert_eq!(parts_of(*total), *parts, "{}", total.name());
        }
    }
}
