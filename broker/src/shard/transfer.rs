//! A session that moves to another node takes what it is owed with it: deliveries under way, the
//! queue, the QoS 2 identifiers.
//!
//! The table decides the move; the old node keeps the state under (client, old epoch) until the new
//! owner asks for it, or until nobody can be expected to any more. When sessions move faster than
//! their state, the node in the middle answers when it has got the state itself.

use super::{
    Shard, ShardRef,
    deliver::count_dropped,
    mailbox::Mail,
    shard_of,
    slots::SlotKey,
    telling::{drop_name, named},
    wall_clock_ms,
};
use crate::engine::Engine;
use raftmq_mqtt::{
    fanout::Fanout,
    publication::Publication,
    session::{DropReason, Offer, Session},
};
use raftmq_proto::v1;
use raftmq_store::table::Previous;
use std::time::{Duration, Instant};

/// How long a state waits for its new owner.
const DEPARTED_KEPT: Duration = Duration::from_secs(60);
/// How long the new owner waits for the state before it goes on without.
pub(super) const IMPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a state that is itself on its way is looked for.
const ARRIVAL_POLL: Duration = Duration::from_millis(5);

/// What was left behind by a session that moved.
pub(super) struct Departed {
    session: Session,
    since: Instant,
}

/// The state of a session, as it travels.
#[derive(Debug, Default)]
pub struct MovedSession(pub v1::TakeSessionReply);

impl MovedSession {
    fn pack(session: &Session) -> MovedSession {
        let mut reply = v1::TakeSessionReply {
            received_qos2: session.inbound.received_qos2().map(u32::from).collect(),
            ..Default::default()
        };
        reply.deliveries = session
            .outbound
            .transfer()
            .map(|d| v1::Delivery {
                packet_id: u32::from(d.packet_id),
                qos: u32::from(d.qos.number()),
                retain: d.retain,
                subscription_ids: d.subscription_ids.iter().map(|id| id.get()).collect(),
                publication: d.message.map(|m| m.frame().to_vec().into()),
            })
            .collect();
        MovedSession(reply)
    }

    fn unpack(self, session: &mut Session) {
        use raftmq_mqtt::{
            codec::{QoS, SubscriptionIdentifier},
            publication::Stored,
            session::TransferredDelivery,
        };
        session
            .inbound
            .restore_qos2(self.0.received_qos2.iter().map(|id| *id as u16));
        let deliveries = self.0.deliveries.into_iter().filter_map(|d| {
            let message = match d.publication {
                None => None,
                Some(frame) => Some(Stored::from_frame(&frame, wall_clock_ms()).ok()?),
            };
            Some(TransferredDelivery {
                packet_id: u16::try_from(d.packet_id).ok()?,
                message,
                qos: QoS::from_number(u8::try_from(d.qos).ok()?)?,
                retain: d.retain,
                subscription_ids: d
                    .subscription_ids
                    .into_iter()
                    .filter_map(SubscriptionIdentifier::new)
                    .collect(),
            })
        });
        session.outbound.restore(deliveries.collect());
    }
}

/// Fetches the state of a session that another node had until this claim.
pub(super) async fn import(
    shard: &ShardRef,
    key: SlotKey,
    client_id: &str,
    new_epoch: u64,
    session_present: bool,
    previous: Option<&Previous>,
) {
    let engine = shard.borrow().engine.clone();
    let Some(previous) =
        previous.filter(|p| session_present && u64::from(p.node) != engine.node_id)
    else {
        return;
    };
    if let Some(slot) = shard.borrow_mut().slots.get_mut(key) {
        slot.importing = true;
    }
    let request = v1::TakeSessionRequest {
        cluster_id: engine.cluster_id(),
        client_id: client_id.to_owned(),
        previous_epoch: previous.epoch.into(),
        new_epoch,
    };
    let taken = tokio::time::timeout(
        IMPORT_TIMEOUT,
        engine.take_session(previous.node.into(), request),
    )
    .await;
    let mut shard = shard.borrow_mut();
    let Some(slot) = shard.slots.get_mut(key) else {
        return;
    };
    slot.importing = false;
    match taken {
        Ok(Ok(reply)) => MovedSession(reply).unpack(&mut slot.session),
        Ok(Err(error)) => {
            tracing::warn!(client_id, node = %previous.node, %error, "session resumed without what it was owed")
        }
        Err(_) => {
            tracing::warn!(client_id, node = %previous.node, "session resumed without what it was owed: no answer in time")
        }
    }
}

/// Answers the node that owns the session now. `None`: this node stops.
pub(crate) async fn hand_out_session(
    engine: &Engine,
    request: v1::TakeSessionRequest,
) -> Option<v1::TakeSessionReply> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    engine
        .mailbox_of(&request.client_id)
        .put(Mail::Run(Box::new(move |shard| {
            let handing_out = hand_out(shard.clone(), request);
            tokio::task::spawn_local(async move { answer.send(handing_out.await).ok() });
        })));
    answered.await.ok()
}

