//! Sessions as their records make them: what is left of a journal when it has been replayed.

use super::{
    bytes::Unreadable,
    record::{KeptDelivery, Record, Role, Stage, State},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// A message, shared by all deliveries of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// When it was kept, Unix milliseconds.
    pub kept_at_ms: u64,
    /// The publication.
    pub frame: Vec<u8>,
}

/// A delivery that is not over.
#[derive(Clone, Debug)]
pub struct ImageDelivery {
    /// As it was recorded.
    pub delivery: KeptDelivery,
    /// Where it stands.
    pub stage: Stage,
    /// What is delivered; `None`: it is released.
    pub message: Option<Arc<Message>>,
}

/// A session.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its number in the journal.
    pub session: u64,
    /// Client identifier.
    pub client_id: String,
    /// The claim under which the node had it; 0: not known.
    pub epoch: u64,
    /// When it was created, Unix milliseconds; 0: not known.
    pub created_at_ms: u64,
    /// What the node had of it.
    pub role: Role,
    /// Packet identifier given last.
    pub last_packet_id: u16,
    /// Number given last to a delivery.
    pub last_number: u64,
    /// QoS 2 packet identifiers received and not released.
    pub received: BTreeSet<u16>,
    /// By number, which is their order.
    pub deliveries: BTreeMap<u64, ImageDelivery>,
}

/// All sessions, while records are replayed.
#[derive(Debug, Default)]
pub struct Images {
    sessions: HashMap<u64, Image>,
    frames: HashMap<u64, Arc<Message>>,
    /// Sessions with records, and no beginning yet: a checkpoint that comes later has it.
    unknown: HashSet<u64>,
    highest: u64,
}

impl Images {
    /// The next record.
    pub fn replay(&mut self, record: Record<'_>) -> Result<(), Unreadable> {
        match record {
            Record::State(state) => self.state(state)?,
            Record::Claimed {
                session,
                epoch,
                created_at_ms,
            } => self.with(session, |image| {
                image.epoch = epoch;
                image.created_at_ms = created_at_ms;
            }),
            Record::Ended { session } => {
                self.sessions.remove(&session);
                self.unknown.remove(&session);
            }
            Record::Kept {
                kept_at_ms,
                frame,
                deliveries,
            } => self.kept(kept_at_ms, frame, deliveries),
            Record::Frame {
                frame,
                kept_at_ms,
                bytes,
            } => {
                let frame_of = Message {
                    kept_at_ms,
                    frame: bytes.to_vec(),
                };
                self.frames.insert(frame, Arc::new(frame_of));
            }
            Record::Sent {
                session,
                number,
                packet_id,
            } => self.with(session, |image| image.sent(number, packet_id)),
            Record::Released { session, number } => {
                self.with(session, |image| {
                    if let Some(delivery) = image.deliveries.get_mut(&number) {
                        delivery.stage = Stage::Released;
                        delivery.message = None;
                    }
                });
            }
            Record::Done { session, number } => self.with(session, |image| {
                image.deliveries.remove(&number);
            }),
            Record::Received { session, packet_id } => self.with(session, |image| {
                image.received.insert(packet_id);
            }),
            Record::Forgotten { session, packet_id } => self.with(session, |image| {
                image.received.remove(&packet_id);
            }),
        }
        Ok(())
    }

    /// Everything has been replayed: the sessions, and the highest number that one had.
    ///
    /// # Errors
    /// The number of a session that has records and no beginning: a segment is missing.
    pub fn finish(self) -> Result<(Vec<Image>, u64), u64> {
        match self.unknown.iter().min() {
            Some(session) => Err(*session),
            None => Ok((self.sessions.into_values().collect(), self.highest)),
        }
    }

    fn with(&mut self, session: u64, change: impl FnOnce(&mut Image)) {
        match self.sessions.get_mut(&session) {
            Some(image) => change(image),
            None => {
                self.unknown.insert(session);
            }
        }
    }

    fn kept(&mut self, kept_at_ms: u64, frame: &[u8], deliveries: Vec<KeptDelivery>) {
        let message = Arc::new(Message {
            kept_at_ms,
            frame: frame.to_vec(),
        });
        for delivery in deliveries {
            let message = message.clone();
            self.with(delivery.session, |image| image.kept(delivery, message));
        }
    }

    fn state(&mut self, state: State<'_>) -> Result<(), Unreadable> {
        let mut image = Image {
            session: state.session,
            client_id: state.name.client_id.to_owned(),
            epoch: state.name.epoch,
            created_at_ms: state.name.created_at_ms,
            role: state.role,
            last_packet_id: state.last_packet_id,
            last_number: state.last_number,
            received: state.received.into_iter().collect(),
            deliveries: BTreeMap::new(),
        };
        for part in state.deliveries {
            let message = match part.stage {
                Stage::Released => None,
                _ => Some(self.frames.get(&part.frame).ok_or(Unreadable)?.clone()),
            };
            let delivery = ImageDelivery {
                stage: part.stage,
                message,
                delivery: part.delivery,
            };
            image.deliveries.insert(delivery.delivery.number, delivery);
        }
        self.highest = self.highest.max(state.session);
        self.unknown.remove(&state.session);
        self.sessions.insert(state.session, image);
        Ok(())
    }
}

impl Image {
    fn kept(&mut self, delivery: KeptDelivery, message: Arc<Message>) {
        self.last_number = self.last_number.max(delivery.number);
        let stage = match delivery.packet_id {
            0 => Stage::Queued,
            packet_id => {
                self.last_packet_id = packet_id;
                Stage::Published
            }
        };
        let delivery = ImageDelivery {
            stage,
            message: Some(message),
            delivery,
        };
        self.deliveries.insert(delivery.delivery.number, delivery);
    }

    fn sent(&mut self, number: u64, packet_id: u16) {
        self.last_packet_id = packet_id;
        if let Some(delivery) = self.deliveries.get_mut(&number) {
            delivery.stage = Stage::Published;
            delivery.delivery.packet_id = packet_id;
        }
    }
}
