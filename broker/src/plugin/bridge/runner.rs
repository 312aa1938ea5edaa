//! The task of an entry: it looks who runs the entry, and runs it when it is this node's turn.

use super::{
    candidate::{self, Claim, LOOK_INTERVAL, Turn},
    connecting,
    serving::{Ended, Serving},
    settings::Entry,
    tally::{Role, Tally},
};
use crate::{engine::Engine, plugin::desk::EngineDesk};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

/// How long an entry rests that could not be claimed.
const REFUSED_WAIT: Duration = Duration::from_secs(1);

/// What the task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Work,
    /// To end; the sessions stay, and what waits in them.
    StepDown,
    /// To end, and the sessions, too: the entry is not in the file any more.
    Retire,
}

/// An entry and what its task needs.
pub(super) struct Runner {
    pub desk: Arc<EngineDesk>,
    pub entry: Arc<Entry>,
    pub tally: Arc<Tally>,
    pub orders: watch::Receiver<Order>,
}

impl Runner {
    /// Works until it is told to end. `before`: the task that had the entry until now.
    pub async fn run(mut self, before: Option<JoinHandle<()>>) {
        if let Some(before) = before {
            let _ = before.await;
        }
        let mut turn = Turn::default();
        while self.is_wanted() {
            let engine = self.desk.engine();
            let claim = engine.as_ref().map_or(Claim::NotServing, |engine| {
                candidate::look(engine, &self.entry)
            });
            self.tally.set_role(match claim {
                Claim::Taken { by } => Role::Standby { runner: by },
                Claim::NotServing | Claim::Free { .. } => Role::Idle,
            });
            let mut rest = LOOK_INTERVAL;
            if turn.has_come(claim, Instant::now())
                && let Some(engine) = engine
            {
                turn = Turn::default();
                rest = self.run_once(engine).await;
            }
            tokio::select! {
                () = sleep(rest) => {}
                changed = self.orders.changed() => if changed.is_err() { break },
            }
        }
        self.tally.set_role(Role::Idle);
    }

    fn is_wanted(&self) -> bool {
        *self.orders.borrow() == Order::Work && self.orders.has_changed().is_ok()
    }

    /// Claims the client and runs the entry; how long to rest then.
    async fn run_once(&mut self, engine: Arc<Engine>) -> Duration {
        let mut orders = self.orders.clone();
        let near = tokio::select! {
            near = connecting::local(&engine, &self.entry) => near,
            _ = orders.changed() => return Duration::ZERO,
        };
        let near = match near {
            Ok(near) => near,
            Err(broken) => {
                let problem = format!("own node: {}", broken.0);
                self.tally.failed(&self.entry, &problem);
                return REFUSED_WAIT;
            }
        };
        self.tally.set_role(Role::Running);
        let (entry, tally) = (self.entry.clone(), self.tally.clone());
        let serving = Serving::new(engine, entry, tally, self.orders.clone(), near);
        let ended = Box::pin(serving.serve()).await;
        self.tally.set_role(Role::Idle);
        match ended {
            Ended::Ordered => Duration::ZERO,
            Ended::NotServing => LOOK_INTERVAL,
            Ended::Lost(broken) => {
                let problem = format!("own node: {}", broken.0);
                self.tally.failed(&self.entry, &problem);
                REFUSED_WAIT
            }
        }
    }
}
