//! The broker's side of a connection around the core's session: what a shard does, without a socket.

use super::dice::Dice;
use raftmq_mqtt::{
    codec::{self, Packet, QoS, ReasonCode, Version},
    fanout::{Fanout, Scratch},
    publication::{Expiry, Origin, Publication},
    session::{
        Acceptance, AckTicket, Delivery, DropReason, Offer, OutboundLimits, Pumped, QueueDrop,
        QueuedQos0, Session, Waiting, Wire,
    },
};

/// Messages that may wait for the session.
pub const QUEUE_MAX: u32 = 25;

/// What is agreed for one connection, and its unsent bytes.
pub struct Line {
    pub version: Version,
    pub window: u16,
    pub max_packet_size: u32,
    congested_bytes: usize,
    pub out: Vec<u8>,
}

impl Line {
    /// Any client of this version.
    pub fn any(version: Version, dice: &mut Dice) -> Line {
        let is_v5 = version == Version::V5;
        Line {
            version,
            window: if is_v5 { dice.pick(&[1, 2, 5, 20]) } else { 20 },
            max_packet_size: if is_v5 {
                dice.pick(&[u32::MAX, u32::MAX, 120])
            } else {
                u32::MAX
            },
            congested_bytes: dice.pick(&[1 << 20, 400]),
            out: Vec::new(),
        }
    }

    /// A client that takes everything.
    pub fn generous(version: Version) -> Line {
        Line {
            version,
            window: 20,
            max_packet_size: u32::MAX,
            congested_bytes: 1 << 20,
            out: Vec::new(),
        }
    }

    fn wire(&mut self) -> Wire<'_> {
        Wire {
            version: self.version,
            out: &mut self.out,
            window: self.window,
            max_packet_size: self.max_packet_size,
            congested_bytes: self.congested_bytes,
            aliases: None,
        }
    }
}

/// A message for the session. The number is the beginning of its payload.
#[derive(Clone, Copy)]
pub struct Message {
    pub number: u32,
    pub topic: &'static str,
    pub qos: QoS,
    pub payload_len: usize,
    pub expiry_seconds: Option<u32>,
}

/// A publish of the client that waits for others.
pub struct Deferred {
    pub ticket: AckTicket,
    pub number: u32,
}

/// The session and its connection.
pub struct Engine {
    pub session: Session,
    pub line: Option<Line>,
    scratch: Scratch,
    /// Messages that the session gave up, by their numbers.
    pub dropped: Vec<(DropReason, u32)>,
    /// Publishes of the client as they were routed.
    pub routed: Vec<(QoS, u32)>,
    /// Publishes of the client that are kept by all who have to.
    pub kept: Vec<u32>,
    pub deferred: Vec<Deferred>,
    /// Receive Maximum of the broker.
    pub receive_maximum: u16,
}

impl Engine {
    pub fn new(receive_maximum: u16) -> Engine {
        Engine {
            session: new_session(),
            line: None,
            scratch: Scratch::default(),
            dropped: Vec::new(),
            routed: Vec::new(),
            kept: Vec::new(),
            deferred: Vec::new(),
            receive_maximum,
        }
    }

    /// A message from elsewhere.
    pub fn offer(&mut self, message: Message, now_ms: u64) -> Offer {
        let mut payload = message.number.to_be_bytes().to_vec();
        payload.resize(message.payload_len.max(4), 0);
        let publication = Publication {
            topic: message.topic,
            payload: &payload,
            properties: &[],
            qos: message.qos,
            retain: false,
            expiry: message.expiry_seconds.map(|seconds| Expiry {
                seconds,
                received_at_ms: now_ms,
            }),
            origin: Origin::Client,
            publisher: "",
            target: None,
        };
        let delivery = Delivery {
            qos: message.qos,
            retain: false,
            subscription_ids: &[],
        };
        let mut fanout = Fanout::new(publication, now_ms, &mut self.scratch);
        let mut wire = self.line.as_mut().map(Line::wire);
        self.session
            .outbound
            .offer(wire.as_mut(), &mut fanout, delivery)
    }

    /// The client is connected, after CONNACK.
    pub fn connected(&mut self, line: Line, now_ms: u64) {
        let line = self.line.insert(line);
        let dropped = &mut self.dropped;
        let outbound = &mut self.session.outbound;
        outbound.resume(&mut line.wire(), now_ms, &mut self.scratch, |pumped| {
            note(dropped, pumped)
        });
    }

    pub fn disconnected(&mut self) {
        self.line = None;
        self.session.inbound.connection_lost();
    }

