//! A session and a subscriber that loses connections, answers late and out of order, and moves between nodes;
//! with virtual time. What MQTT promises must hold for every seed.

use super::{
    dice::Dice,
    engine::{Engine, Line, Message},
    network::Direction,
    runs::run,
};
use raftmq_mqtt::{
    codec::{self, Ack, AckType, Packet, PacketId, Publish, QoS, ReasonCode, Version},
    session::Offer,
};
use std::collections::{BTreeMap, BTreeSet};

const TOPICS: [&str; 3] = ["a", "b/c", "d/e/f"];

/// An answer that the client sends later.
struct Answer {
    due_ms: u64,
    ack_type: AckType,
    packet_id: u16,
}

/// The client: what it remembers for its session, and of its connection.
#[derive(Default)]
struct Subscriber {
    /// QoS 2 identifiers between PUBLISH and PUBREL.
    known: BTreeSet<u16>,
    /// Identifiers that it has received a PUBLISH with, and has not answered to the end.
    unanswered: BTreeSet<u16>,
    /// The same, of this connection.
    under_way: BTreeSet<u16>,
    answers: Vec<Answer>,
    /// Messages in the order of their first delivery, by topic and QoS; and how often each came.
    first: BTreeMap<(String, u8), Vec<u32>>,
    times: BTreeMap<u32, u32>,
}

struct World<'d> {
    dice: &'d mut Dice,
    now_ms: u64,
    version: Version,
    engine: Engine,
    client: Subscriber,
    to_client: Direction,
    to_engine: Direction,
    /// Messages that the session took, with their QoS.
    taken: BTreeMap<u32, QoS>,
    next_number: u32,
}

