//! Two nodes with a client each, and a third one that does not answer if a case wants it.

use std::sync::Arc;
use std::time::Duration;

use raftmq_api::counters::{Metric, Sample, Stat};
use raftmq_api::node::*;
use raftmq_api::{KnownNode, KnownRetained};
use raftmq_store::MembershipChange;
use raftmq_store::table::{Ban, BanOf};

use super::cases::Case;
use crate::live::Clock;
use crate::world::{
    CONNECTED_AT_MS, Reply, Setup, TestNode, View, World, dead_peer, row, serve_peer, session,
    subscription,
};

/// How long an event may take.
const SOON: Duration = Duration::from_secs(60);

pub struct FixedWorld {
    world: World,
    local: Arc<TestNode>,
    /// Where the peers listen.
    pub addresses: Vec<(u64, String)>,
    pub started_ms: u64,
}

impl FixedWorld {
    /// Of the retained message that expires.
    pub const LIFETIME_S: u32 = 10_000;

    pub async fn start(case: &Case) -> Self {
        let started_ms = Clock::Running.now_ms();
        // The doctor compares clocks, so there they run.
        let clock = match case.operation() {
            "get_cluster_doctor" => Clock::Running,
            _ => Clock::Standing,
        };
        let local = Arc::new(node(1, clock));
        let second = serve_peer(2, Arc::new(node(2, clock))).await;
        let mut addresses = vec![(2, second)];
        if case.has_silent_node() {
            addresses.push((3, dead_peer().await));
        }
        let setup = Setup {
            view: Arc::new(view(started_ms)),
            local: local.clone(),
            peers: addresses.clone(),
            ..Setup::default()
        };
        Self {
            world: setup.start().await,
            local,
            addresses,
            started_ms,
        }
    }

    pub async fn ask(&self, case: &Case) -> Reply {
        let (method, path) = case.request.split_once(' ').unwrap();
        let url = format!("{}{path}", self.world.base);
        let mut request = self.world.http.request(method.parse().unwrap(), url);
        if let Some(body) = case.body {
            request = request.body(body);
        }
        if case.name == "tail" {
            return self.head_of_tail(request).await;
        }
        self.world.send(request).await
    }

    /// The stream until a client has connected: it has no end.
    async fn head_of_tail(&self, request: reqwest::RequestBuilder) -> Reply {
        let mut response = request.send().await.unwrap();
        let mut text = String::new();
        while !text.contains("event: connected") {
            let chunk = tokio::time::timeout(SOON, response.chunk()).await.unwrap();
            text += std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap();
            if text.contains("event: listening") && !text.contains("event: connected") {
                self.local.events.connected(1, "sensor-1");
            }
        }
        // The line of the local time depends on the machine.
        let (head, tail) = text.split_once(",\"at\":\"").unwrap();
        let (_, rest) = tail.split_once('"').unwrap();
        Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: format!("{head},\"at\":\"<local time>\"{rest}"),
        }
    }
}

fn node(id: u64, clock: Clock) -> TestNode {
    let rows = clients().into_iter().filter(|row| row.node_id == id);
    let mut node = TestNode::with_rows(rows.collect());
    node.metrics[Metric::MessagesPublishCustom] = 10 * id;
    TestNode {
        clock,
        drain: DrainReply {
            clients: 12,
            persistent_clients: 7,
            offline_sessions: 3,
            offline_with_messages: 1,
            offline_messages: 2,
            leads: id == 2,
            progress: None,
        },
        vitals: VitalsReply {
            leader_id: Some(2),
            applied_index: 40 + id,
            uptime_seconds: 61,
            sockets_max: 100,
            links: vec![LinkVitals {
                peer_id: 3 - id,
                held_bytes: 7,
                window_bytes: 8 << 20,
            }],
            ..Default::default()
        },
        features: FeaturesReply {
            retain: true,
            session_storage: id == 2,
            shared_subscription: true,
            ..Default::default()
        },
        samples: vec![
            sample(CONNECTED_AT_MS, id),
            sample(CONNECTED_AT_MS + 10_000, 2 * id),
        ],
        inspection: inspection(id),
        table_hash: Some(0x0123_4567_89ab_cdef),
        explanation: explanation(id),
        ..node
    }
}

fn sample(at_ms: u64, n: u64) -> Sample {
    let mut sample = Sample {
        at_ms,
        ..Default::default()
    };
    sample.stats.set(Stat::Connections, n);
    sample.metrics[Metric::MessagesPublish] = n;
    sample
}

fn clients() -> Vec<ClientRow> {
    let connected = ClientRow {
        protocol_version: 5,
        username: "ada".into(),
        subscriptions: 2,
        will: Some(WillRow {
            topic: "sensors/1/state".into(),
            message: "gone".into(),
            qos: 1,
            retain: true,
        }),
        ..row(1, "sensor-1")
    };
    let offline = ClientRow {
        connected: false,
        clean_start: false,
        disconnected_at_ms: CONNECTED_AT_MS + 1_000,
        disconnected_reason: "keep alive timeout".into(),
        subscriptions: 1,
        ..row(2, "sensor-2")
    };
    vec![connected, offline]
}