    /// The session goes on on another node.
    pub fn moved(&mut self) {
        let old = std::mem::replace(&mut self.session, new_session());
        let deliveries = old.outbound.transfer().collect();
        self.session.outbound.restore(deliveries);
        self.session
            .inbound
            .restore_qos2(old.inbound.received_qos2());
    }

    /// The window or the socket has room.
    pub fn pump(&mut self, now_ms: u64) {
        let Some(line) = &mut self.line else { return };
        let dropped = &mut self.dropped;
        let outbound = &mut self.session.outbound;
        outbound.pump(&mut line.wire(), now_ms, &mut self.scratch, |pumped| {
            note(dropped, pumped)
        });
    }

    /// Whole packets of the client. `Err`: the connection is to be closed.
    pub fn received(
        &mut self,
        mut bytes: &[u8],
        now_ms: u64,
        dice: &mut Dice,
    ) -> Result<(), ReasonCode> {
        while let Some(line) = &mut self.line {
            let frame = match codec::frame(bytes, 1 << 20) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(error) => return Err(error.reason_code()),
            };
            bytes = &bytes[frame.total_len..];
            let packet =
                codec::decode(line.version, &frame).map_err(|error| error.reason_code())?;
            self.packet(&packet, now_ms, dice)?;
        }
        Ok(())
    }

    fn packet(
        &mut self,
        packet: &Packet<'_>,
        now_ms: u64,
        dice: &mut Dice,
    ) -> Result<(), ReasonCode> {
        let Some(line) = &mut self.line else {
            return Ok(());
        };
        let Session { outbound, inbound } = &mut self.session;
        match packet {
            Packet::Publish(publish) => {
                let number = publish
                    .payload
                    .first_chunk()
                    .copied()
                    .map_or(0, u32::from_be_bytes);
                let packet_id = publish.packet_id.map_or(0, |id| id.get());
                return self.publish(publish.qos, packet_id, number, dice);
            }
            Packet::PubAck(ack) => drop(outbound.puback(ack.packet_id.get())),
            Packet::PubRec(ack) => {
                drop(outbound.pubrec(ack.packet_id.get(), ack.reason_code, &mut line.wire()));
            }
            Packet::PubRel(ack) => {
                inbound.release(ack.packet_id.get(), &mut line.wire());
            }
            Packet::PubComp(ack) => drop(outbound.pubcomp(ack.packet_id.get())),
            _ => return Err(ReasonCode::ProtocolError),
        }
        self.pump(now_ms);
        Ok(())
    }

    fn publish(
        &mut self,
        qos: QoS,
        packet_id: u16,
        number: u32,
        dice: &mut Dice,
    ) -> Result<(), ReasonCode> {
        let Some(line) = &mut self.line else {
            return Ok(());
        };
        let inbound = &mut self.session.inbound;
        if qos == QoS::AtMostOnce {
            self.routed.push((qos, number));
            return Ok(());
        }
        if inbound.exceeds(qos, packet_id, self.receive_maximum) {
            return Err(ReasonCode::ReceiveMaximumExceeded);
        }
        if inbound.accept(qos, packet_id, &mut line.wire()) != Acceptance::Route {
            return Ok(());
        }
        self.routed.push((qos, number));
        if dice.percent(40) {
            self.kept.push(number);
            inbound.acknowledge(qos, packet_id, ReasonCode::Success, &mut line.wire());
        } else {
            let ticket = inbound.defer(qos, packet_id);
            self.deferred.push(Deferred { ticket, number });
        }
        Ok(())
    }

    /// One of the publishes that wait is kept.
    pub fn complete(&mut self, at: usize, reason: ReasonCode) -> u32 {
        let Deferred { ticket, number } = self.deferred.swap_remove(at);
        self.kept.push(number);
        let mut wire = self.line.as_mut().map(Line::wire);
        let inbound = &mut self.session.inbound;
        inbound.complete(ticket, reason, wire.as_mut(), |_| {});
        number
    }
}

fn new_session() -> Session {
    Session::new(OutboundLimits {
        queue_messages_max: QUEUE_MAX,
        queue_drop: QueueDrop::Newest,
        queue_qos_0: QueuedQos0::Dropped,
    })
}

fn note(dropped: &mut Vec<(DropReason, u32)>, pumped: Pumped<'_>) {
    if let Pumped::Dropped(reason, waiting) | Pumped::Forgone(reason, waiting) = pumped {
        dropped.push((reason, number_of(waiting)));
    }
}

fn number_of(waiting: &Waiting) -> u32 {
    let payload = waiting.message().publication().payload;
    u32::from_be_bytes(payload[..4].try_into().expect("a number"))
}
