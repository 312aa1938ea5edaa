//! Carries out the order to drain this node.

use super::Step;
use crate::engine::Engine;
use raftmq_store::table::Drain;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Time between two groups of clients.
const TICK: Duration = Duration::from_millis(100);
/// How long handing over may take, and the pause before it is tried again.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(5);

/// Runs until the node ends.
pub async fn run(engine: Arc<Engine>) {
    let mut ended = engine.ended.clone();
    let mut order = engine.store.own_drain();
    let forever = async {
        while order.wait_for(Option::is_some).await.is_ok() {
            tracing::info!("draining: new clients are sent to other nodes");
            Pace::new().carry_out(&engine).await;
            engine.draining.set_step(Step::Serving);
            engine.draining.sent_away.store(0, Relaxed);
            tracing::info!("not draining any more");
        }
    };
    tokio::select! {
        () = forever => {}
        _ = ended.wait_for(|end| *end) => {}
    }
}

/// How many clients may be sent away now.
struct Pace {
    /// Clients times milliseconds.
    credit: u64,
    at: Instant,
    hand_over_tried: Option<Instant>,
}

impl Pace {
    fn new() -> Pace {
        Pace {
            credit: 0,
            at: Instant::now(),
            hand_over_tried: None,
        }
    }

    async fn carry_out(mut self, engine: &Engine) {
        let mut order = engine.store.own_drain();
        loop {
            let Some(drain) = *order.borrow_and_update() else {
                return;
            };
            if !*engine.stopping.borrow() {
                self.go_on(engine, drain).await;
            }
            let _ = tokio::time::timeout(TICK, order.changed()).await;
        }
    }

    async fn go_on(&mut self, engine: &Engine, drain: Drain) {
        if let Some(why) = obstacle(engine) {
            engine.draining.set_step(Step::Waiting(why));
            return self.pause();
        }
        if engine.store.leads() && self.may_hand_over() {
            engine.draining.set_step(Step::HandingOver);
            engine.store.hand_over_leadership(HAND_OVER_LIMIT).await;
            self.hand_over_tried = Some(Instant::now());
            return self.pause();
        }
        if drain.clients_per_second == 0 {
            engine.draining.set_step(Step::Holding);
            return self.pause();
        }
        let count = self.due(drain.clients_per_second);
        let left = send_away(engine, count).await;
        engine.draining.set_step(match left {
            0 if engine.store.leads() => Step::HandingOver,
            0 => Step::Drained,
            _ => Step::SendingAway,
        });
    }

    fn may_hand_over(&self) -> bool {
        let tried = self.hand_over_tried;
        tried.is_none_or(|tried| tried.elapsed() >= HAND_OVER_LIMIT)
    }

    /// Time that passes without sending anybody away is not made up for.
    fn pause(&mut self) {
        self.credit = 0;
        self.at = Instant::now();
    }

    fn due(&mut self, clients_per_second: u32) -> usize {
        let now = Instant::now();
        let passed = now.duration_since(std::mem::replace(&mut self.at, now));
        let passed_ms = passed.min(TICK * 3).as_millis() as u64;
        self.credit += u64::from(clients_per_second) * passed_ms;
        let clients = self.credit / 1_000;
        self.credit %= 1_000;
        clients as usize
    }
}

/// Why clients have to stay for now.
fn obstacle(engine: &Engine) -> Option<&'static str> {
    if !engine.lease.is_held() {
        return Some("this node has no contact with a majority of the cluster");
    }
    let own = engine.node_id.into();
    let table = engine.store.table().read();
    let somebody = table
        .nodes()
        .any(|(id, node)| id != own && node.takes_clients());
    (!somebody).then_some("no other node takes clients")
}

/// Sends up to `count` clients away; how many are left.
async fn send_away(engine: &Engine, count: usize) -> usize {
    let (mut sent, mut left) = (0, 0);
    for mailbox in &engine.mailboxes {
        let more = count - sent;
        let asked = mailbox.ask(move |shard| (shard.send_away(more), shard.connections()));
        let (gone, still_there) = asked.await.unwrap_or_default();
        sent += gone;
        left += still_there;
    }
    engine.draining.sent_away.fetch_add(sent as u64, Relaxed);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_a_client_add_up() {
        let mut pace = Pace::new();
        let mut sent = 0;
        for _ in 0..20 {
            pace.at -= Duration::from_millis(100);
            sent += pace.due(5);
        }
        assert!((10..=11).contains(&sent), "{sent} in two seconds");
    }

    #[test]
    fn a_long_pause_is_not_made_up_for_at_once() {
        let mut pace = Pace::new();
        pace.at -= Duration::from_secs(60);
        assert!(pace.due(100) <= 30);
    }
}
