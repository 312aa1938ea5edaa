//! Connections accepted in a second, over all shards: a bucket of as many tokens, filled all the time. Who finds
//! none waits for his own, and those who come meanwhile wait in the kernel.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// The bucket of one listener.
#[derive(Debug)]
pub(super) struct ConnectRate {
    per_second: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// Below 0: so many have been promised already.
    tokens: f64,
    filled_at: Instant,
}

impl ConnectRate {
    /// `None`: 0 is no limit.
    pub fn new(per_second: u32) -> Option<ConnectRate> {
        let per_second = f64::from(per_second);
        let bucket = Bucket {
            tokens: per_second,
            filled_at: Instant::now(),
        };
        (per_second > 0.0).then(|| ConnectRate {
            per_second,
            bucket: Mutex::new(bucket),
        })
    }

    /// Takes a token, and says how long it is until it is there.
    pub fn take(&self) -> Duration {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> Duration {
        let mut bucket = self.bucket.lock();
        let passed = now.saturating_duration_since(bucket.filled_at);
        bucket.tokens =
            (bucket.tokens + passed.as_secs_f64() * self.per_second).min(self.per_second);
        bucket.filled_at = now;
        bucket.tokens -= 1.0;
        Duration::from_secs_f64((-bucket.tokens / self.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_comes_at_once_and_the_next_ones_in_their_turn() {
        assert!(ConnectRate::new(0).is_none());
        let rate = ConnectRate::new(10).expect("a limit");
        let now = Instant::now();
        let waits: Vec<_> = (0..12).map(|_| rate.take_at(now).as_millis()).collect();
        assert!(waits[..10].iter().all(|wait| *wait == 0), "{waits:?}");
        assert_eq!(waits[10..], [100, 200]);
        let later = now + Duration::from_secs(5);
        assert_eq!(rate.take_at(later), Duration::ZERO);
    }
}
