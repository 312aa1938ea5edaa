use std::collections::HashMap;
use std::ops::{Index, IndexMut};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::named_indices;

named_indices! {
    /// A counter that only grows. The index of its value is `metric as usize`.
    ///
    /// Each thing is counted once in the cluster, by the node where it happens; what happens to a node that is
    /// down (its sessions end) is counted by another one.
    ///
    /// `messages.*` are counted by where a message comes from: `.custom` an MQTT client, `.admin`
    /// the HTTP API, `.system` a `$SYS` topic, `.lastwill` a Will, `.retain` a retained message
    /// sent to a new subscription, `.bridge` a bridge; the bare name is the sum.
    Metric {
        /// Clients let in without a username.
        ClientAuthAnonymous = "client.auth.anonymous",
        /// Clients refused because they gave no username.
        ClientAuthAnonymousError = "client.auth.anonymous.error",
        /// Authentications tried.
        ClientAuthenticate = "client.authenticate",
        /// CONNACK packets sent.
        ClientConnack = "client.connack",
        /// CONNACK packets sent that refuse for a wrong name or password or a missing right.
        ClientConnackAuthError = "client.connack.auth.error",
        /// CONNACK packets sent that refuse, for any reason.
        ClientConnackError = "client.connack.error",
        /// CONNACK packets sent that refuse because the node does not serve.
        ClientConnackUnavailableError = "client.connack.unavailable.error",
        /// CONNECT packets received.
        ClientConnect = "client.connect",
        /// Connections established.
        ClientConnected = "client.connected",
        /// Established connections that ended.
        ClientDisconnected = "client.disconnected",
        /// Connections that sent no CONNECT in time.
        ClientHandshakingTimeout = "client.handshaking.timeout",
        /// PUBLISH refused by an access rule.
        ClientPublishAuthError = "client.publish.auth.error",
        /// Access rules asked for a PUBLISH.
        ClientPublishCheckAcl = "client.publish.check.acl",
        /// QoS 2 PUBLISH received again and not routed again.
        ClientPublishDuplicate = "client.publish.duplicate",
        /// PUBLISH that could not be accepted or kept, for any reason.
        ClientPublishError = "client.publish.error",
        /// Topic filters asked for, in SUBSCRIBE packets or for a client by the HTTP API.
        ClientSubscribe = "client.subscribe",
        /// Topic filters refused by an access rule.
        ClientSubscribeAuthError = "client.subscribe.auth.error",
        /// Access rules asked for a topic filter.
        ClientSubscribeCheckAcl = "client.subscribe.check.acl",
        /// Topic filters refused, for any reason.
        ClientSubscribeError = "client.subscribe.error",
        /// Clients that were not read from for a while because they sent more than they may.
        ClientThrottled = "client.throttled",
        /// Topic filters in UNSUBSCRIBE packets, or of the HTTP API for a client.
        ClientUnsubscribe = "client.unsubscribe",
        /// Connections that had to wait because more came in a second than a listener accepts.
        ListenerConnectionsDelayed = "listener.connections.delayed",
        /// Connections closed at once because there were as many as there may be.
        ListenerConnectionsRefused = "listener.connections.refused",
        /// Connections that ended in the handshake of TLS or WebSocket, or with a wrong PROXY header.
        ListenerHandshakeError = "listener.handshake.error",
        /// PUBACK and PUBREC received.
        MessagesAcked = "messages.acked",
        /// See the enum.
        MessagesAckedAdmin = "messages.acked.admin",
        /// See the enum.
        MessagesAckedBridge = "messages.acked.bridge",
        /// See the enum.
        MessagesAckedCustom = "messages.acked.custom",
        /// See the enum.
        MessagesAckedLastwill = "messages.acked.lastwill",
        /// See the enum.
        MessagesAckedRetain = "messages.acked.retain",
        /// See the enum.
        MessagesAckedSystem = "messages.acked.system",
        /// Messages sent to clients. One that is repeated after a reconnect counts once.
        MessagesDelivered = "messages.delivered",
        /// See the enum.
        MessagesDeliveredAdmin = "messages.delivered.admin",
        /// See the enum.
        MessagesDeliveredBridge = "messages.delivered.bridge",
        /// See the enum.
        MessagesDeliveredCustom = "messages.delivered.custom",
        /// See the enum.
        MessagesDeliveredLastwill = "messages.delivered.lastwill",
        /// See the enum.
        MessagesDeliveredRetain = "messages.delivered.retain",
        /// See the enum.
        MessagesDeliveredSystem = "messages.delivered.system",
        /// Messages dropped: offline with QoS 0, queue full, client too slow, expired, too large for the
        /// client, still in the queue of a session that ended, on the way to a node that went down.
        MessagesDropped = "messages.dropped",
        /// Messages dropped because their Message Expiry Interval had passed; part of messages.dropped, as the next four.
        MessagesDroppedExpired = "messages.dropped.expired",
        /// Messages with QoS 0 dropped because the client was offline.
        MessagesDroppedOffline = "messages.dropped.offline",
        /// Messages dropped because the session's queue was full.
        MessagesDroppedQueueFull = "messages.dropped.queue_full",
        /// Messages with QoS 0 dropped because the client read slower than they arrived.
        MessagesDroppedSlowReader = "messages.dropped.slow_reader",
        /// Messages dropped because they were larger than the client's Maximum Packet Size.
        MessagesDroppedTooLarge = "messages.dropped.too_large",
        /// Messages published for which there was no subscription.
        MessagesNonsubscribed = "messages.nonsubscribed",
        /// See the enum.
        MessagesNonsubscribedAdmin = "messages.nonsubscribed.admin",
        /// See the enum.
        MessagesNonsubscribedBridge = "messages.nonsubscribed.bridge",
        /// See the enum.
        MessagesNonsubscribedCustom = "messages.nonsubscribed.custom",
        /// See the enum.
        MessagesNonsubscribedLastwill = "messages.nonsubscribed.lastwill",
        /// See the enum.
        MessagesNonsubscribedSystem = "messages.nonsubscribed.system",
        /// Messages published.
        MessagesPublish = "messages.publish",
        /// See the enum.
        MessagesPublishAdmin = "messages.publish.admin",
        /// See the enum.
        MessagesPublishBridge = "messages.publish.bridge",
        /// See the enum.
        MessagesPublishCustom = "messages.publish.custom",
        /// See the enum.
        MessagesPublishLastwill = "messages.publish.lastwill",
        /// See the enum.
        MessagesPublishRetain = "messages.publish.retain",
        /// See the enum.
        MessagesPublishSystem = "messages.publish.system",
        /// Sessions created.
        SessionCreated = "session.created",
        /// Sessions that a client came back to, on whichever node.
        SessionResumed = "session.resumed",
        /// Subscriptions made or replaced.
        SessionSubscribed = "session.subscribed",
        /// Sessions ended, for whatever reason; expiry, takeover and the death of a node included.
        SessionTerminated = "session.terminated",
        /// Subscriptions removed by UNSUBSCRIBE or by the HTTP API.
        SessionUnsubscribed = "session.unsubscribed",
    }
}

