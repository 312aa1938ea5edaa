//! Client identifiers that are taken over again and again: two devices with one identifier throw each
//! other out for ever, and nobody who looks at one of them sees why.
//!
//! Counted in a bounded place by Misra and Gries' rule: when it is full, a new identifier takes one from
//! every count. So whoever has more than one in [`PLACES`] of all takeovers is surely in it, and no count
//! is too high.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Identifiers counted at once.
const PLACES: usize = 1024;
/// A count is that of this span and of the one before.
const SPAN: Duration = Duration::from_secs(60);

type Counts = HashMap<Arc<str>, u64>;

/// Counts of the last one to two minutes.
#[derive(Default)]
pub struct Takeovers {
    spans: Mutex<Spans>,
}

#[derive(Default)]
struct Spans {
    began: Option<Instant>,
    now: Counts,
    before: Counts,
}

impl Takeovers {
    /// A claim took this identifier from a connected client.
    pub fn count(&self, client_id: &Arc<str>) {
        self.spans.lock().count(client_id, Instant::now());
    }

    /// The identifiers that were taken over most often, at most `most` of them, the worst first.
    pub fn worst(&self, most: usize) -> Vec<(Arc<str>, u64)> {
        self.spans.lock().worst(most, Instant::now())
    }
}

impl Spans {
    fn count(&mut self, client_id: &Arc<str>, now: Instant) {
        self.turn(now);
        if let Some(count) = self.now.get_mut(client_id) {
            *count += 1;
        } else if self.now.len() < PLACES {
            self.now.insert(client_id.clone(), 1);
        } else {
            self.now.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    fn worst(&mut self, most: usize, now: Instant) -> Vec<(Arc<str>, u64)> {
        self.turn(now);
        let mut sums = self.before.clone();
        for (client_id, count) in &self.now {
            *sums.entry(client_id.clone()).or_default() += count;
        }
        let mut worst: Vec<_> = sums.into_iter().collect();
        worst.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        worst.truncate(most);
        worst
    }

    fn turn(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let age = now.saturating_duration_since(began);
        if age < SPAN {
            return;
        }
        self.before = std::mem::take(&mut self.now);
        if age >= 2 * SPAN {
            self.before.clear();
        }
        self.began = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn the_worst_come_first() {
        let (mut spans, now) = (Spans::default(), Instant::now());
        for name in ["a", "b", "b", "c", "b", "c"] {
            spans.count(&id(name), now);
        }
        assert_eq!(spans.worst(2, now), [(id("b"), 3), (id("c"), 2)]);
    }

    #[test]
    fn what_is_two_spans_old_is_forgotten() {
        let (mut spans, now) = (Spans::default(), Instant::now());
        spans.count(&id("a"), now);
        spans.count(&id("a"), now + SPAN);
        assert_eq!(spans.worst(1, now + SPAN), [(id("a"), 2)]);
        assert_eq!(spans.worst(1, now + 2 * SPAN), [(id("a"), 1)]);
        assert_eq!(spans.worst(1, now + 4 * SPAN), []);
    }

    #[test]
    fn among_many_identifiers_the_storm_is_still_found() {
        let (mut spans, now) = (Spans::default(), Instant::now());
        for n in 0..20 * PLACES {
            spans.count(&id(&format!("once-{n}")), now);
            if n % 100 == 0 {
                spans.count(&id("storm"), now);
            }
        }
        assert!(spans.now.len() <= PLACES);
        let worst = spans.worst(1, now);
        assert_eq!(worst[0].0, id("storm"));
        assert!(worst[0].1 > 1 && worst[0].1 <= 205, "{worst:?}");
    }
}
