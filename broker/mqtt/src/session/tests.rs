mod full_queue;
mod receive_maximum;

use super::*;
use crate::{
    codec::{QoS, ReasonCode, Version},
    fanout::{Fanout, Scratch},
    publication::{Expiry, Origin, Publication, Stored},
};

/// A session with its client's side of the connection.
struct Peer {
    session: Session,
    out: Vec<u8>,
    window: u16,
    scratch: Scratch,
}

fn publication(payload: &[u8]) -> Publication<'_> {
    Publication {
        topic: "t",
        payload,
        properties: &[],
        qos: QoS::ExactlyOnce,
        retain: false,
        expiry: None,
        origin: Origin::Client,
        publisher: "",
        target: None,
    }
}

impl Peer {
    fn with_window(window: u16) -> Peer {
        Peer::with_limits(window, QueueDrop::Newest, QueuedQos0::Dropped)
    }

    fn with_limits(window: u16, queue_drop: QueueDrop, queue_qos_0: QueuedQos0) -> Peer {
        let limits = OutboundLimits {
            queue_messages_max: 3,
            queue_drop,
            queue_qos_0,
        };
        Peer {
            session: Session::new(limits),
            out: vec![],
            window,
            scratch: Scratch::default(),
        }
    }

    fn split(&mut self) -> (&mut Session, Wire<'_>, &mut Scratch) {
        let wire = Wire {
            version: Version::V4,
            out: &mut self.out,
            window: self.window,
            max_packet_size: u32::MAX,
            congested_bytes: 1 << 20,
            aliases: None,
        };
        (&mut self.session, wire, &mut self.scratch)
    }

    fn offer(&mut self, qos: QoS, payload: u8) -> Offer {
        let (session, mut wire, scratch) = self.split();
        let payload = [payload];
        let mut message = Fanout::new(publication(&payload), 0, scratch);
        session
            .outbound
            .offer(Some(&mut wire), &mut message, delivery(qos))
    }

    fn offer_offline(&mut self, qos: QoS, payload: u8) -> Offer {
        let payload = [payload];
        let mut message = Fanout::new(publication(&payload), 0, &mut self.scratch);
        self.session
            .outbound
            .offer(None, &mut message, delivery(qos))
    }

    fn pump(&mut self) {
        let (session, mut wire, scratch) = self.split();
        session.outbound.pump(&mut wire, 0, scratch, |_| {});
    }

    fn resume(&mut self) {
        self.out.clear();
        let (session, mut wire, scratch) = self.split();
        session.outbound.resume(&mut wire, 0, scratch, |_| {});
    }

    fn pubrec(&mut self, packet_id: u16, reason: ReasonCode) -> bool {
        let (session, mut wire, _) = self.split();
        session
            .outbound
            .pubrec(packet_id, reason, &mut wire)
            .is_some()
    }

    fn sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

fn delivery(qos: QoS) -> Delivery<'static> {
    Delivery {
        qos,
        retain: false,
        subscription_ids: &[],
    }
}

fn publish(first: u8, id: u8, payload: u8) -> Vec<u8> {
    vec![first, 6, 0, 1, b't', 0, id, payload]
}

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[test]
fn qos_0_goes_straight_to_the_wire_and_is_dropped_while_offline() {
    let mut peer = Peer::with_window(1);
    assert_eq!(peer.offer(AtMostOnce, b'a'), Offer::Sent);
    assert_eq!(peer.sent(), [0x30, 4, 0, 1, b't', b'a']);
    assert_eq!(
        peer.offer_offline(AtMostOnce, b'b'),
        Offer::Dropped(DropReason::Offline)
    );
}

/// [MQTT-4.9.0-2], [MQTT-4.9.0-3]
#[test]
fn a_full_window_makes_messages_wait_and_an_acknowledgement_lets_the_oldest_go() {
    let mut peer = Peer::with_window(1);
    assert_eq!(peer.offer(AtLeastOnce, b'a'), Offer::Sent);
    assert_eq!(peer.offer(AtLeastOnce, b'b'), Offer::Queued);
    assert_eq!(peer.offer(AtLeastOnce, b'c'), Offer::Queued);
    assert_eq!(peer.sent(), publish(0x32, 1, b'a'));
    assert!(peer.session.outbound.puback(1).is_some());
    peer.pump();
    assert_eq!(peer.sent(), publish(0x32, 2, b'b'));
}

