//! What a dry run of a publication asks a shard: whose turn it is, and how its sessions would take it.

use super::Shard;
use crate::plugin::{Access, Judgement};
use std::sync::Arc;

/// A client and the filters of its subscriptions that bring it a message.
pub type Receiver = (Arc<str>, Vec<Arc<str>>);

/// How a session would take a message now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reception {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Whether the client is connected.
    pub connected: bool,
    /// It reads slower than its messages arrive.
    pub slow: bool,
    /// Deliveries under way, and how many there may be.
    pub inflight: usize,
    /// See `inflight`.
    pub inflight_max: u16,
    /// Messages that wait behind them.
    pub queue: usize,
    /// What would be said if it subscribed to one of its filters now: the one that would be denied, or else
    /// the first. Absent: it is not connected.
    pub(crate) subscribe: Option<(Arc<str>, Judgement)>,
}

impl Shard {
    /// The turn that a publication on this topic would get in its share groups. A topic that nothing was
    /// published on begins at 0.
    pub fn turn(&mut self, topic: &str) -> usize {
        self.cache.get(topic).map_or(0, |route| route.next_turn())
    }

    /// How these sessions would take a message. One that has no place here yet would get an empty one.
    pub fn receptions(&mut self, clients: Vec<Receiver>) -> Vec<Reception> {
        self.extensions.refresh();
        let receptions = clients
            .into_iter()
            .map(|(client_id, filters)| self.reception(client_id, &filters));
        receptions.collect()
    }

    /// What would be said if this client published on the topic now; `None`: it is not connected here.
    pub(crate) fn judged_publisher(&mut self, client_id: &str, topic: &str) -> Option<Judgement> {
        self.extensions.refresh();
        let key = self.slots.find(client_id)?;
        self.judgement(key, Access::Publish(topic))
    }

    fn judged_subscriber(
        &self,
        client_id: &str,
        filters: &[Arc<str>],
    ) -> Option<(Arc<str>, Judgement)> {
        let key = self.slots.find(client_id)?;
        let judged = filters.iter().filter_map(|filter| {
            let judgement = self.judgement(key, Access::Subscribe(filter))?;
            Some((filter.clone(), judgement))
        });
        let judged: Vec<_> = judged.collect();
        let denied = judged.iter().find(|(_, judgement)| judgement.denies());
        denied.or(judged.first()).cloned()
    }

    fn reception(&mut self, client_id: Arc<str>, filters: &[Arc<str>]) -> Reception {
        let subscribe = self.judged_subscriber(&client_id, filters);
        let inflight_max = self.engine.settings.max_inflight;
        let key = self.slots.find(&client_id);
        let Some(slot) = key.and_then(|key| self.slots.get_mut(key)) else {
            return Reception {
                client_id,
                inflight_max,
                ..Reception::default()
            };
        };
        let (inflight, queue) = (
            slot.session.outbound.inflight_len(),
            slot.session.outbound.queue_len(),
        );
        let connection = slot.connection.as_deref_mut();
        let window = connection.as_deref().map(|connection| connection.window);
        Reception {
            client_id,
            connected: connection.is_some(),
            slow: connection.is_some_and(|connection| connection.wire().is_congested()),
            inflight,
            inflight_max: window.unwrap_or(inflight_max),
            queue,
            subscribe,
        }
    }
}
