//! What waits in a session's queue goes on: when its client comes back, when its window has room again, when its
//! socket takes more.

use super::{
    Shard, deliver::count_dropped, ledger::Ledger, noticing::PumpedNotice, slots::SlotKey,
    telling::drop_name,
};
use crate::{
    counting::{self, ShardCounters},
    journal::record::Record,
};
use raftmq_mqtt::{
    codec::QoS,
    session::{DropReason, Pumped},
};

/// Messages of a queue that could not be sent any more.
#[derive(Default)]
struct QueueDrops {
    count: u64,
    /// Why the last one was dropped: told for all of them.
    last: Option<DropReason>,
}

impl QueueDrops {
    fn add(&mut self, pumped: Pumped<'_>) {
        if let Pumped::Dropped(reason, _) | Pumped::Forgone(reason, _) = pumped {
            self.count += 1;
            self.last = Some(reason);
        }
    }
}

impl Shard {
    /// A client came back: repeats what is under way and goes on with its queue.
    /// [MQTT-4.4.0-1]
    pub(super) fn resume_deliveries(&mut self, key: SlotKey) {
        let now_ms = self.clock.unix_ms();
        let noting = self.wants_pumped();
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Some(connection) = slot.connection.as_deref_mut() else {
            return;
        };
        let mut dropped = QueueDrops::default();
        let mut noted = Vec::new();
        let (counters, ledger, journaled) = (&self.counters, &mut self.ledger, slot.journaled);
        let before = connection.out.len();
        slot.session
            .outbound
            .resume(&mut connection.wire(), now_ms, &mut self.fanout, |pumped| {
                dropped.add(pumped);
                note_pumped(&mut noted, noting, pumped);
                count_pumped(counters, pumped);
                record_pumped(ledger, journaled, pumped);
            });
        // What is repeated may have been recorded only just now, on the connection before.
        if journaled.is_some() {
            self.hold_output(key, before);
        }
        self.tell_queue_drops(key, dropped);
        self.note_pumped(key, noted);
    }

    /// The window has room again, or the socket took what waited: goes on with the queue.
    pub(super) fn pump(&mut self, key: SlotKey) {
        let now_ms = self.clock.unix_ms();
        let noting = self.wants_pumped();
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if !slot.session.outbound.has_waiting() {
            return;
        }
        let Some(connection) = slot.connection.as_deref_mut() else {
            return;
        };
        let mut dropped = QueueDrops::default();
        let mut noted = Vec::new();
        let (counters, ledger, journaled) = (&self.counters, &mut self.ledger, slot.journaled);
        let before = connection.out.len();
        let mut has_to_wait = false;
        slot.session
            .outbound
            .pump(&mut connection.wire(), now_ms, &mut self.fanout, |pumped| {
                dropped.add(pumped);
                note_pumped(&mut noted, noting, pumped);
                count_pumped(counters, pumped);
                has_to_wait |= record_pumped(ledger, journaled, pumped);
            });
        if has_to_wait {
            self.hold_output(key, before);
        }
        if journaled.is_some() {
            self.output.wake();
        }
        self.tell_queue_drops(key, dropped);
        self.note_pumped(key, noted);
        self.mark_dirty(key);
    }

    fn tell_queue_drops(&mut self, key: SlotKey, dropped: QueueDrops) {
        if let Some(reason) = dropped.last {
            self.tell_drops(key, None, reason, dropped.count);
        }
    }
}

fn count_pumped(counters: &ShardCounters, pumped: Pumped<'_>) {
    match pumped {
        Pumped::Sent(_, waiting) => {
            counters.add(counting::delivered(waiting.message().origin()), 1);
        }
        Pumped::Dropped(reason, _) | Pumped::Forgone(reason, _) => {
            count_dropped(counters, reason, 1);
        }
    }
}

/// Records what left the queue. Whether it must not be sent before: a packet identifier of QoS 2 that is
/// forgotten would be given to another message, which the client would take for a repeat.
fn record_pumped(ledger: &mut Ledger, journaled: Option<u64>, pumped: Pumped<'_>) -> bool {
    let Some(session) = journaled else {
        return false;
    };
    match pumped {
        Pumped::Sent(_, waiting) if waiting.qos() == QoS::AtMostOnce => {
            let number = waiting.number();
            ledger.record(&Record::Done { session, number });
            false
        }
        // The client may know the identifier until PUBREL has reached it.
        Pumped::Forgone(_, waiting) => {
            let number = waiting.number();
            ledger.record(&Record::Released { session, number });
            true
        }
        Pumped::Sent(packet_id, waiting) => {
            let number = waiting.number();
            ledger.record(&Record::Sent {
                session,
                number,
                packet_id,
            });
            waiting.qos() == QoS::ExactlyOnce
        }
        Pumped::Dropped(_, waiting) => {
            let number = waiting.number();
            ledger.record(&Record::Done { session, number });
            false
        }
    }
}

fn note_pumped(noted: &mut Vec<PumpedNotice>, noting: bool, pumped: Pumped<'_>) {
    if !noting {
        return;
    }
    let (packet_id, waiting, dropped) = match pumped {
        Pumped::Sent(packet_id, waiting) => (packet_id, waiting, None),
        Pumped::Dropped(reason, waiting) | Pumped::Forgone(reason, waiting) => {
            (0, waiting, Some(drop_name(reason)))
        }
    };
    noted.push(PumpedNotice {
        waiting: waiting.clone(),
        packet_id,
        dropped,
    });
}
