//! This node, as the HTTP API asks it: live sessions, publishing, counters.

use super::{replicated::row, vitals};
use crate::{
    admin,
    config::Config,
    engine::Engine,
    shard::{LiveSession, PublishOutcome, SubscribeRefusal},
};
use futures::future::join_all;
use parking_lot::Mutex;
use raftmq_api::{
    Node, NodeError, Phase,
    counters::{History, Metrics, Sample, Stat, Stats},
    machine,
    node::{
        AdminPublication, Answer, BrokerReply, ClientPage, ClientQuery, ClientRow, FeaturesReply,
        HistoryQuery, NodeReply, PageBuilder, VitalsReply,
    },
};
use raftmq_mqtt::codec::QoS;
use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Instant};
use tokio::sync::watch;

/// Sessions read from the table in one go, so that its writer is not held up.
const PIECE_SESSIONS: usize = 512;

/// Answers for this process.
pub(super) struct LocalNode {
    engine: Arc<Engine>,
    data_dir: PathBuf,
    started: Instant,
    phase: watch::Receiver<Phase>,
    highs: Mutex<Highs>,
    history: Mutex<History>,
}

/// Highest values so far, and what the handshake rate is measured from.
struct Highs {
    stats: Stats,
    handshakes: u64,
    measured: Instant,
    rate: u64,
}

impl LocalNode {
    pub fn new(engine: Arc<Engine>, config: &Config, phase: watch::Receiver<Phase>) -> LocalNode {
        let highs = Highs {
            stats: Stats::default(),
            handshakes: 0,
            measured: Instant::now(),
            rate: 0,
        };
        LocalNode {
            engine,
            data_dir: config.node.data_dir.clone(),
            started: Instant::now(),
            phase,
            highs: Mutex::new(highs),
            history: Mutex::default(),
        }
    }

    /// Keeps what the counters are now.
    pub async fn take_sample(&self) {
        let stats = self.read_stats().await;
        let metrics = self.engine.counters.metrics();
        let now_ms = crate::shard::wall_clock_ms();
        self.history.lock().record(now_ms, stats, metrics);
    }

    async fn live_sessions(&self) -> HashMap<Arc<str>, LiveSession> {
        let asked = self
            .engine
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.ask(|shard| shard.live_sessions()));
        let answers = join_all(asked).await;
        answers
            .into_iter()
            .flatten()
            .flatten()
            .map(|live| (live.client_id.clone(), live))
            .collect()
    }

    /// This node's sessions of the table behind `after`, a piece at a time, and where to go on.
    fn piece(&self, after: Option<&str>) -> (Vec<ClientRow>, Option<String>) {
        let now_ms = crate::shard::wall_clock_ms();
        let table = self.engine.store.table().read();
        let mut rows = Vec::new();
        let mut last = None;
        let mut count = 0;
        for session in table.sessions_from(after).take(PIECE_SESSIONS) {
            count += 1;
            last = Some(session.client_id.to_string());
            if u64::from(session.node) == self.engine.node_id {
                rows.push(row(session, &self.engine, now_ms));
            }
        }
        (rows, last.filter(|_| count == PIECE_SESSIONS))
    }

    async fn page(&self, query: ClientQuery) -> ClientPage {
        let live = self.live_sessions().await;
        let mut after = query.after.clone();
        let mut page = PageBuilder::new(query);
        loop {
            let (rows, next) = self.piece(after.as_deref());
            for mut row in rows {
                if let Some(live) = live.get(row.client_id.as_str()) {
                    enliven(&mut row, live);
                }
                page.offer(row);
            }
            let Some(next) = next else {
                return page.finish();
            };
            after = Some(next);
            tokio::task::yield_now().await;
        }
    }

    async fn one(&self, client_id: String) -> Option<ClientRow> {
        let mut found = {
            let table = self.engine.store.table().read();
            let session = table.session(&client_id)?;
            if u64::from(session.node) != self.engine.node_id {
                return None;
            }
            row(session, &self.engine, crate::shard::wall_clock_ms())
        };
        let mailbox = self.engine.mailbox_of(&client_id).clone();
        if let Some(Some(live)) = mailbox
            .ask(move |shard| shard.live_session(&client_id))
            .await
        {
            enliven(&mut found, &live);
        }
        Some(found)
    }

    async fn read_stats(&self) -> Stats {
        let asked = self
            .engine
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.ask(|shard| shard.measure()));
        join_all(asked).await;
        let gauges = self.engine.counters.gauges();
        let (handshaking, active, begun) = self.engine.gauges.read();
        let mut highs = self.highs.lock();
        let elapsed = highs.measured.elapsed();
        if elapsed.as_millis() >= 1000 {
            highs.rate = ((begun - highs.handshakes) as f64 / elapsed.as_secs_f64()).round() as u64;
            highs.handshakes = begun;
            highs.measured = Instant::now();
        }
        let rate = highs.rate;
        let counts = {
            let table = self.engine.store.table().read();
            table.counts(self.engine.node_id.into())
        };
        for (stat, value) in [
            (Stat::Connections, gauges.connections),
            (Stat::Handshakings, handshaking),
            (Stat::HandshakingsActive, active),
            (Stat::HandshakingsRate, rate),
            (Stat::Sessions, counts.sessions as u64),
            (Stat::Subscriptions, counts.subscriptions as u64),
            (
                Stat::SubscriptionsShared,
                counts.shared_subscriptions as u64,
            ),
            (Stat::Topics, counts.topics as u64),
            (Stat::Routes, counts.routes as u64),
            (Stat::Retained, counts.retained as u64),
            (Stat::MessageQueues, gauges.queued),
            (Stat::OutInflights, gauges.inflight),
            (Stat::InInflights, gauges.unreleased),
            (Stat::Forwards, gauges.deferred),
        ] {
            highs.stats.set(stat, value);
        }
        highs.stats.clone()
    }
}

