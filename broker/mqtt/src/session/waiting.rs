//! A delivery with QoS 1 or 2, from the queue to its acknowledgement.

use super::outbound::Delivery;
use crate::{
    codec::{QoS, SubscriptionIdentifier},
    publication::Stored,
};

/// Where a delivery with QoS 1 or 2 stands.
#[derive(Clone, Debug)]
pub enum InflightState {
    /// PUBLISH sent, not acknowledged: repeated after a reconnect [MQTT-4.4.0-1].
    /// [MQTT-4.3.2-3]
    Published(Waiting),
    /// PUBREC received: PUBREL is repeated after a reconnect.
    /// [MQTT-4.3.3-5], [MQTT-4.3.3-6]
    Released,
}

impl InflightState {
    /// The delivery, if it is not acknowledged.
    pub(super) fn published(self) -> Option<Waiting> {
        match self {
            InflightState::Published(waiting) => Some(waiting),
            InflightState::Released => None,
        }
    }
}

/// A stored publication and how it is to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub(super) message: Stored,
    pub(super) number: u64,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) subscription_ids: Option<Box<[SubscriptionIdentifier]>>,
}

impl Waiting {
    /// What is delivered.
    pub fn message(&self) -> &Stored {
        &self.message
    }

    /// Number of the delivery in its session.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// QoS of the delivery.
    pub fn qos(&self) -> QoS {
        self.qos
    }

    /// RETAIN flag of the delivery.
    pub fn retain(&self) -> bool {
        self.retain
    }

    /// Subscription identifiers of the delivery.
    pub fn subscription_ids(&self) -> &[SubscriptionIdentifier] {
        self.subscription_ids.as_deref().unwrap_or(&[])
    }

    pub(super) fn delivery(&self) -> Delivery<'_> {
        Delivery {
            qos: self.qos,
            retain: self.retain,
            subscription_ids: self.subscription_ids(),
        }
    }
}
