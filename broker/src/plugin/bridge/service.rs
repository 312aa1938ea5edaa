//! All entries of one plugin, on a thread of their own, so that neither a shard nor a heartbeat waits for a remote
//! broker.

use super::{
    runner::{Order, Runner},
    settings::{Entry, Settings},
    tally::Tally,
};
use crate::plugin::desk::EngineDesk;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    runtime::Runtime,
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How often it is looked whether the tasks have ended that were told to.
const END_POLL: Duration = Duration::from_millis(20);

/// The entries at work.
pub(super) struct Service {
    desk: Arc<EngineDesk>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    threads: Option<Threads>,
    at_work: BTreeMap<String, AtWork>,
    /// Tasks that were told to end; the next one of the same entry waits for it.
    leaving: BTreeMap<String, JoinHandle<()>>,
    /// Counts the times that the plugin was put to work or taken out.
    turn: u64,
}

struct AtWork {
    entry: Arc<Entry>,
    tally: Arc<Tally>,
    orders: watch::Sender<Order>,
    task: JoinHandle<()>,
}

/// The thread; it is not waited for.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Threads {
    fn start() -> std::io::Result<Threads> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("bridge")
            .enable_all()
            .build()?;
        Ok(Threads(Some(runtime)))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Option<JoinHandle<()>> {
        Some(self.0.as_ref()?.spawn(task))
    }
}

impl Service {
    /// Not at work yet.
    pub fn new(desk: Arc<EngineDesk>) -> Service {
        Service {
            desk,
            state: Mutex::default(),
        }
    }

    /// Works by these settings from now on. Entries that have not changed are left alone.
    pub fn work(&self, settings: &Settings) {
        let mut state = self.state.lock();
        state.turn += 1;
        if state.threads.is_none() {
            match Threads::start() {
                Ok(threads) => state.threads = Some(threads),
                Err(error) => {
                    tracing::error!(%error, "a bridge has no thread: nothing is forwarded");
                    return;
                }
            }
        }
        state.take_out(settings);
        for entry in &settings.entries {
            if !state.at_work.contains_key(&entry.id) {
                state.put_to_work(&self.desk, entry);
            }
        }
    }

    /// Ends all; the sessions stay.
    pub fn end(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.turn += 1;
        let turn = state.turn;
        state.send_all_away();
        let service = self.clone();
        let Some(threads) = &state.threads else {
            return;
        };
        threads.spawn(async move {
            while !service.has_ended(turn) {
                sleep(END_POLL).await
            }
        });
    }

    /// Ends the thread when its tasks have ended, unless the plugin has been put to work since this turn; whether
    /// there is nothing more to wait for.
    fn has_ended(&self, turn: u64) -> bool {
        let mut state = self.state.lock();
        if state.turn != turn {
            return true;
        }
        let is_over = state.leaving.values().all(JoinHandle::is_finished);
        if is_over {
            state.threads = None;
        }
        is_over
    }

    /// The node stops: ends all, and waits for it until the deadline.
    pub async fn stop(&self, deadline: Instant) {
        let leaving = {
            let mut state = self.state.lock();
            state.turn += 1;
            state.send_all_away();
            std::mem::take(&mut state.leaving)
        };
        let all = futures::future::join_all(leaving.into_values());
        let _ = tokio::time::timeout_at(deadline, all).await;
        self.state.lock().threads = None;
    }

    /// For the plugin's attributes.
    pub fn shown(&self) -> Value {
        let state = self.state.lock();
        let entries = state.at_work.values();
        let entries: Vec<_> = entries.map(|at| at.tally.shown(&at.entry)).collect();
        json!({ "entries": entries })
    }
}

impl State {
    fn put_to_work(&mut self, desk: &Arc<EngineDesk>, entry: &Arc<Entry>) {
        let (orders, receiver) = watch::channel(Order::Work);
        let tally = Arc::new(Tally::default());
        let runner = Runner {
            desk: desk.clone(),
            entry: entry.clone(),
            tally: tally.clone(),
            orders: receiver,
        };
        let before = self.leaving.remove(&entry.id);
        let threads = self.threads.as_ref();
        let Some(task) = threads.and_then(|threads| threads.spawn(runner.run(before))) else {
            return;
        };
        let at_work = AtWork {
            entry: entry.clone(),
            tally,
            orders,
            task,
        };
        self.at_work.insert(entry.id.clone(), at_work);
    }

    /// Tells those to end that are not wanted as they are.
    fn take_out(&mut self, settings: &Settings) {
        self.leaving.retain(|_, task| !task.is_finished());
        let at_work = std::mem::take(&mut self.at_work);
        for (id, at) in at_work {
            let wanted = settings.entries.iter().find(|entry| entry.id == id);
            if wanted.is_some_and(|entry| entry.fingerprint == at.entry.fingerprint) {
                self.at_work.insert(id, at);
                continue;
            }
            let stays = wanted.is_some() || settings.resting.contains(&id);
            self.send_away(
                id,
                at,
                if stays {
                    Order::StepDown
                } else {
                    Order::Retire
                },
            );
        }
    }

    fn send_all_away(&mut self) {
        for (id, at) in std::mem::take(&mut self.at_work) {
            self.send_away(id, at, Order::StepDown);
        }
    }

    fn send_away(&mut self, id: String, at: AtWork, order: Order) {
        at.orders.send_replace(order);
        self.leaving.insert(id, at.task);
    }
}