fn enliven(row: &mut ClientRow, live: &LiveSession) {
    row.inflight = live.inflight as u64;
    row.inflight_max = u64::from(live.inflight_max);
    row.queue = live.queue as u64;
}

fn refusal(refusal: SubscribeRefusal) -> NodeError {
    match refusal {
        SubscribeRefusal::UnknownClient => NodeError::UnknownClient,
        SubscribeRefusal::Offline => NodeError::ClientOffline,
        SubscribeRefusal::NotReplicated => {
            NodeError::NotServing("the change could not be replicated; try again".to_owned())
        }
    }
}

fn stopped() -> NodeError {
    NodeError::NotServing("this node stops".to_owned())
}

impl Node for LocalNode {
    fn broker(&self) -> Answer<'_, BrokerReply> {
        Box::pin(async {
            Ok(BrokerReply {
                description: "RaftMQ Broker".to_owned(),
                version: format!("raftmq/{}", env!("CARGO_PKG_VERSION")),
                uptime_seconds: self.started.elapsed().as_secs(),
                now_ms: crate::shard::wall_clock_ms(),
            })
        })
    }

    fn node(&self) -> Answer<'_, NodeReply> {
        Box::pin(async {
            let asked = self
                .engine
                .mailboxes
                .iter()
                .map(|mailbox| mailbox.ask(|shard| shard.connections()));
            let connections = join_all(asked).await.into_iter().flatten().sum::<usize>();
            let data_dir = self.data_dir.clone();
            let machine = tokio::task::spawn_blocking(move || machine::read(&data_dir)).await;
            Ok(NodeReply {
                version: format!("raftmq/{}", env!("CARGO_PKG_VERSION")),
                uptime_seconds: self.started.elapsed().as_secs(),
                connections: connections as u64,
                machine: machine.ok(),
            })
        })
    }

    fn clients(&self, query: ClientQuery) -> Answer<'_, ClientPage> {
        Box::pin(async { Ok(self.page(query).await) })
    }

    fn client(&self, client_id: String) -> Answer<'_, Option<ClientRow>> {
        Box::pin(async { Ok(self.one(client_id).await) })
    }

    fn publish(&self, publication: AdminPublication) -> Answer<'_, ()> {
        Box::pin(async move {
            if !self.engine.lease.is_held() {
                return Err(NodeError::NotServing(
                    "this node has no contact with the cluster".to_owned(),
                ));
            }
            match admin::publish(&self.engine, publication)
                .await
                .map_err(NodeError::Refused)?
            {
                Some(PublishOutcome::Kept) => Ok(()),
                Some(PublishOutcome::Failed) => Err(NodeError::Failed(
                    "the message could not be kept by all its owners".to_owned(),
                )),
                None => Err(stopped()),
            }
        })
    }

    fn subscribe(&self, client_id: String, filters: Vec<String>, qos: u8) -> Answer<'_, Vec<bool>> {
        Box::pin(async move {
            let qos = QoS::from_number(qos)
                .ok_or_else(|| NodeError::Refused("QoS above 2".to_owned()))?;
            admin::subscribe(&self.engine, client_id, filters, qos)
                .await
                .ok_or_else(stopped)?
                .map_err(refusal)
        })
    }

    fn unsubscribe(&self, client_id: String, filter: String) -> Answer<'_, bool> {
        Box::pin(async move {
            admin::unsubscribe(&self.engine, client_id, filter)
                .await
                .ok_or_else(stopped)?
                .map_err(refusal)
        })
    }

    fn stats(&self) -> Answer<'_, Stats> {
        Box::pin(async { Ok(self.read_stats().await) })
    }

    fn metrics(&self) -> Answer<'_, Metrics> {
        Box::pin(async { Ok(self.engine.counters.metrics()) })
    }

    fn vitals(&self) -> Answer<'_, VitalsReply> {
        Box::pin(async {
            let phase = *self.phase.borrow();
            Ok(vitals::vitals(&self.engine, phase, self.started.elapsed()))
        })
    }

    fn features(&self) -> Answer<'_, FeaturesReply> {
        Box::pin(async { Ok(vitals::features(&self.engine)) })
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, Vec<Sample>> {
        Box::pin(async move {
            let history = self.history.lock();
            Ok(history.read(query.from_ms, query.window_ms, query.limit as usize))
        })
    }
}
