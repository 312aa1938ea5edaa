//! A token bucket: so many requests at once, and then so many in a time.
//!
//! It is kept as the moment at which it is full again, so it needs no clock of its own and no timer: the
//! caller says what time it is.

use std::time::{Duration, Instant};

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Until one more token is there.
    interval: Duration,
    /// Tokens of a full bucket.
    burst: u32,
}

impl Rate {
    /// `count` tokens in each `period`, and at most `burst` (at least 1) at once; `None`: 0, no limit.
    pub(crate) fn new(count: u32, period: Duration, burst: u32) -> Option<Self> {
        (count > 0).then(|| Self {
            interval: (period / count).max(Duration::from_nanos(1)),
            burst: burst.max(1),
        })
    }

    fn capacity(self) -> Duration {
        self.interval.saturating_mul(self.burst)
    }
}

/// The tokens of one client, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// How long until there is a token; zero: there is one.
    pub(crate) fn wait(self, rate: Rate, now: Instant) -> Duration {
        let missing = self.full_at.saturating_duration_since(now) + rate.interval;
        missing.saturating_sub(rate.capacity())
    }

    /// Takes a token, which has to be there.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) {
        self.full_at = self.full_at.max(now) + rate.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Takes what is there; how much that was.
    fn drain(bucket: &mut Bucket, rate: Rate, now: Instant) -> u32 {
        let mut taken = 0;
        while bucket.wait(rate, now).is_zero() {
            bucket.take(rate, now);
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_one_token_per_interval() {
        let rate = Rate::new(10, SECOND, 20).unwrap();
        let begin = Instant::now();
        let mut bucket = Bucket::full(begin);
        assert_eq!(drain(&mut bucket, rate, begin), 20);
        assert_eq!(bucket.wait(rate, begin), Duration::from_millis(100));
        let later = begin + Duration::from_millis(99);
        assert_eq!(bucket.wait(rate, later), Duration::from_millis(1));
        assert_eq!(drain(&mut bucket, rate, begin + SECOND), 10);
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_burst() {
        let rate = Rate::new(10, SECOND, 3).unwrap();
        let begin = Instant::now();
        let mut bucket = Bucket::full(begin);
        drain(&mut bucket, rate, begin);
        assert_eq!(drain(&mut bucket, rate, begin + 1_000 * SECOND), 3);
    }

    #[test]
    fn zero_is_no_limit_and_every_limit_lets_something_through() {
        assert_eq!(Rate::new(0, SECOND, 5), None);
        let rate = Rate::new(u32::MAX, SECOND, 0).unwrap();
        let now = Instant::now();
        assert!(drain(&mut Bucket::full(now), rate, now) >= 1);
    }

    #[test]
    fn a_moment_before_the_last_one_does_no_harm() {
        let rate = Rate::new(1, SECOND, 1).unwrap();
        let begin = Instant::now() + SECOND;
        let mut bucket = Bucket::full(begin);
        bucket.take(rate, begin);
        assert_eq!(bucket.wait(rate, begin - SECOND), 2 * SECOND);
    }
}
