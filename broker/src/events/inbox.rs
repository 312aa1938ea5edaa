//! What shards leave for a plugin's task: bounded, and nobody waits. What finds no room is counted.

use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::sync::Notify;

/// Bounds of an inbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InboxLimits {
    /// Entries that may wait.
    pub entries_max: usize,
    /// Bytes of them.
    pub bytes_max: usize,
}

/// A queue between shards and one task.
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    filled: Notify,
    lost: AtomicU64,
}

struct State<T> {
    limits: InboxLimits,
    /// With the size of each.
    entries: VecDeque<(usize, T)>,
    bytes: usize,
    /// Taken, and not finished yet.
    taken: usize,
}

impl<T> Inbox<T> {
    /// An empty one.
    pub fn new(limits: InboxLimits) -> Inbox<T> {
        Inbox {
            state: Mutex::new(State {
                limits,
                entries: VecDeque::new(),
                bytes: 0,
                taken: 0,
            }),
            filled: Notify::new(),
            lost: AtomicU64::new(0),
        }
    }

    /// Other bounds from now on; what is in stays in.
    pub fn limit(&self, limits: InboxLimits) {
        self.state.lock().limits = limits;
    }

    /// Puts entries in, each with its size in bytes, under one lock. The newest are lost when there is no
    /// room.
    pub fn put(&self, entries: impl Iterator<Item = (usize, T)>) {
        let mut state = self.state.lock();
        let was_empty = state.entries.is_empty();
        let mut lost = 0;
        for (bytes, entry) in entries {
            let is_full = state.entries.len() >= state.limits.entries_max
                || state.bytes + bytes > state.limits.bytes_max;
            if is_full {
                lost += 1;
                continue;
            }
            state.bytes += bytes;
            state.entries.push_back((bytes, entry));
        }
        let has_begun = was_empty && !state.entries.is_empty();
        drop(state);
        self.lost.fetch_add(lost, Relaxed);
        if has_begun {
            self.filled.notify_one();
        }
    }

    /// Takes the oldest entries, at most so many; waits while there are none.
    pub async fn take(&self, entries_max: usize) -> Vec<T> {
        loop {
            {
                let mut state = self.state.lock();
                let count = state.entries.len().min(entries_max);
                if count > 0 {
                    let taken: Vec<_> = state.entries.drain(..count).collect();
                    state.bytes -= taken.iter().map(|(bytes, _)| bytes).sum::<usize>();
                    state.taken += count;
                    return taken.into_iter().map(|(_, entry)| entry).collect();
                }
            }
            self.filled.notified().await;
        }
    }

    /// So many entries that were taken have been dealt with.
    pub fn finished(&self, count: usize) {
        let mut state = self.state.lock();
        state.taken = state.taken.saturating_sub(count);
    }

    /// Entries that wait, or have been taken and not dealt with.
    pub fn unfinished(&self) -> usize {
        let state = self.state.lock();
        state.entries.len() + state.taken
    }

    /// Forgets everything: nobody will take it.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        self.lost.fetch_add(state.entries.len() as u64, Relaxed);
        state.entries.clear();
        (state.bytes, state.taken) = (0, 0);
    }

    /// Entries that found no room, since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> Inbox<u32> {
        Inbox::new(InboxLimits {
            entries_max: 3,
            bytes_max: 100,
        })
    }

    #[tokio::test]
    async fn the_newest_are_lost_when_there_are_too_many_or_they_are_too_large() {
        let inbox = inbox();
        inbox.put([(50, 1), (51, 2), (50, 3), (0, 4), (0, 5)].into_iter());
        assert_eq!((inbox.unfinished(), inbox.lost()), (3, 2));
        assert_eq!(inbox.take(2).await, [1, 3]);
        assert_eq!(inbox.take(2).await, [4]);
        assert_eq!(inbox.unfinished(), 3);
        inbox.finished(3);
        assert_eq!(inbox.unfinished(), 0);
        inbox.put([(100, 6)].into_iter());
        assert_eq!(inbox.take(2).await, [6], "there is room again");
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let inbox = std::sync::Arc::new(inbox());
        let waiting = tokio::spawn({
            let inbox = inbox.clone();
            async move { inbox.take(1).await }
        });
        tokio::task::yield_now().await;
        inbox.put([(0, 7)].into_iter());
        assert_eq!(waiting.await.expect("no panic"), [7]);
    }
}
