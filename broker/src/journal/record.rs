//! Records: what happens to sessions, each a few bytes. A session is named by its number in the journal,
//! a delivery by its number in the session, so nothing but the message itself is long.
//!
//! A record never says what another one means to it: replayed in the order in which they were written
//! they make the sessions as they were. [`Record::State`] begins a session, and begins it anew at a
//! checkpoint, after which everything before it may be forgotten.

use super::bytes::{Reader, Unreadable, put_bytes, put_number};

/// What a node has of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The session itself.
    Session,
    /// Messages for a session of another node, which is to get them.
    Owed,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits.
    Queued,
    /// It has been sent, or may have been.
    Published,
    /// PUBREC has been received.
    Released,
}

/// How one session gets a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDelivery {
    /// The session.
    pub session: u64,
    /// Number of the delivery in its session.
    pub number: u64,
    /// Packet identifier; 0: none yet.
    pub packet_id: u16,
    /// QoS of the delivery.
    pub qos: u8,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Its subscription identifiers.
    pub subscription_ids: Box<[u32]>,
}

/// A delivery of a [`State`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDelivery {
    /// As in the other records; its session is the state's.
    pub delivery: KeptDelivery,
    /// Where it stands.
    pub stage: Stage,
    /// Name of its frame; of no meaning once it is released.
    pub frame: u64,
}

/// Who a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// Client identifier.
    pub client_id: &'a str,
    /// The claim under which this node has it; 0: not known yet.
    pub epoch: u64,
    /// When the session was created, Unix milliseconds: tells it from a later one of its client; 0: not
    /// known yet.
    pub created_at_ms: u64,
}

/// All of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State<'a> {
    /// Its number.
    pub session: u64,
    /// Who it is.
    pub name: Name<'a>,
    /// What this node has of it.
    pub role: Role,
    /// The packet identifier given last; 0: none yet.
    pub last_packet_id: u16,
    /// The number given last to a delivery.
    pub last_number: u64,
    /// QoS 2 packet identifiers received and not released.
    pub received: Vec<u16>,
    /// In their order.
    pub deliveries: Vec<StateDelivery>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// The session is this, whatever was before.
    State(State<'a>),
    /// The session has got another owner's claim.
    Claimed {
        /// The session.
        session: u64,
        /// See [`Name`].
        epoch: u64,
        /// See [`Name`].
        created_at_ms: u64,
    },
    /// The session is no more, or no more here.
    Ended {
        /// The session.
        session: u64,
    },
    /// A message for these sessions.
    Kept {
        /// When, Unix milliseconds.
        kept_at_ms: u64,
        /// The publication.
        frame: &'a [u8],
        /// Who gets it.
        deliveries: Vec<KeptDelivery>,
    },
    /// A message that states behind it refer to.
    Frame {
        /// Its name.
        frame: u64,
        /// When it was kept, Unix milliseconds.
        kept_at_ms: u64,
        /// The publication.
        bytes: &'a [u8],
    },
    /// A delivery got its packet identifier.
    Sent {
        /// The session.
        session: u64,
        /// The delivery.
        number: u64,
        /// Its packet identifier.
        packet_id: u16,
    },
    /// PUBREC was received.
    Released {
        /// The session.
        session: u64,
        /// The delivery.
        number: u64,
    },
    /// A delivery is over.
    Done {
        /// The session.
        session: u64,
        /// The delivery.
        number: u64,
    },
    /// A QoS 2 publish of the session's client is kept by all who have to.
    Received {
        /// The session.
        session: u64,
        /// Its packet identifier.
        packet_id: u16,
    },
    /// PUBREL was received, or the publish was refused.
    Forgotten {
        /// The session.
        session: u64,
        /// The packet identifier.
        packet_id: u16,
    },
}

const STATE: u8 = 1;
const CLAIMED: u8 = 2;
const ENDED: u8 = 3;
const KEPT: u8 = 4;
const FRAME: u8 = 5;
const SENT: u8 = 6;
const RELEASED: u8 = 7;
const DONE: u8 = 8;
const RECEIVED: u8 = 9;
const FORGOTTEN: u8 = 10;

