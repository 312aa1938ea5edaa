//! How the HTTP API bans somebody: by an entry of the log, answered when every serving node has applied it.

use crate::engine::Engine;
use raftmq_api::{BanRefusal, ReplicationError};
use raftmq_proto::v1;
use raftmq_store::table::{Ban, BanOf, Outcome, Refusal};

pub(super) async fn set(engine: &Engine, ban: Ban) -> Result<(), BanRefusal> {
    match engine.propose(ban.order()).await {
        Ok(Outcome::BanSet) => Ok(()),
        Ok(Outcome::Refused(Refusal::Malformed)) => Err(BanRefusal::Malformed),
        Ok(Outcome::Refused(Refusal::TooMany)) => Err(BanRefusal::TooMany),
        Ok(other) => Err(BanRefusal::NotReplicated(format!("{other:?}"))),
        Err(error) => Err(BanRefusal::NotReplicated(error.to_string())),
    }
}

/// Whether there was one.
pub(super) async fn lift(
    engine: &Engine,
    of: BanOf,
    who: String,
) -> Result<bool, ReplicationError> {
    let of = of.stored().into();
    let op = v1::Op {
        kind: Some(v1::op::Kind::LiftBan(v1::LiftBan { of, who })),
    };
    match engine.propose(op).await {
        Ok(Outcome::BanLifted { existed }) => Ok(existed),
        Ok(other) => Err(ReplicationError(format!("{other:?}"))),
        Err(error) => Err(ReplicationError(error.to_string())),
    }
}
