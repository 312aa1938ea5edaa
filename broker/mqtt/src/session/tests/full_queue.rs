use super::*;

fn waiting_payloads(peer: &Peer) -> Vec<u8> {
    let queue = peer.session.outbound.queue();
    queue
        .map(|waiting| waiting.message().publication().payload[0])
        .collect()
}

fn displaced(offer: Offer) -> u8 {
    match offer {
        Offer::Displaced(waiting) => waiting.message().publication().payload[0],
        other => panic!("nothing made room: {other:?}"),
    }
}

fn full(queue_drop: QueueDrop, qos: [QoS; 3]) -> Peer {
    let mut peer = Peer::with_limits(1, queue_drop, QueuedQos0::Kept);
    for (payload, qos) in (b'a'..).zip(qos) {
        assert_eq!(peer.offer_offline(qos, payload), Offer::Queued);
    }
    peer
}

#[test]
fn the_newest_is_dropped_when_the_setting_says_so() {
    let mut peer = full(QueueDrop::Newest, [AtLeastOnce; 3]);
    let offer = peer.offer_offline(AtLeastOnce, b'd');
    assert_eq!(offer, Offer::Dropped(DropReason::QueueFull));
    assert_eq!(waiting_payloads(&peer), *b"abc");
}

#[test]
fn the_oldest_is_dropped_when_the_setting_says_so() {
    let mut peer = full(QueueDrop::Oldest, [AtLeastOnce, ExactlyOnce, AtLeastOnce]);
    assert_eq!(displaced(peer.offer_offline(AtLeastOnce, b'd')), b'a');
    assert_eq!(displaced(peer.offer_offline(ExactlyOnce, b'e')), b'b');
    assert_eq!(waiting_payloads(&peer), *b"cde");
}

#[test]
fn qos_0_makes_room_before_any_other_message() {
    for queue_drop in [QueueDrop::Newest, QueueDrop::Oldest] {
        let mut peer = full(queue_drop, [AtLeastOnce, AtMostOnce, AtMostOnce]);
        assert_eq!(displaced(peer.offer_offline(AtLeastOnce, b'd')), b'b');
        assert_eq!(displaced(peer.offer_offline(ExactlyOnce, b'e')), b'c');
        assert_eq!(waiting_payloads(&peer), *b"ade");
    }
}

#[test]
fn qos_0_never_displaces_what_has_to_be_delivered() {
    let mut peer = full(QueueDrop::Oldest, [AtLeastOnce, AtMostOnce, AtMostOnce]);
    let offer = peer.offer_offline(AtMostOnce, b'd');
    assert_eq!(offer, Offer::Dropped(DropReason::QueueFull));
    let mut peer = full(QueueDrop::Oldest, [AtMostOnce; 3]);
    assert_eq!(displaced(peer.offer_offline(AtMostOnce, b'd')), b'a');
}

#[test]
fn a_queue_for_nothing_keeps_nothing() {
    let limits = OutboundLimits {
        queue_messages_max: 0,
        queue_drop: QueueDrop::Oldest,
        queue_qos_0: QueuedQos0::Kept,
    };
    let mut peer = Peer::with_window(1);
    peer.session = Session::new(limits);
    for qos in [AtMostOnce, AtLeastOnce] {
        let offer = peer.offer_offline(qos, b'a');
        assert_eq!(offer, Offer::Dropped(DropReason::QueueFull));
    }
}

#[test]
fn qos_0_that_was_kept_is_sent_in_its_order_without_an_identifier() {
    let mut peer = full(QueueDrop::Newest, [AtMostOnce, AtLeastOnce, AtMostOnce]);
    peer.resume();
    let mut expected = vec![0x30, 4, 0, 1, b't', b'a'];
    expected.extend(publish(0x32, 1, b'b'));
    expected.extend([0x30, 4, 0, 1, b't', b'c']);
    assert_eq!(peer.sent(), expected);
    assert_eq!(peer.session.outbound.inflight_len(), 1);
}

/// [MQTT-4.6.0-5]
#[test]
fn qos_0_does_not_overtake_what_was_kept_of_it() {
    let mut peer = full(QueueDrop::Newest, [AtLeastOnce, AtLeastOnce, AtMostOnce]);
    peer.resume();
    assert_eq!(peer.offer(AtMostOnce, b'd'), Offer::Queued);
    assert!(peer.session.outbound.puback(1).is_some());
    peer.sent();
    peer.pump();
    let mut expected = publish(0x32, 2, b'b');
    expected.extend([0x30, 4, 0, 1, b't', b'c', 0x30, 4, 0, 1, b't', b'd']);
    assert_eq!(peer.sent(), expected);
}

#[test]
fn qos_0_moves_with_its_session_and_still_makes_room_first() {
    let here = full(QueueDrop::Newest, [AtMostOnce, AtLeastOnce, AtLeastOnce]);
    let mut there = Peer::with_limits(1, QueueDrop::Newest, QueuedQos0::Kept);
    let moved = here.session.outbound.transfer().collect();
    there.session.outbound.restore(moved);
    assert_eq!(displaced(there.offer_offline(AtLeastOnce, b'd')), b'a');
    assert_eq!(waiting_payloads(&there), *b"bcd");
}