#[test]
fn a_full_queue_drops_what_comes_next() {
    let mut peer = Peer::with_window(1);
    for payload in 0..4 {
        peer.offer(AtLeastOnce, payload);
    }
    assert_eq!(
        peer.offer(AtLeastOnce, 9),
        Offer::Dropped(DropReason::QueueFull)
    );
}

/// [MQTT-4.4.0-1], [MQTT-4.6.0-1]
#[test]
fn a_resumed_session_repeats_what_is_under_way_in_order_with_dup() {
    let mut peer = Peer::with_window(10);
    peer.offer(AtLeastOnce, b'a');
    peer.offer(ExactlyOnce, b'b');
    peer.offer(ExactlyOnce, b'c');
    assert!(peer.pubrec(2, ReasonCode::Success));
    peer.offer_offline(AtLeastOnce, b'd');
    peer.resume();
    let mut expected = publish(0x3a, 1, b'a');
    expected.extend([0x62, 2, 0, 2]);
    expected.extend(publish(0x3c, 3, b'c'));
    expected.extend(publish(0x32, 4, b'd'));
    assert_eq!(peer.sent(), expected);
}

/// [MQTT-4.3.3-4], [MQTT-4.3.3-5]
#[test]
fn after_pubrec_only_pubrel_is_sent_until_pubcomp() {
    let mut peer = Peer::with_window(10);
    peer.offer(ExactlyOnce, b'a');
    peer.sent();
    assert!(peer.pubrec(1, ReasonCode::Success));
    assert!(
        !peer.pubrec(1, ReasonCode::Success),
        "a repeated PUBREC is not counted twice"
    );
    assert_eq!(peer.sent(), [0x62, 2, 0, 1, 0x62, 2, 0, 1]);
    assert!(peer.session.outbound.puback(1).is_none());
    assert_eq!(peer.session.outbound.pubcomp(1), Some(1));
    assert_eq!(peer.session.outbound.pubcomp(1), None);
    assert_eq!(peer.session.outbound.inflight_len(), 0);
}

#[test]
fn a_refusing_pubrec_ends_the_delivery() {
    let mut peer = Peer::with_window(10);
    peer.offer(ExactlyOnce, b'a');
    peer.sent();
    assert!(peer.pubrec(1, ReasonCode::QuotaExceeded));
    assert_eq!(peer.sent(), []);
    assert_eq!(peer.session.outbound.inflight_len(), 0);
}

/// [MQTT-2.2.1-4], 3.1.1 [MQTT-2.3.1-4]
#[test]
fn packet_identifiers_wrap_around_without_zero_and_without_meeting_one_in_use() {
    let mut peer = Peer::with_window(u16::MAX);
    peer.offer(AtLeastOnce, b'a');
    for _ in 0..65_534 {
        peer.offer(AtLeastOnce, b'b');
        let id = peer
            .session
            .outbound
            .transfer()
            .last()
            .expect("one under way")
            .packet_id;
        assert_ne!(id, 0);
        assert!(peer.session.outbound.puback(id).is_some());
        peer.out.clear();
        if peer.session.outbound.inflight_len() != 1 {
            panic!("identifier {id} was not acknowledged");
        }
        if id == u16::MAX {
            break;
        }
    }
    assert_eq!(
        peer.offer(AtLeastOnce, b'c'),
        Offer::Queued,
        "1 is still in use"
    );
    assert!(peer.session.outbound.puback(1).is_some());
    peer.pump();
    assert_eq!(peer.sent(), publish(0x32, 1, b'c'));
}

