//! `rmqtt-bridge-ingress-mqtt.toml` and `rmqtt-bridge-egress-mqtt.toml`: what they may say, and what is wrong
//! with them.

use super::{
    checks::{check_topic, checked_filter, qos},
    mapping::{LOCAL_TOPIC, REMOTE_TOPIC, Retain},
    remote::{Link, Remote, Spoken, V4, V5},
};
use crate::{connect::RESERVED_PREFIX, plugin::file, settings::BRIDGE_QUEUE_MESSAGES};
use raftmq_mqtt::{codec::QoS, topic::SharedFilter};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// Entries of one file: each is a task and two connections.
const ENTRIES_MAX: usize = 256;
/// Most messages that may wait in the own node's session of an entry.
const QUEUE_MAX: u32 = 10_000_000;
/// Longest name of a bridge, characters.
const NAME_MAX: usize = 64;

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    pub fn plugin_name(self) -> &'static str {
        match self {
            Direction::Ingress => "rmqtt-bridge-ingress-mqtt",
            Direction::Egress => "rmqtt-bridge-egress-mqtt",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }
}

/// What a file says, found good.
pub(super) struct Settings {
    /// Those of the bridges that are enabled.
    pub entries: Vec<Arc<Entry>>,
    /// Of the entries of the others, which go on some time.
    pub resting: BTreeSet<String>,
    pub shown: Value,
}

/// One flow of messages.
pub(super) struct Entry {
    /// Name of its bridge, direction and a number made from its filter: tells it from all others, and stays
    /// when the file is written in another order.
    pub id: String,
    pub bridge: String,
    pub direction: Direction,
    /// Where it stands in the file.
    pub line: usize,
    /// What is subscribed to, and with which QoS.
    pub filter: String,
    pub source_qos: QoS,
    /// Where messages go; see `mapping`.
    pub topic: String,
    pub skip_levels: usize,
    /// `None`: as received.
    pub qos: Option<QoS>,
    pub retain: Retain,
    /// Seconds that a message lives which says nothing about it.
    pub expiry_seconds: Option<u32>,
    /// Messages that may wait in the own node's session.
    pub queue_messages_max: u32,
    pub remote: Arc<Remote>,
    /// Of everything that the file says about it: a reload leaves entries alone that have not changed.
    pub fingerprint: u64,
}

impl Entry {
    /// Identifier of its client of the own node.
    pub fn local_client_id(&self) -> String {
        format!("{RESERVED_PREFIX}{}", self.id)
    }

    /// Identifier of its client of the remote broker.
    pub fn remote_client_id(&self, cluster_id: &str) -> String {
        let prefix = self.remote.client_id_prefix.as_deref();
        format!("{}:{}", prefix.unwrap_or(cluster_id), self.id)
    }

    /// The filter without `$share/<group>/`.
    pub fn plain_filter(&self) -> &str {
        SharedFilter::parse(&self.filter).map_or(&self.filter, |parsed| parsed.filter)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, bound = "E: DeserializeOwned")]
struct File<E> {
    bridges: Vec<toml::Spanned<Bridge<E>>>,
}

