//! What waits for one URL.
//!
//! Events of one client go one after the other, in their order; those of different clients beside each
//! other. So there are lanes: a client's identifier names its lane, and each lane has one request under
//! way. An event stays in its lane until it has been sent or given up. One URL's queue is of no concern to
//! the others.

use super::rules::Target;
use crate::{events::InboxLimits, plugin::outgoing};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Lanes of one URL.
const LANES: usize = 64;
/// How often it is logged that events are lost.
const LOSSES_LOGGED_EVERY: Duration = Duration::from_secs(10);

/// One URL's queue.
pub(super) struct Outbox {
    pub target: Target,
    lanes: Mutex<Lanes>,
    sent: AtomicU64,
    retries: AtomicU64,
    given_up: AtomicU64,
    dropped: AtomicU64,
    problem: Mutex<Problems>,
}

struct Lanes {
    limits: InboxLimits,
    all: Vec<Lane>,
    events: usize,
    bytes: usize,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Bytes>,
    /// A task empties it.
    has_task: bool,
}

#[derive(Default)]
struct Problems {
    /// Why the last request failed; absent: it did not.
    now: Option<String>,
    losses_logged_at: Option<Instant>,
}

/// What an event that is put in asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// A task for its lane.
    Task,
    Nothing,
    /// There is no room.
    Dropped,
}

/// What became of events at the front of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Sent,
    /// The time for retries is over.
    GivenUp,
}

/// The lane of a client.
pub(super) fn lane_of(client_id: &str) -> usize {
    let mut hasher = rustc_hash::FxHasher::default();
    client_id.hash(&mut hasher);
    (hasher.finish() >> 32) as usize % LANES
}

impl Outbox {
    /// An empty one.
    pub fn new(target: Target, limits: InboxLimits) -> Outbox {
        Outbox {
            target,
            lanes: Mutex::new(Lanes {
                limits,
                all: (0..LANES).map(|_| Lane::default()).collect(),
                events: 0,
                bytes: 0,
            }),
            sent: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            problem: Mutex::default(),
        }
    }

    /// Other bounds from now on; what waits goes on waiting.
    pub fn limit(&self, limits: InboxLimits) {
        self.lanes.lock().limits = limits;
    }

    /// Puts an event into a lane. The newest is lost when there is no room.
    pub fn put(&self, lane: usize, body: Bytes) -> Put {
        let mut lanes = self.lanes.lock();
        let is_full = lanes.events >= lanes.limits.entries_max
            || lanes.bytes + body.len() > lanes.limits.bytes_max;
        if is_full {
            drop(lanes);
            self.count_dropped(1);
            return Put::Dropped;
        }
        lanes.events += 1;
        lanes.bytes += body.len();
        let lane = &mut lanes.all[lane];
        lane.waiting.push_back(body);
        match std::mem::replace(&mut lane.has_task, true) {
            true => Put::Nothing,
            false => Put::Task,
        }
    }

    /// The oldest events of a lane, at most so many; they stay there. None: its task has to end.
    pub fn front(&self, lane: usize, events_max: usize) -> Vec<Bytes> {
        let mut lanes = self.lanes.lock();
        let lane = &mut lanes.all[lane];
        let front: Vec<_> = lane.waiting.iter().take(events_max).cloned().collect();
        if front.is_empty() {
            *lane = Lane::default();
        }
        front
    }

    /// So many of the oldest events of a lane are done.
    pub fn done(&self, lane: usize, count: usize, outcome: Outcome) {
        let mut lanes = self.lanes.lock();
        let done: usize = lanes.all[lane]
            .waiting
            .drain(..count)
            .map(|body| body.len())
            .sum();
        lanes.events -= count;
        lanes.bytes -= done;
        drop(lanes);
        let counter = match outcome {
            Outcome::Sent => &self.sent,
            Outcome::GivenUp => &self.given_up,
        };
        counter.fetch_add(count as u64, Relaxed);
    }