#[test]
fn a_session_that_moves_keeps_identifiers_order_and_queue() {
    let mut here = Peer::with_window(2);
    here.offer(ExactlyOnce, b'a');
    here.offer(AtLeastOnce, b'b');
    here.offer(AtLeastOnce, b'c');
    here.pubrec(1, ReasonCode::Success);
    let mut there = Peer::with_window(2);
    there.offer_offline(AtLeastOnce, b'd');
    there
        .session
        .outbound
        .restore(here.session.outbound.transfer().collect());
    there.resume();
    let mut expected = vec![0x62, 2, 0, 1];
    expected.extend(publish(0x3a, 2, b'b'));
    assert_eq!(there.sent(), expected);
    assert!(there.session.outbound.puback(2).is_some());
    there.pump();
    assert_eq!(there.sent(), publish(0x32, 3, b'c'));
    assert!(there.session.outbound.pubcomp(1).is_some());
    there.pump();
    assert_eq!(there.sent(), publish(0x32, 4, b'd'));
}

/// [MQTT-3.3.2-5]
#[test]
fn a_message_that_expires_in_the_queue_is_not_sent() {
    let mut peer = Peer::with_window(1);
    let expiry = Some(Expiry {
        seconds: 1,
        received_at_ms: 0,
    });
    let mut message = Fanout::new(
        Publication {
            expiry,
            ..publication(b"x")
        },
        0,
        &mut peer.scratch,
    );
    assert_eq!(
        peer.session
            .outbound
            .offer(None, &mut message, delivery(AtLeastOnce)),
        Offer::Queued
    );
    let (session, mut wire, scratch) = peer.split();
    let mut done = vec![];
    session.outbound.pump(&mut wire, 1_000, scratch, |pumped| {
        done.push(matches!(pumped, Pumped::Dropped(DropReason::Expired, _)));
    });
    assert_eq!(done, [true]);
    assert_eq!(peer.sent(), []);
}

#[test]
fn what_waited_is_told_when_it_is_sent_and_a_repeat_is_not() {
    let mut peer = Peer::with_window(1);
    let mut done = vec![];
    for payload in [b'a', b'b'] {
        assert_eq!(peer.offer_offline(AtLeastOnce, payload), Offer::Queued);
    }
    for _ in 0..2 {
        let (session, mut wire, scratch) = peer.split();
        session.outbound.resume(&mut wire, 0, scratch, |pumped| {
            if let Pumped::Sent(packet_id, waiting) = pumped {
                done.push((packet_id, waiting.message().origin()));
            }
        });
    }
    assert_eq!(done, [(1, Origin::Client)]);
}

fn accept(peer: &mut Peer, qos: QoS, packet_id: u16) -> Acceptance {
    let (session, mut wire, _) = peer.split();
    session.inbound.accept(qos, packet_id, &mut wire)
}

fn complete(peer: &mut Peer, ticket: AckTicket) {
    let (session, mut wire, _) = peer.split();
    session
        .inbound
        .complete(ticket, ReasonCode::Success, Some(&mut wire), |_| {});
}

/// [MQTT-4.6.0-2]
#[test]
fn acknowledgements_leave_in_the_order_of_the_publishes() {
    let mut peer = Peer::with_window(1);
    let first = peer.session.inbound.defer(AtLeastOnce, 1);
    let second = peer.session.inbound.defer(AtLeastOnce, 2);
    let (session, mut wire, _) = peer.split();
    session
        .inbound
        .acknowledge(AtLeastOnce, 3, ReasonCode::Success, &mut wire);
    complete(&mut peer, second);
    assert_eq!(peer.sent(), []);
    complete(&mut peer, first);
    assert_eq!(peer.sent(), [0x40, 2, 0, 1, 0x40, 2, 0, 2, 0x40, 2, 0, 3]);
}

#[test]
fn what_an_earlier_session_waited_for_acknowledges_nothing_of_the_next() {
    let mut peer = Peer::with_window(1);
    let old = peer.session.inbound.defer(AtLeastOnce, 1);
    let limits = OutboundLimits {
        queue_messages_max: 3,
        queue_drop: QueueDrop::Newest,
        queue_qos_0: QueuedQos0::Dropped,
    };
    let earlier = peer.session.begin_anew(limits);
    assert_eq!(earlier.inbound.deferred(), 1);
    let new = peer.session.inbound.defer(AtLeastOnce, 1);
    complete(&mut peer, old);
    assert_eq!(peer.sent(), []);
    complete(&mut peer, new);
    assert_eq!(peer.sent(), [0x40, 2, 0, 1]);
}