/// Runs on the shard of the client.
async fn hand_out(shard: ShardRef, request: v1::TakeSessionRequest) -> v1::TakeSessionReply {
    let deadline = Instant::now() + IMPORT_TIMEOUT;
    loop {
        match shard.borrow_mut().departed_state(&request) {
            Some(MovedSession(reply)) => return reply,
            None if Instant::now() > deadline => return v1::TakeSessionReply::default(),
            None => {}
        }
        tokio::time::sleep(ARRIVAL_POLL).await;
    }
}

impl Shard {
    /// Puts the session's state aside for its new owner. While the state is itself still on its way
    /// here, it is looked for again in [`Shard::departed_state`].
    pub(super) fn depart(&mut self, key: SlotKey, epoch: u64) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.importing {
            return;
        }
        let empty = Session::new(self.engine.settings.outbound_limits);
        let departed = Departed {
            session: std::mem::replace(&mut slot.session, empty),
            since: Instant::now(),
        };
        self.departed
            .insert((slot.client_id.clone(), epoch), departed);
    }

    /// The state that the session had under `previous_epoch`; `None`: it is not here yet.
    fn departed_state(&mut self, request: &v1::TakeSessionRequest) -> Option<MovedSession> {
        debug_assert_eq!(
            shard_of(&request.client_id, self.engine.mailboxes.len()),
            self.id
        );
        let wanted = (request.client_id.as_str().into(), request.previous_epoch);
        if let Some(departed) = self.departed.remove(&wanted) {
            return Some(MovedSession::pack(&departed.session));
        }
        let key = self.slots.find(&request.client_id);
        let Some((key, slot)) = key.and_then(|key| Some((key, self.slots.get_mut(key)?))) else {
            // Nothing was ever here: a session that this node only knew from the table.
            return Some(MovedSession::default());
        };
        // The claim that won this epoch is still being completed here.
        if slot.importing || (slot.claims > 0 && slot.epoch < request.previous_epoch) {
            return None;
        }
        if slot.lost_epoch < request.previous_epoch {
            // The table's event has not arrived yet.
            return None;
        }
        if slot.epoch > request.previous_epoch {
            return Some(MovedSession::default());
        }
        self.depart(key, request.previous_epoch);
        let departed = self.departed.remove(&wanted)?;
        Some(MovedSession::pack(&departed.session))
    }

    /// A publication that was routed to this node for sessions that have moved away since: it goes into
    /// what they leave behind, which their new owner waits for.
    pub(super) fn deliver_late(&mut self, publication: &Publication<'_>, routed_at: u64) {
        let moved = {
            let table = self.engine.store.table().read();
            let resolver = self.engine.resolver();
            resolver.moved_away(&table, publication.topic, routed_at)
        };
        let now_ms = self.clock.unix_ms();
        for subscriber in moved {
            let Some(delivery) = super::deliver::delivery_for(&subscriber, publication) else {
                continue;
            };
            let mut message = Fanout::new(*publication, now_ms, &mut self.fanout);
            let left_behind = self.departed.iter_mut();
            let mut departed =
                left_behind.filter(|((client_id, _), _)| *client_id == subscriber.client_id);
            let session = match departed.next() {
                Some((_, departed)) => Some(&mut departed.session),
                // The table's event has not arrived yet.
                None => {
                    let key = self.slots.find(&subscriber.client_id);
                    key.and_then(|key| self.slots.get_mut(key))
                        .map(|slot| &mut slot.session)
                }
            };
            let Some(session) = session else { continue };
            let offer = session.outbound.offer(None, &mut message, delivery);
            let client_id = Some(&*subscriber.client_id);
            match offer {
                Offer::Sent | Offer::Queued => {}
                Offer::Dropped(reason) => {
                    count_dropped(&self.counters, reason, 1);
                    self.note_lost(client_id, publication, drop_name(reason));
                }
                Offer::Displaced(waiting) => {
                    let reason = DropReason::QueueFull;
                    count_dropped(&self.counters, reason, 1);
                    let displaced = waiting.message().publication();
                    self.note_lost(client_id, &displaced, drop_name(reason));
                }
            }
        }
    }

    /// Forgets states that nobody has asked for.
    pub(super) fn forget_departed(&mut self) {
        let is_over = |_: &_, departed: &mut Departed| departed.since.elapsed() >= DEPARTED_KEPT;
        let forgotten: Vec<_> = self.departed.extract_if(is_over).collect();
        for ((client_id, _), departed) in forgotten {
            let client = named(&client_id, None);
            self.count_discarded(client, &departed.session);
        }
    }
}
