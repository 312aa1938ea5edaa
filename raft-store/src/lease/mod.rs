//! Serving leases: who may answer clients.
//!
//! A node may serve only as long as the rest of the cluster waits for it (`fence`). The leader lends
//! each node a span of time; the leader may declare a node down, and so have the others stop waiting
//! for it, only after all time it ever lent to that life of the node has run out. Time is measured on
//! each machine alone, as spans: a node counts from before it sent its request, the leader's span
//! from when a quorum last acknowledged it, which is when it was certainly the leader.
//!
//! * `Lease`, here: what this node holds.
//! * `renewal`: asking for it, again and again.
//! * `grantor`: the leader's side, and what it concludes from silence.
//! * `quorum`: when a quorum last acknowledged the leader.

pub(crate) mod grantor;
pub(crate) mod quorum;
pub(crate) mod renewal;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::clock::Moment;

/// Says at any moment, on any thread, whether this node may serve. Clones share the lease.
#[derive(Clone, Debug)]
pub struct Lease {
    end: Arc<AtomicU64>,
    open_for: Arc<Mutex<Option<u64>>>,
}

impl Lease {
    pub(crate) fn new() -> Self {
        Self {
            end: Arc::new(AtomicU64::new(0)),
            open_for: Arc::default(),
        }
    }

    /// Whether this node may serve right now: one atomic load and one look at the clock.
    pub fn is_held(&self) -> bool {
        Moment::from_nanos(self.end.load(Ordering::Acquire)) > Moment::now()
    }

    /// From now on extensions for this life count.
    pub(crate) fn open(&self, incarnation: u64) {
        *self.open_for.lock() = Some(incarnation);
    }

    /// Ends it at once. Extensions that were asked for before do not count any more.
    pub(crate) fn revoke(&self) {
        let mut open_for = self.open_for.lock();
        *open_for = None;
        self.end.store(0, Ordering::Release);
    }

    /// Extends it, unless that life has ended.
    pub(crate) fn extend(&self, incarnation: u64, end: Moment) {
        let open_for = self.open_for.lock();
        if *open_for == Some(incarnation) {
            self.end.fetch_max(end.as_nanos(), Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lease_is_held_until_its_end_or_its_revocation() {
        let lease = Lease::new();
        let later = Moment::now() + Duration::from_secs(60);
        lease.extend(1, later);
        assert!(!lease.is_held(), "nobody opened it");
        lease.open(1);
        lease.extend(1, Moment::now());
        assert!(!lease.is_held(), "it ends now");
        lease.extend(1, later);
        assert!(lease.is_held());
        lease.revoke();
        assert!(!lease.is_held());
        lease.extend(1, later);
        assert!(!lease.is_held(), "that life is over");
        lease.open(2);
        lease.extend(1, later);
        assert!(!lease.is_held(), "that life is over");
        lease.extend(2, later);
        assert!(lease.is_held());
    }
}
