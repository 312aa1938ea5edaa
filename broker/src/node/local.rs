//! This node, as the HTTP API asks it: live sessions, publishing, counters.

use super::insight::Posture;
use super::{drain, replicated::row, sampling::Sampler, vitals};
use crate::{
    admin,
    config::Config,
    engine::Engine,
    events::Terms,
    plugin::HttpControl,
    shard::{LiveSession, PublishOutcome, SubscribeRefusal, shard_of},
};
use futures::{future::join_all, stream};
use parking_lot::Mutex;
use raftmq_api::node::{DrainReply, ExplainQuestion, ExplainReply, InspectReply};
use raftmq_api::{
    Node, NodeError, Phase,
    counters::{History, Metric, Metrics, Sample, Stats},
    event::{EventFeed, EventFilter},
    machine,
    node::{
        AdminPublication, Answer, BrokerReply, ClientPage, ClientQuery, ClientRow, FeaturesReply,
        HistoryQuery, NodeReply, PageBuilder, PluginCommand, PluginRow, VitalsReply,
    },
};
use raftmq_mqtt::codec::QoS;
use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Instant};
use tokio::sync::watch;

/// Sessions read from the table in one go, so that its writer is not held up.
const PIECE_SESSIONS: usize = 512;
/// Events that wait for one listener of the HTTP API, here or on another node.
const LISTENER_QUEUE_EVENTS: usize = 1_024;
/// Bytes of them.
const LISTENER_QUEUE_BYTES: usize = 1 << 20;
/// What one of them gets of this node's events; the API limits the events of all nodes once more.
const LISTENER_EVENTS_PER_SECOND: u32 = 1_000;

/// Answers for this process.
pub(super) struct LocalNode {
    pub(super) engine: Arc<Engine>,
    pub(super) data_dir: PathBuf,
    pub(super) posture: Posture,
    started: Instant,
    started_at_ms: u64,
    phase: watch::Receiver<Phase>,
    sampler: Arc<Sampler>,
    history: Mutex<History>,
}

impl LocalNode {
    pub fn new(
        engine: Arc<Engine>,
        config: &Config,
        sampler: Arc<Sampler>,
        phase: watch::Receiver<Phase>,
        http: Arc<HttpControl>,
    ) -> LocalNode {
        LocalNode {
            engine,
            data_dir: config.node.data_dir.clone(),
            posture: Posture::new(config, http),
            started: Instant::now(),
            started_at_ms: crate::shard::wall_clock_ms(),
            phase,
            sampler,
            history: Mutex::default(),
        }
    }

    /// Keeps what the counters are now.
    pub async fn take_sample(&self) {
        let stats = self.sampler.read().await;
        let metrics = self.read_metrics();
        let now_ms = crate::shard::wall_clock_ms();
        self.history.lock().record(now_ms, stats, metrics);
    }

    /// Fills in what only the shards know, asking each of them once.
    async fn enliven(&self, rows: &mut [ClientRow]) {
        let mailboxes = &self.engine.mailboxes;
        let mut wanted: Vec<Vec<Arc<str>>> = vec![Vec::new(); mailboxes.len()];
        for row in rows.iter() {
            let shard = shard_of(&row.client_id, mailboxes.len());
            wanted[shard.index()].push(row.client_id.as_str().into());
        }
        let asked = mailboxes
            .iter()
            .zip(wanted)
            .filter(|(_, client_ids)| !client_ids.is_empty())
            .map(|(mailbox, client_ids)| {
                mailbox.ask(move |shard| shard.live_sessions(&client_ids))
            });
        let answers = join_all(asked).await.into_iter().flatten().flatten();
        let live: HashMap<_, _> = answers.map(|live| (live.client_id.clone(), live)).collect();
        for row in rows {
            if let Some(live) = live.get(row.client_id.as_str()) {
                enliven(row, live);
            }
        }
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

    /// Rows come in the order of the page, so it is done when one has been left out.
    async fn page(&self, query: ClientQuery) -> ClientPage {
        let mut page = PageBuilder::new(query.clone());
        if let Some(client_id) = &query.filter.client_id {
            let row = self.one(client_id.clone()).await;
            row.into_iter().for_each(|row| page.offer(row));
            return page.finish();
        }
        let mut after = query.after.clone();
        loop {
            let (mut rows, next) = self.piece(after.as_deref());
            rows.retain(|row| query.may_match(row));
            self.enliven(&mut rows).await;
            rows.into_iter().for_each(|row| page.offer(row));
            let Some(next) = next.filter(|_| !page.is_full()) else {
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

    /// What the links have given up is counted by them, not by a shard.
    fn read_metrics(&self) -> Metrics {
        let mut metrics = self.engine.counters.metrics();
        let given_up = self.engine.links.list();
        let given_up = given_up.iter().map(|link| link.given_up());
        metrics[Metric::MessagesDropped] += given_up.sum::<u64>();
        metrics
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
                Some(PublishOutcome::Failed | PublishOutcome::NotRetained) => Err(
                    NodeError::Failed("the message could not be kept by all its owners".to_owned()),
                ),
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
        Box::pin(async { Ok(self.sampler.read().await) })
    }

    fn metrics(&self) -> Answer<'_, Metrics> {
        Box::pin(async { Ok(self.read_metrics()) })
    }

    fn plugins(&self) -> Answer<'_, Vec<PluginRow>> {
        Box::pin(async { Ok(self.engine.plugins.rows().await) })
    }

    fn plugin_config(&self, plugin: String) -> Answer<'_, String> {
        Box::pin(async move { self.engine.plugins.config(&plugin).await })
    }

    fn command_plugin(&self, plugin: String, command: PluginCommand) -> Answer<'_, bool> {
        Box::pin(async move { self.engine.plugins.command(&plugin, command).await })
    }

    fn events(&self, filter: EventFilter) -> Answer<'_, EventFeed> {
        let terms = Terms {
            filter,
            queue_events_max: LISTENER_QUEUE_EVENTS,
            queue_bytes_max: LISTENER_QUEUE_BYTES,
            per_second_max: Some(LISTENER_EVENTS_PER_SECOND),
        };
        let subscribed = self.engine.events.subscribe(terms);
        Box::pin(async {
            let events = subscribed.map_err(|full| NodeError::NotServing(full.to_string()))?;
            let told = stream::unfold(events, async |mut events| {
                let told = events.next().await?;
                Some((Ok(told), events))
            });
            Ok(Box::pin(told) as EventFeed)
        })
    }

    fn inspect(&self) -> Answer<'_, InspectReply> {
        Box::pin(async { Ok(self.inspection().await) })
    }

    fn drain(&self) -> Answer<'_, DrainReply> {
        Box::pin(async { Ok(drain::reply(&self.engine).await) })
    }

    fn table_hash(&self, index: u64) -> Answer<'_, u64> {
        Box::pin(async move {
            let hash = self.engine.store.table_hash(index).await;
            hash.map_err(|error| NodeError::Failed(error.to_string()))
        })
    }

    fn explain(&self, question: ExplainQuestion) -> Answer<'_, ExplainReply> {
        Box::pin(async { Ok(self.explanation(question).await) })
    }

    fn vitals(&self) -> Answer<'_, VitalsReply> {
        Box::pin(async {
            let phase = *self.phase.borrow();
            Ok(vitals::vitals(
                &self.engine,
                phase,
                self.started.elapsed(),
                self.started_at_ms,
            ))
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
