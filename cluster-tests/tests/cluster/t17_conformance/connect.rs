//! CONNECT and CONNACK (§3.1, §3.2).

use super::{
    bytes::{Connect, Publish, WillRetain},
    talk::{LEVELS, Talk},
};
use raftmq_cluster_tests::{Cluster, RawClient, SOON, Setup, packet};

/// Sends bytes on a fresh connection and returns the codes of the CONNACKs that came before its end.
async fn refused(cluster: &Cluster, bytes: &[u8]) -> Vec<u8> {
    let mut client = RawClient::open(cluster.node(1).mqtt()).await;
    client.send(bytes).await;
    let frames = client.frames_until_closed(SOON).await;
    frames.iter().map(|frame| frame.connack_code()).collect()
}

/// [MQTT-3.1.4-5], [MQTT-3.2.0-2], [MQTT-3.2.2-1], [MQTT-4.12.0-6], 3.1.1 [MQTT-3.1.4-4]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_connect_is_answered_once_with_connack_0() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let connect = Connect::new(level, "accepted");
        let (mut client, connack) = Talk::try_open(&cluster, 1, level, connect).await;
        assert_eq!((connack.first, &connack.body[..2]), (0x20, &[0, 0][..]));
        if level == 5 {
            let properties = &connack.body[3..];
            assert_eq!(usize::from(connack.body[2]), properties.len());
            // Receive Maximum, Maximum Packet Size and Topic Alias Maximum: no authentication method, nothing
            // unexpected.
            let identifiers = (
                properties[0],
                properties[3],
                properties[8],
                properties.len(),
            );
            assert_eq!(identifiers, (0x21, 0x27, 0x22, 11), "{properties:02x?}");
        }
        client.subscribed("once", 0).await;
        client.silent().await;
    }
}

/// [MQTT-4.2-1], 3.1.1 [MQTT-4.2.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_come_over_tcp_in_pieces_of_any_size() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let mut client = RawClient::open(cluster.node(1).mqtt()).await;
        let bytes = [
            Connect::new(level, "pieces").bytes(),
            packet::PINGREQ.to_vec(),
        ]
        .concat();
        for byte in bytes {
            client.send(&[byte]).await;
        }
        assert_eq!(client.next_frame(SOON).await.unwrap().connack_code(), 0);
        assert_eq!(client.next_frame(SOON).await.unwrap().first, 0xD0);
    }
}

/// [MQTT-3.1.3-5], 3.1.1 [MQTT-3.1.3-5]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identifiers_of_1_to_23_letters_and_digits_are_taken() {
    let cluster = Cluster::start(1).await;
    let ids = [
        "0",
        "0123456789abcdefghijklm",
        "nopqrstuvwxyzABCDEFGHIJ",
        "KLMNOPQRSTUVWXYZ",
    ];
    for level in LEVELS {
        for id in ids {
            Talk::clean(&cluster, 1, level, id).await;
        }
    }
}

/// [MQTT-3.1.3-6], [MQTT-3.1.3-7], [MQTT-3.2.2-16]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_identifier_gets_a_new_one_that_is_told_and_names_the_session() {
    let cluster = Cluster::start(1).await;
    let mut assigned = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let (client, connack) = Talk::try_open(&cluster, 1, 5, Connect::new(5, "")).await;
        let at = connack.body.iter().position(|byte| *byte == 0x12);
        let rest = &connack.body[at.expect("an Assigned Client Identifier") + 1..];
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        assigned.push(String::from_utf8(rest[2..2 + length].to_vec()).unwrap());
        clients.push(client);
    }
    assert_ne!(assigned[0], assigned[1]);
    let _second = Talk::clean(&cluster, 1, 5, &assigned[0]).await;
    clients[0].closed_with(&[0x8E]).await;
    clients[1].silent().await;
}

