//! What happens to the clients of this node, for whoever wants to know: the HTTP API's tail, and
//! anything else in this process.
//!
//! Shards tell an [`EventSink`]; listeners subscribe to it with a filter. While nobody listens,
//! telling costs one relaxed load, and the event is not even made. While somebody does, the filter
//! runs where the event happens, so that only what is wanted is queued. A listener's queue is
//! bounded and nobody waits for it: what does not fit is counted, and the listener is told how much.
//!
//! Plugins are told more, by [`notice`]s: with all fields of RMQTT's hooks, and of messages, too. These
//! are collected by each shard and handed over once a turn.

mod drops;
mod inbox;
mod listener;
mod notice;

use listener::{Ledger, Listener};
use parking_lot::Mutex;
use raftmq_api::event::{Budget, Event, EventFilter};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::sync::mpsc;

pub use drops::DropTally;
pub(crate) use inbox::{Inbox, InboxLimits};
pub use listener::EventStream;
pub(crate) use notice::{
    Copied, Interest, Introduction, Notice, NoticeKind, NoticeListener, NoticeListeners,
    NoticedMessage, What,
};

/// Listeners of one node: 64 at the HTTP API of each of up to five nodes, and others in this process.
const LISTENERS_MAX: usize = 512;

/// What a listener asks for.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which events.
    pub filter: EventFilter,
    /// Events that may wait for the listener, at least 1.
    pub queue_events_max: usize,
    /// Bytes of the events that wait: clients choose their identifiers and topics, of up to 64 KiB.
    pub queue_bytes_max: usize,
    /// Events per second at most; `None`: as many as there are.
    pub per_second_max: Option<u32>,
}

/// There are as many listeners as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{LISTENERS_MAX} listen to this node's events already")]
pub struct TooManyListeners;

/// Where the events of this node are told.
#[derive(Default)]
pub struct EventSink {
    /// How many listeners there are, to be read without the lock.
    count: AtomicUsize,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    all: Vec<Listener>,
    last_id: u64,
}

impl EventSink {
    /// Whether telling has any effect. An event that happens while a listener arrives may be missed.
    pub fn is_heard(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Tells an event to all who want it. Never waits for them.
    pub fn tell(&self, event: Event) {
        let event = Arc::new(event);
        for listener in &mut self.listeners.lock().all {
            listener.offer(&event);
        }
    }

    /// Tells that so many events were not told one by one.
    pub fn lose(&self, count: u64) {
        for listener in &self.listeners.lock().all {
            listener.lose(count);
        }
    }

    /// Events from now on, until the stream is dropped.
    ///
    /// # Errors
    /// There are too many listeners.
    pub fn subscribe(self: &Arc<Self>, terms: Terms) -> Result<EventStream, TooManyListeners> {
        let (sender, queue) = mpsc::channel(terms.queue_events_max.max(1));
        let ledger = Arc::new(Ledger::default());
        let mut listeners = self.listeners.lock();
        if listeners.all.len() >= LISTENERS_MAX {
            return Err(TooManyListeners);
        }
        listeners.last_id += 1;
        let id = listeners.last_id;
        listeners.all.push(Listener {
            id,
            filter: terms.filter,
            budget: terms.per_second_max.map(Budget::new),
            queue: sender,
            queue_bytes_max: terms.queue_bytes_max,
            ledger: ledger.clone(),
        });
        self.count.store(listeners.all.len(), Relaxed);
        Ok(EventStream::new(self.clone(), id, queue, ledger))
    }

    fn unsubscribe(&self, id: u64) {
        let mut listeners = self.listeners.lock();
        listeners.all.retain(|listener| listener.id != id);
        self.count.store(listeners.all.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests;
