//! The live side of a node of the tests: what it tells to those who listen, and its clock.

use std::sync::Arc;

use raftmq_api::event::{Event, EventClient, EventKind, Told};
use tokio::sync::broadcast;

use crate::world::CONNECTED_AT_MS;

/// What a node tells to all who listen now.
pub struct Events(broadcast::Sender<Told>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(64).0)
    }
}

impl Events {
    /// Tells that a client is connected.
    pub fn connected(&self, node_id: u64, client_id: &str) {
        let client = EventClient {
            client_id: client_id.into(),
            username: None,
            peer: Some(([10, 0, 0, 9], 10_839).into()),
        };
        let kind = EventKind::Connected {
            protocol_version: 5,
            session_present: false,
            epoch: 7,
        };
        let at_ms = CONNECTED_AT_MS;
        let event = Event {
            node_id,
            at_ms,
            client,
            kind,
        };
        let _ = self.0.send(Told::Event(Arc::new(event)));
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Told> {
        self.0.subscribe()
    }

    /// Tells that events were left out.
    pub fn skipped(&self, count: u64) {
        let _ = self.0.send(Told::Skipped(count));
    }
}

/// The clock of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clock {
    /// Always [`CONNECTED_AT_MS`].
    #[default]
    Standing,
    /// That of the machine.
    Running,
}

impl Clock {
    pub fn now_ms(self) -> u64 {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        match self {
            Self::Standing => CONNECTED_AT_MS,
            Self::Running => since_1970.unwrap().as_millis() as u64,
        }
    }
}
