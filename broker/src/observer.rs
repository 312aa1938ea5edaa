//! Carries what the replicated table decides to the shards, in the order of the log.
//!
//! Called by the store while it applies entries, so it only sorts events into mailboxes.

use crate::takeovers::Takeovers;
use crate::{
    counting::ShardCounters,
    events::{Notice, NoticeKind, What},
    gauges::Gauges,
    plugin::ExtensionsCell,
    shard::{
        events::{SessionChange, SessionEvent},
        mailbox::{Mail, Mailbox},
        shard_of, wall_clock_ms,
    },
};
use raftmq_api::{
    counters::Metric,
    event::{ClaimName, EventClient},
};
use raftmq_mqtt::publication::Origin;
use raftmq_proto::v1;
use raftmq_store::{
    Observer, Phase,
    table::{Countable, Counts, EndReason, Session, TableEvent},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Notify;

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
    pub links: Arc<crate::link::Links>,
    /// Counts what the table does once for the cluster.
    pub counters: Arc<ShardCounters>,
    /// Rung when delayed messages are to be published.
    pub delayed_due: Arc<Notify>,
    /// Shows how much the table holds.
    pub gauges: Gauges,
    /// Which plugins want to be told.
    pub(crate) extensions: Arc<ExtensionsCell>,
}

/// Why a session ended, for people.
fn why_ended(session: &Session, reason: EndReason) -> String {
    match reason {
        EndReason::Expired if session.expiry_seconds == 0 => {
            session.disconnected_reason.to_string()
        }
        EndReason::Expired => "the session expired".to_owned(),
        EndReason::CleanStart => "its client began anew".to_owned(),
        EndReason::Administrator => "ended by an administrator".to_owned(),
        EndReason::NodeDown => "its node is down".to_owned(),
    }
}

impl Observer for TableObserver {
    fn applied(&mut self, _index: u64, events: &[TableEvent], phase: Phase) {
        for event in events {
            // Wills of a time when this node had no clients have been delivered and counted by the
            // others.
            let is_past = matches!(event, TableEvent::WillDue(_) | TableEvent::Counted { .. });
            if phase == Phase::CatchingUp && is_past {
                continue;
            }
            if phase == Phase::Live {
                self.count_takeover(event);
            }
            self.event(event);
        }
    }

    fn measured(&mut self, counts: Counts) {
        self.gauges.set_table(counts);
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
                epoch,
                goes_on,
                ..
            } if u64::from(*previous_node) == self.node_id => {
                let by = ClaimName {
                    node_id: (*node).into(),
                    epoch: (*epoch).into(),
                };
                let change = match (by.node_id == self.node_id, goes_on) {
                    (true, _) => SessionChange::TakenHere { by },
                    (false, true) => SessionChange::TakenAway { by },
                    (false, false) => SessionChange::Replaced { by },
                };
                self.session(client_id, (*previous_epoch).into(), change);
            }
            TableEvent::SessionTaken {
                client_id,
                previous_node,
                epoch,
                goes_on: true,
                ..
            } => {
                if let Some(link) = self.links.find((*previous_node).into()) {
                    link.session_left(client_id, epoch.index());
                }
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
            TableEvent::Disconnected {
                client_id,
                node,
                epoch,
            } if u64::from(*node) == self.node_id => {
                self.session(client_id, (*epoch).into(), SessionChange::SentAway);
            }
            TableEvent::WillDue(message) => self.deliver_will(message),
            TableEvent::DelayedDue => self.delayed_due.notify_one(),
            TableEvent::NodeDown { node, .. } => self.node_down((*node).into()),
            TableEvent::Counted { by, what } if u64::from(*by) == self.node_id => self.count(what),
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

    fn count(&self, what: &Countable) {
        match what {
            Countable::SessionCreated(session) => {
                self.counters.add(Metric::SessionCreated, 1);
                let created_at_ms = session.created_at_ms;
                let what = What::SessionCreated { created_at_ms };
                self.note(session, NoticeKind::SessionCreated, what);
            }
            Countable::SessionResumed => self.counters.add(Metric::SessionResumed, 1),
            Countable::SessionTerminated { session, reason } => {
                self.counters.add(Metric::SessionTerminated, 1);
                let reason = why_ended(session, *reason);
                let what = What::SessionTerminated { reason };
                self.note(session, NoticeKind::SessionTerminated, what);
            }
            Countable::WillPublished(message) => {
                let message = message.clone();
                let shard = shard_of(&message.client_id, self.mailboxes.len());
                self.mailboxes[shard.index()].put(Mail::Run(Box::new(move |shard| {
                    shard.borrow_mut().count_will(&message);
                })));
            }
        }
    }

    /// Tells plugins about a session, by the shard of its client, which keeps the order.
    fn note(&self, session: &Session, kind: NoticeKind, what: What) {
        if !self.extensions.current().listeners.have(kind) {
            return;
        }
        let attributes = &session.attributes;
        let client = EventClient {
            client_id: session.client_id.clone(),
            username: Some(&*attributes.username)
                .filter(|name| !name.is_empty())
                .map(Into::into),
            peer: attributes.peer_address.parse().ok(),
        };
        let notice = Notice {
            node_id: session.node.into(),
            at_ms: wall_clock_ms(),
            client: Some(client),
            what,
        };
        let shard = shard_of(&session.client_id, self.mailboxes.len());
        self.mailboxes[shard.index()].put(Mail::Run(Box::new(move |shard| {
            shard.borrow_mut().take_notice(notice);
        })));
    }

    fn node_down(&self, node: u64) {
        if let Some(link) = self.links.find(node) {
            link.peer_is_down();
        }
    }
}
