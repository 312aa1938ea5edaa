use std::collections::HashMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::named_indices;

named_indices! {
    /// A gauge with its highest value. The index of both is `stat as usize`.
    Stat {
        /// Clients connected.
        Connections = "connections",
        /// Messages held back by `$delayed/…`.
        DelayedPublishs = "delayed_publishs",
        /// Messages handed to the links that the other nodes have not taken yet.
        Forwards = "forwards",
        /// Connections that have not yet been answered with a CONNACK.
        Handshakings = "handshakings",
        /// Those of them whose CONNECT is being worked on.
        HandshakingsActive = "handshakings_active",
        /// CONNECT packets per second, over the last second.
        HandshakingsRate = "handshakings_rate",
        /// QoS 2 publishes received and not yet released.
        InInflights = "in_inflights",
        /// Bytes on disk of what sessions are owed.
        JournalBytes = "journal_bytes",
        /// Messages waiting in sessions' queues.
        MessageQueues = "message_queues",
        /// Messages kept for sessions of other nodes.
        MessageStorages = "message_storages",
        /// Deliveries sent and not yet acknowledged.
        OutInflights = "out_inflights",
        /// Retained messages. Sent as `retained` and `retaineds`: the two generations of the API.
        Retained = "retained",
        /// (topic filter, node) pairs.
        Routes = "routes",
        /// Sessions, connected or not.
        Sessions = "sessions",
        /// Subscriptions, shared ones included.
        Subscriptions = "subscriptions",
        /// Shared subscriptions.
        SubscriptionsShared = "subscriptions_shared",
        /// Different topic filters.
        Topics = "topics",
    }
}

/// How the values of several nodes become the one of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summation {
    /// Each node counts its own.
    Add,
    /// Every node counts all of the cluster's; the highest is the freshest.
    Highest,
}

impl Stat {
    /// How `GET /stats/sum` treats it.
    pub const fn summation(self) -> Summation {
        match self {
            Stat::Topics | Stat::Routes | Stat::Retained | Stat::DelayedPublishs => {
                Summation::Highest
            }
            _ => Summation::Add,
        }
    }

    /// The other generation's name.
    const fn alias(self) -> Option<&'static str> {
        match self {
            Stat::Retained => Some("retaineds"),
            _ => None,
        }
    }

    /// All names under which it is sent.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name()).chain(self.alias())
    }
}

/// The gauges of one node, or of several put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Current values, by `stat as usize`.
    pub count: [u64; Stat::COUNT],
    /// Highest values since the node started, by `stat as usize`.
    pub max: [u64; Stat::COUNT],
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            count: [0; Stat::COUNT],
            max: [0; Stat::COUNT],
        }
    }
}

impl Stats {
    /// Sets the current value and lifts the highest one to it.
    pub fn set(&mut self, stat: Stat, count: u64) {
        let i = stat as usize;
        self.count[i] = count;
        self.max[i] = self.max[i].max(count);
    }

    /// Takes in the values of another node, each by its [`Summation`].
    pub fn add(&mut self, other: &Stats) {
        for stat in Stat::ALL {
            let i = *stat as usize;
            let put = |a: u64, b: u64| match stat.summation() {
                Summation::Add => a.saturating_add(b),
                Summation::Highest => a.max(b),
            };
            self.count[i] = put(self.count[i], other.count[i]);
            self.max[i] = put(self.max[i], other.max[i]);
        }
    }

    /// By name: the current values, then the highest ones.
    pub(crate) fn to_named(&self) -> (HashMap<String, u64>, HashMap<String, u64>) {
        let named = |values: &[u64; Stat::COUNT]| {
            Stat::ALL
                .iter()
                .map(|s| (s.name().to_owned(), values[*s as usize]))
                .collect()
        };
        (named(&self.count), named(&self.max))
    }

    /// From names: those that this version does not know are skipped, missing ones are 0.
    pub(crate) fn from_named(count: &HashMap<String, u64>, max: &HashMap<String, u64>) -> Self {
        let mut stats = Stats::default();
        for stat in Stat::ALL {
            let value = |values: &HashMap<String, u64>| values.get(stat.name()).copied();
            stats.count[*stat as usize] = value(count).unwrap_or(0);
            stats.max[*stat as usize] = value(max).unwrap_or(0);
        }
        stats
    }
}

impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for stat in Stat::ALL {
            let i = *stat as usize;
            for name in stat.names() {
                map.serialize_entry(&format_args!("{name}.count").to_string(), &self.count[i])?;
                map.serialize_entry(&format_args!("{name}.max").to_string(), &self.max[i])?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_value_stays_when_the_current_one_falls() {
        let mut stats = Stats::default();
        stats.set(Stat::Connections, 5);
        stats.set(Stat::Connections, 2);
        assert_eq!(stats.count[Stat::Connections as usize], 2);
        assert_eq!(stats.max[Stat::Connections as usize], 5);
    }

    #[test]
    fn what_every_node_holds_in_full_is_not_added() {
        let mut one = Stats::default();
        one.set(Stat::Sessions, 3);
        one.set(Stat::Routes, 10);
        let mut sum = one.clone();
        sum.add(&one);
        assert_eq!(sum.count[Stat::Sessions as usize], 6);
        assert_eq!(sum.max[Stat::Sessions as usize], 6);
        assert_eq!(sum.count[Stat::Routes as usize], 10);
        assert_eq!(sum.max[Stat::Routes as usize], 10);
    }

    #[test]
    fn both_generations_names_of_retained_are_sent() {
        let mut stats = Stats::default();
        stats.set(Stat::Retained, 4);
        let json = serde_json::to_value(&stats).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 2 * (Stat::COUNT + 1));
        assert_eq!(json["retained.count"], 4);
        assert_eq!(json["retaineds.max"], 4);
        assert_eq!(json["delayed_publishs.count"], 0);
    }

    #[test]
    fn stats_survive_the_way_to_a_peer() {
        let mut stats = Stats::default();
        stats.set(Stat::Forwards, 9);
        stats.set(Stat::Forwards, 1);
        let (count, max) = stats.to_named();
        assert_eq!(Stats::from_named(&count, &max), stats);
    }
}
