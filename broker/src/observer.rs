//! Carries what the replicated table decides to the shards, in the order of the log.
//!
//! Called by the store while it applies entries, so it only sorts events into mailboxes.

use crate::shard::{
    events::{SessionChange, SessionEvent},
    mailbox::{Mail, Mailbox},
    shard_of,
};
use crate::takeovers::Takeovers;
use raftmq_mqtt::publication::Origin;
use raftmq_proto::v1;
use raftmq_store::{
    Observer, Phase,
    table::{EndReason, TableEvent},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The node's ears.
pub struct TableObserver {
    /// This node.
    pub node_id: u64,
    /// Entrances of the shards.
    pub mailboxes: Vec<Arc<Mailbox>>,
    /// Counts the node's lives; see `Engine::life`.
    pub lives: Arc<AtomicU64>,
    /// Counts what is taken over from connected clients.
    pub takeovers: Arc<Takeovers>,
    /// Told which other nodes go down.
    pub links: Vec<Arc<crate::link::Link>>,
}

impl Observer for TableObserver {
    fn applied(&mut self, _index: u64, events: &[TableEvent], phase: Phase) {
        for event in events {
            // Wills of a time when this node had no clients have been delivered by the others.
            if phase == Phase::CatchingUp && matches!(event, TableEvent::WillDue(_)) {
                continue;
            }
            if phase == Phase::Live {
                self.count_takeover(event);
            }
            self.event(event);
        }
    }

    fn table_replaced(&mut self) {
        // Sessions that others took while this node was behind are found out by their epochs: the
        // shards' next proposals are refused, and the routes are read from the new table.
        tracing::debug!("the replicated table was read anew");
        self.lost_life();
    }

    fn lost_life(&mut self) {
        self.lives.fetch_add(1, Ordering::AcqRel);
        for mailbox in &self.mailboxes {
            mailbox.put(Mail::LostLife);
        }
    }
}

impl TableObserver {
    fn count_takeover(&self, event: &TableEvent) {
        if let TableEvent::SessionTaken {
            client_id,
            was_connected: true,
            ..
        } = event
        {
            self.takeovers.count(client_id);
        }
    }

    fn event(&self, event: &TableEvent) {
        match event {
            TableEvent::SessionTaken {
                client_id,
                previous_node,
                previous_epoch,
                node,
                ..
            } if u64::from(*previous_node) == self.node_id => {
                let here = u64::from(*node) == self.node_id;
                let change = if here {
                    SessionChange::TakenHere
                } else {
                    SessionChange::TakenAway
                };
                self.session(client_id, (*previous_epoch).into(), change);
            }
            TableEvent::SessionEnded {
                client_id,
                node,
                epoch,
                reason,
            } if u64::from(*node) == self.node_id => {
                let by_administrator = *reason == EndReason::Administrator;
                self.session(
                    client_id,
                    (*epoch).into(),
                    SessionChange::Ended { by_administrator },
                );
            }
            TableEvent::WillDue(message) => self.deliver_will(message),
            TableEvent::NodeDown { node, .. } => self.node_down((*node).into()),
            _ => {}
        }
    }

    fn session(&self, client_id: &Arc<str>, epoch: u64, change: SessionChange) {
        let shard = shard_of(client_id, self.mailboxes.len());
        let event = SessionEvent {
            client_id: client_id.clone(),
            epoch,
            change,
        };
        self.mailboxes[shard.index()].put(Mail::Session(event));
    }

    /// Every node delivers a will to its own subscribers when it applies the entry, so the cluster
    /// as a whole publishes it exactly once (guarantee G5).
    fn deliver_will(&self, message: &v1::Message) {
        let Some(publication) = crate::shard::publication_of(message, Origin::Will) else {
            return;
        };
        for mailbox in &self.mailboxes {
            let mut frames = Vec::with_capacity(publication.frame_len());
            publication.append_to(&mut frames);
            mailbox.put(Mail::Publications {
                frames,
                routed_at: u64::MAX,
                gate: None,
            });
        }
    }

    fn node_down(&self, node: u64) {
        for link in self.links.iter().filter(|link| link.peer() == node) {
            link.peer_is_down();
        }
    }
}
