//! `rmqtt-bridge-ingress-mqtt` and `rmqtt-bridge-egress-mqtt`: messages from another broker, and to one.
//!
//! ```text
//!   egress:   own node ── durable session, not acknowledged yet ──▶ relay ── PUBLISH ──▶ remote broker
//!   ingress:  own node ◀── PUBLISH ── relay ◀── durable session, not acknowledged yet ── remote broker
//! ```
//!
//! An entry of the file is a pair of clients: one of the own node, within this process, and one of the remote
//! broker. What comes from the one side is acknowledged there only when the other side has acknowledged it.
//! So nothing is stored here: what waits lies in the durable session of the side that it comes from, and the
//! window of what is under way bounds the memory. A message may be sent twice after a failure, never lost.
//!
//! **One runner in the cluster.** Each node with the plugin at work would run an entry; the one that is
//! connected with the entry's own client does. The replicated table knows which that is, and the claim of the
//! client identifier decides between two (see `candidate`). Nobody else can have such an identifier.
//!
//! | room | concern |
//! | --- | --- |
//! | [`settings`], [`checks`], [`remote`] | the files, and what is wrong with them |
//! | [`echoes`] | settings by which messages would come back |
//! | [`mapping`] | what becomes of a message on its way: topic, QoS, retain, marks against loops |
//! | [`relay`] | what is under way and who acknowledges what: packets in, packets out, no socket and no clock |
//! | [`wire`], [`connecting`] | bytes, CONNECT and CONNACK |
//! | [`candidate`] | who runs an entry |
//! | [`runner`], [`serving`] | the task of an entry |
//! | [`service`] | all of them, on a thread of their own |
//! | [`tally`] | what is told about them |

mod candidate;
mod checks;
mod connecting;
mod echoes;
mod mapping;
mod relay;
mod remote;
mod runner;
mod service;
mod serving;
mod settings;
mod tally;
#[cfg(test)]
mod tests;
mod wire;

use super::{Extensions, Plugin, Prepared, desk::EngineDesk};
use echoes::{Echoes, Stance};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use service::Service;
use settings::{Direction, Settings};
use std::sync::Arc;
use tokio::time::Instant;

/// One of the two plugins.
pub(super) struct Bridge {
    direction: Direction,
    desk: Arc<EngineDesk>,
    echoes: Arc<Echoes>,
    /// Made when it is first prepared, and kept for all later settings.
    service: Mutex<Option<Arc<Service>>>,
}

/// Both plugins; each looks at the settings of the other one.
pub(super) fn both(desk: &Arc<EngineDesk>) -> [Bridge; 2] {
    let echoes = Arc::new(Echoes::default());
    [Direction::Egress, Direction::Ingress].map(|direction| Bridge {
        direction,
        desk: desk.clone(),
        echoes: echoes.clone(),
        service: Mutex::new(None),
    })
}

struct PreparedBridge {
    service: Arc<Service>,
    settings: Settings,
    stance: Arc<Stance>,
}

impl Plugin for Bridge {
    fn name(&self) -> &'static str {
        self.direction.plugin_name()
    }

    fn description(&self) -> &'static str {
        match self.direction {
            Direction::Ingress => "Messages of other brokers are published here",
            Direction::Egress => "Messages are published to other brokers",
        }
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings = Settings::read(self.direction, text)?;
        let stance = self.echoes.take_stance(self.direction, &settings)?;
        let mut service = self.service.lock();
        let made = || Arc::new(Service::new(self.desk.clone()));
        Ok(Box::new(PreparedBridge {
            service: service.get_or_insert_with(made).clone(),
            settings,
            stance,
        }))
    }
}

impl Prepared for PreparedBridge {
    fn config(&self) -> Value {
        self.settings.shown.clone()
    }

    fn attributes(&self) -> Value {
        self.service.shown()
    }

    fn extend(&self, _: &mut Extensions) {}

    fn begin(&self) {
        self.stance.holds();
        self.service.work(&self.settings);
    }

    fn end(&self) {
        self.stance.ended();
        self.service.end();
    }

    fn stop(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let service = self.service.clone();
        Box::pin(async move { service.stop(deadline).await })
    }
}
