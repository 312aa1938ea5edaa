use super::*;

fn exceeds(peer: &Peer, qos: QoS, packet_id: u16, receive_maximum: u16) -> bool {
    let inbound = &peer.session.inbound;
    inbound.exceeds(qos, packet_id, receive_maximum)
}

/// [MQTT-3.3.4-7], §3.3.4: 0x93
#[test]
fn one_more_publish_than_the_receive_maximum_exceeds_it() {
    let mut peer = Peer::with_window(1);
    peer.session.inbound.defer(AtLeastOnce, 1);
    assert_eq!(accept(&mut peer, ExactlyOnce, 2), Acceptance::Route);
    peer.session.inbound.defer(ExactlyOnce, 2);
    assert!(!exceeds(&peer, AtLeastOnce, 3, 3));
    assert!(exceeds(&peer, AtLeastOnce, 3, 2));
}

/// [MQTT-4.4.0-1]
#[test]
fn a_resumed_client_may_repeat_all_its_qos_2_publishes() {
    let mut peer = Peer::with_window(1);
    for packet_id in 1..=2 {
        accept(&mut peer, ExactlyOnce, packet_id);
        let ticket = peer.session.inbound.defer(ExactlyOnce, packet_id);
        complete(&mut peer, ticket);
    }
    peer.session.inbound.connection_lost();
    for packet_id in 1..=2 {
        assert!(!exceeds(&peer, ExactlyOnce, packet_id, 2), "{packet_id}");
        let repeated = accept(&mut peer, ExactlyOnce, packet_id);
        assert_eq!(repeated, Acceptance::Repeated);
    }
    assert!(exceeds(&peer, ExactlyOnce, 3, 2), "a third one is new");
}

/// [MQTT-4.4.0-1]
#[test]
fn a_resumed_client_may_repeat_qos_1_publishes_whose_acknowledgement_was_still_to_come() {
    let mut peer = Peer::with_window(1);
    let late = peer.session.inbound.defer(AtLeastOnce, 1);
    peer.session.inbound.connection_lost();
    assert!(!exceeds(&peer, AtLeastOnce, 1, 1));
    peer.session.inbound.defer(AtLeastOnce, 1);
    assert!(exceeds(&peer, AtLeastOnce, 2, 1));
    complete(&mut peer, late);
    assert_eq!(peer.sent(), [], "nobody waits for the first one");
}
