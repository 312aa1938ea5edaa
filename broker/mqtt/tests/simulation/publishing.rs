//! A session and a publisher that loses connections and repeats with DUP, while the acknowledgements wait for others
//! and come in any order; with virtual time.

use super::{
    dice::Dice,
    engine::{Engine, Line},
    network::Direction,
    runs::run,
};
use raftmq_mqtt::codec::{
    self, Ack, AckType, OutgoingPublish, Packet, PacketId, QoS, ReasonCode, Version,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A publish that is not done.
#[derive(Clone, Copy)]
struct Outstanding {
    number: u32,
    qos: QoS,
    packet_id: u16,
    /// PUBREC has come.
    is_released: bool,
}

struct World<'d> {
    dice: &'d mut Dice,
    now_ms: u64,
    version: Version,
    engine: Engine,
    outstanding: Vec<Outstanding>,
    /// Numbers whose first acknowledgement is expected on this connection, by QoS, in the order of the publishes.
    expected: BTreeMap<u8, VecDeque<u32>>,
    to_client: Direction,
    to_engine: Direction,
    /// Publishes that were acknowledged, and those that were refused.
    done: Vec<(QoS, u32)>,
    refused: BTreeSet<u32>,
    next_number: u32,
    next_packet_id: u16,
    /// Refusals and moves make the broker forget; without them each publish is kept.
    refuses: bool,
}

impl World<'_> {
    fn step(&mut self) {
        match self.dice.below(100) {
            0..20 => self.publish(),
            20..40 => self.complete(),
            40..91 => self.let_time_pass(),
            91..94 => self.cut(),
            94..98 => self.connect(),
            _ => self.move_session(),
        }
        self.flush();
    }

    fn publish(&mut self) {
        let is_full = self.outstanding.len() >= usize::from(self.engine.receive_maximum);
        if is_full || self.engine.line.is_none() {
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        let qos = self.dice.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce]);
        // Few identifiers, so that they are soon used again.
        loop {
            self.next_packet_id = self.next_packet_id % 40 + 1;
            if self
                .outstanding
                .iter()
                .all(|o| o.packet_id != self.next_packet_id)
            {
                break;
            }
        }
        let packet_id = self.next_packet_id;
        let publish = Outstanding {
            number,
            qos,
            packet_id,
            is_released: false,
        };
        self.outstanding.push(publish);
        self.send(publish, false);
    }

    fn send(&mut self, publish: Outstanding, dup: bool) {
        let Outstanding {
            number,
            qos,
            packet_id,
            is_released,
        } = publish;
        let packet_id = PacketId::new(packet_id).expect("not zero");
        let mut bytes = Vec::new();
        if is_released {
            Ack::encode_success(AckType::PubRel, packet_id, &mut bytes);
        } else {
            let payload = number.to_be_bytes();
            let mut packet = OutgoingPublish::new("t", &payload);
            (packet.qos, packet.packet_id, packet.dup) = (qos, Some(packet_id), dup);
            packet
                .encode(self.version, u32::MAX, &mut bytes)
                .expect("encodes");
            self.expected
                .entry(qos.number())
                .or_default()
                .push_back(number);
        }
        self.to_engine.send(bytes, self.now_ms, self.dice);
    }

    /// Others have kept one of the publishes that wait for them, or have not.
    fn complete(&mut self) {
        if self.engine.deferred.is_empty() {
            return;
        }
        let at = self.dice.index(self.engine.deferred.len());
        if self.refuses && self.dice.percent(10) {
            let number = self.engine.complete(at, ReasonCode::QuotaExceeded);
            self.refused.insert(number);
        } else {
            self.engine.complete(at, ReasonCode::Success);
        }
    }

    fn let_time_pass(&mut self) {
        self.now_ms += self.dice.below(300);
        while let Some(bytes) = self.to_engine.arrived(self.now_ms) {
            let result = self.engine.received(&bytes, self.now_ms, self.dice);
            assert_eq!(result, Ok(()), "the client breaks no rule");
        }
        while let Some(bytes) = self.to_client.arrived(self.now_ms) {
            self.client_receives(&bytes);
        }
    }

    fn flush(&mut self) {
        let Some(line) = &mut self.engine.line else {
            return;
        };
        let bytes = std::mem::take(&mut line.out);
        if !bytes.is_empty() {
            self.to_client.send(bytes, self.now_ms, self.dice);
        }
    }

    fn client_receives(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let frame = codec::frame(bytes, u32::MAX)
                .expect("well-formed")
                .expect("whole packets");
            bytes = &bytes[frame.total_len..];
            match codec::decode(self.version, &frame).expect("well-formed") {
                Packet::PubAck(ack) => self.acknowledged(QoS::AtLeastOnce, ack),
                Packet::PubRec(ack) => self.acknowledged(QoS::ExactlyOnce, ack),
                Packet::PubComp(ack) => {
                    self.completed(ack.packet_id.get());
                }
                other => panic!("not sent to a publisher: {other:?}"),
            }
        }
    }

    /// PUBACK or PUBREC: in the order of the publishes, and only when the message is kept.
    fn acknowledged(&mut self, qos: QoS, ack: Ack<'_>) {
        let packet_id = ack.packet_id.get();
        let mut outstanding = self.outstanding.iter_mut();
        let publish = outstanding.find(|o| o.packet_id == packet_id);
        let publish = publish.expect("outstanding");
        let expected = self.expected.entry(qos.number()).or_default();
        let place = expected.iter().position(|number| *number == publish.number);
        expected.remove(place.expect("it was sent on this connection, and not answered"));
        // What was refused while the client was away is new when it comes again, and behind others.
        assert!(place == Some(0) || self.refuses, "out of order: {ack:?}");
        assert_eq!(publish.qos, qos);
        if ack.reason_code.is_failure() {
            assert!(self.refused.contains(&publish.number), "{ack:?}");
            self.outstanding.retain(|o| o.packet_id != packet_id);
            return;
        }
        assert!(
            self.engine.kept.contains(&publish.number),
            "acknowledged and not kept"
        );
        if qos == QoS::AtLeastOnce {
            return self.finish(packet_id);
        }
        publish.is_released = true;
        let publish = *publish;
        self.send(publish, false);
    }

    /// PUBCOMP; a repeated PUBREL is answered though the identifier is free already.
    fn completed(&mut self, packet_id: u16) {
        let mut released = self.outstanding.iter().filter(|o| o.is_released);
        if released.any(|o| o.packet_id == packet_id) {
            self.finish(packet_id);
        }
    }

    fn finish(&mut self, packet_id: u16) {
        let at = self
            .outstanding
            .iter()
            .position(|o| o.packet_id == packet_id)
            .expect("outstanding");
        let publish = self.outstanding.remove(at);
        self.done.push((publish.qos, publish.number));
    }

    fn cut(&mut self) {
        self.engine.disconnected();
        self.to_client.lose();
        self.to_engine.lose();
        self.expected.clear();
    }

    fn connect(&mut self) {
        if self.engine.line.is_some() {
            return;
        }
        self.engine
            .connected(Line::generous(self.version), self.now_ms);
        for publish in self.outstanding.clone() {
            self.send(publish, true);
        }
    }

    fn move_session(&mut self) {
        if self.engine.line.is_none() && self.engine.deferred.is_empty() {
            self.engine.moved();
        }
    }

    fn heal(&mut self) {
        self.cut();
        self.connect();
        for _ in 0..10_000 {
            self.complete();
            self.let_time_pass();
            self.flush();
            if self.outstanding.is_empty() {
                return;
            }
        }
        panic!(
            "{} publishes are never acknowledged",
            self.outstanding.len()
        );
    }

    fn check(&self) {
        let times = |wanted: u32| {
            self.engine
                .routed
                .iter()
                .filter(|(_, number)| *number == wanted)
                .count()
        };
        for (qos, number) in &self.done {
            let times = times(*number);
            match qos {
                QoS::ExactlyOnce if !self.refused.contains(number) => {
                    assert_eq!(times, 1, "QoS 2: {number}")
                }
                _ => assert!(times >= 1, "{number} was acknowledged and not routed"),
            }
        }
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut seen = BTreeSet::new();
            let numbers = self.engine.routed.iter().filter(|(of, _)| *of == qos);
            let first: Vec<_> = numbers.filter(|(_, number)| seen.insert(*number)).collect();
            assert!(first.is_sorted(), "{qos:?} out of order: {first:?}");
        }
        let inbound = &self.engine.session.inbound;
        assert_eq!(inbound.unreleased(), 0, "identifiers are kept for ever");
    }
}

