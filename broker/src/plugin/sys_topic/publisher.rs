//! The task that publishes: what the shards have left for it, and the node's state at its interval.

use super::{settings::Settings, topics};
use crate::{
    admin,
    engine::Engine,
    events::{Inbox, Notice},
    plugin::{desk::EngineDesk, hook_body},
    shard::{PublishOutcome, wall_clock_ms},
};
use raftmq_mqtt::{
    publication::{Expiry, Origin, Publication},
    topic,
};
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

/// Messages whose acknowledgement is awaited, at most.
const UNDER_WAY_MAX: usize = 64;
/// How long the oldest of them is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Notices that are published in one go.
const PIECE_NOTICES: usize = 64;
/// How often it is looked whether the node serves.
const SERVING_POLL: Duration = Duration::from_millis(100);

/// What the plugin has done.
#[derive(Default)]
pub(super) struct Tally {
    pub published: AtomicU64,
    pub failed: AtomicU64,
}

/// The task's own.
pub(super) struct Publisher {
    pub desk: Arc<EngineDesk>,
    pub inbox: Arc<Inbox<Arc<Notice>>>,
    pub settings: watch::Receiver<Arc<Settings>>,
    pub tally: Arc<Tally>,
    pub under_way: VecDeque<oneshot::Receiver<PublishOutcome>>,
}

impl Publisher {
    /// Publishes, for ever. The node's state comes first as soon as it serves.
    pub async fn run(mut self) {
        let mut due = self.serving().await;
        loop {
            let inbox = self.inbox.clone();
            tokio::select! {
                notices = inbox.take(PIECE_NOTICES) => {
                    let count = notices.len();
                    for notice in notices {
                        self.publish_notice(&notice).await;
                    }
                    inbox.finished(count);
                }
                () = sleep_until(due) => {
                    self.publish_state().await;
                    due = Instant::now() + self.settings.borrow().interval;
                }
                changed = self.settings.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    due = due.min(Instant::now() + self.settings.borrow().interval);
                }
            }
        }
    }

    async fn serving(&self) -> Instant {
        loop {
            let engine = self.desk.engine();
            if engine.is_some_and(|engine| engine.lease.is_held()) {
                return Instant::now();
            }
            sleep(SERVING_POLL).await;
        }
    }

    async fn publish_notice(&mut self, notice: &Notice) {
        let Some(client) = &notice.client else { return };
        let client_id = &*client.client_id;
        let Some(topic) = topics::of_client(notice.node_id, client_id, notice.kind()) else {
            return;
        };
        let desk = self.desk.clone();
        let body = hook_body::body(notice, &|client_id| desk.known(client_id));
        let payload = serde_json::to_vec(&body).unwrap_or_default();
        // By the shard of the client: so its messages keep their order, and the shards share the work.
        self.publish(client_id, &topic, &payload, Retaining::Never)
            .await;
    }

    /// Nothing while the node does not serve: it does not know then what it is part of.
    async fn publish_state(&mut self) {
        let engine = self.desk.engine().filter(|engine| engine.lease.is_held());
        let (Some(engine), Some(node)) = (engine, self.desk.node()) else {
            return;
        };
        let id = engine.node_id;
        let brokers = json!(brokers(&engine)).to_string();
        self.publish_own(topics::BROKERS, brokers).await;
        if let Ok(stats) = node.stats().await {
            let stats = json!(stats).to_string();
            self.publish_own(&topics::of_node(id, "stats"), stats).await;
        }
        if let Ok(metrics) = node.metrics().await {
            let metrics = json!(metrics).to_string();
            self.publish_own(&topics::of_node(id, "metrics"), metrics)
                .await;
        }
    }

    async fn publish_own(&mut self, topic: &str, payload: String) {
        self.publish("", topic, payload.as_bytes(), Retaining::AsSet)
            .await;
    }

    async fn publish(&mut self, by: &str, topic: &str, payload: &[u8], retaining: Retaining) {
        let Some(engine) = self.desk.engine() else {
            return;
        };
        if topic::validate_name(topic).is_err() || !engine.settings.allows_levels(topic) {
            self.tally.failed.fetch_add(1, Relaxed);
            return;
        }
        let settings = self.settings.borrow().clone();
        let publication = Publication {
            topic,
            payload,
            properties: &[],
            qos: settings.qos.min(engine.settings.max_qos),
            retain: matches!(retaining, Retaining::AsSet)
                && settings.retain
                && engine.settings.retain_available,
            expiry: settings.expiry_seconds.map(|seconds| Expiry {
                seconds,
                received_at_ms: wall_clock_ms(),
            }),
            origin: Origin::System,
            publisher: "",
            target: None,
        };
        self.make_room().await;
        let answer = admin::submit(&engine, by, &publication);
        self.under_way.push_back(answer);
    }

    /// Waits until there is room for one more message under way.
    async fn make_room(&mut self) {
        while let Some(oldest) = self.under_way.front_mut() {
            if let Ok(outcome) = oldest.try_recv() {
                self.under_way.pop_front();
                self.count(Some(outcome));
                continue;
            }
            if self.under_way.len() < UNDER_WAY_MAX {
                return;
            }
            if let Some(oldest) = self.under_way.pop_front() {
                let outcome = timeout(ANSWER_TIMEOUT, oldest).await;
                self.count(outcome.ok().and_then(Result::ok));
            }
        }
    }

    fn count(&self, outcome: Option<PublishOutcome>) {
        let counter = match outcome {
            Some(PublishOutcome::Kept) => &self.tally.published,
            _ => &self.tally.failed,
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// Whether a message may be retained.
enum Retaining {
    AsSet,
    Never,
}

#[derive(serde::Serialize)]
struct Broker {
    node: u64,
    running: bool,
}

/// The nodes of the cluster, as the replicated table has them.
fn brokers(engine: &Engine) -> Vec<Broker> {
    let links = engine.links.at_work();
    let mut ids: Vec<_> = links.iter().map(|link| link.peer()).collect();
    ids.push(engine.node_id);
    ids.sort_unstable();
    let table = engine.store.table().read();
    let running = |node: u64| table.is_node_up(node.into());
    let broker = |node| Broker {
        node,
        running: running(node),
    };
    ids.into_iter().map(broker).collect()
}
