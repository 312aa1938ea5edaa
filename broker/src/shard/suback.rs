//! SUBACK (MQTT 5 §3.9): what a SUBSCRIBE is answered, filter by filter, and when it is not answered at all.

use super::{
    Shard,
    connection::Connection,
    slots::SlotKey,
    subscribe::{Entry, Request},
};
use raftmq_mqtt::{
    codec::{Diagnostics, QoS, ReasonCode, Subscribe},
    topic,
};

impl Request {
    /// The table does not take it: none of its filters is subscribed.
    pub fn refuse(&mut self, reason: ReasonCode) {
        for entry in self.entries.iter_mut().filter(|e| e.subscription.is_ok()) {
            entry.subscription = Err(reason);
        }
    }
}

impl Shard {
    /// A client of MQTT 5 has been told what is not offered: to ask for it all the same is a protocol error
    /// (§3.2.2.3.11 to §3.2.2.3.13).
    pub(super) fn not_offered(&self, subscribe: &Subscribe<'_>) -> Option<ReasonCode> {
        let settings = &self.engine.settings;
        let identifier = subscribe.subscription_identifier;
        if identifier.is_some() && !settings.subscription_identifier_available {
            return Some(ReasonCode::SubscriptionIdentifiersNotSupported);
        }
        let filters = subscribe.filters.iter();
        filters
            .filter_map(|wanted| topic::SharedFilter::parse(wanted.filter).ok())
            .find_map(|filter| settings.not_offered(&filter))
    }

    /// The acknowledgement of a request is larger than the client's Maximum Packet Size: it would wait for
    /// it for ever.
    pub(super) fn cannot_acknowledge(&mut self, key: SlotKey) {
        let why = "the acknowledgement exceeds the client's Maximum Packet Size";
        self.close(key, ReasonCode::PacketTooLarge, why);
    }
}

/// What a person is told when a filter is refused [MQTT-3.1.2-29].
pub(super) fn diagnostics<'a>(connection: &Connection, codes: &[ReasonCode]) -> Diagnostics<'a> {
    let failed = codes.iter().find(|code| code.is_failure());
    let text = failed.map(|code| match code {
        ReasonCode::NotAuthorized => "not allowed to subscribe to this",
        ReasonCode::TopicFilterInvalid => "no topic filter, or one with too many levels",
        ReasonCode::QuotaExceeded => "too many subscriptions, or too long ones together",
        _ => "refused",
    });
    Diagnostics {
        reason_string: text.and_then(|text| connection.reason_string(text)),
        ..Diagnostics::default()
    }
}

pub(super) fn reason_code(entry: &Entry) -> ReasonCode {
    match &entry.subscription {
        Err(reason) => *reason,
        Ok(_) => match entry.options.qos {
            QoS::AtMostOnce => ReasonCode::Success,
            QoS::AtLeastOnce => ReasonCode::GrantedQos1,
            QoS::ExactlyOnce => ReasonCode::GrantedQos2,
        },
    }
}
