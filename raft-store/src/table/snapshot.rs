//! The table as a file: a header, then sections of records, each section with its checksum.
//!
//! ```text
//! "RAFTMQTB"  u32 format version
//! section:    u8 kind, records: u32 length (never 0xFFFFFFFF) + protobuf, then u32 0xFFFFFFFF, u32 crc32
//! the last section has kind 0 and no record
//! ```
//!
//! Integers are little endian. Indexes are not written; they are built again from the records.

use std::hash::Hash;
use std::io::{self, Read, Write};
use std::sync::Arc;

use prost::Message as _;
use raftmq_proto::v1::{
    self, Message, TableDelayed, TableHead, TableNode, TableSession, TableSubscriptions,
};
use rustc_hash::FxHashMap;

use super::{DelayedMessage, Drain, NodeEntry, NodeId, Session, Subscription, Table, bans::Bans};

const MAGIC: &[u8; 8] = b"RAFTMQTB";
const FORMAT_VERSION: u32 = 1;
const END_OF_SECTION: u32 = u32::MAX;
/// No record is longer, in bytes.
const RECORD_BYTES_MAX: u32 = 512 << 20;
/// Subscriptions in one record.
const SUBSCRIPTIONS_PER_RECORD: usize = 256;

mod kind {
    pub const END: u8 = 0;
    pub const HEAD: u8 = 1;
    pub const NODES: u8 = 2;
    pub const SESSIONS: u8 = 3;
    pub const SUBSCRIPTIONS: u8 = 4;
    pub const RETAINED: u8 = 5;
    pub const BANS: u8 = 10;
    pub const DELAYED: u8 = 11;
}

/// A table as it was at one moment; it shares its parts with the living one.
pub struct Frozen {
    applied_index: u64,
    nodes: Vec<(NodeId, NodeEntry)>,
    removed: Vec<u64>,
    sessions: Vec<Arc<FxHashMap<Arc<str>, Arc<Session>>>>,
    retained: Vec<Arc<FxHashMap<Arc<str>, Arc<Message>>>>,
    bans: Arc<Bans>,
    delayed: Vec<Arc<FxHashMap<u64, Arc<DelayedMessage>>>>,
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file ends early, or cannot be read.
    #[error("the snapshot cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not a snapshot of a table.
    #[error("this is not a snapshot of the replicated table")]
    NotASnapshot,
    /// Another program wrote it.
    #[error("the snapshot has format {0}, this version reads {FORMAT_VERSION}")]
    UnknownFormat(u32),
    /// A checksum is wrong.
    #[error("the snapshot is damaged: checksum of section {0}")]
    Checksum(u8),
    /// A record cannot be understood.
    #[error("the snapshot is damaged: {0}")]
    Record(String),
}

impl Table {
    /// What the table is now. Takes microseconds; the parts are copied when they change.
    pub fn freeze(&self) -> Frozen {
        Frozen {
            applied_index: self.applied_index,
            nodes: self
                .nodes
                .iter()
                .map(|(id, entry)| (*id, entry.clone()))
                .collect(),
            removed: self.removed.iter().copied().collect(),
            sessions: self.sessions.shards(),
            retained: self.retained.shards(),
            bans: self.bans.clone(),
            delayed: self.delayed.shards(),
        }
    }

    /// Reads what [`Frozen::write_to`] wrote.
    ///
    /// # Errors
    /// [`RestoreError`] when it is incomplete or damaged.
    pub fn read_from(input: &mut impl Read) -> Result<Table, RestoreError> {
        let mut head = [0; 12];
        input.read_exact(&mut head)?;
        if &head[..8] != MAGIC {
            return Err(RestoreError::NotASnapshot);
        }
        let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if version != FORMAT_VERSION {
            return Err(RestoreError::UnknownFormat(version));
        }
        let mut table = Table::new();
        loop {
            let mut kind = [0];
            input.read_exact(&mut kind)?;
            read_section(kind[0], input, |record| table.restore(kind[0], record))?;
            if kind[0] == kind::END {
                return Ok(table);
            }
        }
    }