fn simulate(dice: &mut Dice) {
    let version = dice.pick(&[Version::V4, Version::V5]);
    let (steps, receive_maximum) = (20 + dice.below(400), dice.pick(&[1, 3, 10]));
    // Before MQTT 5 an acknowledgement cannot refuse.
    let refuses = version == Version::V5 && dice.percent(30);
    let mut world = World {
        dice,
        now_ms: 1_000_000,
        version,
        engine: Engine::new(receive_maximum),
        outstanding: Vec::new(),
        expected: BTreeMap::new(),
        to_client: Direction::default(),
        to_engine: Direction::default(),
        done: Vec::new(),
        refused: BTreeSet::new(),
        next_number: 0,
        next_packet_id: 0,
        refuses,
    };
    world.connect();
    for _ in 0..steps {
        world.step();
    }
    world.heal();
    world.check();
}

/// [MQTT-2.2.1-5], [MQTT-4.3.2-4], [MQTT-4.3.2-5], [MQTT-4.3.3-8], [MQTT-4.3.3-9], [MQTT-4.3.3-10],
/// [MQTT-4.3.3-11], [MQTT-4.3.3-12], [MQTT-4.6.0-2], [MQTT-4.6.0-3], 3.1.1 [MQTT-2.3.1-6],
/// 3.1.1 [MQTT-4.3.2-2], 3.1.1 [MQTT-4.3.3-2]
#[test]
fn publishes_keep_their_promises_whatever_happens_to_the_connection() {
    run("publishing", 5_000, simulate);
}
