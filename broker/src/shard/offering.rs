//! One message offered to one session, and what is to be written down of that.

use super::{ledger::Ledger, slots::Slot};
use crate::journal::record::Record;
use raftmq_mqtt::{
    codec::QoS,
    fanout::Fanout,
    session::{Delivery, DropReason, Offer, Outbound, Waiting},
};

/// What became of a delivery.
pub(super) enum Offered {
    /// Sent; the connection has become one to be written this turn.
    Dirty,
    /// Sent or queued.
    Taken,
    /// Queued, and this message was dropped for it.
    Displaced(Box<Waiting>),
    Dropped(DropReason),
}

/// Offers to one session, and counts what is sent.
pub(super) fn offer(
    slot: &mut Slot,
    message: &mut Fanout<'_, '_>,
    delivery: Delivery<'_>,
    ledger: &mut Ledger,
    delivered: &mut u64,
) -> Offered {
    let Slot {
        session,
        connection,
        journaled,
        ..
    } = slot;
    let before = connection.as_ref().map_or(0, |c| c.out.len());
    let mut wire = connection.as_deref_mut().map(|c| c.wire());
    let offered = session.outbound.offer(wire.as_mut(), message, delivery);
    if let Some(number) = *journaled {
        keep(ledger, number, &session.outbound, &offered, delivery);
        if offered == Offer::Sent
            && delivery.qos == QoS::ExactlyOnce
            && let Some(connection) = connection.as_deref_mut()
        {
            // Its packet identifier must not be forgotten once the client knows it.
            connection.hold(before, ledger.next_position());
        }
    }
    match offered {
        Offer::Sent => {
            *delivered += 1;
            let was_dirty = connection
                .as_deref_mut()
                .is_none_or(|connection| std::mem::replace(&mut connection.dirty, true));
            if was_dirty {
                Offered::Taken
            } else {
                Offered::Dirty
            }
        }
        Offer::Queued => Offered::Taken,
        Offer::Displaced(waiting) => Offered::Displaced(waiting),
        Offer::Dropped(reason) => Offered::Dropped(reason),
    }
}

/// Stages what a journaled session has taken, and what it has dropped for that. QoS 0 promises nothing, and
/// is not written.
fn keep(
    ledger: &mut Ledger,
    session: u64,
    outbound: &Outbound,
    offered: &Offer,
    delivery: Delivery<'_>,
) {
    if let Offer::Displaced(waiting) = offered {
        let number = waiting.number();
        ledger.record(&Record::Done { session, number });
    }
    let packet_id = match offered {
        Offer::Sent => outbound.last_packet_id(),
        Offer::Queued | Offer::Displaced(_) => 0,
        Offer::Dropped(_) => return,
    };
    if delivery.qos != QoS::AtMostOnce {
        ledger.deliver(session, outbound, packet_id, delivery);
    }
}
