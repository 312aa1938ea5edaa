//! This node's life in the table: announcing it, and beginning a new one when it was declared over.

use std::sync::Arc;
use std::time::Duration;

use raftmq_proto::v1::{self as proto, Op, op::Kind};

use crate::batcher::ProposalQueue;
use crate::clock::unix_ms;
use crate::failure::Failure;
use crate::lives::{Life, LivesView};
use crate::local::LocalNode;

/// An announcement that had no effect is repeated after this time.
const RETRY: Duration = Duration::from_millis(500);

pub(crate) struct LifeCycle {
    pub(crate) local: Arc<LocalNode>,
    pub(crate) lives: LivesView,
    pub(crate) queue: ProposalQueue,
    pub(crate) failure: Failure,
}

impl LifeCycle {
    /// Runs as long as the store. `formed` resolves when the node is part of a cluster.
    pub(crate) async fn run(self, formed: impl Future<Output = ()>) {
        formed.await;
        let mut lives = self.lives.subscribe();
        while !self.local.is_leaving() {
            if self.local.is_dismissed() {
                tokio::time::sleep(RETRY).await;
                continue;
            }
            let known = lives.borrow_and_update().get(&self.local.node_id).copied();
            if let Err(error) = self.step(known).await {
                self.failure
                    .set(&format!("the identity cannot be written: {error}"));
                return;
            }
            if self.local.is_up() {
                // Only an applied entry can end it.
                if lives.changed().await.is_err() {
                    return;
                }
            }
        }
    }

    async fn step(&self, known: Option<Life>) -> std::io::Result<()> {
        let own = self.local.incarnation();
        match known {
            Some(life)
                if life
                    == (Life {
                        incarnation: own,
                        is_up: true,
                    }) =>
            {
                return Ok(());
            }
            // Declared down, or the directory was restored from an old copy.
            Some(life) if life.incarnation >= own => {
                let incarnation = self.local.begin_life(life.incarnation)?;
                tracing::info!(incarnation, "this node begins a new life");
            }
            _ => {}
        }
        let announced = self
            .queue
            .propose(self.announcement(), self.local.incarnation());
        let _ = tokio::time::timeout(RETRY, announced).await;
        Ok(())
    }

    fn announcement(&self) -> Op {
        let local = &self.local;
        Op {
            kind: Some(Kind::NodeUp(proto::NodeUp {
                node_id: local.node_id,
                incarnation: local.incarnation(),
                name: local.name.clone(),
                rpc_address: local.address.clone(),
                version: local.version.clone(),
                now_ms: unix_ms(),
                server_reference: local.server_reference.clone(),
                raft_id: local.raft_id,
            })),
        }
    }
}
