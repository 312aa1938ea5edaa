//! Samples of the past on their way between nodes: by name, because nodes may run different versions,
//! but each name once for all samples.

use raftmq_proto::v1::{HistoryReply, HistorySample};

use crate::counters::{Metric, Metrics, Sample, Stat, Stats};

/// Which samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Taken at this time or later, Unix milliseconds.
    pub from_ms: u64,
    /// One for each window of this length, in milliseconds.
    pub window_ms: u64,
    /// At most so many, the newest.
    pub limit: u32,
}

/// To a peer.
pub(super) fn encode(samples: Vec<Sample>) -> HistoryReply {
    let encoded = samples.into_iter().map(|sample| HistorySample {
        at_ms: sample.at_ms,
        counts: sample.stats.count.to_vec(),
        maxima: sample.stats.max.to_vec(),
        metrics: Metric::ALL.iter().map(|m| sample.metrics[*m]).collect(),
    });
    HistoryReply {
        stats: Stat::ALL.iter().map(|s| s.name().to_owned()).collect(),
        metrics: Metric::ALL.iter().map(|m| m.name().to_owned()).collect(),
        samples: encoded.collect(),
    }
}

/// From a peer: names that this version does not know are skipped, missing values are 0.
pub(super) fn decode(reply: &HistoryReply) -> Vec<Sample> {
    let stats: Vec<_> = Stat::ALL
        .iter()
        .map(|stat| position(&reply.stats, stat.name()))
        .collect();
    let metrics: Vec<_> = Metric::ALL
        .iter()
        .map(|metric| position(&reply.metrics, metric.name()))
        .collect();
    let decoded = reply.samples.iter().map(|sample| Sample {
        at_ms: sample.at_ms,
        stats: Stats {
            count: std::array::from_fn(|i| value(&sample.counts, stats[i])),
            max: std::array::from_fn(|i| value(&sample.maxima, stats[i])),
        },
        metrics: Metrics::from(std::array::from_fn(|i| value(&sample.metrics, metrics[i]))),
    });
    decoded.collect()
}

fn position(names: &[String], name: &str) -> Option<usize> {
    names.iter().position(|known| known == name)
}

fn value(values: &[u64], position: Option<usize>) -> u64 {
    position.and_then(|at| values.get(at)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        let mut sample = Sample {
            at_ms: 7,
            ..Default::default()
        };
        sample.stats.set(Stat::Forwards, 9);
        sample.stats.set(Stat::Forwards, 2);
        sample.metrics[Metric::MessagesAcked] = 5;
        sample
    }

    #[test]
    fn samples_survive_the_way_to_a_peer() {
        assert_eq!(
            decode(&encode(vec![sample(), Sample::default()])),
            [sample(), Sample::default()]
        );
    }

    #[test]
    fn names_of_another_version_are_skipped_and_what_is_missing_is_zero() {
        let reply = HistoryReply {
            stats: vec!["of.tomorrow".into(), "forwards".into(), "routes".into()],
            metrics: vec![],
            samples: vec![HistorySample {
                at_ms: 1,
                counts: vec![3, 4],
                maxima: vec![],
                metrics: vec![8],
            }],
        };
        let [sample] = &decode(&reply)[..] else {
            panic!("one sample");
        };
        assert_eq!(sample.stats.count[Stat::Forwards as usize], 4);
        assert_eq!(sample.stats.count[Stat::Routes as usize], 0);
        assert_eq!(sample.metrics, Metrics::default());
    }
}