impl World<'_> {
    fn step(&mut self) {
        match self.dice.below(100) {
            0..25 => self.offer(),
            25..90 => self.let_time_pass(),
            90..94 => self.cut(),
            94..98 => self.connect(),
            _ => self.move_session(),
        }
        self.flush();
    }

    fn offer(&mut self) {
        let number = self.next_number;
        self.next_number += 1;
        let expires = self.dice.percent(10);
        let message = Message {
            number,
            topic: self.dice.pick(&TOPICS),
            qos: self
                .dice
                .pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]),
            payload_len: self.dice.index(150),
            expiry_seconds: expires.then(|| 1 + self.dice.below(5) as u32),
        };
        if !matches!(self.engine.offer(message, self.now_ms), Offer::Dropped(_)) {
            self.taken.insert(number, message.qos);
        }
    }

    fn let_time_pass(&mut self) {
        self.now_ms += self.dice.below(300);
        while let Some(bytes) = self.to_client.arrived(self.now_ms) {
            self.client_receives(&bytes);
        }
        self.answer();
        while let Some(bytes) = self.to_engine.arrived(self.now_ms) {
            let result = self.engine.received(&bytes, self.now_ms, self.dice);
            assert_eq!(result, Ok(()), "the client breaks no rule");
        }
    }

    /// What the broker has written leaves; the socket has room again.
    fn flush(&mut self) {
        let Some(line) = &mut self.engine.line else {
            return;
        };
        let bytes = std::mem::take(&mut line.out);
        if !bytes.is_empty() {
            self.to_client.send(bytes, self.now_ms, self.dice);
            self.engine.pump(self.now_ms);
        }
    }

    fn cut(&mut self) {
        self.engine.disconnected();
        self.to_client.lose();
        self.to_engine.lose();
        self.client.answers.clear();
        self.client.under_way.clear();
    }

    fn connect(&mut self) {
        if self.engine.line.is_none() {
            let line = Line::any(self.version, self.dice);
            self.engine.connected(line, self.now_ms);
        }
    }

    fn move_session(&mut self) {
        if self.engine.line.is_none() {
            self.engine.moved();
        }
    }

    fn client_receives(&mut self, mut bytes: &[u8]) {
        let Some(line) = &self.engine.line else {
            return;
        };
        let (window, max_packet_size) = (usize::from(line.window), line.max_packet_size);
        while !bytes.is_empty() {
            let frame =
                codec::frame(bytes, max_packet_size).expect("within the Maximum Packet Size");
            let frame = frame.expect("whole packets");
            bytes = &bytes[frame.total_len..];
            match codec::decode(self.version, &frame).expect("well-formed") {
                Packet::Publish(publish) => self.client_gets(&publish),
                Packet::PubRel(ack) => {
                    self.client.known.remove(&ack.packet_id.get());
                    self.answer_later(AckType::PubComp, ack.packet_id.get());
                }
                other => panic!("not sent to a subscriber: {other:?}"),
            }
            assert!(
                self.client.under_way.len() <= window,
                "Receive Maximum {window}"
            );
        }
    }

    fn client_gets(&mut self, publish: &Publish<'_>) {
        let number = u32::from_be_bytes(publish.payload[..4].try_into().expect("a number"));
        let packet_id = publish.packet_id.map_or(0, |id| id.get());
        let client = &mut self.client;
        if publish.qos != QoS::AtMostOnce {
            assert!(
                client.under_way.insert(packet_id),
                "a repeat without a reconnect"
            );
            let is_new = client.unanswered.insert(packet_id);
            // Of a message that was given up the client does not know that its identifier is free.
            let is_new = is_new || !self.engine.dropped.is_empty();
            assert!(is_new || publish.dup, "{packet_id} is in use");
        }
        let is_known = publish.qos == QoS::ExactlyOnce && !client.known.insert(packet_id);
        if !is_known {
            let times = client.times.entry(number).or_default();
            *times += 1;
            if *times == 1 {
                let order = (publish.topic.to_owned(), publish.qos.number());
                client.first.entry(order).or_default().push(number);
            }
        }
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.answer_later(AckType::PubAck, packet_id),
            QoS::ExactlyOnce => self.answer_later(AckType::PubRec, packet_id),
        }
    }

    fn answer_later(&mut self, ack_type: AckType, packet_id: u16) {
        let due_ms = self.now_ms + self.dice.below(1000);
        self.client.answers.push(Answer {
            due_ms,
            ack_type,
            packet_id,
        });
    }

    fn answer(&mut self) {
        let now_ms = self.now_ms;
        let (due, later) = std::mem::take(&mut self.client.answers)
            .into_iter()
            .partition(|a| a.due_ms <= now_ms);
        self.client.answers = later;
        let due: Vec<Answer> = due;
        for Answer {
            ack_type,
            packet_id,
            ..
        } in due
        {
            if ack_type != AckType::PubRec {
                self.client.unanswered.remove(&packet_id);
                self.client.under_way.remove(&packet_id);
            }
            let mut bytes = Vec::new();
            let ack = Ack::new(
                PacketId::new(packet_id).expect("not zero"),
                ReasonCode::Success,
            );
            ack.encode(ack_type, self.version, u32::MAX, &mut bytes)
                .expect("encodes");
            self.to_engine.send(bytes, now_ms, self.dice);
        }
    }

    /// A connection that stays, until there is nothing more to be said.
    fn heal(&mut self) {
        self.cut();
        self.engine
            .connected(Line::generous(self.version), self.now_ms);
        for _ in 0..10_000 {
            self.flush();
            self.let_time_pass();
            let outbound = &self.engine.session.outbound;
            if outbound.inflight_len() + outbound.queue_len() == 0 && self.to_client.is_empty() {
                return;
            }
        }
        panic!("the session does not come to rest");
    }

    fn check(&self) {
        let given_up: BTreeSet<u32> = self
            .engine
            .dropped
            .iter()
            .map(|(_, number)| *number)
            .collect();
        for (number, qos) in &self.taken {
            let times = self.client.times.get(number).copied().unwrap_or(0);
            match qos {
                QoS::AtMostOnce => assert!(times <= 1, "QoS 0: {number} came {times} times"),
                QoS::AtLeastOnce => {
                    assert!(
                        times >= 1 || given_up.contains(number),
                        "QoS 1: {number} was lost"
                    );
                }
                QoS::ExactlyOnce => {
                    let is_once = times == 1 || (times == 0 && given_up.contains(number));
                    assert!(is_once, "QoS 2: {number} came {times} times");
                }
            }
        }
        for (order, numbers) in &self.client.first {
            assert!(numbers.is_sorted(), "{order:?} out of order: {numbers:?}");
        }
        let unknown = self
            .client
            .times
            .keys()
            .find(|number| !self.taken.contains_key(number));
        assert_eq!(unknown, None, "a message that nobody published");
    }
}

fn simulate(dice: &mut Dice) {
    let version = dice.pick(&[Version::V4, Version::V5]);
    let steps = 20 + dice.below(400);
    let mut world = World {
        dice,
        now_ms: 1_000_000,
        version,
        engine: Engine::new(u16::MAX),
        client: Subscriber::default(),
        to_client: Direction::default(),
        to_engine: Direction::default(),
        taken: BTreeMap::new(),
        next_number: 0,
    };
    world.connect();
    for _ in 0..steps {
        world.step();
    }
    world.heal();
    world.check();
}

/// [MQTT-2.2.1-4], [MQTT-3.1.2-24], [MQTT-3.3.1-1], [MQTT-3.3.4-9], [MQTT-4.3.2-1], [MQTT-4.3.2-3],
/// [MQTT-4.3.3-1], [MQTT-4.3.3-3], [MQTT-4.3.3-5], [MQTT-4.4.0-1], [MQTT-4.6.0-5], [MQTT-4.9.0-1],
/// [MQTT-4.9.0-2], 3.1.1 [MQTT-2.3.1-4], 3.1.1 [MQTT-4.3.2-1], 3.1.1 [MQTT-4.3.3-1], 3.1.1 [MQTT-4.4.0-1],
/// 3.1.1 [MQTT-4.6.0-6]
#[test]
fn deliveries_keep_their_promises_whatever_happens_to_the_connection() {
    run("delivering", 5_000, simulate);
}
