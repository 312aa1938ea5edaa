//! How long single messages take from one node's client to another node's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::SOON;
use crate::cluster::Cluster;
use crate::raw::{RawClient, packet};

/// Time between two messages.
const MESSAGE_INTERVAL: Duration = Duration::from_millis(5);
const TOPIC: &str = "timed/way";

/// A publisher on node 1 and a subscriber on node 2.
pub struct Way {
    publisher: RawClient,
    subscriber: RawClient,
}

impl Way {
    /// Connects both.
    ///
    /// # Panics
    /// When they are not answered.
    pub async fn open(cluster: &Cluster) -> Way {
        let (subscriber, publisher) = (cluster.node(2).mqtt(), cluster.node(1).mqtt());
        let (mut subscriber, _) = RawClient::connect(subscriber, 4, "timed-sub", true).await;
        subscriber.send(&packet::subscribe(4, 1, TOPIC, 0)).await;
        subscriber.next_frame(SOON).await.expect("SUBACK");
        let (publisher, _) = RawClient::connect(publisher, 4, "timed-pub", true).await;
        Way {
            publisher,
            subscriber,
        }
    }

    /// Times of single messages from PUBLISH to PUBLISH, until `ends` or so many.
    ///
    /// # Panics
    /// When one does not arrive.
    pub async fn times(&mut self, ends: &AtomicBool, count: usize) -> Vec<Duration> {
        let message = packet::publish(4, TOPIC, 0, 0, &[b'x'; 64]);
        let mut ticks = tokio::time::interval(MESSAGE_INTERVAL);
        let mut times = Vec::new();
        while times.len() < count && !ends.load(Ordering::Relaxed) {
            ticks.tick().await;
            let sent = Instant::now();
            self.publisher.send(&message).await;
            self.subscriber.next_frame(SOON).await.expect("PUBLISH");
            times.push(sent.elapsed());
            if times.len() % 1_000 == 0 {
                self.publisher.send(&packet::PINGREQ).await;
                self.publisher.next_frame(SOON).await.expect("PINGRESP");
                self.subscriber.send(&packet::PINGREQ).await;
                self.subscriber.next_frame(SOON).await.expect("PINGRESP");
            }
        }
        times
    }
}

/// Median, 99th percentile and maximum, in milliseconds.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn percentiles(times: &[Duration]) -> Value {
    let mut times = times.to_vec();
    times.sort();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share) as usize).min(times.len() - 1);
        (times[index].as_secs_f64() * 100_000.0).round() / 100.0
    };
    json!({"count": times.len(), "p50": at(0.5), "p99": at(0.99), "worst": at(1.0)})
}