const QOS_BITS: u8 = 0b11;
const RETAIN: u8 = 1 << 2;

impl<'a> Record<'a> {
    /// Appends the record.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Record::State(state) => put_state(state, out),
            Record::Kept {
                kept_at_ms,
                frame,
                deliveries,
            } => {
                put(KEPT, &[*kept_at_ms], out);
                put_bytes(frame, out);
                put_number(deliveries.len() as u64, out);
                for delivery in deliveries {
                    put_number(delivery.session, out);
                    put_delivery(delivery, out);
                }
            }
            Record::Frame {
                frame,
                kept_at_ms,
                bytes,
            } => {
                put(FRAME, &[*frame, *kept_at_ms], out);
                put_bytes(bytes, out);
            }
            Record::Claimed {
                session,
                epoch,
                created_at_ms,
            } => put(CLAIMED, &[*session, *epoch, *created_at_ms], out),
            Record::Ended { session } => put(ENDED, &[*session], out),
            Record::Sent {
                session,
                number,
                packet_id,
            } => put(SENT, &[*session, *number, u64::from(*packet_id)], out),
            Record::Released { session, number } => put(RELEASED, &[*session, *number], out),
            Record::Done { session, number } => put(DONE, &[*session, *number], out),
            Record::Received { session, packet_id } => {
                put(RECEIVED, &[*session, u64::from(*packet_id)], out);
            }
            Record::Forgotten { session, packet_id } => {
                put(FORGOTTEN, &[*session, u64::from(*packet_id)], out);
            }
        }
    }

    /// Reads the next record.
    ///
    /// # Errors
    /// The bytes are none that this version knows.
    pub fn read(from: &mut Reader<'a>) -> Result<Record<'a>, Unreadable> {
        Ok(match from.byte()? {
            STATE => Record::State(read_state(from)?),
            CLAIMED => Record::Claimed {
                session: from.number()?,
                epoch: from.number()?,
                created_at_ms: from.number()?,
            },
            ENDED => Record::Ended {
                session: from.number()?,
            },
            KEPT => Record::Kept {
                kept_at_ms: from.number()?,
                frame: from.bytes()?,
                deliveries: from.list(|from| {
                    let session = from.number()?;
                    read_delivery(session, from)
                })?,
            },
            FRAME => Record::Frame {
                frame: from.number()?,
                kept_at_ms: from.number()?,
                bytes: from.bytes()?,
            },
            SENT => Record::Sent {
                session: from.number()?,
                number: from.number()?,
                packet_id: from.small()?,
            },
            RELEASED => Record::Released {
                session: from.number()?,
                number: from.number()?,
            },
            DONE => Record::Done {
                session: from.number()?,
                number: from.number()?,
            },
            RECEIVED => Record::Received {
                session: from.number()?,
                packet_id: from.small()?,
            },
            FORGOTTEN => Record::Forgotten {
                session: from.number()?,
                packet_id: from.small()?,
            },
            _ => return Err(Unreadable),
        })
    }
}

fn put(kind: u8, numbers: &[u64], out: &mut Vec<u8>) {
    out.push(kind);
    for number in numbers {
        put_number(*number, out);
    }
}

fn put_delivery(delivery: &KeptDelivery, out: &mut Vec<u8>) {
    put_number(delivery.number, out);
    put_number(u64::from(delivery.packet_id), out);
    out.push(delivery.qos | if delivery.retain { RETAIN } else { 0 });
    put_number(delivery.subscription_ids.len() as u64, out);
    for id in &delivery.subscription_ids {
        put_number(u64::from(*id), out);
    }
}

fn read_delivery(session: u64, from: &mut Reader<'_>) -> Result<KeptDelivery, Unreadable> {
    let number = from.number()?;
    let packet_id = from.small()?;
    let flags = from.byte()?;
    if flags & !(QOS_BITS | RETAIN) != 0 {
        return Err(Unreadable);
    }
    Ok(KeptDelivery {
        session,
        number,
        packet_id,
        qos: flags & QOS_BITS,
        retain: flags & RETAIN != 0,
        subscription_ids: from.list(Reader::small)?.into(),
    })
}

