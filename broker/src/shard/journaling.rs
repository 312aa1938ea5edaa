//! Which sessions are journaled, and what is done when the journal gets on.
//!
//! A session is journaled when it outlives its connection, and the listener of its latest CONNECT does not say
//! `sessions = "memory"`. Any other ends with the process anyway, and costs the journal nothing.

use super::{
    Shard, ShardRef,
    deferred::Part,
    ledger::{Frames, Wait},
    mailbox::{Gate, Mail},
    slots::{Slot, SlotKey},
};
use crate::{
    config::Durability,
    journal::record::{Name, Record, Role},
};
use std::time::Duration;

/// Bytes that a shard stages at once for a checkpoint.
const SLICE_BYTES: usize = 256 * 1024;
/// Pause between two slices, in which the shard does its work.
const SLICE_PAUSE: Duration = Duration::from_millis(2);

pub(super) fn name_of(slot: &Slot) -> Name<'_> {
    Name {
        client_id: &slot.client_id,
        epoch: slot.epoch,
        created_at_ms: slot.created_at_ms,
    }
}

impl Shard {
    /// The session is durable: from now on it is journaled.
    pub(super) fn begin_journal(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.journaled.is_none() {
            slot.journaled = self.ledger.begin();
            self.record_state(key);
        }
    }

    /// All of the session is to be written, by a claim of this durability.
    pub(super) fn journal_all(&mut self, key: SlotKey, durability: Durability) {
        match self.slots.get(key).map(|slot| slot.journaled) {
            Some(None) if durability == Durability::Disk => self.begin_journal(key),
            _ => self.record_state(key),
        }
    }

    /// Writes all of the session, if it is journaled.
    pub(super) fn record_state(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        let Some(number) = slot.journaled else {
            return;
        };
        let frames = &mut Frames::default();
        self.ledger
            .state(number, name_of(slot), Role::Session, &slot.session, frames);
        self.output.wake();
    }

    /// A claim of this node's has been won, and its expiry is in force. What was durable until now and is not
    /// any more is taken off the disk: the next start must not find it.
    pub(super) fn journal_claim(
        &mut self,
        key: SlotKey,
        session_present: bool,
        durability: Durability,
    ) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if durability == Durability::Memory {
            let journaled = slot.journaled.take();
            self.record_ended(journaled);
            return;
        }
        if self.ledger.journal().is_none() {
            return;
        }
        let table = self.engine.store.table().read();
        let session = table.session(&slot.client_id);
        slot.created_at_ms = session.map_or(0, |session| session.created_at_ms);
        drop(table);
        match slot.journaled {
            Some(session) if session_present => {
                let record = Record::Claimed {
                    session,
                    epoch: slot.epoch,
                    created_at_ms: slot.created_at_ms,
                };
                self.ledger.record(&record);
                self.output.wake();
            }
            Some(_) => self.record_state(key),
            None => self.begin_journal(key),
        }
    }

    /// The session is not this node's any more, or is no more.
    pub(super) fn record_ended(&mut self, journaled: Option<u64>) {
        if let Some(session) = journaled {
            self.ledger.record(&Record::Ended { session });
            self.output.wake();
        }
    }

    /// A delivery is over. Nobody waits for that: at worst it is repeated with DUP.
    pub(super) fn record_done(&mut self, key: SlotKey, number: u64) {
        if let Some(session) = self.slots.get(key).and_then(|slot| slot.journaled) {
            self.ledger.record(&Record::Done { session, number });
            self.output.wake();
        }
    }

    /// What the connection has been given from `before` on must not be sent before everything that has
    /// been staged is on the disk.
    pub(super) fn hold_output(&mut self, key: SlotKey, before: usize) {
        let position = self.ledger.position();
        if position <= self.ledger.durable() {
            return;
        }
        let slot = self.slots.get_mut(key);
        if let Some(connection) = slot.and_then(|slot| slot.connection.as_deref_mut()) {
            connection.hold(before, position);
        }
    }

    /// Publications from elsewhere have been delivered; `kept_before`: as the ledger was then.
    pub(super) fn taken(&mut self, gate: Gate, kept_before: u64) {
        let wait = Wait::Gate(gate);
        if self.ledger.kept() != kept_before || self.ledger.is_waited_for() {
            self.ledger.wait(wait);
            self.output.wake();
        } else {
            self.proceed(wait);
        }
    }

    /// More of what was handed over is on the disk.
    pub(super) fn journal_moved(&mut self) {
        let durable = self.ledger.durable();
        while let Some(wait) = self.ledger.pop_done(durable) {
            self.proceed(wait);
        }
        for key in self.ledger.take_held() {
            self.mark_dirty(key);
        }
    }

    fn proceed(&mut self, wait: Wait) {
        match wait {
            Wait::Publish(waiting) => self.deferred_part(waiting, Part::Kept),
            Wait::Gate(Gate::Link(gate)) => gate.taken(),
            Wait::Gate(Gate::Shard { from, upto }) => {
                let by = self.id;
                self.engine.mailboxes[from.index()].put(Mail::Taken { by, upto });
            }
            Wait::Checkpoint => {
                if let Some(journal) = self.ledger.journal() {
                    journal.checkpointed();
                }
            }
            Wait::Imported(told) => {
                let _ = told.send(());
            }
            Wait::Returned { peer, upto } => self.give_up(peer, upto),
        }
    }

    /// Waits in order behind what has been staged until now.
    pub(super) fn after_journal(&mut self, wait: Wait) {
        if let Some(wait) = self.ledger.wait_if_behind(wait) {
            self.proceed(wait);
        }
        self.output.wake();
    }

    /// One of the states that a checkpoint is made of.
    fn record_slot(&mut self, key: SlotKey, frames: &mut Frames) {
        if let Some(slot) = self.slots.get(key)
            && let Some(number) = slot.journaled
        {
            self.ledger
                .state(number, name_of(slot), Role::Session, &slot.session, frames);
        }
    }

    /// Those that have no slot. They are few, and written at once.
    fn record_others(&mut self, frames: &mut Frames) {
        let Shard {
            ledger,
            departed,
            owed,
            ..
        } = self;
        for ((client_id, epoch), departed) in departed.iter() {
            if let Some(number) = departed.journaled {
                let name = Name {
                    client_id,
                    epoch: *epoch,
                    created_at_ms: departed.created_at_ms,
                };
                ledger.state(number, name, Role::Session, &departed.session, frames);
            }
        }
        for (client_id, owed) in owed.iter() {
            ledger.state(
                owed.journaled,
                owed.name(client_id),
                Role::Owed,
                &owed.session,
                frames,
            );
        }
    }
}

/// Writes the states of all sessions once more, in slices.
pub(super) async fn checkpoint(shard: ShardRef) {
    let mut frames = Frames::default();
    let mut keys = shard.borrow().slots.keys().into_iter();
    loop {
        {
            let mut shard = shard.borrow_mut();
            shard.begin_turn();
            while shard.ledger.staged_bytes() < SLICE_BYTES {
                let Some(key) = keys.next() else {
                    shard.record_others(&mut frames);
                    shard.after_journal(Wait::Checkpoint);
                    return;
                };
                shard.record_slot(key, &mut frames);
            }
            shard.output.wake();
        }
        tokio::time::sleep(SLICE_PAUSE).await;
    }
}