    fn restore(&mut self, kind: u8, record: &[u8]) -> Result<(), RestoreError> {
        let damaged = |error: prost::DecodeError| RestoreError::Record(error.to_string());
        match kind {
            kind::HEAD => {
                let head = TableHead::decode(record).map_err(damaged)?;
                self.applied_index = head.applied_index;
                self.removed = head.removed_raft_ids.into_iter().collect();
            }
            kind::NODES => self.restore_node(TableNode::decode(record).map_err(damaged)?),
            kind::SESSIONS => {
                let session = TableSession::decode(record).map_err(damaged)?;
                self.sessions.insert(session_of(session));
            }
            kind::SUBSCRIPTIONS => {
                return self
                    .restore_subscriptions(TableSubscriptions::decode(record).map_err(damaged)?);
            }
            kind::RETAINED => {
                let message = Arc::new(Message::decode(record).map_err(damaged)?);
                self.retained
                    .set(message)
                    .map_err(|error| RestoreError::Record(error.to_string()))?;
            }
            kind::BANS => {
                let ban = v1::Ban::decode(record).map_err(damaged)?;
                let set = Arc::make_mut(&mut self.bans).restore(&ban);
                set.map_err(|refusal| RestoreError::Record(format!("a ban: {refusal:?}")))?;
            }
            kind::DELAYED => {
                let stored = TableDelayed::decode(record).map_err(damaged)?;
                let delayed = DelayedMessage::restored(stored).ok_or_else(|| {
                    RestoreError::Record("a delayed message without its message".into())
                })?;
                self.delayed.insert(delayed);
            }
            other => return Err(RestoreError::Record(format!("unknown section {other}"))),
        }
        Ok(())
    }

    fn restore_node(&mut self, node: TableNode) {
        let entry = NodeEntry {
            incarnation: node.incarnation,
            is_up: node.is_up,
            name: node.name.into(),
            rpc_address: node.rpc_address.into(),
            version: node.version.into(),
            since_ms: node.since_ms,
            last_seq: node.last_seq,
            drain: node.drain.map(|drain| Drain {
                clients_per_second: drain.clients_per_second,
                since_ms: drain.since_ms,
            }),
            server_reference: node.server_reference.into(),
            raft_id: node.raft_id,
        };
        self.nodes.insert(NodeId(node.node_id), entry);
    }

    fn restore_subscriptions(&mut self, record: TableSubscriptions) -> Result<(), RestoreError> {
        for wanted in record.subscriptions {
            if raftmq_mqtt::topic::validate_filter(&wanted.filter).is_err() {
                return Err(RestoreError::Record(format!(
                    "invalid topic filter {:?}",
                    wanted.filter
                )));
            }
            let subscription = Subscription {
                filter: self.subscribers.interned(&wanted.filter),
                share: (!wanted.share.is_empty()).then(|| wanted.share.as_str().into()),
                options: wanted.options as u8,
                id: wanted.id,
            };
            let added = self.sessions.update(&record.client_id, |session| {
                match session.find(&subscription.filter, subscription.share.as_deref()) {
                    Ok(_) => None,
                    Err(at) => {
                        session.subscriptions.insert(at, subscription.clone());
                        Some((session.client_id.clone(), session.node))
                    }
                }
            });
            let Some((client_id, node)) = added.flatten() else {
                return Err(RestoreError::Record(
                    "a subscription without its session".into(),
                ));
            };
            self.subscribers.add(&client_id, node, &subscription, false);
        }
        Ok(())
    }
}

impl Frozen {
    /// Index of the last log entry in it.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    fn head(&self) -> TableHead {
        TableHead {
            applied_index: self.applied_index,
            removed_raft_ids: self.removed.clone(),
        }
    }

    /// Shows every record, section by section and in no particular order within one.
    pub(super) fn for_each_record(&self, mut visit: impl FnMut(u8, &[u8])) {
        let head = self.head();
        visit(kind::HEAD, &head.encode_to_vec());
        for node in &self.nodes {
            visit(kind::NODES, &stored_node(node).encode_to_vec());
        }
        for session in self.sessions.iter().flat_map(|shard| shard.values()) {
            visit(kind::SESSIONS, &stored_session(session).encode_to_vec());
            for part in stored_subscriptions(session) {
                visit(kind::SUBSCRIPTIONS, &part.encode_to_vec());
            }
        }
        for message in self.retained.iter().flat_map(|shard| shard.values()) {
            visit(kind::RETAINED, &message.encode_to_vec());
        }
        for ban in self.bans.iter() {
            visit(kind::BANS, &ban.stored().encode_to_vec());
        }
        for delayed in self.delayed.iter().flat_map(|shard| shard.values()) {
            visit(kind::DELAYED, &delayed.stored().encode_to_vec());
        }
    }

    /// Writes the table, in an order that depends on its content alone.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT_VERSION.to_le_bytes())?;
        let head = self.head();
        section(out, kind::HEAD, [head].into_iter())?;
        section(out, kind::NODES, self.nodes.iter().map(stored_node))?;
        section(
            out,
            kind::SESSIONS,
            in_order(&self.sessions).map(stored_session),
        )?;
        section(
            out,
            kind::SUBSCRIPTIONS,
            in_order(&self.sessions).flat_map(stored_subscriptions),
        )?;
        section(out, kind::RETAINED, in_order(&self.retained).cloned())?;
        // Versions that know of no bans can read the snapshot while there are none.
        if !self.bans.is_empty() {
            section(out, kind::BANS, self.bans.iter().map(|ban| ban.stored()))?;
        }
        // The same for delayed messages.
        if self.delayed.iter().any(|shard| !shard.is_empty()) {
            let delayed = in_order(&self.delayed).map(DelayedMessage::stored);
            section(out, kind::DELAYED, delayed)?;
        }
        section(out, kind::END, std::iter::empty::<TableHead>())
    }
}

