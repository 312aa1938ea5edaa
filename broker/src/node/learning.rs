//! What a node learns while it runs: who leads, and which cluster it belongs to.

use crate::engine::Engine;
use raftmq_api::Identity;
use std::{sync::Arc, time::Duration};

/// How often it is looked who leads.
const LEADER_POLL: Duration = Duration::from_millis(100);

/// Logs who leads, when that changes: the first thing that is looked for after a failure.
pub(super) async fn tell_leader(engine: Arc<Engine>) {
    let mut ended = engine.ended.clone();
    let mut told = None;
    while !*ended.borrow_and_update() {
        let status = engine.store.status();
        if let Some(leader) = status
            .leader
            .filter(|leader| told != Some((*leader, status.term)))
        {
            told = Some((leader, status.term));
            tracing::info!(leader, term = status.term, "the cluster has a leader");
        }
        let _ = tokio::time::timeout(LEADER_POLL, ended.changed()).await;
    }
}

/// The API may ask peers once the node belongs to a cluster.
pub(super) async fn learn_cluster_id(engine: Arc<Engine>, identity: Arc<Identity>) {
    loop {
        let cluster_id = engine.cluster_id();
        if !cluster_id.is_empty() {
            identity.set_cluster_id(cluster_id);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
