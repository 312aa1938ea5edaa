//! The shard's sessions, by place and by client identifier.

use super::connection::Connection;
use raftmq_mqtt::session::Session;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Place of a session in its shard. A place is used again; the generation tells who is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotKey {
    index: u32,
    generation: u32,
}

/// One session of this node, connected or not.
pub(crate) struct Slot {
    pub client_id: Arc<str>,
    /// The epoch under which this node owns the session; 0 before the first claim is decided.
    pub epoch: u64,
    /// The highest epoch that another claim has ended: a claim that is decided later than it was
    /// lost must not come to life.
    pub lost_epoch: u64,
    /// CONNECTs of this client that are under way. The slot stays while there are any.
    pub claims: u32,
    /// The state of the session is being fetched from the node that had it.
    pub importing: bool,
    /// When the session was created, Unix milliseconds: tells it from another one of its client; 0: not
    /// known.
    pub created_at_ms: u64,
    /// Its number in the journal; `None`: it ends with the process.
    pub journaled: Option<u64>,
    /// Session Expiry Interval in seconds; 0: the session ends with its connection.
    pub expiry_seconds: u32,
    pub session: Session,
    pub connection: Option<Box<Connection>>,
}

impl Slot {
    /// A session of which nothing is known but its client.
    pub fn new(client_id: Arc<str>, session: Session) -> Slot {
        Slot {
            client_id,
            epoch: 0,
            lost_epoch: 0,
            claims: 0,
            importing: false,
            created_at_ms: 0,
            journaled: None,
            expiry_seconds: 0,
            session,
            connection: None,
        }
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Slots {
    slots: Vec<Entry>,
    free: Vec<u32>,
    by_client: FxHashMap<Arc<str>, SlotKey>,
    connected: usize,
}

struct Entry {
    generation: u32,
    slot: Option<Box<Slot>>,
}

impl Slots {
    pub fn find(&self, client_id: &str) -> Option<SlotKey> {
        self.by_client.get(client_id).copied()
    }

    pub fn get(&self, key: SlotKey) -> Option<&Slot> {
        let entry = self.slots.get(key.index as usize)?;
        entry
            .slot
            .as_deref()
            .filter(|_| entry.generation == key.generation)
    }

    pub fn get_mut(&mut self, key: SlotKey) -> Option<&mut Slot> {
        let entry = self.slots.get_mut(key.index as usize)?;
        entry
            .slot
            .as_deref_mut()
            .filter(|_| entry.generation == key.generation)
    }

    pub fn insert(&mut self, slot: Slot) -> SlotKey {
        let client_id = slot.client_id.clone();
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Entry {
                    generation: 0,
                    slot: None,
                });
                (self.slots.len() - 1) as u32
            }
        };
        let entry = &mut self.slots[index as usize];
        entry.slot = Some(Box::new(slot));
        let key = SlotKey {
            index,
            generation: entry.generation,
        };
        self.by_client.insert(client_id, key);
        key
    }

    pub fn remove(&mut self, key: SlotKey) -> Option<Box<Slot>> {
        let entry = self.slots.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let slot = entry.slot.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(key.index);
        self.by_client.remove(&slot.client_id);
        if slot.connection.is_some() {
            self.connected -= 1;
        }
        Some(slot)
    }

    /// Puts a connection into the slot and returns the one that was there.
    pub fn connect(
        &mut self,
        key: SlotKey,
        connection: Box<Connection>,
    ) -> Option<Box<Connection>> {
        let previous = self.get_mut(key)?.connection.replace(connection);
        if previous.is_none() {
            self.connected += 1;
        }
        previous
    }

    /// Takes the connection out of the slot.
    pub fn disconnect(&mut self, key: SlotKey) -> Option<Box<Connection>> {
        let connection = self.get_mut(key)?.connection.take();
        if connection.is_some() {
            self.connected -= 1;
        }
        connection
    }

    pub fn iter(&self) -> impl Iterator<Item = (SlotKey, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(index, entry)| {
            let key = SlotKey {
                index: index as u32,
                generation: entry.generation,
            };
            Some((key, entry.slot.as_deref()?))
        })
    }

    pub fn keys(&self) -> Vec<SlotKey> {
        self.iter().map(|(key, _)| key).collect()
    }

    pub fn connected(&self) -> usize {
        self.connected
    }
}
