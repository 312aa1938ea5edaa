//! How a link is: what the HTTP API shows of it.

use super::Link;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// A new round trip counts as one part in so many of the average.
const WEIGHT: u64 = 8;

/// What is measured along the way.
#[derive(Default)]
pub(super) struct Vitals {
    up: AtomicBool,
    /// Moving average in microseconds; 0: not measured yet.
    round_trip_us: AtomicU64,
    dropped: AtomicU64,
}

impl Vitals {
    fn round_trip(&self, took: Duration) {
        let sample = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        // Only the task of the link's stream writes it.
        let average = match self.round_trip_us.load(Relaxed) {
            0 => sample,
            average => average - average / WEIGHT + sample / WEIGHT,
        };
        self.round_trip_us.store(average.max(1), Relaxed);
    }
}

/// A link at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// Whether its stream is established.
    pub up: bool,
    /// Bytes that wait to be sent.
    pub queued_bytes: usize,
    /// Bytes sent and not acknowledged.
    pub in_flight_bytes: usize,
    /// Batches sent and not acknowledged.
    pub in_flight_batches: usize,
    /// From a batch to its acknowledgement, moving average; `None`: not measured yet.
    pub round_trip: Option<Duration>,
    /// Age of the oldest batch that is not acknowledged.
    pub oldest_unacknowledged: Duration,
    /// Bytes beyond which it is full.
    pub window_bytes: usize,
    /// Publications of QoS 0 that were dropped because it was full.
    pub dropped: u64,
}

impl Link {
    pub(super) fn set_up(&self, up: bool) {
        self.vitals.up.store(up, Relaxed);
    }

    pub(super) fn measured(&self, round_trip: Duration) {
        self.vitals.round_trip(round_trip);
    }

    /// A publication of QoS 0 was dropped because the link is full.
    pub fn count_dropped(&self) {
        self.vitals.dropped.fetch_add(1, Relaxed);
    }

    /// How it is.
    pub fn status(&self) -> LinkStatus {
        let (queued_bytes, unacknowledged) = self.waiting();
        let vitals = &self.vitals;
        let round_trip_us = vitals.round_trip_us.load(Relaxed);
        LinkStatus {
            up: vitals.up.load(Relaxed),
            queued_bytes,
            in_flight_bytes: unacknowledged.bytes,
            in_flight_batches: unacknowledged.batches,
            round_trip: (round_trip_us > 0).then(|| Duration::from_micros(round_trip_us)),
            oldest_unacknowledged: unacknowledged.oldest,
            window_bytes: self.window_bytes(),
            dropped: vitals.dropped.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_begins_with_the_first_round_trip_and_follows() {
        let vitals = Vitals::default();
        vitals.round_trip(Duration::from_micros(800));
        assert_eq!(vitals.round_trip_us.load(Relaxed), 800);
        vitals.round_trip(Duration::from_micros(1_600));
        assert_eq!(vitals.round_trip_us.load(Relaxed), 900);
    }

    #[test]
    fn a_round_trip_too_short_to_measure_is_not_unknown() {
        let vitals = Vitals::default();
        vitals.round_trip(Duration::ZERO);
        assert_eq!(vitals.round_trip_us.load(Relaxed), 1);
    }
}
