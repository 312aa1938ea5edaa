//! What a shard does by the clock: keep alive, memory of idle connections, paused input, leases.

use super::{Shard, ShardRef, connection::ConnectionId, exchange::Authentication, slots::SlotKey};
use raftmq_mqtt::codec::ReasonCode;
use std::{task::Poll, time::Duration};
use tokio::time::MissedTickBehavior;

/// How often all sessions are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is tried whether paused connections can go on.
const PAUSE_POLL: Duration = Duration::from_millis(5);

/// The shard's task that looks at everything once a second, for ever.
pub(super) async fn sweeper(shard: ShardRef) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        shard.borrow_mut().sweep();
    }
}

/// The shard's task that lets paused connections go on, for ever.
pub(super) async fn resumer(shard: ShardRef) {
    loop {
        std::future::poll_fn(|cx| {
            let mut shard = shard.borrow_mut();
            if shard.paused.is_empty() {
                shard.pause_ticker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        tokio::time::sleep(PAUSE_POLL).await;
        shard.borrow_mut().resume_paused();
    }
}

impl Shard {
    fn sweep(&mut self) {
        self.clock.refresh_wall();
        self.check_lease();
        self.check_connections();
        self.reconcile();
        self.forget_departed();
        self.forward_owed();
        self.tell_noted_drops();
    }

    /// A node that has been without a lease for the grace period sends its clients away, so that they
    /// come back to the majority (guarantee G8).
    fn check_lease(&mut self) {
        if self.engine.lease.is_held() {
            self.lease_lost_at = None;
            return;
        }
        let since = *self.lease_lost_at.get_or_insert(self.clock.now);
        if self.clock.now.duration_since(since) < self.engine.settings.partition_grace {
            return;
        }
        for key in self.connected_keys() {
            self.close(
                key,
                ReasonCode::ServerBusy,
                "this node has lost contact with the cluster",
            );
        }
    }

    fn check_connections(&mut self) {
        let now = self.clock.seconds();
        let wall = std::time::SystemTime::now();
        let connect_timeout = self.engine.settings.connect_timeout;
        let authentication_seconds_max = connect_timeout.as_secs() as u32;
        for key in self.connected_keys() {
            let Some(connection) = self
                .slots
                .get_mut(key)
                .and_then(|s| s.connection.as_deref_mut())
            else {
                continue;
            };
            if connection.paused {
                connection.heard_at = now;
            }
            if connection.out.is_empty() && connection.out.capacity() > 0 {
                connection.out = Vec::new();
            }
            let is_overdue = |a: &Authentication| a.is_overdue(now, authentication_seconds_max);
            if connection.authentication.as_deref().is_some_and(is_overdue) {
                let why = "the client took too long to prove again who it is [MQTT-4.12.1-2]";
                self.close(key, ReasonCode::NotAuthorized, why);
                continue;
            }
            if connection.identity.is_over(wall) {
                let why = "the time for which the client was let in is over";
                self.close(key, ReasonCode::NotAuthorized, why);
                continue;
            }
            let silence_max = connection.silence_seconds_max;
            let silence = now - connection.heard_at;
            if silence_max > 0 && silence > silence_max {
                self.close(key, ReasonCode::KeepAliveTimeout, "keep alive timeout");
            }
        }
    }

    fn connected_keys(&self) -> Vec<SlotKey> {
        self.slots
            .iter()
            .filter(|(_, slot)| slot.connection.is_some())
            .map(|(key, _)| key)
            .collect()
    }

    fn resume_paused(&mut self) {
        if !self.engine.lease.is_held() || self.ways_are_full() {
            return;
        }
        self.clock.tick();
        let paused: Vec<(SlotKey, ConnectionId)> = std::mem::take(&mut self.paused);
        for (key, id) in paused {
            if self.is_throttled(key, id) {
                self.paused.push((key, id));
            } else {
                self.unpause(key, id);
            }
        }
    }

    /// Lets one connection go on reading.
    pub(super) fn unpause(&mut self, key: SlotKey, id: ConnectionId) {
        let Some(connection) = self.connection_of(key, id) else {
            return;
        };
        connection.paused = false;
        if let Some(waker) = &connection.waker {
            waker.wake_by_ref();
        }
    }
}