fn put_state(state: &State<'_>, out: &mut Vec<u8>) {
    put(STATE, &[state.session], out);
    put_bytes(state.name.client_id.as_bytes(), out);
    put_number(state.name.epoch, out);
    put_number(state.name.created_at_ms, out);
    out.push(match state.role {
        Role::Session => 0,
        Role::Owed => 1,
    });
    put_number(u64::from(state.last_packet_id), out);
    put_number(state.last_number, out);
    put_number(state.received.len() as u64, out);
    for packet_id in &state.received {
        put_number(u64::from(*packet_id), out);
    }
    put_number(state.deliveries.len() as u64, out);
    for StateDelivery {
        delivery,
        stage,
        frame,
    } in &state.deliveries
    {
        put_delivery(delivery, out);
        out.push(match stage {
            Stage::Queued => 0,
            Stage::Published => 1,
            Stage::Released => 2,
        });
        put_number(*frame, out);
    }
}

fn read_state<'a>(from: &mut Reader<'a>) -> Result<State<'a>, Unreadable> {
    let session = from.number()?;
    Ok(State {
        session,
        name: Name {
            client_id: from.text()?,
            epoch: from.number()?,
            created_at_ms: from.number()?,
        },
        role: match from.byte()? {
            0 => Role::Session,
            1 => Role::Owed,
            _ => return Err(Unreadable),
        },
        last_packet_id: from.small()?,
        last_number: from.number()?,
        received: from.list(Reader::small)?,
        deliveries: from.list(|from| {
            Ok(StateDelivery {
                delivery: read_delivery(session, from)?,
                stage: match from.byte()? {
                    0 => Stage::Queued,
                    1 => Stage::Published,
                    2 => Stage::Released,
                    _ => return Err(Unreadable),
                },
                frame: from.number()?,
            })
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(session: u64) -> KeptDelivery {
        KeptDelivery {
            session,
            number: 300,
            packet_id: 7,
            qos: 2,
            retain: true,
            subscription_ids: Box::new([1, 70_000]),
        }
    }

    fn every_kind() -> Vec<Record<'static>> {
        let (session, number, packet_id) = (9, 300, 65_535);
        vec![
            Record::State(State {
                session,
                name: Name {
                    client_id: "client",
                    epoch: 1 << 40,
                    created_at_ms: 17,
                },
                role: Role::Owed,
                last_packet_id: 12,
                last_number: 301,
                received: vec![1, 900],
                deliveries: vec![StateDelivery {
                    delivery: delivery(session),
                    stage: Stage::Released,
                    frame: 5,
                }],
            }),
            Record::Claimed {
                session,
                epoch: 3,
                created_at_ms: 4,
            },
            Record::Kept {
                kept_at_ms: 1,
                frame: b"frame",
                deliveries: vec![delivery(1), delivery(2)],
            },
            Record::Frame {
                frame: 5,
                kept_at_ms: 8,
                bytes: b"bytes",
            },
            Record::Sent {
                session,
                number,
                packet_id,
            },
            Record::Released { session, number },
            Record::Done { session, number },
            Record::Received { session, packet_id },
            Record::Forgotten { session, packet_id },
            Record::Ended { session },
        ]
    }

    #[test]
    fn records_read_back_one_behind_the_other() {
        let mut bytes = Vec::new();
        every_kind().iter().for_each(|r| r.append_to(&mut bytes));
        let mut reader = Reader(&bytes);
        for record in every_kind() {
            assert_eq!(Record::read(&mut reader), Ok(record));
        }
        assert!(reader.0.is_empty());
    }

    #[test]
    fn every_truncation_of_a_record_is_an_error() {
        for record in every_kind() {
            let mut bytes = Vec::new();
            record.append_to(&mut bytes);
            for end in 0..bytes.len() {
                let read = Record::read(&mut Reader(&bytes[..end]));
                assert_eq!(read, Err(Unreadable), "{record:?} cut at {end}");
            }
        }
    }
}
