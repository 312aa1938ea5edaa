//! What plugins change in the engine.

use super::{
    AccessRules, AuthenticationMethod, AutoSubscription, authentication::Authenticator,
    flapping_detect::FlappingDetector, rewrite::RewriteRules,
};
use crate::{events::NoticeListeners, router::ShareStrategy};
use parking_lot::RwLock;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// One state of all plugins together.
#[derive(Default)]
pub(crate) struct Extensions {
    /// Who is let in, asked in this order.
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    /// Methods of enhanced authentication, each with a name of its own.
    pub methods: Vec<Arc<dyn AuthenticationMethod>>,
    /// Who may publish and subscribe to what; absent: everybody to everything.
    pub access: Option<AccessRules>,
    /// Other topics in the place of those that clients name.
    pub rewrite: Option<RewriteRules>,
    /// Subscriptions that every client gets when it connects.
    pub auto_subscriptions: Vec<AutoSubscription>,
    /// Which member of a share group gets a message.
    pub share_strategy: ShareStrategy,
    /// What may be retained; absent: nothing.
    pub retain: Option<RetainLimits>,
    /// Who looks for clients that come and go all the time; absent: nobody.
    pub flapping: Option<Arc<FlappingDetector>>,
    /// Who is told what happens to clients and messages.
    pub listeners: NoticeListeners,
}

/// Bounds of retained messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetainLimits {
    /// Messages in the whole cluster.
    pub messages_max: Option<u64>,
    /// Bytes of a payload.
    pub payload_bytes_max: Option<u64>,
    /// How long a message is kept at most.
    pub age_max: Option<Duration>,
}

/// The state in force, read by all threads.
pub(crate) struct ExtensionsCell {
    current: RwLock<Arc<Extensions>>,
    version: AtomicU64,
}

impl ExtensionsCell {
    /// Holds a first state, version 1.
    pub fn new(extensions: Extensions) -> ExtensionsCell {
        ExtensionsCell {
            current: RwLock::new(Arc::new(extensions)),
            version: AtomicU64::new(1),
        }
    }

    /// Counts the changes.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The state in force.
    pub fn current(&self) -> Arc<Extensions> {
        self.current.read().clone()
    }

    /// Puts another state in force.
    pub fn replace(&self, extensions: Extensions) {
        *self.current.write() = Arc::new(extensions);
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

/// One thread's copy of the state in force.
pub(crate) struct ExtensionsView {
    cell: Arc<ExtensionsCell>,
    seen: u64,
    current: Arc<Extensions>,
}

impl ExtensionsView {
    /// Of this cell.
    pub fn new(cell: Arc<ExtensionsCell>) -> ExtensionsView {
        // The version first: a change in between is seen again, never missed.
        let seen = cell.version();
        ExtensionsView {
            current: cell.current(),
            seen,
            cell,
        }
    }

    /// Whether something has changed since the last refresh.
    pub fn is_stale(&self) -> bool {
        self.cell.version() != self.seen
    }

    /// Takes over what has changed. Cheap when nothing has.
    pub fn refresh(&mut self) {
        let version = self.cell.version();
        if version != self.seen {
            self.seen = version;
            self.current = self.cell.current();
        }
    }

    /// The state as of the last refresh.
    pub fn get(&self) -> &Arc<Extensions> {
        &self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_sees_a_change_when_it_is_refreshed() {
        let cell = Arc::new(ExtensionsCell::new(Extensions::default()));
        let mut view = ExtensionsView::new(cell.clone());
        cell.replace(Extensions {
            share_strategy: ShareStrategy::Random,
            ..Extensions::default()
        });
        assert_eq!(view.get().share_strategy, ShareStrategy::default());
        view.refresh();
        assert_eq!(view.get().share_strategy, ShareStrategy::Random);
    }
}
