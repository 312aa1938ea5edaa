//! The packet identifier of a PUBLISH with QoS 1 or 2: new, or one that is under way.

use super::{Shard, slots::SlotKey};
use raftmq_api::counters::Metric;
use raftmq_mqtt::{
    codec::{Publish, QoS, ReasonCode, Version},
    session::Acceptance,
};

/// What is known of the packet identifier of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identifier {
    /// It is new, or QoS 0 has none: the message goes on.
    Fresh,
    /// The message was taken before, or its connection is gone.
    Known,
}

impl Shard {
    /// Notes the packet identifier of a QoS 1 or 2 PUBLISH, unless it is under way already: then the client
    /// is answered as it was, or will be.
    pub(super) fn accept_identifier(
        &mut self,
        key: SlotKey,
        publish: &Publish<'_>,
    ) -> Result<Identifier, ReasonCode> {
        if publish.qos == QoS::AtMostOnce {
            return Ok(Identifier::Fresh);
        }
        let packet_id = publish.packet_id.map_or(0, |id| id.get());
        let Some(slot) = self.slots.get_mut(key) else {
            return Ok(Identifier::Known);
        };
        let Some(connection) = slot.connection.as_deref_mut() else {
            return Ok(Identifier::Known);
        };
        let receive_maximum = connection.listener.settings.max_inflight;
        let inbound = &mut slot.session.inbound;
        if connection.version == Version::V5
            && inbound.exceeds(publish.qos, packet_id, receive_maximum)
        {
            return Err(ReasonCode::ReceiveMaximumExceeded);
        }
        let (is_journaled, before) = (slot.journaled.is_some(), connection.out.len());
        match inbound.accept(publish.qos, packet_id, &mut connection.wire()) {
            Acceptance::Route => Ok(Identifier::Fresh),
            Acceptance::Repeated | Acceptance::UnderWay => {
                self.counters.add(Metric::ClientPublishDuplicate, 1);
                if is_journaled {
                    self.hold_output(key, before);
                }
                self.mark_dirty(key);
                Ok(Identifier::Known)
            }
        }
    }
}
