//! A shard: one single-threaded runtime with its connections and their sessions.
//!
//! A client identifier belongs to one shard of its node (by hash), so a session is owned by one
//! thread and needs no lock, also while it is offline. Everything that happens to it arrives here:
//! bytes from its socket, publications from other shards and nodes, events of the replicated table.
//!
//! One turn of the loop: tasks whose sockets are readable decode packets in place and append to the
//! out-buffers of this shard's subscribers, to one buffer per other shard and to one buffer per link;
//! the flusher, woken by the first of them, runs behind the tasks that are ready and writes each
//! buffer once. So the cost of a system call, a lock or a wake-up is shared by all messages of a turn.
//!
//! | room | concern |
//! | --- | --- |
//! | [`accept`], [`opening`], [`handshake`], [`screening`], [`banning`], [`exchange`], [`admit`], [`claiming`], [`connack`] | from a socket to an owned session |
//! | [`drive`], [`packets`] | bytes to packets, packets to what they do |
//! | [`publish`], [`delaying`], [`deliver`], [`offering`], [`pumping`], [`deferred`] | messages in, messages out, acknowledgements that wait |
//! | [`ledger`], [`journaling`], [`recovery`] | what sessions are owed, on disk and back |
//! | [`owed`] | messages kept for sessions of other nodes |
//! | [`subscribe`], [`suback`], [`auto_subscribe`] | SUBSCRIBE and UNSUBSCRIBE, and what every client gets |
//! | [`permission`] | what plugins say about what a client does |
//! | [`depart`], [`events`], [`away`] | ends of connections and sessions, and moves to other nodes |
//! | [`releasing`] | what a client said here before it went elsewhere |
//! | [`flapping`] | clients whose connections break all the time |
//! | [`telling`], [`noticing`] | what listeners to the node's events, and plugins, are told |
//! | [`flush`], [`sweep`] | once a turn, once a second |

mod accept;
mod admit;
mod auto_subscribe;
mod away;
mod banning;
mod claiming;
mod connack;
mod connection;
mod deferred;
mod delaying;
mod deliver;
mod depart;
mod drive;
pub(crate) mod events;
mod exchange;
mod explain;
mod flapping;
mod flush;
mod handshake;
mod identifier;
mod inspect;
mod journaling;
mod ledger;
pub mod mailbox;
mod noticing;
mod offering;
mod opening;
mod owed;
mod packets;
mod permission;
mod publish;
mod pumping;
mod recovery;
mod releasing;
mod runtime;
mod screening;
mod slots;
mod suback;
mod subscribe;
mod sweep;
mod telling;
mod transfer;

use crate::{
    counting::ShardCounters,
    engine::Engine,
    events::{DropTally, Notice},
    link::LinkList,
    plugin::ExtensionsView,
    router::TopicCache,
    settings::Settings,
};
use connection::ConnectionId;
use raftmq_mqtt::fanout::Scratch;
use slots::{SlotKey, Slots};
use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Arc,
    task::Waker,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

pub use away::DrainLoad;
pub use deferred::PublishOutcome;
pub use explain::Reception;
pub(crate) use handshake::Arrival;
pub use inspect::{LiveSession, Load, SubscribeRefusal};
pub(crate) use inspect::{
    subscribe as subscribe_in_session, unsubscribe as unsubscribe_in_session,
};
pub(crate) use releasing::hear_out_client;
pub use runtime::{Doors, ShardThreads, start};
pub(crate) use subscribe::publication_of;
pub(crate) use transfer::{forget_session, hand_out_session};

/// Number of a shard within its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardId(pub u16);