fn view(started_ms: u64) -> View {
    let known = |id: u64| KnownNode {
        id,
        rpc_address: format!("n{id}:7000"),
        is_up: true,
        drain: None,
    };
    let view = View {
        nodes: vec![known(1), known(2)],
        membership: Ok(MembershipChange {
            change: "joins".into(),
            voters: vec![1, 2],
            voters_after: vec![1, 2, 3],
            up_after: vec![1, 2, 3],
        }),
        subscriptions: [
            (
                "sensor-1".to_owned(),
                vec![
                    ("jobs/+".into(), Some("workers".into()), 1, 0),
                    ("sensors/#".into(), None, 0b10_1110, 7),
                ],
            ),
            (
                "sensor-2".to_owned(),
                vec![
                    subscription("jobs/7", "", 0),
                    subscription("sensors/+/temperature", "", 1),
                ],
            ),
        ]
        .into(),
        ..View::default()
    };
    let sessions = clients().into_iter();
    *view.sessions.lock().unwrap() = sessions
        .map(|row| (row.client_id.clone(), session(row)))
        .collect();
    *view.bans.lock().unwrap() = bans()
        .map(|ban| ((ban.of, ban.who.clone()), Arc::new(ban)))
        .into();
    *view.retained.lock().unwrap() = retained(started_ms)
        .map(|message| (message.topic.clone(), message))
        .into();
    view
}

fn bans() -> [Ban; 2] {
    let ban = |of, who: &str, until_ms| Ban {
        of,
        who: who.into(),
        by: "ops".into(),
        reason: "floods".into(),
        at_ms: CONNECTED_AT_MS,
        until_ms,
    };
    [
        ban(BanOf::Client, "evil", Some(CONNECTED_AT_MS + 60_000)),
        ban(BanOf::Address, "192.168.0.0/16", None),
    ]
}

fn retained(started_ms: u64) -> [KnownRetained; 2] {
    let message = |topic: &str, received_at_ms, properties| KnownRetained {
        topic: topic.into(),
        payload: "21.5".into(),
        qos: 1,
        properties,
        client_id: "sensor-1".into(),
        received_at_ms,
    };
    let expiring = PublishProperties {
        payload_is_utf8: Some(true),
        expiry_seconds: Some(FixedWorld::LIFETIME_S),
        content_type: Some("text/plain".into()),
        response_topic: Some("answers".into()),
        correlation_data: Some(vec![1, 2].into()),
        user_properties: vec![UserProperty {
            name: "unit".into(),
            value: "°C".into(),
        }],
    };
    let lasting = PublishProperties::default();
    [
        message("sensors/1/name", CONNECTED_AT_MS, lasting),
        message("sensors/1/temperature", started_ms, expiring),
    ]
}

fn inspection(id: u64) -> InspectReply {
    InspectReply {
        // The doctor has something to say of this.
        version: format!("0.1.{id}"),
        incarnation: 7,
        term: 3,
        leader: 2,
        role: if id == 2 { "leader" } else { "follower" }.into(),
        last_log_index: 42,
        committed_index: 42,
        applied_index: 40 + id,
        disk_total_bytes: 100 << 30,
        disk_free_bytes: 50 << 30,
        log_disk_bytes: 512,
        links: vec![link(3 - id)],
        members: [1, 2]
            .map(|node_id| MemberState {
                node_id,
                is_voter: true,
                is_up: true,
                last_contact_ms: (id == 2 && node_id != 2).then_some(10),
            })
            .into(),
        flushes: Some(FlushState {
            count: 9,
            average_us: 800,
            slowest_us: 4_000,
        }),
        connections: 1,
        connections_max: 100,
        http_address: "127.0.0.1:6060".into(),
        heartbeat_ms: 100,
        ..Default::default()
    }
}

fn link(peer: u64) -> LinkState {
    LinkState {
        peer,
        up: true,
        queued_bytes: 1,
        in_flight_bytes: 2,
        in_flight_batches: 1,
        round_trip_us: Some(250),
        window_bytes: 1_000,
        ..Default::default()
    }
}

/// What the router of a node says, and how its own clients are.
fn explanation(id: u64) -> ExplainReply {
    let subscriber = |client_id: &str, node_id| ExplainedSubscriber {
        client_id: client_id.into(),
        node_id,
        epoch: 4096,
        filters: vec!["a/+".into()],
        options: 1,
        subscription_ids: vec![5],
        connected: true,
        node_is_up: true,
    };
    let live = |client_id: &str| LiveSubscriber {
        client_id: client_id.into(),
        connected: id == 1,
        inflight_max: 10,
        queue: 3,
        queue_max: 1_000,
        subscribe: Some(AclVerdict {
            rule: Some(2),
            source: "rmqtt-acl".into(),
            ..verdict("denied", "rule 2 of rmqtt-acl denies SUBSCRIBE to a/+")
        }),
        ..Default::default()
    };
    ExplainReply {
        applied_index: 42,
        filters: vec!["a/+".into()],
        subscribers: vec![subscriber("sensor-1", 1), subscriber("sensor-2", 2)],
        groups: vec![ExplainedGroup {
            share: "workers".into(),
            filter: "a/+".into(),
            members: vec![subscriber("sensor-1", 1)],
            picked: Some("sensor-1".into()),
            candidates: 1,
        }],
        more: false,
        live: vec![live(&format!("sensor-{id}"))],
        links: vec![link(3 - id)],
        publish: Some(verdict("allowed", "no access rule speaks of it")),
        publisher_is_here: id == 1,
    }
}

fn verdict(verdict: &str, why: &str) -> AclVerdict {
    AclVerdict {
        verdict: verdict.into(),
        rule: None,
        source: String::new(),
        why: why.into(),
    }
}
