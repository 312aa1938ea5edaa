//! A session (MQTT 5 §4.1): what outlives a connection.
//!
//! [`Outbound`] owns what the broker owes the client: deliveries under way (the inflight window) and
//! the queue behind it. [`Inbound`] owns what the client has sent and the broker has not finished:
//! acknowledgements that wait for other nodes, and the packet identifiers of QoS 2 publishes.
//! Neither has a clock or a socket: packets go into a [`Wire`], the outgoing half of the connection.
//!
//! Subscriptions are not here: the replicated table has them.

mod inbound;
mod inflight;
mod moving;
mod outbound;
mod queue;
mod waiting;
mod wire;

#[cfg(test)]
mod tests;

pub use inbound::{Acceptance, AckTicket, Inbound, Settled};
pub use moving::TransferredDelivery;
pub use outbound::{Delivery, DropReason, Offer, Outbound, Pumped};
pub use queue::{OutboundLimits, QueueDrop, QueuedQos0};
pub use waiting::{InflightState, Waiting};
pub use wire::Wire;

/// Both halves of a session.
#[derive(Debug)]
pub struct Session {
    /// Towards the client.
    pub outbound: Outbound,
    /// From the client.
    pub inbound: Inbound,
}

impl Session {
    /// A new, empty session.
    pub fn new(limits: OutboundLimits) -> Session {
        Session {
            outbound: Outbound::new(limits),
            inbound: Inbound::default(),
        }
    }

    /// A new session in the place of this one, which is returned. What others still have to answer of the old
    /// one finds nothing in the new one.
    pub fn begin_anew(&mut self, limits: OutboundLimits) -> Session {
        let mut new = Session::new(limits);
        new.inbound = self.inbound.successor();
        std::mem::replace(self, new)
    }
}