impl ShardId {
    /// Place in arrays that have one entry per shard.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Which shard of a node owns a client identifier. Every thread of the node computes the same.
pub fn shard_of(client_id: &str, shards: usize) -> ShardId {
    use std::hash::{Hash, Hasher};
    let mut hasher = rustc_hash::FxHasher::default();
    client_id.hash(&mut hasher);
    // The upper bits are the well-mixed ones of this hash.
    let spread = (hasher.finish() >> 32) as usize;
    ShardId((spread % shards.max(1)) as u16)
}

/// What the tasks of one shard share. Never borrowed across an await.
pub(crate) type ShardRef = Rc<RefCell<Shard>>;

/// One shard's state; lives on its thread.
pub struct Shard {
    id: ShardId,
    engine: Arc<Engine>,
    /// The shard itself, for tasks that outlive a call.
    me: Weak<RefCell<Shard>>,
    counters: Arc<ShardCounters>,
    slots: Slots,
    cache: TopicCache<publish::Route>,
    extensions: ExtensionsView,
    /// States of sessions that moved to another node, until that node asks for them.
    departed: HashMap<(Arc<str>, u64), transfer::Departed>,
    releasing: releasing::Releasing,
    /// What other nodes' sessions get from this one.
    owed: owed::AllOwed,
    ledger: ledger::Ledger,
    /// Sessions that were recovered have been compared with the table.
    is_reconciled: bool,
    deferred: deferred::DeferredPublishes,
    /// The links as of this turn, by place.
    links: LinkList,
    output: flush::Output,
    /// Drops that listeners are told of with the next sweep.
    drops: DropTally,
    /// What plugins are told at the end of the turn.
    notices: Vec<Arc<Notice>>,
    /// Connections whose input waits for a lease, a link or a shard.
    paused: Vec<(SlotKey, ConnectionId)>,
    pause_ticker: Option<Waker>,
    /// Buffer that sockets are read into, one for all connections.
    read_buffer: Vec<u8>,
    fanout: Scratch,
    clock: CoarseClock,
    last_connection_id: u64,
    lease_lost_at: Option<Instant>,
    stopping: bool,
    /// Some listener's clients may not use as many levels of topics as there can be.
    limits_levels: bool,
}

/// Time as of the beginning of the current turn.
struct CoarseClock {
    started: Instant,
    now: Instant,
    /// Unix milliseconds at `started`, refreshed by the sweep.
    wall_base_ms: u64,
}

impl CoarseClock {
    fn new() -> CoarseClock {
        let now = Instant::now();
        CoarseClock {
            started: now,
            now,
            wall_base_ms: wall_clock_ms(),
        }
    }

    fn tick(&mut self) {
        self.now = Instant::now();
    }

    fn refresh_wall(&mut self) {
        self.tick();
        self.wall_base_ms = wall_clock_ms() - self.since_start_ms();
    }

    fn since_start_ms(&self) -> u64 {
        self.now.duration_since(self.started).as_millis() as u64
    }

    fn unix_ms(&self) -> u64 {
        self.wall_base_ms + self.since_start_ms()
    }

    /// Seconds since the shard started, for keep alive.
    fn seconds(&self) -> u32 {
        self.now.duration_since(self.started).as_secs() as u32
    }
}

/// The wall clock in Unix milliseconds.
pub(crate) fn wall_clock_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

/// Bytes read from a socket at once.
const READ_BUFFER_BYTES: usize = 256 * 1024;

impl Shard {
    fn new(id: ShardId, engine: Arc<Engine>) -> Shard {
        Shard {
            id,
            counters: engine.counters.shard(id),
            cache: TopicCache::new(engine.store.table().clone()),
            extensions: ExtensionsView::new(engine.extensions.clone()),
            me: Weak::new(),
            output: flush::Output::new(&engine),
            owed: owed::AllOwed::new(),
            ledger: ledger::Ledger::new(engine.journal.clone(), id),
            is_reconciled: false,
            deferred: deferred::DeferredPublishes::new(engine.mailboxes.len()),
            links: LinkList::default(),
            slots: Slots::default(),
            drops: DropTally::default(),
            notices: Vec::new(),
            departed: HashMap::new(),
            releasing: releasing::Releasing::default(),
            paused: Vec::new(),
            pause_ticker: None,
            read_buffer: vec![0; READ_BUFFER_BYTES],
            fanout: Scratch::default(),
            clock: CoarseClock::new(),
            last_connection_id: 0,
            lease_lost_at: None,
            stopping: false,
            limits_levels: engine.limits_levels(),
            engine,
        }
    }

    /// What a client goes by: its listener's settings, or those of `mqtt` when it is not connected.
    fn settings_of(&self, key: SlotKey) -> &Settings {
        let slot = self.slots.get(key);
        let connection = slot.and_then(|slot| slot.connection.as_deref());
        connection.map_or(&self.engine.settings, |c| &c.listener.settings)
    }

    /// What a turn of the loop begins with.
    fn begin_turn(&mut self) {
        self.clock.tick();
        if self.extensions.is_stale() {
            // What has happened is told to those who wanted it then.
            self.hand_over_notices();
            self.extensions.refresh();
        }
        self.refresh_links();
    }

    /// A link may have been made since.
    fn refresh_links(&mut self) {
        if self.links.len() < self.engine.links.count() {
            self.links = self.engine.links.list();
            self.output.grow(self.links.len());
            self.deferred.grow(self.links.len());
        }
    }

    /// Place of the link to a node.
    fn place_of_link(&mut self, node: u64) -> usize {
        let known = self.links.iter().position(|link| link.peer() == node);
        known.unwrap_or_else(|| {
            let place = self.engine.links.place_of(node);
            self.refresh_links();
            place
        })
    }
}
