//! One listener: its filter and its queue at the sink's end, a stream at its own.

use super::EventSink;
use raftmq_api::event::{Budget, Event, EventFilter, Told};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How often a listener is told that it lost events.
const LOSSES_TOLD_EVERY: Duration = Duration::from_secs(1);

/// Events that a listener wanted and did not get.
pub(super) type Losses = AtomicU64;

/// The sink's end.
pub(super) struct Listener {
    pub id: u64,
    pub filter: EventFilter,
    pub budget: Option<Budget>,
    pub queue: mpsc::Sender<Arc<Event>>,
    pub losses: Arc<Losses>,
}

impl Listener {
    /// Queues the event, if it is wanted and there is room.
    pub fn offer(&mut self, event: &Arc<Event>) {
        if !self.filter.wants(event) {
            return;
        }
        let at_ms = event.at_ms;
        let is_due = self.budget.as_mut().is_none_or(|b| b.take(at_ms));
        if !is_due || self.queue.try_send(event.clone()).is_err() {
            self.lose(1);
        }
    }

    pub fn lose(&self, count: u64) {
        self.losses.fetch_add(count, Relaxed);
    }
}

/// The listener's end. Dropping it ends the subscription.
pub struct EventStream {
    sink: Arc<EventSink>,
    id: u64,
    queue: mpsc::Receiver<Arc<Event>>,
    losses: Arc<Losses>,
    losses_told_at: Instant,
}

impl EventStream {
    pub(super) fn new(
        sink: Arc<EventSink>,
        id: u64,
        queue: mpsc::Receiver<Arc<Event>>,
        losses: Arc<Losses>,
    ) -> EventStream {
        EventStream {
            sink,
            id,
            queue,
            losses,
            losses_told_at: Instant::now(),
        }
    }

    /// What comes next. Losses are told about once a second, between events or without any. `None`:
    /// the sink is gone.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            let left = LOSSES_TOLD_EVERY.saturating_sub(self.losses_told_at.elapsed());
            if left.is_zero() {
                self.losses_told_at = Instant::now();
                if let Some(told) = self.told_losses() {
                    return Some(told);
                }
                continue;
            }
            if let Ok(event) = tokio::time::timeout(left, self.queue.recv()).await {
                return event.map(Told::Event);
            }
        }
    }

    /// Events lost and not told yet.
    #[cfg(test)]
    pub(super) fn lost(&self) -> u64 {
        self.losses.load(Relaxed)
    }

    fn told_losses(&self) -> Option<Told> {
        match self.losses.swap(0, Relaxed) {
            0 => None,
            count => Some(Told::Skipped(count)),
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.sink.unsubscribe(self.id);
    }
}
