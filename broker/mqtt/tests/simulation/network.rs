//! One direction of a connection: bytes arrive later, whole writes in their order.

use super::dice::Dice;
use std::collections::VecDeque;

/// Longest time on the way.
const LATENCY_MS_MAX: u64 = 200;

/// Bytes on their way, each write with its time of arrival.
#[derive(Default)]
pub struct Direction(VecDeque<(u64, Vec<u8>)>);

impl Direction {
    pub fn send(&mut self, bytes: Vec<u8>, now_ms: u64, dice: &mut Dice) {
        let last = self.0.back().map_or(0, |(due, _)| *due);
        let due = last.max(now_ms + dice.below(LATENCY_MS_MAX));
        self.0.push_back((due, bytes));
    }

    /// The next write that has arrived.
    pub fn arrived(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        let (due, _) = self.0.front()?;
        if *due > now_ms {
            return None;
        }
        self.0.pop_front().map(|(_, bytes)| bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The connection is cut.
    pub fn lose(&mut self) {
        self.0.clear();
    }
}
