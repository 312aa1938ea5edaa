//! What the replicated table tells the shard about its sessions.

use super::{Shard, slots::SlotKey};
use raftmq_api::event::ClaimName;
use raftmq_mqtt::codec::ReasonCode;
use std::sync::Arc;

/// A change in the table that concerns a session which this node had.
#[derive(Clone, Debug)]
pub(crate) struct SessionEvent {
    pub client_id: Arc<str>,
    /// The epoch under which this node had it.
    pub epoch: u64,
    pub change: SessionChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionChange {
    /// A later claim on this node: the connection is replaced, the session stays.
    TakenHere { by: ClaimName },
    /// A claim on another node: the session moves there.
    TakenAway { by: ClaimName },
    /// A claim on another node that begins anew: nobody will ask for what the session leaves behind.
    Replaced { by: ClaimName },
    /// An administrator ended the connection; the session goes on.
    SentAway,
    /// The session ended.
    Ended { by_administrator: bool },
}

impl Shard {
    pub(super) fn session_event(&mut self, event: SessionEvent) {
        let Some(key) = self.slots.find(&event.client_id) else {
            return;
        };
        match event.change {
            SessionChange::TakenHere { by } => self.taken_here(key, event.epoch, by),
            SessionChange::TakenAway { by } => self.taken_away(key, event.epoch, by),
            SessionChange::Replaced { by } => self.replaced(key, event.epoch, by),
            SessionChange::SentAway => self.connection_ended(key, event.epoch),
            SessionChange::Ended { by_administrator } => {
                self.ended(key, event.epoch, by_administrator)
            }
        }
    }

    fn taken_here(&mut self, key: SlotKey, epoch: u64, by: ClaimName) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.lost_epoch = slot.lost_epoch.max(epoch);
        if slot.epoch == epoch {
            self.tell_taken_over(key, epoch, by);
            self.drop_connection(key, ReasonCode::SessionTakenOver);
        }
    }

    fn taken_away(&mut self, key: SlotKey, epoch: u64, by: ClaimName) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.lost_epoch = slot.lost_epoch.max(epoch);
        // A claim of ours that won and lost before we heard of it is dealt with when we do.
        if slot.epoch > epoch || (slot.epoch < epoch && slot.claims > 0) {
            return;
        }
        self.tell_taken_over(key, epoch, by);
        self.drop_connection(key, ReasonCode::SessionTakenOver);
        self.depart(key, epoch);
        self.remove_if_unused(key);
    }

    fn replaced(&mut self, key: SlotKey, epoch: u64, by: ClaimName) {
        if self.slots.get(key).is_some_and(|slot| slot.epoch <= epoch) {
            self.tell_taken_over(key, epoch, by);
        }
        self.ended(key, epoch, false);
    }

    /// A claim whose client has not been answered yet finds out itself; see `banning`.
    fn connection_ended(&mut self, key: SlotKey, epoch: u64) {
        if self.slots.get(key).is_some_and(|slot| slot.epoch == epoch) {
            self.drop_connection(key, ReasonCode::AdministrativeAction);
        }
    }

    fn ended(&mut self, key: SlotKey, epoch: u64, by_administrator: bool) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.lost_epoch = slot.lost_epoch.max(epoch);
        if slot.epoch > epoch {
            return;
        }
        let reason = match by_administrator {
            true => ReasonCode::AdministrativeAction,
            false => ReasonCode::SessionTakenOver,
        };
        self.drop_connection(key, reason);
        self.remove_if_unused(key);
    }
}
