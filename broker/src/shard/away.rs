//! Clients that are sent to other nodes, and what a forecast of that asks.

use super::{Shard, depart::End};

/// What a drain of this shard is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainLoad {
    /// Clients connected.
    pub clients: u64,
    /// Those of them whose sessions outlive their connections.
    pub persistent_clients: u64,
    /// Sessions whose clients are not connected.
    pub offline_sessions: u64,
    /// Those of them that hold messages.
    pub offline_with_messages: u64,
    /// How many messages these hold.
    pub offline_messages: u64,
}

impl Shard {
    /// Tells up to `count` clients to go to another node; how many it were. Their sessions wait for
    /// them here, and move when they come back elsewhere.
    pub fn send_away(&mut self, count: usize) -> usize {
        self.begin_turn();
        let connected = self.slots.iter().filter(|(_, s)| s.connection.is_some());
        let keys: Vec<_> = connected.map(|(key, _)| key).take(count).collect();
        let engine = self.engine.clone();
        for key in &keys {
            let server_reference = engine
                .draining
                .next_server(&engine.store, engine.node_id.into());
            self.end_connection(*key, End::SentAway { server_reference });
        }
        keys.len()
    }

    /// How many clients and sessions there are, and what those hold that stay behind.
    pub fn drain_load(&self) -> DrainLoad {
        let mut load = DrainLoad::default();
        for (_, slot) in self.slots.iter().filter(|(_, slot)| slot.epoch != 0) {
            if slot.connection.is_some() {
                load.clients += 1;
                load.persistent_clients += u64::from(slot.expiry_seconds > 0);
                continue;
            }
            let outbound = &slot.session.outbound;
            let messages = (outbound.inflight_len() + outbound.queue_len()) as u64;
            load.offline_sessions += 1;
            load.offline_with_messages += u64::from(messages > 0);
            load.offline_messages += messages;
        }
        load
    }
}

impl std::ops::Add for DrainLoad {
    type Output = DrainLoad;

    fn add(self, other: DrainLoad) -> DrainLoad {
        DrainLoad {
            clients: self.clients + other.clients,
            persistent_clients: self.persistent_clients + other.persistent_clients,
            offline_sessions: self.offline_sessions + other.offline_sessions,
            offline_with_messages: self.offline_with_messages + other.offline_with_messages,
            offline_messages: self.offline_messages + other.offline_messages,
        }
    }
}