    /// Events that wait, or are under way.
    pub fn waiting(&self) -> usize {
        self.lanes.lock().events
    }

    /// A request has succeeded.
    pub fn works(&self) {
        if self.problem.lock().now.take().is_some() {
            tracing::info!(
                url = self.shown_url(),
                "a server of rmqtt-web-hook answers again"
            );
        }
    }

    /// A request has failed.
    pub fn fails(&self, problem: String) {
        self.retries.fetch_add(1, Relaxed);
        let url = self.shown_url();
        let mut known = self.problem.lock();
        if known.now.is_none() {
            tracing::warn!(url, problem, "a server of rmqtt-web-hook cannot be told");
        }
        known.now = Some(problem);
    }

    fn count_dropped(&self, count: u64) {
        if count == 0 {
            return;
        }
        let dropped = self.dropped.fetch_add(count, Relaxed) + count;
        let mut problem = self.problem.lock();
        let is_due = problem
            .losses_logged_at
            .is_none_or(|at| at.elapsed() >= LOSSES_LOGGED_EVERY);
        if is_due {
            problem.losses_logged_at = Some(Instant::now());
            let url = self.shown_url();
            tracing::warn!(
                url,
                dropped,
                "rmqtt-web-hook loses events: the queue is full"
            );
        }
    }

    fn shown_url(&self) -> String {
        outgoing::shown_url(&self.target.url).unwrap_or_default()
    }

    /// For the plugin's attributes.
    pub fn shown(&self) -> Value {
        let (waiting, waiting_bytes) = {
            let lanes = self.lanes.lock();
            (lanes.events, lanes.bytes)
        };
        json!({
            "url": self.shown_url(),
            "waiting": waiting,
            "waiting_bytes": waiting_bytes,
            "sent": self.sent.load(Relaxed),
            "failed_requests": self.retries.load(Relaxed),
            "given_up": self.given_up.load(Relaxed),
            "dropped": self.dropped.load(Relaxed),
            "problem": self.problem.lock().now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::web_hook::settings::Method;

    fn outbox(entries_max: usize, bytes_max: usize) -> Outbox {
        let target = Target {
            url: "http://127.0.0.1:1/".into(),
            method: Method::Post,
        };
        let limits = InboxLimits {
            entries_max,
            bytes_max,
        };
        Outbox::new(target, limits)
    }

    #[test]
    fn a_lane_has_one_task_and_keeps_its_order_until_events_are_done() {
        let outbox = outbox(10, 1_000);
        assert_eq!(outbox.put(1, "a".into()), Put::Task);
        assert_eq!(outbox.put(1, "b".into()), Put::Nothing);
        assert_eq!(outbox.put(2, "c".into()), Put::Task);
        assert_eq!(outbox.front(1, 1), ["a"]);
        assert_eq!(outbox.front(1, 5), ["a", "b"], "nothing is done yet");
        outbox.done(1, 1, Outcome::Sent);
        assert_eq!(outbox.front(1, 5), ["b"]);
        outbox.done(1, 1, Outcome::GivenUp);
        assert!(outbox.front(1, 5).is_empty());
        assert_eq!(outbox.put(1, "d".into()), Put::Task, "the task has ended");
        let shown = outbox.shown();
        assert_eq!(shown["waiting"], 2);
        assert_eq!((&shown["sent"], &shown["given_up"]), (&json!(1), &json!(1)));
    }

    #[test]
    fn what_finds_no_room_is_lost_and_counted() {
        let outbox = outbox(2, 10);
        assert_eq!(outbox.put(1, "12345678".into()), Put::Task);
        assert_eq!(outbox.put(2, "123".into()), Put::Dropped);
        assert_eq!(outbox.put(2, "12".into()), Put::Task);
        assert_eq!(outbox.put(3, "".into()), Put::Dropped);
        assert_eq!(outbox.shown()["dropped"], 2);
        assert_eq!(outbox.waiting(), 2);
    }
}
