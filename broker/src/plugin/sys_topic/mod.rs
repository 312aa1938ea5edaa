//! `rmqtt-sys-topic`: the state of each node, and what happens to clients and sessions, as messages on
//! `$SYS` topics.
//!
//! ```toml
//! publish_qos = 1
//! publish_interval = "1m"
//! message_expiry_interval = "5m"
//! ```
//!
//! The messages take the way of all others, so subscribers on every node get them; they make no events
//! themselves. What clients publish below `$SYS` is refused, see `permission`; a subscription to `#` does
//! not match them [MQTT-4.7.2-1].

mod publisher;
mod settings;
mod topics;

use super::{Extensions, Plugin, Prepared, desk::EngineDesk};
use crate::events::{Inbox, InboxLimits, Interest, Notice, NoticeKind, NoticeListener};
use parking_lot::Mutex;
use publisher::{Publisher, Tally};
use serde_json::{Value, json};
use settings::Settings;
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tokio::{runtime::Handle, sync::watch, task::AbortHandle};

/// What waits to be published; what happens beyond it is not told, and counted.
const WAITING_LIMITS: InboxLimits = InboxLimits {
    entries_max: 10_000,
    bytes_max: 16 << 20,
};

/// What is told.
const KINDS: [NoticeKind; 6] = [
    NoticeKind::ClientConnected,
    NoticeKind::ClientDisconnected,
    NoticeKind::SessionCreated,
    NoticeKind::SessionTerminated,
    NoticeKind::SessionSubscribed,
    NoticeKind::SessionUnsubscribed,
];

/// The plugin.
pub(super) struct SysTopic(Arc<Office>);

/// What stays when the settings change.
struct Office {
    desk: Arc<EngineDesk>,
    inbox: Arc<Inbox<Arc<Notice>>>,
    interest: Interest,
    tally: Arc<Tally>,
    work: Mutex<Option<Work>>,
}

struct Work {
    settings: watch::Sender<Arc<Settings>>,
    task: AbortHandle,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SysTopic {
    /// Not at work yet.
    pub fn new(desk: Arc<EngineDesk>) -> SysTopic {
        let mut interest = Interest::default();
        KINDS.into_iter().for_each(|kind| interest.add(kind, None));
        SysTopic(Arc::new(Office {
            desk,
            inbox: Arc::new(Inbox::new(WAITING_LIMITS)),
            interest,
            tally: Arc::default(),
            work: Mutex::new(None),
        }))
    }
}

struct PreparedTopics {
    office: Arc<Office>,
    settings: Arc<Settings>,
    runtime: Handle,
}

impl Plugin for SysTopic {
    fn name(&self) -> &'static str {
        "rmqtt-sys-topic"
    }

    fn description(&self) -> &'static str {
        "The state of nodes, clients and sessions as messages on $SYS topics"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        Ok(Box::new(PreparedTopics {
            office: self.0.clone(),
            settings: Arc::new(Settings::read(text)?),
            // Plugins are prepared on the node's main runtime, at the start and by the HTTP API alike.
            runtime: Handle::try_current().map_err(|error| error.to_string())?,
        }))
    }
}

impl Prepared for PreparedTopics {
    fn config(&self) -> Value {
        self.settings.shown.clone()
    }

    fn attributes(&self) -> Value {
        let office = &self.office;
        json!({
            "waiting": office.inbox.unfinished(),
            "dropped": office.inbox.lost(),
            "published": office.tally.published.load(Relaxed),
            "failed": office.tally.failed.load(Relaxed),
        })
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.listeners.add(self.office.clone());
    }

    fn begin(&self) {
        let mut work = self.office.work.lock();
        if let Some(work) = &*work {
            work.settings.send_replace(self.settings.clone());
            return;
        }
        let (settings, receiver) = watch::channel(self.settings.clone());
        let publisher = Publisher {
            desk: self.office.desk.clone(),
            inbox: self.office.inbox.clone(),
            settings: receiver,
            tally: self.office.tally.clone(),
            under_way: VecDeque::new(),
        };
        let task = self.runtime.spawn(publisher.run()).abort_handle();
        *work = Some(Work { settings, task });
    }

    fn end(&self) {
        *self.office.work.lock() = None;
        self.office.inbox.clear();
    }
}

impl NoticeListener for Office {
    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn hear(&self, notices: &[Arc<Notice>]) {
        let wanted = notices
            .iter()
            .filter(|notice| self.interest.has(notice.kind()))
            .map(|notice| (notice.size_bytes(), notice.clone()));
        self.inbox.put(wanted);
    }
}
