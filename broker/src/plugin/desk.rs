//! The way from a plugin's task to the engine: plugins are made before it, and must not keep it alive.

use crate::engine::Engine;
use raftmq_api::Node;
use std::sync::{Arc, OnceLock, Weak};

/// Filled when the node runs.
#[derive(Default)]
pub(crate) struct EngineDesk(OnceLock<(Weak<Engine>, Weak<dyn Node>)>);

/// What the replicated table knows of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KnownClient {
    /// The node that has its session.
    pub node_id: u64,
    pub user_name: Option<String>,
    /// `ip:port` of its last connection.
    pub peer_address: Option<String>,
}

impl EngineDesk {
    /// The node runs.
    pub fn runs(&self, engine: &Arc<Engine>, node: &Arc<dyn Node>) {
        let _ = self.0.set((Arc::downgrade(engine), Arc::downgrade(node)));
    }

    /// The engine; `None`: the node starts or stops.
    pub(super) fn engine(&self) -> Option<Arc<Engine>> {
        self.0.get()?.0.upgrade()
    }

    /// The node as the HTTP API asks it; `None`: it starts or stops.
    pub(super) fn node(&self) -> Option<Arc<dyn Node>> {
        self.0.get()?.1.upgrade()
    }

    /// Looks a client up; `None`: it has no session.
    pub(super) fn known(&self, client_id: &str) -> Option<KnownClient> {
        let engine = self.engine()?;
        let table = engine.store.table().read();
        let session = table.session(client_id)?;
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(KnownClient {
            node_id: session.node.into(),
            user_name: given(&session.attributes.username),
            peer_address: given(&session.attributes.peer_address),
        })
    }
}
