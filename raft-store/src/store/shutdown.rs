//! Leaving for good order: the others learn at once that this node serves no more, and get a new
//! leader sooner than they would find out.

use std::time::{Duration, Instant};

use raftmq_proto::v1::{self as proto, Op, op::Kind};

use super::Store;
use crate::clock::unix_ms;
use crate::error::ProposeError;

impl Store {
    /// Leaves the cluster's service: ends the lease, tells the others (`NodeDown`), hands over
    /// leadership, writes what is pending and lets go of the data directory. Takes at most about
    /// `deadline`; what was not done by then, the others find out by themselves.
    pub async fn shutdown(&self, deadline: Duration) {
        let inner = &self.inner;
        let end = Instant::now() + deadline;
        let was_up = inner.local.is_up() && inner.failure.reason().is_none();
        inner.local.set_leaving();
        inner.followers.lease.revoke();
        if was_up {
            let left = inner
                .queue
                .propose(self.farewell(), inner.local.incarnation());
            let _ = tokio::time::timeout(remaining(end), left).await;
        }
        let _ = tokio::time::timeout(remaining(end), inner.hand_over.for_good(end)).await;
        let _ = inner.leader.raft.shutdown().await;
        for task in inner.tasks.lock().drain(..) {
            task.abort();
        }
        inner.followers.in_flight.fail(&ProposeError::Stopped);
        inner.followers.fence.fail(&ProposeError::Stopped);
        let log = inner.log.clone();
        let _ = tokio::task::spawn_blocking(move || log.close()).await;
        inner.local.release();
    }

    fn farewell(&self) -> Op {
        let local = &self.inner.local;
        let (node_id, incarnation) = (local.node_id, local.incarnation());
        Op {
            kind: Some(Kind::NodeDown(proto::NodeDown {
                node_id,
                incarnation,
                reason: "left".into(),
                now_ms: unix_ms(),
            })),
        }
    }
}

fn remaining(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}
