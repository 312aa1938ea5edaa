use super::*;
use crate::counters::{Metric, Stat};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

fn stats(connections: u64) -> Stats {
    let mut stats = Stats::default();
    stats.set(Stat::Connections, connections);
    stats
}

fn published(messages: u64) -> Metrics {
    let mut metrics = Metrics::default();
    metrics[Metric::MessagesPublish] = messages;
    metrics
}

/// A sample every 10 s; the n-th has n connections and n messages.
fn sampled_for(duration_ms: u64) -> History {
    let mut history = History::default();
    for n in 0..duration_ms / FINE_MS {
        history.record(n * FINE_MS, stats(n), published(n));
    }
    history
}

fn times(samples: &[Sample]) -> Vec<u64> {
    samples.iter().map(|sample| sample.at_ms).collect()
}

#[test]
fn times_are_rounded_down_to_their_window_and_its_last_sample_stays() {
    let mut history = History::default();
    for (now_ms, connections) in [(10_001, 1), (19_999, 2), (20_000, 3)] {
        history.record(now_ms, stats(connections), published(0));
    }
    let read = history.read(0, FINE_MS, 10);
    assert_eq!(times(&read), [10_000, 20_000]);
    assert_eq!(read[0].stats.count[Stat::Connections as usize], 2);
}

#[test]
fn samples_are_bounded_however_long_the_node_runs() {
    let history = sampled_for(9 * DAY_MS);
    assert_eq!(history.fine.samples.len(), 720);
    assert_eq!(history.coarse.samples.len(), 2_016);
}

#[test]
fn of_the_last_hours_every_sample_is_there_and_of_the_days_before_one_of_five_minutes() {
    let history = sampled_for(DAY_MS);
    let read = history.read(0, FINE_MS, usize::MAX);
    let times = times(&read);
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    let fine = times.iter().filter(|at| **at >= DAY_MS - FINE_REACH_MS);
    assert_eq!(fine.count(), 720);
    let (coarse, _) = times.split_at(times.len() - 720);
    assert!(coarse.windows(2).all(|pair| pair[1] - pair[0] == COARSE_MS));
    assert_eq!(coarse.len(), 22 * 12);
}

#[test]
fn only_what_lies_in_the_span_is_read_and_of_that_the_newest() {
    let history = sampled_for(10 * MINUTE_MS);
    let read = history.read(9 * MINUTE_MS, FINE_MS, usize::MAX);
    assert_eq!(times(&read)[0], 9 * MINUTE_MS);
    assert_eq!(read.len(), 6);
    let newest = history.read(0, FINE_MS, 2);
    assert_eq!(times(&newest), [580_000, 590_000]);
    assert!(history.read(0, FINE_MS, 0).is_empty());
    assert!(History::default().read(0, FINE_MS, 5).is_empty());
}

#[test]
fn a_longer_window_shows_its_last_sample_with_the_highest_value_in_it() {
    let mut history = History::default();
    for (n, connections) in [3, 9, 4, 1].into_iter().enumerate() {
        let n = n as u64;
        history.record(n * FINE_MS, stats(connections), published(n));
    }
    let read = history.read(0, MINUTE_MS, 10);
    assert_eq!(times(&read), [0]);
    assert_eq!(read[0].stats.count[Stat::Connections as usize], 1);
    assert_eq!(read[0].stats.max[Stat::Connections as usize], 9);
    assert_eq!(read[0].metrics[Metric::MessagesPublish], 3);
}

#[test]
fn a_clock_that_is_put_back_leaves_samples_in_order() {
    let mut history = History::default();
    for now_ms in [100_000, 110_000, 120_000, 105_000, 115_000] {
        history.record(now_ms, stats(1), published(1));
    }
    let read = history.read(0, FINE_MS, 10);
    assert_eq!(times(&read), [100_000, 110_000]);
}

#[test]
fn a_window_is_never_shorter_than_the_distance_of_the_samples() {
    assert_eq!(window_ms(5 * MINUTE_MS, None), FINE_MS);
    assert_eq!(window_ms(5 * MINUTE_MS, Some(1_000)), FINE_MS);
    assert_eq!(window_ms(5 * MINUTE_MS, Some(MINUTE_MS)), MINUTE_MS);
    assert_eq!(window_ms(FINE_REACH_MS + 1, None), COARSE_MS);
    assert_eq!(window_ms(DAY_MS, Some(3_600_000)), 3_600_000);
}

#[test]
fn the_samples_of_several_nodes_are_added_window_by_window() {
    let sample = |at_ms, n| Sample {
        at_ms,
        stats: stats(n),
        metrics: published(n),
    };
    let sums = merge([
        vec![sample(10, 1), sample(20, 2)],
        vec![sample(20, 5)],
        vec![],
    ]);
    assert_eq!(sums.len(), 2);
    assert_eq!((sums[0].0, sums[0].1.at_ms), (1, 10));
    let (nodes, sum) = &sums[1];
    assert_eq!(*nodes, 2);
    assert_eq!(sum.metrics[Metric::MessagesPublish], 7);
    assert_eq!(sum.stats.count[Stat::Connections as usize], 7);
}
