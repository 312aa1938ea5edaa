//! `rmqtt-web-hook`: HTTP servers are told what happens to clients, sessions and messages.
//!
//! ```toml
//! urls = ["http://127.0.0.1:5656/mqtt/webhook"]
//! rule.client_connected = [{ action = "client_connected" }]
//! rule.message_publish = [{ action = "message_publish", topics = ["a/#"], urls = ["http://127.0.0.1:5657/"] }]
//! ```
//!
//! ```text
//! shard ─ once a turn ─▶ inbox ─▶ dispatch: rules, JSON ─┬▶ outbox of a URL: 64 lanes ─▶ requests
//!                                                        └▶ outbox of another URL ...
//! ```
//!
//! All three queues are bounded and what finds no room is counted; nobody waits for a server but the
//! events behind in the same lane of the same URL. With no rule for a kind its events are not even made.

mod outbox;
mod rules;
mod sending;
mod service;
mod settings;
#[cfg(test)]
mod tests;

use super::{Extensions, Plugin, Prepared, desk::EngineDesk};
use crate::events::{Interest, Notice, NoticeListener};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rules::RuleSet;
use sending::Sending;
use serde_json::Value;
use service::Service;
use settings::Settings;
use std::sync::Arc;
use tokio::time::Instant;

/// The plugin.
pub(super) struct WebHook {
    desk: Arc<EngineDesk>,
    /// Made when it is first prepared, and kept for all later settings.
    service: Mutex<Option<Arc<Service>>>,
}

impl WebHook {
    /// Not prepared yet.
    pub fn new(desk: Arc<EngineDesk>) -> WebHook {
        WebHook {
            desk,
            service: Mutex::new(None),
        }
    }
}

struct PreparedHook {
    service: Arc<Service>,
    settings: Settings,
    sending: Arc<Sending>,
}

/// What the shards tell, by the rules of one reading of the file.
struct Ear {
    service: Arc<Service>,
    rules: Arc<RuleSet>,
}

impl Plugin for WebHook {
    fn name(&self) -> &'static str {
        "rmqtt-web-hook"
    }

    fn description(&self) -> &'static str {
        "HTTP servers are told what happens to clients, sessions and messages"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings = Settings::read(text)?;
        let sending = Arc::new(Sending::new(settings.delivery.clone())?);
        let mut service = self.service.lock();
        let made = || {
            Arc::new(Service::new(
                self.desk.clone(),
                settings.limits,
                sending.clone(),
            ))
        };
        Ok(Box::new(PreparedHook {
            service: service.get_or_insert_with(made).clone(),
            settings,
            sending,
        }))
    }
}

impl Prepared for PreparedHook {
    fn config(&self) -> Value {
        self.settings.shown.clone()
    }

    fn attributes(&self) -> Value {
        let mut shown = self.service.shown();
        shown["rules"] = self.settings.rules.len().into();
        shown
    }

    fn extend(&self, extensions: &mut Extensions) {
        let ear = Ear {
            service: self.service.clone(),
            rules: self.settings.rules.clone(),
        };
        extensions.listeners.add(Arc::new(ear));
    }

    fn begin(&self) {
        self.service.work(&self.settings, self.sending.clone());
    }

    fn end(&self) {
        self.service.end();
    }

    fn stop(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let service = self.service.clone();
        Box::pin(async move { service.stop(deadline).await })
    }
}

impl NoticeListener for Ear {
    fn interest(&self) -> &Interest {
        self.rules.interest()
    }

    fn hear(&self, notices: &[Arc<Notice>]) {
        let interest = self.rules.interest();
        let wanted = notices
            .iter()
            .filter(|notice| interest.wants(notice.kind(), notice.topic()))
            .map(|notice| (notice.size_bytes(), (self.rules.clone(), notice.clone())));
        self.service.inbox.put(wanted);
    }
}
