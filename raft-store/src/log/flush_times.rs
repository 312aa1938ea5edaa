//! How long the disk takes to keep entries: every acknowledgement of the cluster waits for it.

use std::time::{Duration, Instant};

/// A new time counts as one part in so many of the average.
const WEIGHT: u32 = 16;
/// The slowest write is that of this span and of the one before.
const SPAN: Duration = Duration::from_secs(60);

/// Times of writing entries to the disk, flush included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushTimes {
    /// Writes since the start.
    pub count: u64,
    /// Moving average; the last sixteen or so weigh most.
    pub average: Duration,
    span_began: Instant,
    slowest: Duration,
    slowest_before: Duration,
}

impl FlushTimes {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            count: 0,
            average: Duration::ZERO,
            span_began: now,
            slowest: Duration::ZERO,
            slowest_before: Duration::ZERO,
        }
    }

    /// The slowest of the last one to two minutes.
    pub fn slowest(&self) -> Duration {
        let mut current = *self;
        current.turn(Instant::now());
        current.slowest.max(current.slowest_before)
    }

    pub(super) fn add(&mut self, now: Instant, took: Duration) {
        self.turn(now);
        self.average = match self.count {
            0 => took,
            _ => self.average - self.average / WEIGHT + took / WEIGHT,
        };
        self.count += 1;
        self.slowest = self.slowest.max(took);
    }

    fn turn(&mut self, now: Instant) {
        let spans = now.saturating_duration_since(self.span_began).as_secs() / SPAN.as_secs();
        if spans == 0 {
            return;
        }
        self.slowest_before = if spans == 1 {
            self.slowest
        } else {
            Duration::ZERO
        };
        self.slowest = Duration::ZERO;
        self.span_began = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_average_follows_and_the_first_write_begins_it() {
        let now = Instant::now();
        let mut times = FlushTimes::new(now);
        times.add(now, 16 * MS);
        assert_eq!(times.average, 16 * MS);
        times.add(now, 32 * MS);
        assert_eq!(times.average, 17 * MS);
        assert_eq!((times.count, times.slowest()), (2, 32 * MS));
    }

    #[test]
    fn the_slowest_is_forgotten_after_two_spans() {
        let now = Instant::now();
        let mut times = FlushTimes::new(now);
        times.add(now, 90 * MS);
        times.add(now + SPAN, MS);
        assert_eq!(times.slowest.max(times.slowest_before), 90 * MS);
        times.add(now + 2 * SPAN, 2 * MS);
        assert_eq!(times.slowest.max(times.slowest_before), 2 * MS);
        times.add(now + 9 * SPAN, MS);
        assert_eq!(times.slowest.max(times.slowest_before), MS);
    }
}
