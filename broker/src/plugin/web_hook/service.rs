//! What lives as long as the plugin is at work, whatever its settings: the queues and the tasks that
//! empty them, on threads of their own, so that neither a shard nor a heartbeat ever waits for a hook.

use super::{
    outbox::{Outbox, Put, lane_of},
    rules::{RuleSet, Target},
    sending::{Sending, empty_lane},
    settings::Settings,
};
use crate::{
    events::{Inbox, InboxLimits, Notice},
    plugin::{desk::EngineDesk, hook_body},
};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{runtime::Runtime, time::Instant};

/// Notices that are made ready in one go.
const PIECE_NOTICES: usize = 256;
/// How often it is looked whether everything has been sent.
const IDLE_POLL: Duration = Duration::from_millis(10);

/// A notice, with the rules that wanted it.
pub(super) type Heard = (Arc<RuleSet>, Arc<Notice>);

/// Queues and tasks.
pub(super) struct Service {
    desk: Arc<EngineDesk>,
    pub inbox: Inbox<Heard>,
    state: Mutex<State>,
    /// Events that were not sent when the plugin was taken out of work.
    abandoned: AtomicU64,
}

struct State {
    limits: InboxLimits,
    sending: Arc<Sending>,
    outboxes: BTreeMap<Target, Arc<Outbox>>,
    threads: Option<Threads>,
    /// Counts the times that the plugin was put to work or taken out.
    turn: u64,
    /// Counts the times that its threads were started or ended.
    life: u64,
}

/// The threads; they are not waited for.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Threads {
    fn start(count: usize) -> std::io::Result<Threads> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(count)
            .max_blocking_threads(count)
            .thread_name("web-hook")
            .enable_all()
            .build()?;
        Ok(Threads(Some(runtime)))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(task);
        }
    }
}

impl Service {
    /// Not at work yet.
    pub fn new(desk: Arc<EngineDesk>, limits: InboxLimits, sending: Arc<Sending>) -> Service {
        Service {
            desk,
            inbox: Inbox::new(limits),
            state: Mutex::new(State {
                limits,
                sending,
                outboxes: BTreeMap::new(),
                threads: None,
                turn: 0,
                life: 0,
            }),
            abandoned: AtomicU64::new(0),
        }
    }

    /// How requests are sent now.
    pub fn sending(&self) -> Arc<Sending> {
        self.state.lock().sending.clone()
    }

    /// Works by these settings from now on. What is queued stays queued.
    pub fn work(self: &Arc<Self>, settings: &Settings, sending: Arc<Sending>) {
        self.inbox.limit(settings.limits);
        let mut state = self.state.lock();
        state.turn += 1;
        state.limits = settings.limits;
        state.sending = sending;
        let is_used = |target: &Target| settings.rules.targets().any(|used| used == target);
        state
            .outboxes
            .retain(|target, outbox| is_used(target) || outbox.waiting() > 0);
        for outbox in state.outboxes.values() {
            outbox.limit(settings.limits);
        }
        if state.threads.is_some() {
            return;
        }
        match Threads::start(settings.worker_threads) {
            Ok(threads) => {
                state.life += 1;
                threads.spawn(self.clone().dispatch(state.life));
                state.threads = Some(threads);
            }
            Err(error) => tracing::error!(%error, "rmqtt-web-hook has no threads: nothing is sent"),
        }
    }

    /// Is told nothing more: sends what is queued, as long as `flush_timeout` says, and ends, unless it is
    /// put to work again before.
    pub fn end(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.turn += 1;
        let turn = state.turn;
        let deadline = Instant::now() + state.sending.settings.flush_timeout;
        let service = self.clone();
        if let Some(threads) = &state.threads {
            threads.spawn(async move {
                while !service.is_idle() && Instant::now() < deadline {
                    tokio::time::sleep(IDLE_POLL).await;
                }
                service.finish(Some(turn));
            });
        }
    }

    /// The node stops: sends what is queued until the deadline, and ends.
    pub async fn stop(&self, deadline: Instant) {
        while !self.is_idle() && Instant::now() < deadline {
            tokio::time::sleep(IDLE_POLL).await;
        }
        self.finish(None);
    }

    /// Gives up what is left, unless the plugin has been put to work since this turn.
    fn finish(&self, turn: Option<u64>) {
        let mut state = self.state.lock();
        if turn.is_some_and(|turn| turn != state.turn) {
            return;
        }
        let left: usize = state.outboxes.values().map(|outbox| outbox.waiting()).sum();
        if left > 0 {
            tracing::warn!(
                events = left,
                "rmqtt-web-hook ends with events that were not sent"
            );
        }
        self.abandoned.fetch_add(left as u64, Relaxed);
        // The tasks end with their threads, so the queues are of no use to anybody else.
        state.outboxes.clear();
        state.life += 1;
        state.threads = None;
        drop(state);
        self.inbox.clear();
    }

    fn is_idle(&self) -> bool {
        let outboxes: Vec<_> = self.state.lock().outboxes.values().cloned().collect();
        self.inbox.unfinished() == 0 && outboxes.iter().all(|outbox| outbox.waiting() == 0)
    }

    /// Makes notices ready and puts them into the queues of their URLs, for ever.
    async fn dispatch(self: Arc<Self>, life: u64) {
        loop {
            let heard = self.inbox.take(PIECE_NOTICES).await;
            let count = heard.len();
            for (rules, notice) in heard {
                self.queue(&rules, &notice, life);
            }
            self.inbox.finished(count);
            tokio::task::yield_now().await;
        }
    }

    fn queue(self: &Arc<Self>, rules: &RuleSet, notice: &Notice, life: u64) {
        let mut body = hook_body::body(notice, &|client_id| self.desk.known(client_id));
        let lane = lane_of(client_of(notice));
        for rule in rules.applying(notice) {
            body.insert("action".to_owned(), json!(rule.action));
            let Ok(text) = serde_json::to_vec(&body) else {
                continue;
            };
            let text = Bytes::from(text);
            for target in &rule.targets {
                // Ended meanwhile: nobody would empty it.
                let Some(outbox) = self.outbox(target, life) else {
                    return;
                };
                if outbox.put(lane, text.clone()) == Put::Task {
                    tokio::spawn(empty_lane(self.clone(), outbox, lane));
                }
            }
        }
    }

    /// The queue of a URL; `None`: this life of the plugin is over.
    fn outbox(&self, target: &Target, life: u64) -> Option<Arc<Outbox>> {
        let mut state = self.state.lock();
        if state.life != life {
            return None;
        }
        if let Some(outbox) = state.outboxes.get(target) {
            return Some(outbox.clone());
        }
        let outbox = Arc::new(Outbox::new(target.clone(), state.limits));
        state.outboxes.insert(target.clone(), outbox.clone());
        Some(outbox)
    }

    /// For the plugin's attributes.
    pub fn shown(&self) -> Value {
        let outboxes: Vec<_> = self.state.lock().outboxes.values().cloned().collect();
        json!({
            "waiting": self.inbox.unfinished(),
            "dropped": self.inbox.lost(),
            "abandoned": self.abandoned.load(Relaxed),
            "urls": outboxes.iter().map(|outbox| outbox.shown()).collect::<Vec<_>>(),
        })
    }
}

/// Whose order is kept: that of the client which it happened to, or else of the publisher.
fn client_of(notice: &Notice) -> &str {
    let publisher = || notice.copy().map(|copy| &*copy.message.publisher);
    let client = notice.client.as_ref().map(|client| &*client.client_id);
    client.or_else(publisher).unwrap_or_default()
}
