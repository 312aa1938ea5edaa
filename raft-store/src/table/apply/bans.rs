//! Bans: who is kept out, and sent away when it is there already.

use std::sync::Arc;

use raftmq_proto::v1;

use super::super::{Ban, EndReason, Outcome, Refusal, Session, Suspect, TableEvent};
use super::Run;

impl Run<'_> {
    /// Whether the client of a claim is kept out. It is asked of the table alone, so a claim that comes
    /// behind a ban in the log is refused, whatever its node knew when it proposed it.
    pub(super) fn is_banned(&self, op: &v1::ClaimSession) -> bool {
        if self.table.bans.is_empty() {
            return false;
        }
        let known = op.attributes.as_ref();
        let (user_name, peer_address) = known.map_or(("", ""), |known| {
            (known.username.as_str(), known.peer_address.as_str())
        });
        let suspect = Suspect::new(&op.client_id, user_name, peer_address);
        self.table.bans.holding(&suspect, op.now_ms).is_some()
    }

    pub(super) fn set_ban(&mut self, op: &v1::SetBan) -> Outcome {
        let Some(ban) = op.ban.as_ref().and_then(Ban::read) else {
            return Outcome::Refused(Refusal::Malformed);
        };
        if !ban.holds(ban.at_ms) {
            return Outcome::Refused(Refusal::Malformed);
        }
        if let Err(refusal) = Arc::make_mut(&mut self.table.bans).set(ban.clone()) {
            return Outcome::Refused(refusal);
        }
        for client_id in self.connected_of(&ban) {
            self.send_away(&client_id, ban.at_ms);
        }
        Outcome::BanSet
    }

    pub(super) fn lift_ban(&mut self, op: &v1::LiftBan) -> Outcome {
        let named = v1::Ban {
            of: op.of,
            who: op.who.clone(),
            ..v1::Ban::default()
        };
        let Some(named) = Ban::read(&named) else {
            return Outcome::Refused(Refusal::Malformed);
        };
        let existed = Arc::make_mut(&mut self.table.bans).lift(named.of, &named.who);
        Outcome::BanLifted { existed }
    }

    pub(super) fn expire_bans(&mut self, now_ms: u64) {
        // Looked at first: taking the bans to change them copies them while a snapshot is written.
        if self.table.bans.any_is_due(now_ms) {
            Arc::make_mut(&mut self.table.bans).expire(now_ms);
        }
    }

    /// Connected clients that a ban names, in order. But for a client identifier, which is looked up, all
    /// sessions are looked at.
    fn connected_of(&self, ban: &Ban) -> Vec<Arc<str>> {
        let sessions = &self.table.sessions;
        let is_named = |session: &&Session| {
            let known = &session.attributes;
            let suspect = Suspect::new(&session.client_id, &known.username, &known.peer_address);
            session.connected && ban.names(&suspect)
        };
        let client_id = |session: &Session| session.client_id.clone();
        match ban.of {
            super::super::BanOf::Client => {
                let one = sessions.get(&ban.who).filter(is_named);
                one.into_iter().map(client_id).collect()
            }
            _ => sessions
                .behind(None)
                .filter(is_named)
                .map(client_id)
                .collect(),
        }
    }

    /// Its connection ends; its session does what it does when a connection is lost.
    fn send_away(&mut self, client_id: &str, now_ms: u64) {
        let Some(session) = self.table.sessions.get(client_id) else {
            return;
        };
        if session.expiry_seconds > 0 {
            self.applied.events.push(TableEvent::Disconnected {
                client_id: session.client_id.clone(),
                node: session.node,
                epoch: session.epoch,
            });
        }
        let reason = "banned by an administrator";
        self.go_offline(client_id, now_ms, reason, EndReason::Administrator);
    }
}