/// [MQTT-4.3.3-10]
#[test]
fn a_repeated_qos_2_publish_is_not_routed_again_until_it_is_released() {
    let mut peer = Peer::with_window(1);
    assert_eq!(accept(&mut peer, ExactlyOnce, 7), Acceptance::Route);
    let ticket = peer.session.inbound.defer(ExactlyOnce, 7);
    assert_eq!(accept(&mut peer, ExactlyOnce, 7), Acceptance::UnderWay);
    complete(&mut peer, ticket);
    assert_eq!(peer.sent(), [0x50, 2, 0, 7]);
    assert_eq!(accept(&mut peer, ExactlyOnce, 7), Acceptance::Repeated);
    assert_eq!(peer.sent(), [0x50, 2, 0, 7]);
    let (session, mut wire, _) = peer.split();
    session.inbound.release(7, &mut wire);
    assert_eq!(peer.sent(), [0x70, 2, 0, 7]);
    assert_eq!(accept(&mut peer, ExactlyOnce, 7), Acceptance::Route);
}

#[test]
fn a_lost_connection_gets_no_late_puback_but_its_qos_2_publish_stays_known() {
    let mut peer = Peer::with_window(1);
    accept(&mut peer, ExactlyOnce, 2);
    let one = peer.session.inbound.defer(AtLeastOnce, 1);
    let two = peer.session.inbound.defer(ExactlyOnce, 2);
    peer.session.inbound.connection_lost();
    complete(&mut peer, one);
    complete(&mut peer, two);
    assert_eq!(peer.sent(), [], "the resumed client has not repeated it");
    assert_eq!(accept(&mut peer, ExactlyOnce, 2), Acceptance::Repeated);
    assert_eq!(peer.sent(), [0x50, 2, 0, 2]);
}

/// [MQTT-4.3.3-10], 3.1.1 [MQTT-4.3.3-2]
#[test]
fn a_qos_2_publish_that_is_repeated_while_it_is_routed_gets_one_pubrec() {
    let mut peer = Peer::with_window(1);
    accept(&mut peer, ExactlyOnce, 2);
    let ticket = peer.session.inbound.defer(ExactlyOnce, 2);
    peer.session.inbound.connection_lost();
    assert_eq!(accept(&mut peer, ExactlyOnce, 2), Acceptance::UnderWay);
    complete(&mut peer, ticket);
    assert_eq!(peer.sent(), [0x50, 2, 0, 2]);
}

/// [MQTT-3.3.4-7]
#[test]
fn a_repeat_does_not_exceed_the_receive_maximum() {
    let mut peer = Peer::with_window(1);
    accept(&mut peer, ExactlyOnce, 1);
    peer.session.inbound.defer(ExactlyOnce, 1);
    peer.session.inbound.defer(AtLeastOnce, 2);
    assert!(peer.session.inbound.exceeds(AtLeastOnce, 3, 2));
    peer.session.inbound.connection_lost();
    assert!(!peer.session.inbound.exceeds(ExactlyOnce, 1, 2));
    assert!(!peer.session.inbound.exceeds(AtLeastOnce, 2, 2));
    assert!(peer.session.inbound.exceeds(AtLeastOnce, 2, 1));
}

/// [MQTT-3.3.4-9], [MQTT-4.4.0-1], [MQTT-4.9.0-1]
#[test]
fn repeats_wait_for_the_window_of_the_new_connection() {
    let mut peer = Peer::with_window(3);
    for payload in [b'a', b'b', b'c'] {
        peer.offer(AtLeastOnce, payload);
    }
    peer.window = 1;
    peer.resume();
    assert_eq!(peer.sent(), publish(0x3a, 1, b'a'));
    assert_eq!(peer.offer(AtLeastOnce, b'd'), Offer::Queued);
    for (acknowledged, next) in [
        (1, publish(0x3a, 2, b'b')),
        (2, publish(0x3a, 3, b'c')),
        (3, publish(0x32, 4, b'd')),
    ] {
        assert!(peer.session.outbound.puback(acknowledged).is_some());
        peer.pump();
        assert_eq!(peer.sent(), next);
    }
}

