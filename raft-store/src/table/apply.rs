//! Commands, one function each.

mod bans;
mod delayed;
mod nodes;
mod subscriptions;

use std::sync::Arc;

use raftmq_proto::v1::{self, Batch, Entry, Message, Op, Will, op::Kind};

use super::{
    Applied, Countable, EndReason, Ended, Epoch, NodeId, Outcome, Previous, Refusal, Session,
    Table, TableEvent,
};

/// What one entry does, collected.
struct Run<'t> {
    table: &'t mut Table,
    applied: Applied,
}

impl Table {
    /// Applies one log entry. Total: whatever the entry holds, every node does the same, and none
    /// panics.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> Applied {
        let mut run = Run {
            table: self,
            applied: Applied::default(),
        };
        let mut place = 0;
        for batch in &entry.batches {
            let outcomes = run.batch(index, &mut place, batch);
            run.applied.outcomes.push(outcomes);
        }
        let applied = run.applied;
        self.applied_index = index;
        applied
    }

    pub(super) fn sessions_on(&self, node: NodeId) -> usize {
        self.sessions.on_node(node)
    }
}

impl Run<'_> {
    /// Commands that were applied before are skipped: a batch whose fate was unknown comes again.
    fn batch(&mut self, index: u64, place: &mut usize, batch: &Batch) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(batch.ops.len());
        for (offset, op) in batch.ops.iter().enumerate() {
            let epoch = Epoch::new(index, *place);
            *place += 1;
            let seq = batch.first_seq.saturating_add(offset as u64);
            match self.admit(batch, seq, op) {
                Admission::Apply => {
                    let outcome = self.op(epoch, batch.node_id.into(), op);
                    if outcome == Outcome::NodeUp {
                        self.begin_life(batch.node_id.into(), seq);
                    }
                    outcomes.push(outcome);
                }
                Admission::Refuse(refusal) => outcomes.push(Outcome::Refused(refusal)),
                Admission::Skip => {}
            }
        }
        outcomes
    }

    /// Sequence numbers of a life begin with the command that began it.
    fn begin_life(&mut self, node: NodeId, seq: u64) {
        if let Some(node) = self.table.nodes.get_mut(&node) {
            node.last_seq = seq;
        }
    }

    fn admit(&mut self, batch: &Batch, seq: u64, op: &Op) -> Admission {
        let known = self.table.nodes.get_mut(&NodeId(batch.node_id));
        let known = known.filter(|node| node.incarnation == batch.incarnation);
        if let Some(node) = known {
            if seq <= node.last_seq {
                return Admission::Skip;
            }
            node.last_seq = seq;
            if node.is_up {
                return Admission::Apply;
            }
            return Admission::Refuse(Refusal::NodeNotUp);
        }
        match &op.kind {
            Some(Kind::NodeUp(up))
                if up.incarnation == batch.incarnation && up.node_id == batch.node_id =>
            {
                Admission::Apply
            }
            _ => Admission::Refuse(Refusal::NodeNotUp),
        }
    }

    fn op(&mut self, epoch: Epoch, proposer: NodeId, op: &Op) -> Outcome {
        match &op.kind {
            Some(Kind::ClaimSession(op)) if op.node_id == proposer.0 => self.claim(epoch, op),
            Some(Kind::ReleaseSession(op)) => self.release(op),
            Some(Kind::EndSession(op)) => self.end(op),
            Some(Kind::Subscribe(op)) => self.subscribe(op),
            Some(Kind::Unsubscribe(op)) => self.unsubscribe(op),
            Some(Kind::SetRetained(op)) => self.set_retained(op),
            Some(Kind::NodeUp(op)) => self.node_up(op),
            Some(Kind::NodeDown(op)) => self.node_down(op),
            Some(Kind::SetDrain(op)) => self.set_drain(op),
            Some(Kind::ForgetNode(op)) => self.forget_node(op),
            Some(Kind::SetBan(op)) => self.set_ban(op),
            Some(Kind::LiftBan(op)) => self.lift_ban(op),
            Some(Kind::DelayPublish(op)) => self.delay_publish(epoch, op),
            Some(Kind::EndDelayed(op)) => self.end_delayed(proposer, op),
            Some(Kind::Tick(op)) => self.tick(op.now_ms),
            Some(Kind::Checkpoint(_)) => Outcome::Checkpoint {
                index: epoch.index(),
            },
            _ => Outcome::Refused(Refusal::Malformed),
        }
    }

    /// [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-3.1.2-6], [MQTT-3.1.2-7], [MQTT-3.1.3-9]
    fn claim(&mut self, epoch: Epoch, op: &v1::ClaimSession) -> Outcome {
        if self.is_banned(op) {
            return Outcome::Refused(Refusal::Banned);
        }
        let node = NodeId(op.node_id);
        let previous = self
            .table
            .sessions
            .get(&op.client_id)
            .map(|session| Previous {
                node: session.node,
                epoch: session.epoch,
                connected: session.connected,
            });
        let goes_on = self
            .table
            .sessions
            .get(&op.client_id)
            .is_some_and(|s| outlives(s, op.now_ms));
        let session_present = goes_on && !op.clean_start;
        if let Some(previous) = previous {
            self.take_over(&op.client_id, previous, node, epoch, op);
        }
        let mut session = self.claimed(&op.client_id, op, epoch);
        session.session_present = session_present;
        let subscriptions = session.subscriptions.clone();
        let session = self.table.sessions.insert(session);
        self.counted(
            node,
            match session_present {
                true => Countable::SessionResumed,
                false => Countable::SessionCreated(session),
            },
        );
        Outcome::Claimed {
            epoch,
            session_present,
            previous,
            subscriptions,
        }
    }

    /// What the claim does to the session that there is: its connection ends, or all of it.
    fn take_over(
        &mut self,
        client_id: &str,
        previous: Previous,
        node: NodeId,
        epoch: Epoch,
        op: &v1::ClaimSession,
    ) {
        let Some(session) = self.table.sessions.get(client_id) else {
            return;
        };
        let ends = op.clean_start || !outlives(session, op.now_ms);
        self.applied.events.push(TableEvent::SessionTaken {
            client_id: session.client_id.clone(),
            previous_node: previous.node,
            previous_epoch: previous.epoch,
            was_connected: previous.connected,
            node,
            epoch,
            goes_on: !ends,
        });
        // A new connection before the delay has passed takes the will back, unless the session ends
        // with the old one (§3.1.3.2.2).
        let will = session.will.clone();
        let is_due_now = will
            .as_ref()
            .is_some_and(|w| session.connected && w.delay_seconds == 0);
        if let Some(will) = will.filter(|_| ends || is_due_now) {
            self.publish_will(&will, previous.node, op.now_ms);
        }
        if ends {
            let reason = match op.clean_start {
                true => EndReason::CleanStart,
                false => EndReason::Expired,
            };
            self.remove(client_id, reason);
        } else {
            self.move_routes(client_id, previous.node, node);
        }
    }

    fn claimed(&mut self, client_id: &str, op: &v1::ClaimSession, epoch: Epoch) -> Session {
        let known = self.table.sessions.get(client_id);
        Session {
            client_id: known.map_or_else(|| client_id.into(), |s| s.client_id.clone()),
            node: op.node_id.into(),
            epoch,
            connected: true,
            clean_start: op.clean_start,
            session_present: false,
            expiry_seconds: op.expiry_seconds,
            in_memory: op.in_memory,
            created_at_ms: known.map_or(op.now_ms, |s| s.created_at_ms),
            disconnected_at_ms: 0,
            disconnected_reason: "".into(),
            attributes: op.attributes.clone().unwrap_or_default(),
            will: op.will.clone(),
            will_due_ms: None,
            subscriptions: known.map(|s| s.subscriptions.clone()).unwrap_or_default(),
        }
    }

    fn move_routes(&mut self, client_id: &str, from: NodeId, to: NodeId) {
        let Some(session) = self.table.sessions.get(client_id) else {
            return;
        };
        for subscription in &session.subscriptions {
            self.table.subscribers.remove(client_id, from, subscription);
            self.table
                .subscribers
                .add(&session.client_id, to, subscription, false);
            self.applied
                .changed
                .filters
                .push(subscription.filter.clone());
        }
    }

    fn release(&mut self, op: &v1::ReleaseSession) -> Outcome {
        match self.owned(&op.client_id, op.epoch) {
            Ok(session) if session.connected => {}
            Ok(_) => return Outcome::Released,
            Err(refusal) => return Outcome::Refused(refusal),
        }
        let reason = op.reason.as_str();
        self.table.sessions.update(&op.client_id, |session| {
            session.expiry_seconds = op.expiry_seconds.unwrap_or(session.expiry_seconds);
            session.disconnected_reason = reason.into();
            if op.discard_will {
                session.will = None;
            }
        });
        self.go_offline(&op.client_id, op.now_ms, reason, EndReason::Expired);
        Outcome::Released
    }

    /// The connection is over: the session ends, or waits for its client.
    /// [MQTT-3.1.2-8], [MQTT-3.1.2-10], [MQTT-3.1.2-23], 3.1.1 [MQTT-3.1.2-12]
    fn go_offline(&mut self, client_id: &str, now_ms: u64, reason: &str, end: EndReason) {
        let Some(session) = self.table.sessions.get(client_id) else {
            return;
        };
        if session.expiry_seconds == 0 {
            self.end_session(client_id, now_ms, end);
            return;
        }
        let due = session
            .will
            .as_ref()
            .map(|will| u64::from(will.delay_seconds) * 1000);
        let (will, node) = (session.will.clone(), session.node);
        if let (Some(0), Some(will)) = (due, &will) {
            self.publish_will(will, node, now_ms);
        }
        self.table.sessions.update(client_id, |session| {
            session.connected = false;
            session.disconnected_at_ms = now_ms;
            session.disconnected_reason = reason.into();
            session.will_due_ms = due
                .filter(|delay| *delay > 0)
                .map(|delay| now_ms.saturating_add(delay));
            if session.will_due_ms.is_none() {
                session.will = None;
            }
        });
    }

    /// Ends a session; its will, if it has one, is due at once (§3.1.3.2.2).
    /// [MQTT-4.1.0-2]
    fn end_session(&mut self, client_id: &str, now_ms: u64, reason: EndReason) {
        let Some(session) = self.table.sessions.get(client_id) else {
            return;
        };
        let (node, epoch, client_id) = (session.node, session.epoch, session.client_id.clone());
        if let Some(will) = session.will.clone() {
            self.publish_will(&will, node, now_ms);
        }
        self.remove(&client_id, reason);
        self.applied.events.push(TableEvent::SessionEnded {
            client_id,
            node,
            epoch,
            reason,
        });
    }

    fn remove(&mut self, client_id: &str, reason: EndReason) {
        let Some(session) = self.table.sessions.remove(client_id) else {
            return;
        };
        for subscription in &session.subscriptions {
            self.table
                .subscribers
                .remove(client_id, session.node, subscription);
            self.applied
                .changed
                .filters
                .push(subscription.filter.clone());
        }
        let node = session.node;
        self.counted(node, Countable::SessionTerminated { session, reason });
    }

    /// A node that is down counts no more: another one does, so that the cluster's sums stay right.
    fn counted(&mut self, concerned: NodeId, what: Countable) {
        let lowest_up = || {
            let mut nodes = self.table.nodes.iter();
            nodes.find(|(_, node)| node.is_up).map(|(id, _)| *id)
        };
        let by = match self.table.is_node_up(concerned) {
            true => concerned,
            false => lowest_up().unwrap_or(concerned),
        };
        self.applied.events.push(TableEvent::Counted { by, what });
    }

    fn end(&mut self, op: &v1::EndSession) -> Outcome {
        let Some(session) = self.table.sessions.get(&op.client_id) else {
            return Outcome::Refused(Refusal::NoSession);
        };
        let is_that_offline_one = |epoch: u64| session.epoch.0 == epoch && !session.connected;
        if !op.offline_epoch.is_none_or(is_that_offline_one) {
            return Outcome::Refused(Refusal::StaleEpoch);
        }
        let ended = Ended {
            node: session.node,
            epoch: session.epoch,
            connected: session.connected,
            attributes: session.attributes.clone(),
        };
        self.end_session(&op.client_id, op.now_ms, EndReason::Administrator);
        Outcome::Ended(Box::new(ended))
    }

    fn owned(&self, client_id: &str, epoch: u64) -> Result<&Session, Refusal> {
        match self.table.sessions.get(client_id) {
            None => Err(Refusal::NoSession),
            Some(session) if session.epoch.0 != epoch => Err(Refusal::StaleEpoch),
            Some(session) => Ok(session),
        }
    }

    fn set_retained(&mut self, op: &v1::SetRetained) -> Outcome {
        let Some(message) = &op.message else {
            return Outcome::Refused(Refusal::Malformed);
        };
        // The decoded payload pins the whole entry in memory: what stays is copied.
        let payload = message.payload.to_vec().into();
        let properties = message.properties.to_vec().into();
        let kept = Message {
            payload,
            properties,
            ..message.clone()
        };
        match self.table.retained.set(Arc::new(kept)) {
            Ok(()) => Outcome::Retained,
            Err(_) => Outcome::Refused(Refusal::InvalidTopic),
        }
    }

    /// Publishes a will: every node delivers it when it applies this entry; retained, it is kept by
    /// the same entry [MQTT-3.1.2-14], [MQTT-3.1.2-15].
    fn publish_will(&mut self, will: &Will, node: NodeId, now_ms: u64) {
        let Some(message) = &will.message else { return };
        let message = Arc::new(Message {
            received_at_ms: now_ms,
            ..message.clone()
        });
        if message.retain {
            // A will with an invalid topic is refused with its CONNECT; here it is just not kept.
            let _ = self.table.retained.set(message.clone());
        }
        self.applied
            .events
            .push(TableEvent::WillDue(message.clone()));
        self.counted(node, Countable::WillPublished(message));
    }

    fn tick(&mut self, now_ms: u64) -> Outcome {
        while let Some(client_id) = self.table.sessions.first_due(now_ms) {
            let Some(session) = self.table.sessions.get(&client_id) else {
                break;
            };
            if session.expires_at_ms().is_some_and(|at| at <= now_ms) {
                self.end_session(&client_id, now_ms, EndReason::Expired);
                continue;
            }
            if let (Some(will), node) = (session.will.clone(), session.node) {
                self.publish_will(&will, node, now_ms);
            }
            self.table.sessions.update(&client_id, |session| {
                session.will = None;
                session.will_due_ms = None;
            });
        }
        self.table.retained.expire(now_ms);
        self.expire_bans(now_ms);
        self.delayed_come_due(now_ms);
        Outcome::Ticked
    }
}

/// Whether a session is still there for its next connection: it ends with its connection, which a
/// new one closes (§3.1.4), when it has no expiry, and it may have expired unnoticed.
fn outlives(session: &Session, now_ms: u64) -> bool {
    session.expiry_seconds > 0 && session.expires_at_ms().is_none_or(|at| at > now_ms)
}

enum Admission {
    Apply,
    Refuse(Refusal),
    /// It has been applied before.
    Skip,
}