fn in_order<K: Ord + Hash, T>(shards: &[Arc<FxHashMap<K, Arc<T>>>]) -> impl Iterator<Item = &T> {
    shards.iter().flat_map(|shard| {
        let mut keys: Vec<_> = shard.keys().collect();
        keys.sort_unstable();
        keys.into_iter()
            .filter_map(|key| shard.get(key))
            .map(Arc::as_ref)
    })
}

fn section<M: prost::Message>(
    out: &mut impl Write,
    kind: u8,
    records: impl Iterator<Item = M>,
) -> io::Result<()> {
    out.write_all(&[kind])?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[kind]);
    let mut bytes = Vec::new();
    for record in records {
        bytes.clear();
        record.encode(&mut bytes).map_err(io::Error::other)?;
        crc.update(&bytes);
        out.write_all(&(bytes.len() as u32).to_le_bytes())?;
        out.write_all(&bytes)?;
    }
    out.write_all(&END_OF_SECTION.to_le_bytes())?;
    out.write_all(&crc.finalize().to_le_bytes())
}

fn read_section(
    kind: u8,
    input: &mut impl Read,
    mut restore: impl FnMut(&[u8]) -> Result<(), RestoreError>,
) -> Result<(), RestoreError> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[kind]);
    let mut record = Vec::new();
    loop {
        match read_u32(input)? {
            END_OF_SECTION => break,
            length if length > RECORD_BYTES_MAX => {
                return Err(RestoreError::Record(format!("a record of {length} bytes")));
            }
            length => {
                record.clear();
                // Memory grows with what is really there, not with what the length claims.
                let read = input
                    .by_ref()
                    .take(u64::from(length))
                    .read_to_end(&mut record)?;
                if read < length as usize {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                crc.update(&record);
                restore(&record)?;
            }
        }
    }
    if read_u32(input)? != crc.finalize() {
        return Err(RestoreError::Checksum(kind));
    }
    Ok(())
}

fn read_u32(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn stored_node((id, entry): &(NodeId, NodeEntry)) -> TableNode {
    TableNode {
        node_id: id.0,
        incarnation: entry.incarnation,
        is_up: entry.is_up,
        name: entry.name.to_string(),
        rpc_address: entry.rpc_address.to_string(),
        version: entry.version.to_string(),
        since_ms: entry.since_ms,
        last_seq: entry.last_seq,
        drain: entry.drain.map(|drain| v1::Drain {
            clients_per_second: drain.clients_per_second,
            since_ms: drain.since_ms,
        }),
        server_reference: entry.server_reference.to_string(),
        raft_id: entry.raft_id,
    }
}

fn stored_session(session: &Session) -> TableSession {
    TableSession {
        client_id: session.client_id.to_string(),
        node_id: session.node.0,
        epoch: session.epoch.0,
        connected: session.connected,
        clean_start: session.clean_start,
        session_present: session.session_present,
        expiry_seconds: session.expiry_seconds,
        created_at_ms: session.created_at_ms,
        disconnected_at_ms: session.disconnected_at_ms,
        disconnected_reason: session.disconnected_reason.to_string(),
        attributes: Some(session.attributes.clone()),
        will: session.will.clone(),
        will_due_ms: session.will_due_ms,
        in_memory: session.in_memory,
    }
}

fn session_of(stored: TableSession) -> Session {
    Session {
        client_id: stored.client_id.into(),
        node: NodeId(stored.node_id),
        epoch: super::Epoch(stored.epoch),
        connected: stored.connected,
        clean_start: stored.clean_start,
        session_present: stored.session_present,
        expiry_seconds: stored.expiry_seconds,
        in_memory: stored.in_memory,
        created_at_ms: stored.created_at_ms,
        disconnected_at_ms: stored.disconnected_at_ms,
        disconnected_reason: stored.disconnected_reason.into(),
        attributes: stored.attributes.unwrap_or_default(),
        will: stored.will,
        will_due_ms: stored.will_due_ms,
        subscriptions: Vec::new(),
    }
}

fn stored_subscriptions(session: &Session) -> impl Iterator<Item = TableSubscriptions> {
    session
        .subscriptions
        .chunks(SUBSCRIPTIONS_PER_RECORD)
        .map(|chunk| TableSubscriptions {
            client_id: session.client_id.to_string(),
            subscriptions: chunk
                .iter()
                .map(|s| v1::Subscription {
                    filter: s.filter.to_string(),
                    share: s.share.as_deref().unwrap_or_default().to_owned(),
                    options: u32::from(s.options),
                    id: s.id,
                })
                .collect(),
        })
}
