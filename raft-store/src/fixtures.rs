//! Parts of a store for unit tests.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use crate::applied::{Followers, Observer, Phase};
use crate::checkpoints::Checkpoints;
use crate::config::{Limits, StoreConfig, Timing};
use crate::failure::Failure;
use crate::fence::Fence;
use crate::identity::DataDir;
use crate::lease::Lease;
use crate::lives::LivesView;
use crate::local::LocalNode;
use crate::progress::Progress;
use crate::state_machine::StateMachine;
use crate::table::{SharedTable, TableEvent};

struct Deaf;

impl Observer for Deaf {
    fn applied(&mut self, _index: u64, _events: &[TableEvent], _phase: Phase) {}
    fn table_replaced(&mut self) {}
    fn lost_life(&mut self) {}
}

/// A state machine with everything below `dir`.
pub(crate) fn state_machine(dir: &Path) -> Result<StateMachine, Box<dyn Error>> {
    let config = StoreConfig {
        node_id: 1,
        node_name: "one".into(),
        version: "0".into(),
        rpc_address: "one:7000".into(),
        server_reference: String::new(),
        data_dir: dir.join("node"),
        peers: Vec::new(),
        joins: false,
        timing: Timing::default(),
        limits: Limits::default(),
    };
    let data_dir = DataDir::open(&config.data_dir, config.node_id, &config.node_name)?;
    let progress = Arc::new(Progress::new());
    let followers = Followers {
        local: Arc::new(LocalNode::new(data_dir, &config)),
        table: Arc::new(SharedTable::default()),
        fence: Arc::new(Fence::new(Arc::clone(&progress))),
        progress,
        in_flight: Arc::default(),
        checkpoints: Checkpoints::default(),
        lease: Lease::new(),
        lives: LivesView::new(),
        own_drain: tokio::sync::watch::Sender::new(None),
        observer: Mutex::new(Box::new(Deaf)),
        replaying: AtomicBool::new(false),
    };
    Ok(StateMachine::open(
        dir.join("snapshots"),
        0,
        Arc::new(followers),
        Failure::new(),
    )?)
}
