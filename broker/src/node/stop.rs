//! Stopping a node, under a deadline: nothing new is accepted, clients are told (DISCONNECT 0x8B), what
//! is under way is sent, the cluster is told, and only then the ports close.

use super::Node;
use crate::shard::mailbox::Mail;
use raftmq_api::Phase;
use std::time::{Duration, Instant};

/// How often it is looked whether everything has been sent.
const DRAIN_POLL: Duration = Duration::from_millis(10);
/// How much of the deadline sending what is under way may take.
const DRAIN_SHARE: u32 = 3;

impl Node {
    /// Stops the node. Takes at most about `node.stop_timeout`.
    pub async fn stop(self) {
        let deadline = Instant::now() + self.stop_timeout;
        tracing::info!("stopping: no new connections");
        self.switches.phase.send_replace(Phase::Draining);
        self.switches.stopping.send_replace(true);
        for mailbox in &self.engine.mailboxes {
            mailbox.put(Mail::Stop);
        }
        self.drain(self.stop_timeout / DRAIN_SHARE).await;
        // What happened to the clients at the end is told, too.
        self.engine.flush_shards().await;
        let told = tokio::time::Instant::now() + self.stop_timeout / DRAIN_SHARE;
        self.engine.plugins.stop(told).await;
        let left = deadline.saturating_duration_since(Instant::now());
        self.engine.store.shutdown(left).await;
        self.switches.ended.send_replace(true);
        for server in self.servers {
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = tokio::time::timeout(left.max(DRAIN_POLL), server).await;
        }
        drop(self.questions);
        let shards = self.shards;
        let joined = tokio::task::spawn_blocking(move || shards.join());
        let left = deadline.saturating_duration_since(Instant::now());
        let _ = tokio::time::timeout(left.max(DRAIN_POLL), joined).await;
        if let Some(journal) = self.engine.journal.clone() {
            let closed = tokio::task::spawn_blocking(move || journal.close());
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = tokio::time::timeout(left.max(DRAIN_POLL), closed).await;
        }
        tracing::info!("stopped");
    }

    /// Waits until connections are closed and links have been acknowledged.
    async fn drain(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            let links_are_empty = self.engine.links.list();
            let links_are_empty = links_are_empty.iter().all(|link| link.held_bytes() == 0);
            if links_are_empty && self.engine.admission.open() == 0 {
                return;
            }
            tokio::time::sleep(DRAIN_POLL).await;
        }
        tracing::warn!("stopping with connections or links that were not finished in time");
    }
}
