//! A session that moves to another node takes what it is owed with it: deliveries under way, the
//! queue, the QoS 2 identifiers.
//!
//! The table decides the move; the old node keeps the state under (client, old epoch) until the new
//! owner asks for it, or until nobody can be expected to any more. When sessions move faster than
//! their state, the node in the middle answers when it has got the state itself.

use super::{
    Shard, ShardRef,
    deliver::count_dropped,
    ledger::Wait,
    mailbox::Mail,
    shard_of,
    slots::SlotKey,
    telling::{drop_name, named},
    wall_clock_ms,
};
use crate::{config::Durability, engine::Engine, journal::record::Record, router::LocalSubscriber};
use raftmq_mqtt::{
    codec::QoS,
    fanout::Fanout,
    publication::Publication,
    session::{Delivery, DropReason, Offer, Session},
};
use raftmq_proto::v1;
use raftmq_store::table::Previous;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a state waits for its new owner.
const DEPARTED_KEPT: Duration = Duration::from_secs(60);
/// How long the new owner waits for the state before it goes on without.
pub(super) const IMPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a state that is itself on its way is looked for.
const ARRIVAL_POLL: Duration = Duration::from_millis(5);

/// How long a state that is on disk waits until somebody asks. Then nobody can be expected to, and the
/// session's new node gets the messages one by one.
const DEPARTED_UNASKED: Duration = Duration::from_secs(12);
/// Attempts to tell the old node that the state is on this node's disk.
const CONFIRM_ATTEMPTS: u32 = 5;
/// Pause between them.
const CONFIRM_PAUSE: Duration = Duration::from_millis(500);

/// What was left behind by a session that moved.
pub(super) struct Departed {
    pub session: Session,
    since: Instant,
    /// Its number in this node's journal, until the new owner has it in its own.
    pub journaled: Option<u64>,
    /// When the session was created, Unix milliseconds.
    pub created_at_ms: u64,
    is_handed_out: bool,
}

impl Departed {
    pub fn new(session: Session, journaled: Option<u64>, created_at_ms: u64) -> Departed {
        Departed {
            session,
            since: Instant::now(),
            journaled,
            created_at_ms,
            is_handed_out: false,
        }
    }

