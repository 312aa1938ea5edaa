//! The one state that nothing leads out of: this node's storage failed.
//!
//! After a failed write or flush nobody knows what is on the disk (a second fsync may report success
//! for pages that the first one lost), so nothing is retried: Raft stops, the serving lease is gone,
//! and the reason stands here until the process is started again.

use std::sync::Arc;

use tokio::sync::watch;

/// Set at most once; the first reason stays.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    reason: Arc<watch::Sender<Option<Arc<str>>>>,
}

impl Failure {
    pub(crate) fn new() -> Self {
        Self {
            reason: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Records the reason, unless there is one.
    pub(crate) fn set(&self, reason: &str) {
        let first = self.reason.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason.into());
            }
            first
        });
        if first {
            tracing::error!(
                reason,
                "the storage of this node failed; it stops serving and has to be restarted"
            );
        }
    }

    pub(crate) fn reason(&self) -> Option<Arc<str>> {
        self.reason.borrow().clone()
    }

    /// Resolves when there is a reason; never before.
    pub(crate) async fn failed(&self) -> Arc<str> {
        let mut receiver = self.reason.subscribe();
        let reason = receiver
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            // Not possible while `self` holds the sender.
            None => std::future::pending().await,
        }
    }
}
