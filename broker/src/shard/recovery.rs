//! Sessions that come back from the journal when the node starts, and what the table says of them.
//!
//! They have their slots before anybody can connect. The table may be behind then, so nothing is judged by
//! it before this node has its lease, which it gets only when it has caught up.

use super::{Shard, owed::Owed, slots::Slot, slots::SlotKey};
use crate::{
    journal::{
        Image, ImageDelivery, Message,
        record::{Record, Role, Stage},
    },
    shard::transfer::Departed,
};
use raftmq_mqtt::{
    codec::{QoS, SubscriptionIdentifier},
    publication::Stored,
    session::{Inbound, Outbound, OutboundLimits, Session, TransferredDelivery},
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What is in memory of the messages that were shared on the disk.
type Messages = FxHashMap<*const Message, Stored>;

/// What the table says of a session that this node had.
enum Verdict {
    Stays {
        epoch: u64,
        created_at_ms: u64,
        expiry_seconds: u32,
    },
    Moved,
    Ended,
}

fn session_of(image: &Image, limits: OutboundLimits, messages: &mut Messages) -> Session {
    let deliveries = image.deliveries.values();
    let deliveries = deliveries.filter_map(|delivery| delivery_of(delivery, messages));
    let mut inbound = Inbound::default();
    inbound.restore_qos2(image.received.iter().copied());
    Session {
        outbound: Outbound::recovered(
            limits,
            deliveries.collect(),
            image.last_packet_id,
            image.last_number,
        ),
        inbound,
    }
}

fn delivery_of(image: &ImageDelivery, messages: &mut Messages) -> Option<TransferredDelivery> {
    let message = match &image.message {
        Some(message) => Some(stored(message, messages)?),
        None => None,
    };
    let delivery = &image.delivery;
    let ids = delivery.subscription_ids.iter();
    Some(TransferredDelivery {
        number: delivery.number,
        packet_id: match image.stage {
            Stage::Queued => 0,
            Stage::Published | Stage::Released => delivery.packet_id,
        },
        message,
        qos: QoS::from_number(delivery.qos)?,
        retain: delivery.retain,
        subscription_ids: ids
            .filter_map(|id| SubscriptionIdentifier::new(*id))
            .collect(),
    })
}

fn stored(message: &Arc<Message>, messages: &mut Messages) -> Option<Stored> {
    let address = Arc::as_ptr(message);
    if let Some(stored) = messages.get(&address) {
        return Some(stored.clone());
    }
    let stored = Stored::from_frame(&message.frame, message.kept_at_ms);
    let stored = stored
        .inspect_err(|error| tracing::error!(%error, "a message of the journal cannot be read"))
        .ok()?;
    messages.insert(address, stored.clone());
    Some(stored)
}

impl Shard {
    /// Makes the sessions that the journal held. If a client has several, the latest is its session, and what
    /// the others hold is owed to it.
    pub(super) fn recover(&mut self, mut images: Vec<Image>) {
        images.sort_by_key(|image| std::cmp::Reverse((image.epoch, image.session)));
        let engine = self.engine.clone();
        let mut messages = Messages::default();
        for image in images {
            let limits = engine.settings.outbound_limits_of(&image.client_id);
            let session = session_of(&image, limits, &mut messages);
            let client_id: Arc<str> = image.client_id.as_str().into();
            if image.role == Role::Session && self.slots.find(&client_id).is_none() {
                self.slots.insert(Slot {
                    // A claim whose epoch is not known has one.
                    epoch: image.epoch.max(1),
                    created_at_ms: image.created_at_ms,
                    journaled: Some(image.session),
                    expiry_seconds: u32::MAX,
                    ..Slot::new(client_id, session)
                });
            } else {
                self.owe_image(client_id, &image, session);
            }
        }
    }

    fn owe_image(&mut self, client_id: Arc<str>, image: &Image, session: Session) {
        if image.role == Role::Owed && !self.owed.contains_key(&client_id) {
            let owed = Owed::new(image.session, image.created_at_ms, session);
            self.owed.insert(client_id, owed);
            return;
        }
        let epoch = image.epoch;
        let departed = Departed::new(session, Some(image.session), image.created_at_ms);
        self.departed.insert((client_id, epoch), departed);
    }

    /// Compares the sessions with the table, once it is known to be as it is for everybody.
    pub(super) fn reconcile(&mut self) {
        if self.is_reconciled || !self.engine.lease.is_held() {
            return;
        }
        self.is_reconciled = true;
        for key in self.slots.keys() {
            match self.verdict(key) {
                None => {}
                Some(Verdict::Ended) => self.discard(key),
                Some(Verdict::Moved) => self.has_moved(key),
                Some(Verdict::Stays {
                    epoch,
                    created_at_ms,
                    expiry_seconds,
                }) => self.stays(key, epoch, created_at_ms, expiry_seconds),
            }
        }
    }

    /// `None`: a claim of this node's is under way, which will say.
    fn verdict(&self, key: SlotKey) -> Option<Verdict> {
        let slot = self.slots.get(key).filter(|slot| slot.claims == 0)?;
        slot.journaled?;
        let table = self.engine.store.table().read();
        let Some(session) = table.session(&slot.client_id) else {
            return Some(Verdict::Ended);
        };
        let is_another = slot.created_at_ms != 0 && session.created_at_ms != slot.created_at_ms;
        Some(match u64::from(session.node) == self.engine.node_id {
            _ if is_another => Verdict::Ended,
            // A later claim by a listener that keeps sessions in memory: what lies here is older than that.
            true if session.in_memory => Verdict::Ended,
            true => Verdict::Stays {
                epoch: session.epoch.into(),
                created_at_ms: session.created_at_ms,
                expiry_seconds: session.expiry_seconds,
            },
            false => Verdict::Moved,
        })
    }

    fn stays(&mut self, key: SlotKey, epoch: u64, created_at_ms: u64, expiry_seconds: u32) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.expiry_seconds = expiry_seconds;
        if slot.epoch == epoch {
            return;
        }
        (slot.epoch, slot.created_at_ms) = (epoch, created_at_ms);
        if let Some(session) = slot.journaled {
            self.ledger.record(&Record::Claimed {
                session,
                epoch,
                created_at_ms,
            });
            self.output.wake();
        }
    }

    fn has_moved(&mut self, key: SlotKey) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let epoch = slot.epoch;
        slot.lost_epoch = slot.lost_epoch.max(epoch);
        self.drop_connection(key, raftmq_mqtt::codec::ReasonCode::SessionTakenOver);
        self.depart(key, epoch);
        self.remove_if_unused(key);
    }
}
