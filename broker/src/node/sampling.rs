//! The gauges that change too often to be set where they change: read once a second, and when somebody
//! asks.

use crate::engine::Engine;
use futures::future::join_all;
use parking_lot::Mutex;
use raftmq_api::counters::{Metric, Stat, Stats};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between two samples, and over which the rate of handshakes is measured.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// Reads what the engine does not set by itself.
pub(super) struct Sampler {
    engine: Arc<Engine>,
    handshakes: Mutex<Handshakes>,
}

/// Handshakes up to the last measurement of their rate.
struct Handshakes {
    begun: u64,
    measured: Instant,
}

impl Sampler {
    pub fn new(engine: Arc<Engine>) -> Sampler {
        let handshakes = Handshakes {
            begun: 0,
            measured: Instant::now(),
        };
        Sampler {
            engine,
            handshakes: Mutex::new(handshakes),
        }
    }

    /// Samples until the node ends.
    pub async fn run(self: Arc<Self>) {
        let mut ended = self.engine.ended.clone();
        while !*ended.borrow_and_update() {
            self.sample().await;
            let _ = tokio::time::timeout(SAMPLE_INTERVAL, ended.changed()).await;
        }
    }

    /// All gauges, as they are now.
    pub async fn read(&self) -> Stats {
        self.sample().await;
        self.engine.gauges.read()
    }

    async fn sample(&self) {
        let engine = &self.engine;
        let mailboxes = engine.mailboxes.iter();
        let asked = mailboxes.map(|mailbox| mailbox.ask(|shard| shard.load()));
        let loads = join_all(asked).await;
        let sum = |part: fn(&crate::shard::Load) -> u64| loads.iter().flatten().map(part).sum();
        let gauges = &engine.gauges;
        gauges.set(Stat::MessageQueues, sum(|load| load.queued));
        gauges.set(Stat::OutInflights, sum(|load| load.inflight));
        gauges.set(Stat::InInflights, sum(|load| load.unreleased));
        gauges.set(Stat::MessageStorages, sum(|load| load.owed));
        let journal = engine.journal.as_ref();
        gauges.set(Stat::JournalBytes, journal.map_or(0, |j| j.bytes()));
        let links = engine.links.list();
        let forwards = links.iter().map(|link| link.under_way());
        gauges.set(Stat::Forwards, forwards.sum());
        let counts = {
            let table = engine.store.table().read();
            table.counts(engine.node_id.into())
        };
        gauges.set_table(counts);
        self.measure_handshakes();
    }

    fn measure_handshakes(&self) {
        let mut handshakes = self.handshakes.lock();
        let elapsed = handshakes.measured.elapsed();
        if elapsed < SAMPLE_INTERVAL {
            return;
        }
        let begun = self.engine.counters.metrics()[Metric::ClientConnect];
        let rate = (begun - handshakes.begun) as f64 / elapsed.as_secs_f64();
        self.engine
            .gauges
            .set(Stat::HandshakingsRate, rate.round() as u64);
        *handshakes = Handshakes {
            begun,
            measured: Instant::now(),
        };
    }
}
