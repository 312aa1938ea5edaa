//! Publishes the delayed messages that the replicated table gives to this node.
//!
//! The table names a node for each message that is due (`raft-store/src/table/apply/delayed.rs`). This
//! task reads what is this node's, so it does not matter how it came about: time, the death of another
//! node, a start. QoS 1 and 2 leave the table when all who have to keep them have done so; QoS 0 leaves
//! it first, so that no crash can double it. Only so much is under way at once; the rest waits in the table.

use crate::{
    engine::Engine,
    shard::{PublishOutcome, mailbox::Mail},
};
use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use raftmq_proto::v1;
use raftmq_store::table::{DelayedMessage, Outcome};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// The table is looked at this often, beside when it says that something is due: a message could not be
/// published, or the news of it came while the node was not up.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Messages that are looked at, at once, for such as can begin.
const LOOKS_MAX: usize = 1024;
/// Messages under way, and the bytes of their payloads.
const UNDER_WAY_MAX: usize = 256;
const UNDER_WAY_BYTES_MAX: usize = 1 << 20;
/// After a command was not carried out.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs until the node ends.
pub async fn run(engine: Arc<Engine>) {
    let mut ended = engine.ended.clone();
    tokio::select! {
        () = publish_all(&engine) => {}
        _ = ended.wait_for(|end| *end) => {}
    }
}

async fn publish_all(engine: &Arc<Engine>) {
    let mut publishing = Publishing::default();
    loop {
        publishing.begin(engine);
        tokio::select! {
            () = engine.delayed_due.notified() => {}
            Some(done) = publishing.running.next() => publishing.ended(&done),
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

/// What is being published.
#[derive(Default)]
struct Publishing {
    running: FuturesUnordered<BoxFuture<'static, Group>>,
    ids: HashSet<u64>,
    bytes: usize,
    /// A group of QoS 0 messages is under way. One at a time, so that none overtakes another.
    has_at_most_once: bool,
}

/// Messages that begin and end together.
type Group = Vec<Arc<DelayedMessage>>;

impl Publishing {
    /// Begins with what there is room for. Messages are handed over here, one behind the other, which
    /// keeps their order.
    fn begin(&mut self, engine: &Arc<Engine>) {
        if !engine.lease.is_held() || *engine.stopping.borrow() {
            return;
        }
        let (at_most_once, others): (Group, Group) = self
            .next(engine)
            .into_iter()
            .partition(|delayed| delayed.message.qos == 0);
        for delayed in others {
            let answered = hand_over(engine, &delayed);
            let publishing = publish_then_end(engine.clone(), delayed, answered);
            self.running.push(publishing.boxed());
        }
        if !at_most_once.is_empty() {
            self.has_at_most_once = true;
            let publishing = end_then_publish(engine.clone(), at_most_once);
            self.running.push(publishing.boxed());
        }
    }

    fn next(&mut self, engine: &Engine) -> Group {
        let mut next = Group::new();
        let table = engine.store.table().read();
        let due = table.delayed_due_for(engine.node_id.into());
        for delayed in due.take(LOOKS_MAX) {
            let has_to_wait = self.has_at_most_once && delayed.message.qos == 0;
            if has_to_wait || self.ids.contains(&delayed.id) {
                continue;
            }
            let is_full = self.ids.len() >= UNDER_WAY_MAX || self.bytes >= UNDER_WAY_BYTES_MAX;
            if is_full {
                break;
            }
            self.ids.insert(delayed.id);
            self.bytes += delayed.message.payload.len();
            next.push(delayed.clone());
        }
        next
    }

    fn ended(&mut self, group: &Group) {
        self.has_at_most_once &= group.iter().all(|delayed| delayed.message.qos != 0);
        for delayed in group {
            self.ids.remove(&delayed.id);
            self.bytes -= delayed.message.payload.len();
        }
    }
}

/// To the shard of its publisher, which keeps the order.
fn hand_over(engine: &Engine, delayed: &Arc<DelayedMessage>) -> oneshot::Receiver<PublishOutcome> {
    let (answer, answered) = oneshot::channel();
    let message = delayed.clone();
    let mailbox = engine.mailbox_of(&delayed.message.client_id);
    mailbox.put(Mail::Run(Box::new(move |shard| {
        shard.borrow_mut().publish_delayed(&message, answer);
    })));
    answered
}

/// A message that could not be kept by all stays in the table, and is published again after a pause.
async fn publish_then_end(
    engine: Arc<Engine>,
    delayed: Arc<DelayedMessage>,
    answered: oneshot::Receiver<PublishOutcome>,
) -> Group {
    match answered.await {
        Ok(PublishOutcome::Kept) => drop(end(&engine, &[delayed.id]).await),
        other => {
            tracing::debug!(?other, "a delayed message could not be published yet");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
    vec![delayed]
}

async fn end_then_publish(engine: Arc<Engine>, group: Group) -> Group {
    let ids: Vec<u64> = group.iter().map(|delayed| delayed.id).collect();
    let was_its_own = end(&engine, &ids).await;
    for (delayed, is_own) in group.iter().zip(was_its_own) {
        if is_own {
            drop(hand_over(&engine, delayed));
        }
    }
    group
}

/// Takes messages out of the table; says for each whether this command did it. Repeats what had no
/// outcome while the table still has them: they must not be begun with anew meanwhile.
async fn end(engine: &Engine, ids: &[u64]) -> Vec<bool> {
    loop {
        let op = v1::Op {
            kind: Some(v1::op::Kind::EndDelayed(v1::EndDelayed {
                ids: ids.to_vec(),
            })),
        };
        match engine.propose(op).await {
            Ok(Outcome::DelayedEnded { was_its_own }) => return was_its_own,
            other => tracing::debug!(?other, "delayed messages are still in the table"),
        }
        tokio::time::sleep(PAUSE).await;
        let table = engine.store.table().read();
        if !ids.iter().any(|id| table.is_delayed(*id)) {
            return Vec::new();
        }
    }
}