/// 3.1.1 [MQTT-3.1.3-6]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_of_mqtt_3_1_1_without_identifier_do_not_meet() {
    let cluster = Cluster::start(1).await;
    let mut first = Talk::clean(&cluster, 1, 4, "").await;
    let mut second = Talk::clean(&cluster, 1, 4, "").await;
    first.silent().await;
    second.silent().await;
}

/// 3.1.1 [MQTT-3.1.3-8], 3.1.1 [MQTT-3.1.3-9], 3.1.1 [MQTT-3.2.2-4], 3.1.1 [MQTT-3.2.2-5]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_clean_session_mqtt_3_1_1_needs_an_identifier() {
    let cluster = Cluster::start(1).await;
    let connect = Connect::new(4, "").not_clean();
    let (mut client, connack) = Talk::try_open(&cluster, 1, 4, connect).await;
    assert_eq!(connack.body[..], [0, 2]);
    assert_eq!(client.until_closed().await, []);
}

/// [MQTT-3.1.4-6], [MQTT-3.2.2-6], [MQTT-3.2.2-7], [MQTT-3.14.0-1], [MQTT-4.12.0-1], [MQTT-4.13.2-1],
/// 3.1.1 [MQTT-3.1.4-5]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_behind_a_refused_connect_is_carried_out() {
    let cluster = Cluster::start(1).await;
    let mut subscriber = Talk::clean(&cluster, 1, 5, "subscriber").await;
    subscriber.subscribed("#", 1).await;
    let mut publisher = Talk::clean(&cluster, 1, 5, "publisher").await;
    let unknown_method = Connect::new(5, "refused").property(&[0x15, 0, 1, b'x']);
    for (connect, level, code) in [
        (unknown_method, 5, 0x8C),
        (Connect::new(4, "").not_clean(), 4, 2),
    ] {
        let publish = Publish::new(level, "behind", 0, 0, "x").bytes();
        let mut client = RawClient::open(cluster.node(1).mqtt()).await;
        client.send(&[connect.bytes(), publish].concat()).await;
        let frames = client.frames_until_closed(SOON).await;
        assert_eq!(frames.len(), 1, "CONNACK and the end: {frames:?}");
        assert_eq!(frames[0].body[..2], [0, code]);
        subscriber.nothing_before_fence(&mut publisher).await;
    }
}

/// [MQTT-3.1.4-1], [MQTT-4.13.1-1], 3.1.1 [MQTT-3.1.4-1], 3.1.1 [MQTT-3.2.2-6], 3.1.1 [MQTT-4.8.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connect_that_is_not_well_formed_ends_the_connection() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let good = Connect::new(level, "malformed");
        let with_will = || good.clone().will("t", 0, WillRetain::No, &[]);
        let mut longer = good.bytes();
        longer[1] += 1;
        longer.push(0);
        let malformed = [
            good.clone().flags(|flags| flags | 1).bytes(),
            good.clone().flags(|flags| flags | 0x80).bytes(),
            good.clone().flags(|flags| flags | 0x40 | 0x80).bytes(),
            good.clone().flags(|flags| flags | 0b100).bytes(),
            good.clone().flags(|flags| flags | 0b1000).bytes(),
            good.clone().flags(|flags| flags | 0b10_0000).bytes(),
            with_will().flags(|flags| flags | 0b1_1000).bytes(),
            Connect::new(level, "null\0").bytes(),
            longer,
        ];
        for bytes in malformed {
            let codes = refused(&cluster, &bytes).await;
            if level == 5 {
                assert_eq!(codes, [0x81], "{bytes:02x?}");
            } else {
                assert_eq!(codes, [0; 0], "{bytes:02x?}");
            }
        }
    }
}

