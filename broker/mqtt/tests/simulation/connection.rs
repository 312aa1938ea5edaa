//! A connection's state machine with a client that keeps to no rule, at arbitrary times: it may be refused, but what
//! the broker says stays well-formed and within its limits, and nothing grows without a bound.

use super::{
    decoder::mutated,
    dice::Dice,
    engine::{Engine, Line, Message, QUEUE_MAX},
    runs::run,
};
use raftmq_mqtt::codec::{self, Packet, QoS, ReasonCode, Version};

const RECEIVE_MAXIMUM: u16 = 5;

/// An acknowledgement or a PUBLISH with an identifier that may well be in use.
fn likely_packet(version: Version, dice: &mut Dice) -> Vec<u8> {
    let id = 1 + dice.below(8) as u8;
    match dice.below(6) {
        0 => vec![0x40, 2, 0, id],
        1 => vec![0x50, 2, 0, id],
        2 => vec![0x62, 2, 0, id],
        3 => vec![0x70, 2, 0, id],
        4 if version == Version::V5 => vec![0x50, 3, 0, id, 0x97],
        _ => {
            let first = dice.pick(&[0x30, 0x32, 0x34, 0x3a, 0x3c]);
            let mut body = vec![0, 1, b't'];
            if first != 0x30 {
                body.extend([0, id]);
            }
            if version == Version::V5 {
                body.push(0);
            }
            body.extend(dice.below(9).to_be_bytes());
            [&[first, body.len() as u8], &body[..]].concat()
        }
    }
}

/// The broker's bytes are packets that a client of this version takes.
fn check_output(engine: &mut Engine) {
    let Some(line) = &mut engine.line else { return };
    let out = std::mem::take(&mut line.out);
    let mut rest = &out[..];
    while !rest.is_empty() {
        let frame = codec::frame(rest, line.max_packet_size)
            .expect("within the limit")
            .expect("whole");
        rest = &rest[frame.total_len..];
        let packet = codec::decode(line.version, &frame).expect("well-formed");
        let is_of_a_session = matches!(
            packet,
            Packet::Publish(_)
                | Packet::PubAck(_)
                | Packet::PubRec(_)
                | Packet::PubRel(_)
                | Packet::PubComp(_)
        );
        assert!(is_of_a_session, "{packet:?}");
    }
}

fn check_bounds(engine: &Engine) {
    let outbound = &engine.session.outbound;
    assert!(outbound.queue_len() <= QUEUE_MAX as usize);
    let mut ids: Vec<_> = outbound
        .transfer()
        .map(|d| d.packet_id)
        .filter(|id| *id != 0)
        .collect();
    assert!(ids.len() <= 20, "the widest window there is");
    ids.sort_unstable();
    assert!(
        ids.windows(2).all(|pair| pair[0] != pair[1]),
        "identifiers in use twice: {ids:?}"
    );
    let inbound = &engine.session.inbound;
    assert!(inbound.unreleased() <= usize::from(RECEIVE_MAXIMUM));
}

fn act(engine: &mut Engine, version: Version, now_ms: &mut u64, number: &mut u32, dice: &mut Dice) {
    match dice.below(100) {
        0..25 => {
            *number += 1;
            let message = Message {
                number: *number,
                topic: "t",
                qos: dice.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]),
                payload_len: dice.index(200),
                expiry_seconds: dice.percent(20).then_some(1),
            };
            engine.offer(message, *now_ms);
        }
        25..75 => {
            let bytes = if dice.percent(20) {
                mutated(dice)
            } else {
                likely_packet(version, dice)
            };
            if engine.received(&bytes, *now_ms, dice).is_err() {
                check_output(engine);
                engine.disconnected();
            }
        }
        75..85 => {
            if !engine.deferred.is_empty() {
                let at = dice.index(engine.deferred.len());
                let reason = dice.pick(&[ReasonCode::Success, ReasonCode::QuotaExceeded]);
                engine.complete(at, reason);
            }
        }
        85..88 => engine.disconnected(),
        88..95 => {
            if engine.line.is_none() {
                engine.connected(Line::any(version, dice), *now_ms);
            }
        }
        95..97 => {
            if engine.line.is_none() && engine.deferred.is_empty() {
                engine.moved();
            }
        }
        _ => *now_ms += dice.pick(&[1, 100, 5_000, 1 << 40]),
    }
    engine.pump(*now_ms);
}

#[test]
fn whatever_a_client_does_the_broker_stays_within_its_rules_and_bounds() {
    run("connection", 20_000, |dice| {
        let version = dice.pick(&[Version::V3, Version::V4, Version::V5]);
        let mut engine = Engine::new(RECEIVE_MAXIMUM);
        engine.connected(Line::any(version, dice), 0);
        let (mut now_ms, mut number) = (0, 0);
        for _ in 0..dice.below(150) {
            act(&mut engine, version, &mut now_ms, &mut number, dice);
            check_output(&mut engine);
            check_bounds(&engine);
        }
    });
}