/// [MQTT-3.1.2-25]
#[test]
fn a_repeat_that_is_too_large_for_the_new_connection_is_over_and_frees_its_identifier() {
    let mut peer = Peer::with_window(3);
    peer.offer(AtLeastOnce, b'a');
    peer.offer(ExactlyOnce, b'b');
    peer.sent();
    let (session, mut wire, scratch) = peer.split();
    wire.max_packet_size = 7;
    let mut dropped = 0;
    session.outbound.resume(&mut wire, 0, scratch, |pumped| {
        let too_large = DropReason::TooLarge;
        dropped += usize::from(matches!(
            pumped,
            Pumped::Dropped(reason, _) | Pumped::Forgone(reason, _) if reason == too_large
        ));
    });
    assert_eq!(dropped, 2);
    assert_eq!(peer.sent(), [0x62, 2, 0, 2]);
    assert!(peer.session.outbound.pubcomp(2).is_some());
    assert_eq!(peer.session.outbound.inflight_len(), 0);
}

/// [MQTT-4.3.3-7], [MQTT-4.3.3-13], [MQTT-3.3.2-6]
#[test]
fn a_message_that_was_sent_does_not_expire_and_its_exchange_goes_on() {
    let mut peer = Peer::with_window(1);
    let expiry = Some(Expiry {
        seconds: 5,
        received_at_ms: 0,
    });
    let session = &mut peer.session;
    let mut message = Fanout::new(
        Publication {
            expiry,
            ..publication(b"x")
        },
        0,
        &mut peer.scratch,
    );
    session
        .outbound
        .offer(None, &mut message, delivery(ExactlyOnce));
    let mut sent_at = |now_ms: u64| {
        let mut out = vec![];
        let mut wire = Wire {
            version: Version::V5,
            out: &mut out,
            window: 1,
            max_packet_size: u32::MAX,
            congested_bytes: 1 << 20,
            aliases: None,
        };
        session
            .outbound
            .resume(&mut wire, now_ms, &mut peer.scratch, |_| {});
        out
    };
    let expiring =
        |first: u8, left: u8| vec![first, 12, 0, 1, b't', 0, 1, 5, 2, 0, 0, 0, left, b'x'];
    assert_eq!(sent_at(3_000), expiring(0x34, 2), "less what it has waited");
    assert_eq!(sent_at(60_000), expiring(0x3c, 0));
    assert!(peer.pubrec(1, ReasonCode::Success));
    assert_eq!(peer.sent(), [0x62, 2, 0, 1]);
    assert!(peer.session.outbound.pubcomp(1).is_some());
    accept(&mut peer, ExactlyOnce, 9);
    let (session, mut wire, _) = peer.split();
    session.inbound.release(9, &mut wire);
    assert_eq!(peer.sent(), [0x70, 2, 0, 9]);
}

/// [MQTT-4.3.3-9]
#[test]
fn a_refused_qos_2_publish_frees_its_identifier() {
    let mut peer = Peer::with_window(1);
    assert_eq!(accept(&mut peer, ExactlyOnce, 7), Acceptance::Route);
    let (session, mut wire, _) = peer.split();
    let refused = ReasonCode::QuotaExceeded;
    session
        .inbound
        .acknowledge(ExactlyOnce, 7, refused, &mut wire);
    assert_eq!(accept(&mut peer, ExactlyOnce, 7), Acceptance::Route);
}

