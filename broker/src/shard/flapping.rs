//! Connections that ended abnormally, told to the plugin that looks for clients which come and go all the
//! time. Whom it wants banned is banned by an entry of the log, on all nodes.

use super::{Shard, slots::SlotKey, wall_clock_ms};
use crate::connect;
use raftmq_mqtt::codec::ReasonCode;
use raftmq_store::table::{Ban, BanOf, Outcome};
use std::{sync::Arc, time::Duration};

impl Shard {
    /// A connection of this client was lost, or the broker had to end it.
    pub(super) fn watch_flapping(&self, key: SlotKey) {
        let Some(detector) = self.extensions.get().flapping.as_ref() else {
            return;
        };
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        // What the broker's own clients do is nobody's attack.
        if connect::is_reserved(&slot.client_id) {
            return;
        }
        if let Some(time) = detector.connection_ended(&slot.client_id, self.clock.now) {
            self.ban_flapping(slot.client_id.clone(), time);
        }
    }

    /// The same for a connection that the broker ended, if it was its client's doing.
    pub(super) fn watch_flapping_after(&self, key: SlotKey, reason: ReasonCode) {
        if is_clients_doing(reason) {
            self.watch_flapping(key);
        }
    }

    fn ban_flapping(&self, client_id: Arc<str>, time: Duration) {
        let at_ms = wall_clock_ms();
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let ban = Ban {
            of: BanOf::Client,
            who: client_id,
            by: "rmqtt-flapping-detect".into(),
            reason: "its connections break all the time".into(),
            at_ms,
            until_ms: Some(at_ms.saturating_add(time_ms)),
        };
        let engine = self.engine.clone();
        tokio::task::spawn_local(async move {
            match engine.propose(ban.order()).await {
                Ok(Outcome::BanSet) => {
                    tracing::info!(client_id = &*ban.who, "banned: {}", ban.reason);
                }
                // It will be counted anew.
                other => tracing::warn!(client_id = &*ban.who, ?other, "could not be banned"),
            }
        });
    }
}

/// Whether the broker ended the connection because of what the client did.
fn is_clients_doing(reason: ReasonCode) -> bool {
    !matches!(
        reason,
        ReasonCode::AdministrativeAction
            | ReasonCode::QuotaExceeded
            | ReasonCode::ServerBusy
            | ReasonCode::ServerMoved
            | ReasonCode::ServerShuttingDown
            | ReasonCode::ServerUnavailable
            | ReasonCode::UseAnotherServer
    )
}