/// The values of all metrics of one node, or their sums over several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics([u64; Metric::COUNT]);

impl Default for Metrics {
    fn default() -> Self {
        Self([0; Metric::COUNT])
    }
}

impl From<[u64; Metric::COUNT]> for Metrics {
    fn from(values: [u64; Metric::COUNT]) -> Self {
        Self(values)
    }
}

impl Index<Metric> for Metrics {
    type Output = u64;
    fn index(&self, metric: Metric) -> &u64 {
        &self.0[metric as usize]
    }
}

impl IndexMut<Metric> for Metrics {
    fn index_mut(&mut self, metric: Metric) -> &mut u64 {
        &mut self.0[metric as usize]
    }
}

impl Metrics {
    /// Adds the values of another node (or shard). Saturates.
    pub fn add(&mut self, other: &Metrics) {
        for (sum, value) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(value);
        }
    }

    /// By name, as peers exchange them.
    pub(crate) fn to_named(&self) -> HashMap<String, u64> {
        let named = |m: &Metric| (m.name().to_owned(), self[*m]);
        Metric::ALL.iter().map(named).collect()
    }

    /// From names: those that this version does not know are skipped, missing ones are 0.
    pub(crate) fn from_named(values: &HashMap<String, u64>) -> Self {
        let mut metrics = Metrics::default();
        for metric in Metric::ALL {
            metrics[*metric] = values.get(metric.name()).copied().unwrap_or(0);
        }
        metrics
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Metric::COUNT))?;
        for metric in Metric::ALL {
            map.serialize_entry(metric.name(), &self[*metric])?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_sent_in_the_order_of_their_names() {
        assert!(Metric::ALL.windows(2).all(|w| w[0].name() < w[1].name()));
    }

    #[test]
    fn all_metrics_are_sent_also_when_they_are_zero() {
        let json = serde_json::to_value(Metrics::default()).unwrap();
        assert_eq!(json.as_object().unwrap().len(), Metric::COUNT);
        assert_eq!(json["client.connack.unavailable.error"], 0);
    }

    #[test]
    fn names_of_another_version_are_skipped_and_missing_ones_are_zero() {
        let peer = HashMap::from([("messages.publish".into(), 7), ("of.tomorrow".into(), 9)]);
        let metrics = Metrics::from_named(&peer);
        assert_eq!(metrics[Metric::MessagesPublish], 7);
        assert_eq!(metrics[Metric::SessionCreated], 0);
    }

    #[test]
    fn metrics_survive_the_way_to_a_peer() {
        let mut metrics = Metrics::default();
        metrics[Metric::ClientConnect] = 3;
        metrics[Metric::MessagesAckedBridge] = u64::MAX;
        assert_eq!(Metrics::from_named(&metrics.to_named()), metrics);
    }

    #[test]
    fn a_sum_saturates() {
        let mut sum = Metrics::from([u64::MAX; Metric::COUNT]);
        sum.add(&Metrics::from([1; Metric::COUNT]));
        assert_eq!(sum[Metric::ClientConnect], u64::MAX);
    }
}