/// [MQTT-4.4.0-2]
#[test]
fn what_the_client_refused_is_not_repeated() {
    let mut peer = Peer::with_window(2);
    peer.offer(ExactlyOnce, b'a');
    peer.offer(AtLeastOnce, b'b');
    assert!(peer.pubrec(1, ReasonCode::QuotaExceeded));
    assert!(peer.session.outbound.puback(2).is_some());
    peer.resume();
    assert_eq!(peer.sent(), []);
}

#[test]
fn a_stored_publication_reads_back() {
    let stored = Stored::new(&publication(b"x"), 7);
    assert_eq!(stored.kept_at_ms(), 7);
    assert_eq!(stored.publication(), publication(b"x"));
    assert!(Stored::from_frame(stored.frame(), 8).is_ok());
    assert!(Stored::from_frame(&stored.frame()[1..], 8).is_err());
}

#[test]
fn numbers_rise_in_the_order_of_the_deliveries_and_outlive_the_memory() {
    let mut before = Peer::with_window(2);
    before.offer(ExactlyOnce, b'a');
    before.offer(AtLeastOnce, b'b');
    before.offer(AtLeastOnce, b'c');
    before.pubrec(1, ReasonCode::Success);
    let deliveries: Vec<_> = before.session.outbound.transfer().collect();
    let numbers: Vec<_> = deliveries.iter().map(|d| (d.number, d.packet_id)).collect();
    assert_eq!(numbers, [(1, 1), (2, 2), (3, 0)]);
    let mut after = Peer::with_window(2);
    let limits = OutboundLimits {
        queue_messages_max: 3,
        queue_drop: QueueDrop::Newest,
        queue_qos_0: QueuedQos0::Dropped,
    };
    after.session.outbound = Outbound::recovered(limits, deliveries, 2, 3);
    after.resume();
    let mut expected = vec![0x62, 2, 0, 1];
    expected.extend(publish(0x3a, 2, b'b'));
    assert_eq!(after.sent(), expected);
    assert_eq!(after.session.outbound.pubcomp(1), Some(1));
    after.pump();
    assert_eq!(after.sent(), publish(0x32, 3, b'c'));
    after.offer_offline(AtLeastOnce, b'd');
    assert_eq!(after.session.outbound.last_number(), 4);
}

/// What was sent under an identifier that nobody remembers is sent again as a new message; what the client has
/// said that it has is not.
#[test]
fn what_waits_again_is_all_but_what_was_released() {
    let mut peer = Peer::with_window(2);
    peer.offer(ExactlyOnce, b'a');
    peer.offer(ExactlyOnce, b'b');
    peer.offer(AtLeastOnce, b'c');
    peer.pubrec(1, ReasonCode::Success);
    peer.session.outbound.requeue();
    let outbound = &mut peer.session.outbound;
    assert_eq!((outbound.inflight_len(), outbound.queue_len()), (0, 2));
    let numbers: Vec<_> = outbound.queue().map(Waiting::number).collect();
    assert_eq!(numbers, [4, 5], "not used before");
    assert_eq!(outbound.forget_queued(3), None);
    assert_eq!(outbound.forget_queued(4), Some(4));
}

/// [MQTT-4.3.3-9], [MQTT-4.3.3-10]
#[test]
fn a_qos_2_publish_is_told_once_to_be_recorded_and_forgotten_when_it_is_refused() {
    let mut peer = Peer::with_window(1);
    let mut told = vec![];
    for (packet_id, reason) in [(7, ReasonCode::Success), (8, ReasonCode::QuotaExceeded)] {
        assert_eq!(accept(&mut peer, ExactlyOnce, packet_id), Acceptance::Route);
        let (session, mut wire, _) = peer.split();
        let ticket = session.inbound.defer(ExactlyOnce, packet_id);
        if packet_id == 8 {
            assert!(session.inbound.note_recorded(packet_id));
        }
        let inbound = &mut session.inbound;
        inbound.complete(ticket, reason, Some(&mut wire), |settled| {
            told.push(settled)
        });
    }
    assert_eq!(told, [Settled::Received(7), Settled::Forgotten(8)]);
    let kept: Vec<_> = peer.session.inbound.kept_qos2().collect();
    assert_eq!(kept, [7]);
}