    fn is_over(&self) -> bool {
        let waits = match self.journaled {
            Some(_) if !self.is_handed_out => DEPARTED_UNASKED,
            _ => DEPARTED_KEPT,
        };
        self.since.elapsed() >= waits
    }
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
                number: 0,
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
    durability: Durability,
) {
    let engine = shard.borrow().engine.clone();
    let Some(previous) =
        previous.filter(|p| session_present && u64::from(p.node) != engine.node_id)
    else {
        return;
    };
    if let Some(slot) = shard.borrow_mut().slots.get_mut(key) {
        slot.importing = true;
        // Left from an earlier time here: the client has had other identifiers since.
        slot.session.outbound.requeue();
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
    let why = match taken {
        Ok(Ok(reply)) => {
            let awaits_confirmation = reply.awaits_confirmation;
            MovedSession(reply).unpack(&mut slot.session);
            shard.journal_all(key, durability);
            if awaits_confirmation {
                shard.confirm_imported(key, previous);
            }
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    // What is on the other node's disk comes when that node is back.
    tracing::warn!(client_id, node = %previous.node, why, "session resumed without what it was owed");
    shard.record_state(key);
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

/// The new owner has the session on its disk.
pub(crate) fn forget_session(engine: &Engine, request: v1::ConfirmSessionRequest) {
    engine
        .mailbox_of(&request.client_id)
        .put(Mail::Run(Box::new(move |shard| {
            let client_id = request.client_id.as_str().into();
            let mut shard = shard.borrow_mut();
            if let Some(departed) = shard.departed.remove(&(client_id, request.previous_epoch)) {
                shard.record_ended(departed.journaled);
            }
        })));
}

/// Tells the old node that the state which it handed out is on this node's disk.
async fn confirm(engine: Arc<Engine>, node: u64, request: v1::ConfirmSessionRequest) {
    for _ in 0..CONFIRM_ATTEMPTS {
        if engine.confirm_session(node, request.clone()).await.is_ok() {
            return;
        }
        tokio::time::sleep(CONFIRM_PAUSE).await;
    }
}

impl Shard {
    /// A state that another node handed out is here; when it is on the disk, that node is told. At once, if this
    /// node keeps it in memory: the other one would send it after the session once more.
    fn confirm_imported(&mut self, key: SlotKey, previous: &Previous) {
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        let request = v1::ConfirmSessionRequest {
            cluster_id: self.engine.cluster_id(),
            client_id: slot.client_id.to_string(),
            previous_epoch: previous.epoch.into(),
        };
        let (told, durable) = tokio::sync::oneshot::channel();
        self.after_journal(Wait::Imported(told));
        let (engine, node) = (self.engine.clone(), previous.node.into());
        tokio::task::spawn_local(async move {
            if durable.await.is_ok() {
                confirm(engine, node, request).await;
            }
        });
    }

    /// Puts the session's state aside for its new owner. While the state is itself still on its way
    /// here, it is looked for again in [`Shard::departed_state`].
    pub(super) fn depart(&mut self, key: SlotKey, epoch: u64) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.importing {
            return;
        }
        let limits = self.engine.settings.outbound_limits;
        let session = slot.session.begin_anew(limits);
        let departed = Departed::new(session, slot.journaled.take(), slot.created_at_ms);
        let (client_id, is_claimed) = (slot.client_id.clone(), slot.claims > 0);
        let is_journaled = departed.journaled.is_some();
        self.departed.insert((client_id, epoch), departed);
        if is_claimed && is_journaled {
            self.begin_journal(key);
        }
    }

    /// The state that the session had under `previous_epoch`; `None`: it is not here yet.
    fn departed_state(&mut self, request: &v1::TakeSessionRequest) -> Option<MovedSession> {
        debug_assert_eq!(
            shard_of(&request.client_id, self.engine.mailboxes.len()),
            self.id
        );
        let wanted = (request.client_id.as_str().into(), request.previous_epoch);
        if let Some(moved) = self.pack_departed(&wanted) {
            return Some(moved);
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
        self.pack_departed(&wanted)
    }

    /// The state for its new owner. One that is in this node's journal stays here until the new owner says
    /// that it has it on its own disk: until then only this node surely has it.
    fn pack_departed(&mut self, wanted: &(Arc<str>, u64)) -> Option<MovedSession> {
        let departed = self.departed.get_mut(wanted)?;
        let mut moved = MovedSession::pack(&departed.session);
        moved.0.awaits_confirmation = departed.journaled.is_some();
        departed.is_handed_out = true;
        if departed.journaled.is_none() {
            self.departed.remove(wanted);
        }
        Some(moved)
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
        // What comes late is given to every shard; the session was that of one.
        let shards = self.engine.mailboxes.len();
        let own = moved
            .into_iter()
            .filter(|left| shard_of(&left.client_id, shards) == self.id);
        let own: Vec<_> = own.collect();
        for subscriber in own {
            let Some(delivery) = super::deliver::delivery_for(&subscriber, publication) else {
                continue;
            };
            let mut message = Fanout::new(*publication, now_ms, &mut self.fanout);
            let left_behind = self.departed.iter_mut();
            let mut departed =
                left_behind.filter(|((client_id, _), _)| *client_id == subscriber.client_id);
            let left = match departed.next() {
                Some((_, departed)) => Some((&mut departed.session, departed.journaled)),
                // The table's event has not arrived yet.
                None => {
                    let key = self.slots.find(&subscriber.client_id);
                    key.and_then(|key| self.slots.get_mut(key))
                        .map(|slot| (&mut slot.session, slot.journaled))
                }
            };
            let Some((session, journaled)) = left else {
                self.owe_late(&subscriber, publication, delivery);
                continue;
            };
            let offer = session.outbound.offer(None, &mut message, delivery);
            let client_id = Some(&*subscriber.client_id);
            let is_taken = matches!(offer, Offer::Queued | Offer::Displaced(_));
            if let Some(number) = journaled.filter(|_| is_taken && delivery.qos != QoS::AtMostOnce)
            {
                self.ledger.deliver(number, &session.outbound, 0, delivery);
                self.ledger.delivered(publication, now_ms);
                self.output.wake();
            }
            match offer {
                Offer::Sent | Offer::Queued => {}
                Offer::Dropped(reason) => {
                    count_dropped(&self.counters, reason, 1);
                    self.note_lost(client_id, publication, drop_name(reason));
                }
                Offer::Displaced(waiting) => {
                    if let Some(session) = journaled {
                        let number = waiting.number();
                        self.ledger.record(&Record::Done { session, number });
                    }
                    let reason = DropReason::QueueFull;
                    count_dropped(&self.counters, reason, 1);
                    let displaced = waiting.message().publication();
                    self.note_lost(client_id, &displaced, drop_name(reason));
                }
            }
        }
    }

    /// The session has left nothing here that it could be put into.
    fn owe_late(
        &mut self,
        subscriber: &LocalSubscriber,
        publication: &Publication<'_>,
        delivery: Delivery<'_>,
    ) {
        let created_at_ms = {
            let table = self.engine.store.table().read();
            let session = table.session(&subscriber.client_id);
            session
                .filter(|s| s.expiry_seconds > 0)
                .map(|s| s.created_at_ms)
        };
        if let Some(created_at_ms) = created_at_ms {
            self.owe(&subscriber.client_id, created_at_ms, publication, delivery);
        }
    }

    /// Gives up waiting for those who were to ask for states. What is on disk was acknowledged: it is owed to
    /// the session wherever it is.
    pub(super) fn forget_departed(&mut self) {
        let is_over = |_: &_, departed: &mut Departed| departed.is_over();
        let forgotten: Vec<_> = self.departed.extract_if(is_over).collect();
        for ((client_id, _), departed) in forgotten {
            if departed.journaled.is_some() {
                self.owe_departed(&client_id, departed);
                continue;
            }
            let client = named(&client_id, None);
            self.count_discarded(client, &departed.session);
        }
    }

    fn owe_departed(&mut self, client_id: &Arc<str>, mut departed: Departed) {
        departed.session.outbound.requeue();
        for waiting in departed.session.outbound.queue() {
            let publication = waiting.message().publication();
            let delivery = Delivery {
                qos: waiting.qos(),
                retain: waiting.retain(),
                subscription_ids: waiting.subscription_ids(),
            };
            self.owe(client_id, departed.created_at_ms, &publication, delivery);
        }
        self.record_ended(departed.journaled);
    }
}