/// [MQTT-3.1.2-2], 3.1.1 [MQTT-3.1.2-2], 3.1.1 [MQTT-3.1.2-1], [MQTT-3.1.2-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_protocols_and_levels_are_refused() {
    let cluster = Cluster::start(1).await;
    let codes = refused(&cluster, &Connect::new(6, "level").bytes()).await;
    assert!(matches!(codes[..], [0x01 | 0x84]), "{codes:02x?}");
    for level in LEVELS {
        let mut bytes = Connect::new(level, "name").bytes();
        bytes[4..8].copy_from_slice(b"MQTX");
        assert!(!refused(&cluster, &bytes).await.contains(&0));
    }
}

/// [MQTT-3.1.4-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_come_in_is_told_so_and_closed() {
    let setup = Setup::nodes(1).set("RAFTMQ_MQTT_ALLOW_ANONYMOUS", "false");
    let cluster = setup.start().await;
    for (level, code) in [(4, 5), (5, 0x87)] {
        let codes = refused(&cluster, &Connect::new(level, "anonymous").bytes()).await;
        assert_eq!(codes, [code]);
    }
}

/// [MQTT-3.1.0-1], 3.1.1 [MQTT-3.1.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_connect_begins_a_connection() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let publish = Publish::new(level, "t", 0, 0, "x").bytes();
        for bytes in [
            publish,
            packet::PINGREQ.to_vec(),
            packet::DISCONNECT.to_vec(),
        ] {
            assert_eq!(refused(&cluster, &bytes).await, [0; 0]);
        }
    }
}

/// [MQTT-3.1.0-2], [MQTT-3.14.4-1], [MQTT-3.14.4-2], 3.1.1 [MQTT-3.1.0-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connect_is_a_protocol_error() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let mut client = Talk::clean(&cluster, 1, level, "twice").await;
        let second = Connect::new(level, "twice").bytes();
        client
            .send(&[second, packet::PINGREQ.to_vec()].concat())
            .await;
        client.closed_with(&[0x82]).await;
    }
}

/// [MQTT-3.1.4-3], 3.1.1 [MQTT-3.1.4-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_connected_already_is_sent_away_by_its_next_connection() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let mut first = Talk::clean(&cluster, 1, level, "same").await;
        let mut second = Talk::clean(&cluster, 1, level, "same").await;
        first.closed_with(&[0x8E]).await;
        second.silent().await;
    }
}

/// [MQTT-3.12.4-1], 3.1.1 [MQTT-3.12.4-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pingreq_is_answered_with_pingresp() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        let mut client = Talk::clean(&cluster, 1, level, "ping").await;
        client.send(&packet::PINGREQ).await;
        let answer = client.frame().await;
        assert_eq!((answer.first, answer.body.len()), (0xD0, 0));
    }
}

/// A reason, and at most a Reason String: so no Session Expiry Interval.
fn is_malformed_packet(disconnect: &[u8]) -> bool {
    match disconnect {
        [0x81] | [0x81, 0] => true,
        [0x81, length, 0x1F, 0, text_length, text @ ..] => {
            usize::from(*length) == text.len() + 3 && usize::from(*text_length) == text.len()
        }
        _ => false,
    }
}

/// [MQTT-2.1.3-1], [MQTT-3.14.1-1], [MQTT-3.14.2-2], 3.1.1 [MQTT-2.2.2-1], 3.1.1 [MQTT-2.2.2-2],
/// 3.1.1 [MQTT-3.14.1-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_that_are_reserved_end_the_connection() {
    let cluster = Cluster::start(1).await;
    for level in LEVELS {
        for bytes in [
            &[0xE1, 0][..],
            &[0xC8, 0],
            &[0x41, 2, 0, 1],
            &[0x60, 2, 0, 1],
            &[0x80, 2, 0, 1],
        ] {
            let mut client = Talk::clean(&cluster, 1, level, "flags").await;
            client.send(bytes).await;
            let frames = client.until_closed().await;
            let is_told = frames
                .iter()
                .all(|frame| frame.first == 0xE0 && is_malformed_packet(&frame.body));
            assert!(
                is_told && frames.len() == usize::from(level == 5),
                "{bytes:02x?}: {frames:?}"
            );
        }
    }
}
