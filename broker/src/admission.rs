//! How many connections there may be at once, over all shards.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts sockets from accept to close.
#[derive(Clone, Debug)]
pub struct Admission {
    open: Arc<AtomicUsize>,
    open_max: usize,
}

/// The right to hold one socket; given back when dropped.
#[derive(Debug)]
pub struct Ticket(Arc<AtomicUsize>);

impl Admission {
    /// At most `open_max` sockets.
    pub fn new(open_max: usize) -> Admission {
        Admission {
            open: Arc::default(),
            open_max,
        }
    }

    /// A ticket, unless there are as many sockets as there may be.
    pub fn enter(&self) -> Option<Ticket> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket(self.open.clone());
        (open < self.open_max).then_some(ticket)
    }

    /// Sockets that there may be.
    pub fn open_max(&self) -> usize {
        self.open_max
    }

    /// Sockets open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;

    #[test]
    fn a_refused_socket_does_not_use_up_the_limit() {
        let admission = Admission::new(1);
        let first = admission.enter();
        assert!(first.is_some());
        assert!(admission.enter().is_none());
        assert_eq!(admission.open(), 1);
        drop(first);
        assert!(admission.enter().is_some());
    }
}
