//! A client that says DISCONNECT here and connects to another node at once: what it said counts first.
//!
//! The release of the session is proposed by this node and the new claim by the other one, so nothing
//! orders them in the log: a claim that came first would find a session that its client has ended, or
//! publish a will that it has taken back. So the node of the new connection, whose table shows the
//! client connected here, asks this one to hear out the old connection before it claims.
//! [MQTT-3.14.4-3], [MQTT-3.1.2-10]

use super::{Shard, ShardRef, mailbox::Mail};
use crate::engine::Engine;
use raftmq_proto::v1;
use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;

/// How long the node of the old connection may take. Beyond it the claim decides alone, as it does when
/// that node is dead: then the fence waits for the end of its lease anyway.
const HEARING_TIMEOUT: Duration = Duration::from_millis(500);
/// Turns of the runtime in which bytes that the kernel already has reach their connection: in one the
/// sockets are polled, in the next the tasks that this has woken run.
const TURNS: u32 = 3;

/// Releases of sessions that are proposed and not yet decided.
#[derive(Default)]
pub(super) struct Releasing {
    under_way: HashMap<Arc<str>, u32>,
    decided: Rc<Notify>,
    /// For each client with CONNECTs that wait for another node: the latest, and how many.
    waiting: HashMap<Arc<str>, (u64, u32)>,
    last_arrival: u64,
}

impl Releasing {
    /// A CONNECT has arrived, and is about to wait.
    fn arrives(&mut self, client_id: &str) -> u64 {
        self.last_arrival += 1;
        let waiting = self.waiting.entry(client_id.into()).or_default();
        *waiting = (self.last_arrival, waiting.1 + 1);
        self.last_arrival
    }

    /// It has waited. `false`: a later one of the same client has arrived meanwhile.
    fn goes_on(&mut self, client_id: &str, arrival: u64) -> bool {
        let Some((latest, count)) = self.waiting.get_mut(client_id) else {
            return true;
        };
        *count -= 1;
        let (is_latest, is_last) = (*latest == arrival, *count == 0);
        if is_last {
            self.waiting.remove(client_id);
        }
        is_latest
    }

    pub fn begin(&mut self, client_id: &Arc<str>) {
        *self.under_way.entry(client_id.clone()).or_default() += 1;
    }

    pub fn end(&mut self, client_id: &str) {
        if let Some(count) = self.under_way.get_mut(client_id) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(client_id);
                self.decided.notify_waiters();
            }
        }
    }

    /// What tells that some release has been decided; `None`: none of this client is under way.
    fn awaited(&self, client_id: &str) -> Option<Rc<Notify>> {
        let is_awaited = self.under_way.contains_key(client_id);
        is_awaited.then(|| self.decided.clone())
    }
}

/// Waits until what the client has said on its connection to another node, or on an earlier one to this
/// node, is in the table. `false`: meanwhile a later CONNECT of this client has come here, which would be
/// claimed before this one and lose to it.
pub(super) async fn await_earlier(shard: &ShardRef, client_id: &str) -> bool {
    let arrival = shard.borrow_mut().releasing.arrives(client_id);
    hear_earlier(shard, client_id).await;
    shard.borrow_mut().releasing.goes_on(client_id, arrival)
}

async fn hear_earlier(shard: &ShardRef, client_id: &str) {
    let engine = shard.borrow().engine.clone();
    let node = {
        let table = engine.store.table().read();
        let session = table.session(client_id);
        session
            .filter(|session| session.connected)
            .map(|s| u64::from(s.node))
    };
    match node {
        None => {}
        // Here the log has the order in which this node proposes.
        Some(node) if node == engine.node_id => read_on().await,
        Some(node) => {
            let request = v1::HearOutRequest {
                cluster_id: engine.cluster_id(),
                client_id: client_id.to_owned(),
            };
            let asking = engine.hear_out(node, request);
            if let Ok(Err(error)) = tokio::time::timeout(HEARING_TIMEOUT, asking).await {
                tracing::debug!(client_id, node, %error, "the client's old connection was not heard out");
            }
        }
    }
}

/// Answers the node to which the client has connected meanwhile.
pub(crate) async fn hear_out_client(engine: &Engine, request: v1::HearOutRequest) {
    let (answer, answered) = tokio::sync::oneshot::channel();
    engine
        .mailbox_of(&request.client_id)
        .put(Mail::Run(Box::new(move |shard| {
            let shard = shard.clone();
            tokio::task::spawn_local(async move {
                hear_out(&shard, &request.client_id).await;
                answer.send(()).ok()
            });
        })));
    let _ = answered.await;
}

/// Lets connections read what has arrived for them.
async fn read_on() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

/// Runs on the shard of the client, for at most [`HEARING_TIMEOUT`].
async fn hear_out(shard: &ShardRef, client_id: &str) {
    let hearing = async {
        read_on().await;
        loop {
            let Some(decided) = shard.borrow().releasing.awaited(client_id) else {
                return;
            };
            decided.notified().await;
        }
    };
    let _ = tokio::time::timeout(HEARING_TIMEOUT, hearing).await;
}

/// Ends the count of a release whichever way its proposal ends.
pub(super) struct Release {
    shard: Weak<RefCell<Shard>>,
    client_id: Arc<str>,
}

impl Shard {
    /// The release of this client's session is under way until the value is dropped.
    pub(super) fn releasing(&mut self, client_id: &Arc<str>) -> Release {
        self.releasing.begin(client_id);
        Release {
            shard: self.me.clone(),
            client_id: client_id.clone(),
        }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let shard = self.shard.upgrade();
        if let Some(Ok(mut shard)) = shard.as_deref().map(RefCell::try_borrow_mut) {
            shard.releasing.end(&self.client_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Releasing;

    #[test]
    fn of_those_that_wait_together_only_the_latest_goes_on() {
        let mut releasing = Releasing::default();
        let first = releasing.arrives("a");
        let second = releasing.arrives("a");
        assert!(!releasing.goes_on("a", first));
        assert!(releasing.goes_on("a", second));
        let other = releasing.arrives("b");
        let third = releasing.arrives("a");
        assert!(releasing.goes_on("a", third));
        assert!(releasing.goes_on("b", other));
        assert!(releasing.waiting.is_empty());
    }

    #[test]
    fn the_latest_may_have_gone_on_before_an_earlier_one_has_waited() {
        let mut releasing = Releasing::default();
        let first = releasing.arrives("a");
        let second = releasing.arrives("a");
        assert!(releasing.goes_on("a", second));
        assert!(!releasing.goes_on("a", first));
    }
}
