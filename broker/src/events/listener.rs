//! One listener: its filter and its queue at the sink's end, a stream at its own.

use super::EventSink;
use raftmq_api::event::{Budget, Event, EventFilter, Told};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How often a listener is told that it lost events.
const LOSSES_TOLD_EVERY: Duration = Duration::from_secs(1);

/// What both ends count.
#[derive(Default)]
pub(super) struct Ledger {
    /// Events that the listener wanted and did not get, and has not been told of.
    lost: AtomicU64,
    /// Bytes of the events that wait.
    waiting_bytes: AtomicUsize,
}

/// The sink's end.
pub(super) struct Listener {
    pub id: u64,
    pub filter: EventFilter,
    pub budget: Option<Budget>,
    pub queue: mpsc::Sender<Arc<Event>>,
    pub queue_bytes_max: usize,
    pub ledger: Arc<Ledger>,
}

impl Listener {
    /// Queues the event, if it is wanted and there is room.
    pub fn offer(&mut self, event: &Arc<Event>) {
        if !self.filter.wants(event) {
            return;
        }
        let at_ms = event.at_ms;
        let is_due = self.budget.as_mut().is_none_or(|b| b.take(at_ms));
        if !is_due || !self.enqueue(event) {
            self.lose(1);
        }
    }

    fn enqueue(&self, event: &Arc<Event>) -> bool {
        let bytes = event.size_bytes();
        let waiting = &self.ledger.waiting_bytes;
        if waiting.load(Relaxed) + bytes > self.queue_bytes_max {
            return false;
        }
        // Before it is sent: the other end may take it at once.
        waiting.fetch_add(bytes, Relaxed);
        let is_sent = self.queue.try_send(event.clone()).is_ok();
        if !is_sent {
            waiting.fetch_sub(bytes, Relaxed);
        }
        is_sent
    }

    pub fn lose(&self, count: u64) {
        self.ledger.lost.fetch_add(count, Relaxed);
    }
}

/// The listener's end. Dropping it ends the subscription.
pub struct EventStream {
    sink: Arc<EventSink>,
    id: u64,
    queue: mpsc::Receiver<Arc<Event>>,
    ledger: Arc<Ledger>,
    losses_told_at: Instant,
}

impl EventStream {
    pub(super) fn new(
        sink: Arc<EventSink>,
        id: u64,
        queue: mpsc::Receiver<Arc<Event>>,
        ledger: Arc<Ledger>,
    ) -> EventStream {
        EventStream {
            sink,
            id,
            queue,
            ledger,
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
                return event.map(|event| self.taken(event));
            }
        }
    }

    fn taken(&self, event: Arc<Event>) -> Told {
        let bytes = event.size_bytes();
        self.ledger.waiting_bytes.fetch_sub(bytes, Relaxed);
        Told::Event(event)
    }

    /// Events lost and not told yet.
    #[cfg(test)]
    pub(super) fn lost(&self) -> u64 {
        self.ledger.lost.load(Relaxed)
    }

    fn told_losses(&self) -> Option<Told> {
        match self.ledger.lost.swap(0, Relaxed) {
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
