//! Takes the samples of `/stats/history` and `/metrics/history`: at the start, and then at the begin of
//! every window.

use super::local::LocalNode;
use crate::shard::wall_clock_ms;
use raftmq_api::counters::FINE_MS;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Runs until the node has ended.
pub(super) async fn sample(node: Arc<LocalNode>, mut ended: watch::Receiver<bool>) {
    while !*ended.borrow_and_update() {
        node.take_sample().await;
        let wait = Duration::from_millis(until_next_window_ms(wall_clock_ms()));
        let _ = tokio::time::timeout(wait, ended.changed()).await;
    }
}

fn until_next_window_ms(now_ms: u64) -> u64 {
    FINE_MS - now_ms % FINE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_taken_at_the_begin_of_every_window() {
        assert_eq!(until_next_window_ms(20_000), FINE_MS);
        assert_eq!(until_next_window_ms(20_001), FINE_MS - 1);
        assert_eq!(until_next_window_ms(29_999), 1);
    }
}
