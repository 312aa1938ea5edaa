//! What the HTTP API is told of a drain of this node, and how it orders one.

use crate::{
    drain::Step,
    engine::Engine,
    shard::{DrainLoad, wall_clock_ms},
};
use futures::future::join_all;
use raftmq_api::{
    DrainOrder, DrainRefusal,
    node::{DrainProgress, DrainReply},
};
use raftmq_proto::v1;
use raftmq_store::table::{Outcome, Refusal};

/// Clients and sessions of this node, and how far it is.
pub(super) async fn reply(engine: &Engine) -> DrainReply {
    let shards = engine.mailboxes.iter();
    let asked = shards.map(|mailbox| mailbox.ask(|shard| shard.drain_load()));
    let loads = join_all(asked).await.into_iter().flatten();
    let load = loads.fold(DrainLoad::default(), |sum, load| sum + load);
    DrainReply {
        clients: load.clients,
        persistent_clients: load.persistent_clients,
        offline_sessions: load.offline_sessions,
        offline_with_messages: load.offline_with_messages,
        offline_messages: load.offline_messages,
        leads: engine.store.leads(),
        progress: progress(engine, load.clients),
    }
}

/// Clients connected now.
pub(super) async fn clients(engine: &Engine) -> u64 {
    let shards = engine.mailboxes.iter();
    let asked = shards.map(|mailbox| mailbox.ask(|shard| shard.connections()));
    let counts = join_all(asked).await.into_iter().flatten();
    counts.sum::<usize>() as u64
}

/// How far the node is; `None`: it is not draining.
pub(super) fn progress(engine: &Engine, clients: u64) -> Option<DrainProgress> {
    engine.draining.order()?;
    let step = engine.draining.step();
    let reason = match step {
        Step::Waiting(why) => why.to_owned(),
        _ => String::new(),
    };
    Some(DrainProgress {
        step: name(step).to_owned(),
        reason,
        clients,
        sent_away: engine.draining.sent_away(),
    })
}

fn name(step: Step) -> &'static str {
    match step {
        // The order has come and nothing has been done yet.
        Step::Serving | Step::SendingAway => "sending_away",
        Step::HandingOver => "handing_over",
        Step::Holding => "holding",
        Step::Waiting(_) => "waiting",
        Step::Drained => "drained",
    }
}

/// Writes the order into the table, or takes it back.
pub(super) async fn set(
    engine: &Engine,
    node_id: u64,
    order: Option<DrainOrder>,
) -> Result<(), DrainRefusal> {
    let drain = order.map(|order| v1::Drain {
        clients_per_second: order.clients_per_second,
        since_ms: wall_clock_ms(),
    });
    let op = v1::Op {
        kind: Some(v1::op::Kind::SetDrain(v1::SetDrain { node_id, drain })),
    };
    match engine.propose(op).await {
        Ok(Outcome::DrainSet) => Ok(()),
        Ok(Outcome::Refused(Refusal::UnknownNode)) => Err(DrainRefusal::UnknownNode),
        Ok(Outcome::Refused(Refusal::NoOtherNode)) => Err(DrainRefusal::NoOtherNode),
        Ok(other) => Err(DrainRefusal::NotReplicated(format!("{other:?}"))),
        Err(error) => Err(DrainRefusal::NotReplicated(error.to_string())),
    }
}
