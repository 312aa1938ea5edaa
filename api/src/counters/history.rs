//! What the counters were: the samples of one node, in memory, for the curves of a dashboard.
//!
//! A sample is taken every 10 s and kept for 2 hours; one of every 5 minutes is kept for 7 days. So a
//! node holds at most 720 + 2,016 samples of less than 1 KiB each. They begin with the process.
//!
//! Times are rounded down to their window, on every node alike, so that the samples of several nodes
//! can be added. Time comes in as an argument; this module reads no clock.

use std::collections::{BTreeMap, VecDeque};

use super::{Metrics, Stats};

/// Time between two samples, in milliseconds.
pub const FINE_MS: u64 = 10_000;
/// How far back there is a sample for every [`FINE_MS`], in milliseconds.
pub const FINE_REACH_MS: u64 = 2 * 3_600_000;
/// Time between two of the samples that are kept for long, in milliseconds.
const COARSE_MS: u64 = 300_000;
/// How far back these go, in milliseconds.
const COARSE_REACH_MS: u64 = 7 * 24 * 3_600_000;

/// All counters at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Begin of the window in which it was taken, Unix milliseconds.
    pub at_ms: u64,
    /// Gauges.
    pub stats: Stats,
    /// Counters since the node started.
    pub metrics: Metrics,
}

/// The samples of one node.
#[derive(Debug)]
pub struct History {
    fine: Ring,
    coarse: Ring,
}

impl Default for History {
    fn default() -> Self {
        Self {
            fine: Ring::new(FINE_MS, FINE_REACH_MS),
            coarse: Ring::new(COARSE_MS, COARSE_REACH_MS),
        }
    }
}

impl History {
    /// Keeps a sample taken at `now_ms` (Unix milliseconds). Of several in one window the last stays.
    pub fn record(&mut self, now_ms: u64, stats: Stats, metrics: Metrics) {
        let sample = Sample {
            at_ms: now_ms,
            stats,
            metrics,
        };
        self.coarse.record(sample.clone());
        self.fine.record(sample);
    }

    /// What was taken at `from_ms` or later, one sample for each window of `window_ms`: the newest
    /// `limit`, in order of time. The first window may begin before `from_ms`.
    pub fn read(&self, from_ms: u64, window_ms: u64, limit: usize) -> Vec<Sample> {
        let fine_from_ms = self.fine.samples.front().map_or(u64::MAX, |s| s.at_ms);
        let old = self.coarse.samples.iter();
        // A window that the fine samples begin in would be told twice, and with what was only later.
        let old = old.take_while(|sample| sample.at_ms + COARSE_MS <= fine_from_ms);
        let all = old.chain(&self.fine.samples);
        let mut read: Vec<Sample> = Vec::new();
        for sample in all.filter(|sample| sample.at_ms >= from_ms) {
            let at_ms = begin_of_window(sample.at_ms, window_ms);
            let last = read.pop_if(|last| last.at_ms == at_ms);
            let highest = last.map_or([0; super::Stat::COUNT], |last| last.stats.max);
            read.push(in_window(sample, at_ms, &highest));
        }
        read.split_off(read.len().saturating_sub(limit))
    }
}

/// The later sample of a window stands for it; a highest value is not lost when a node has begun anew.
fn in_window(sample: &Sample, at_ms: u64, highest: &[u64; super::Stat::COUNT]) -> Sample {
    let mut sample = Sample {
        at_ms,
        ..sample.clone()
    };
    for (max, earlier) in sample.stats.max.iter_mut().zip(highest) {
        *max = (*max).max(*earlier);
    }
    sample
}

fn begin_of_window(at_ms: u64, window_ms: u64) -> u64 {
    at_ms - at_ms % window_ms.max(1)
}

/// The window, in milliseconds, for samples that go back by `reach_ms`: as asked for, but never
/// shorter than the time between the samples that there are.
pub fn window_ms(reach_ms: u64, asked_ms: Option<u64>) -> u64 {
    let between_ms = match reach_ms {
        0..=FINE_REACH_MS => FINE_MS,
        _ => COARSE_MS,
    };
    asked_ms.unwrap_or(0).max(between_ms)
}

/// Adds the samples of several nodes, window by window, in order of time. Beside each sum stands how
/// many nodes are in it.
pub fn merge(nodes: impl IntoIterator<Item = Vec<Sample>>) -> Vec<(usize, Sample)> {
    let mut sums: BTreeMap<u64, (usize, Sample)> = BTreeMap::new();
    for sample in nodes.into_iter().flatten() {
        let (nodes, sum) = sums.entry(sample.at_ms).or_default();
        *nodes += 1;
        sum.at_ms = sample.at_ms;
        sum.stats.add(&sample.stats);
        sum.metrics.add(&sample.metrics);
    }
    sums.into_values().collect()
}

/// Samples at a fixed distance, in order of time; the oldest is dropped when a newer one needs its place.
#[derive(Debug)]
struct Ring {
    every_ms: u64,
    samples_max: usize,
    samples: VecDeque<Sample>,
}

impl Ring {
    fn new(every_ms: u64, reach_ms: u64) -> Self {
        let samples_max = usize::try_from(reach_ms / every_ms).unwrap_or(usize::MAX);
        Self {
            every_ms,
            samples_max,
            samples: VecDeque::new(),
        }
    }

    fn record(&mut self, mut sample: Sample) {
        sample.at_ms = begin_of_window(sample.at_ms, self.every_ms);
        // A clock that was put back: what lies in its future now is in no order with what comes.
        while self.samples.back().is_some_and(|s| s.at_ms >= sample.at_ms) {
            self.samples.pop_back();
        }
        if self.samples.len() == self.samples_max {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

#[cfg(test)]
mod tests;