impl<E> Default for File<E> {
    fn default() -> Self {
        Self {
            bridges: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "E: DeserializeOwned")]
struct Bridge<E> {
    #[serde(default = "yes")]
    enable: bool,
    name: String,
    #[serde(default = "one")]
    concurrent_client_limit: u32,
    expiry_interval: Option<String>,
    message_channel_capacity: Option<u32>,
    #[serde(default = "Vec::new")]
    entries: Vec<toml::Spanned<E>>,
    client_id_prefix: Option<String>,
    server: String,
    root_cert: Option<PathBuf>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    username: Option<String>,
    password: Option<String>,
    #[serde(default = "connect_timeout")]
    connect_timeout: String,
    #[serde(default = "keepalive")]
    keepalive: String,
    #[serde(default = "reconnect_interval")]
    reconnect_interval: String,
    #[serde(default)]
    mqtt_ver: Spoken,
    #[serde(default)]
    v4: V4,
    #[serde(default)]
    v5: V5,
}

fn connect_timeout() -> String {
    "20s".into()
}

fn keepalive() -> String {
    "60s".into()
}

fn reconnect_interval() -> String {
    "5s".into()
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

/// What both directions say of an entry.
trait Written: DeserializeOwned + std::fmt::Debug {
    const DIRECTION: Direction;

    fn read(&self) -> Result<Flow, String>;

    fn shown(&self) -> Value;
}

/// From where to where.
struct Flow {
    filter: String,
    source_qos: QoS,
    topic: String,
    skip_levels: usize,
    qos: Option<QoS>,
    retain: Retain,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IngressEntry {
    remote: IngressRemote,
    local: IngressLocal,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IngressRemote {
    #[serde(default)]
    qos: u8,
    topic: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IngressLocal {
    qos: Option<u8>,
    topic: String,
    #[serde(default)]
    retain: Retain,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressEntry {
    local: EgressLocal,
    remote: EgressRemote,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressLocal {
    topic_filter: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EgressRemote {
    qos: Option<u8>,
    #[serde(default)]
    retain: Retain,
    topic: String,
    #[serde(default)]
    skip_levels: usize,
}

impl Written for IngressEntry {
    const DIRECTION: Direction = Direction::Ingress;

    fn read(&self) -> Result<Flow, String> {
        let topic = &self.local.topic;
        check_topic("local.topic", topic, REMOTE_TOPIC)?;
        Ok(Flow {
            filter: checked_filter("remote.topic", &self.remote.topic)?,
            source_qos: qos("remote.qos", self.remote.qos)?,
            topic: topic.clone(),
            skip_levels: 0,
            qos: self.local.qos.map(|q| qos("local.qos", q)).transpose()?,
            retain: self.local.retain,
        })
    }

    fn shown(&self) -> Value {
        json!({
            "remote": { "qos": self.remote.qos, "topic": self.remote.topic },
            "local": {
                "qos": self.local.qos,
                "topic": self.local.topic,
                "retain": self.local.retain,
            },
        })
    }
}

impl Written for EgressEntry {
    const DIRECTION: Direction = Direction::Egress;

    fn read(&self) -> Result<Flow, String> {
        let topic = &self.remote.topic;
        check_topic("remote.topic", topic, LOCAL_TOPIC)?;
        let fixed = self.remote.qos.map(|q| qos("remote.qos", q)).transpose()?;
        let filter = checked_filter("local.topic_filter", &self.local.topic_filter)?;
        if filter.starts_with("$share/") {
            // The members would share what the one runner has to see whole.
            return Err(
                "local.topic_filter: one node forwards for the whole cluster, so there is \
                        nothing to share"
                    .into(),
            );
        }
        Ok(Flow {
            filter,
            source_qos: fixed.unwrap_or(QoS::ExactlyOnce),
            topic: topic.clone(),
            skip_levels: self.remote.skip_levels,
            qos: fixed,
            retain: self.remote.retain,
        })
    }

    fn shown(&self) -> Value {
        json!({
            "local": { "topic_filter": self.local.topic_filter },
            "remote": {
                "qos": self.remote.qos,
                "retain": self.remote.retain,
                "topic": self.remote.topic,
                "skip_levels": self.remote.skip_levels,
            },
        })
    }
}

impl Settings {
    /// Reads the file's text.
    ///
    /// # Errors
    /// The line, and what is wrong there.
    pub fn read(direction: Direction, text: &str) -> Result<Settings, String> {
        match direction {
            Direction::Ingress => Settings::read_as::<IngressEntry>(text),
            Direction::Egress => Settings::read_as::<EgressEntry>(text),
        }
    }

    fn read_as<E: Written>(text: &str) -> Result<Settings, String> {
        let file: File<E> = file::parse(text)?;
        let mut names = BTreeSet::new();
        let (mut entries, mut shown) = (Vec::new(), Vec::new());
        let mut resting = BTreeSet::new();
        for written in &file.bridges {
            let line = file::line_of(text, written.span().start);
            let bridge = written.get_ref();
            let at = |problem: String| format!("line {line}: {problem}");
            if !names.insert(&bridge.name) {
                return Err(at(format!("there are two bridges {:?}", bridge.name)));
            }
            let all = bridge.read(text, line).map_err(at)?;
            match bridge.enable {
                true => entries.extend(all),
                false => resting.extend(all.iter().map(|entry| entry.id.clone())),
            }
            shown.push(bridge.shown());
        }
        if entries.len() > ENTRIES_MAX {
            return Err(format!("at most {ENTRIES_MAX} entries are possible"));
        }
        let shown = json!({ "bridges": shown });
        Ok(Settings {
            entries,
            resting,
            shown,
        })
    }
}

impl<E: Written> Bridge<E> {
    fn read(&self, text: &str, line: usize) -> Result<Vec<Arc<Entry>>, String> {
        self.check()?;
        let remote = Arc::new(self.link().read(E::DIRECTION)?);
        let expiry_seconds = self.expiry_seconds()?;
        let mut entries: Vec<Arc<Entry>> = Vec::new();
        for written in &self.entries {
            // The line of the bridge stands before it already.
            let own = file::line_of(text, written.span().start);
            let at = |problem: String| match own == line {
                true => problem,
                false => format!("entry at line {own}: {problem}"),
            };
            let flow = written.get_ref().read().map_err(at)?;
            let entry = self.entry(flow, own, expiry_seconds, &remote, written.get_ref());
            if entries.iter().any(|other| other.id == entry.id) {
                return Err(at(format!("another entry has {:?} already", entry.filter)));
            }
            entries.push(Arc::new(entry));
        }
        Ok(entries)
    }

    fn link(&self) -> Link<'_> {
        Link {
            client_id_prefix: &self.client_id_prefix,
            server: &self.server,
            root_cert: &self.root_cert,
            client_cert: &self.client_cert,
            client_key: &self.client_key,
            username: &self.username,
            password: &self.password,
            connect_timeout: &self.connect_timeout,
            keepalive: &self.keepalive,
            reconnect_interval: &self.reconnect_interval,
            mqtt_ver: self.mqtt_ver,
            v4: &self.v4,
            v5: &self.v5,
        }
    }

    fn check(&self) -> Result<(), String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if self.name.is_empty() || self.name.len() > NAME_MAX || !self.name.chars().all(is_plain) {
            return Err(format!(
                "name: 1 to {NAME_MAX} letters, digits, and _ - . are possible"
            ));
        }
        if self.concurrent_client_limit != 1 {
            return Err(
                "concurrent_client_limit: each entry has one client, so that messages keep their \
                 order; write 1, and more entries for more at a time"
                    .into(),
            );
        }
        match (E::DIRECTION, self.message_channel_capacity) {
            (Direction::Ingress, Some(_)) => Err(
                "message_channel_capacity: what comes in waits on the remote broker; take it out"
                    .into(),
            ),
            (_, Some(0)) => Err(format!(
                "message_channel_capacity is out of range: 1 to {QUEUE_MAX}"
            )),
            (_, Some(capacity)) if capacity > QUEUE_MAX => Err(format!(
                "message_channel_capacity is out of range: 1 to {QUEUE_MAX}"
            )),
            _ => Ok(()),
        }
    }

    fn expiry_seconds(&self) -> Result<Option<u32>, String> {
        let Some(text) = &self.expiry_interval else {
            return Ok(None);
        };
        if E::DIRECTION == Direction::Egress {
            return Err("expiry_interval: only messages that come in are given one".into());
        }
        let interval = file::duration(text).map_err(|p| format!("expiry_interval: {p}"))?;
        Ok(whole_seconds(interval).filter(|seconds| *seconds > 0))
    }

    fn entry(
        &self,
        flow: Flow,
        line: usize,
        expiry_seconds: Option<u32>,
        remote: &Arc<Remote>,
        written: &E,
    ) -> Entry {
        let capacity = self.message_channel_capacity;
        let queue_messages_max = capacity.unwrap_or(BRIDGE_QUEUE_MESSAGES);
        let mut hasher = DefaultHasher::new();
        format!("{written:?}").hash(&mut hasher);
        (expiry_seconds, queue_messages_max, remote.fingerprint).hash(&mut hasher);
        Entry {
            id: format!(
                "{}:{}:{:08x}",
                E::DIRECTION.word(),
                self.name,
                crc32fast::hash(flow.filter.as_bytes())
            ),
            bridge: self.name.clone(),
            direction: E::DIRECTION,
            line,
            filter: flow.filter,
            source_qos: flow.source_qos,
            topic: flow.topic,
            skip_levels: flow.skip_levels,
            qos: flow.qos,
            retain: flow.retain,
            expiry_seconds,
            queue_messages_max,
            remote: remote.clone(),
            fingerprint: hasher.finish(),
        }
    }

    fn shown(&self) -> Value {
        let mut shown = self.link().shown();
        shown["enable"] = self.enable.into();
        shown["name"] = self.name.clone().into();
        shown["concurrent_client_limit"] = self.concurrent_client_limit.into();
        if let Some(interval) = &self.expiry_interval {
            shown["expiry_interval"] = interval.clone().into();
        }
        if E::DIRECTION == Direction::Egress {
            let capacity = self.message_channel_capacity;
            shown["message_channel_capacity"] = capacity.unwrap_or(BRIDGE_QUEUE_MESSAGES).into();
        }
        let entries = self.entries.iter().map(|entry| entry.get_ref().shown());
        shown["entries"] = entries.collect();
        shown
    }
}

fn whole_seconds(duration: Duration) -> Option<u32> {
    u32::try_from(duration.as_secs()).ok()
}
