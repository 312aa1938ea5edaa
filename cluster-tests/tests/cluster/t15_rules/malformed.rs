//! Packets that break a rule: in MQTT 5 the DISCONNECT (or CONNACK) has the reason code, in 3.1.1 the
//! connection is closed without a word.

use raftmq_cluster_tests::{Cluster, Frame, RawClient, SOON, packet};

/// A packet of MQTT 5, the code that ends its connection, and the rule.
type Row = (&'static [u8], u8, &'static str);

/// Behind an accepted CONNECT.
const FIVE: &[Row] = &[
    // Fixed header
    (&[0x00, 0], 0x81, "§2.1.2: type 0 is reserved"),
    (
        &[0x40, 0x80, 0x80, 0x80, 0x80, 1],
        0x81,
        "§1.5.5: four bytes",
    ),
    (&[0x40, 0x82, 0x00, 0, 1], 0x81, "[MQTT-1.5.5-1]"),
    (&[0x41, 2, 0, 1], 0x81, "[MQTT-2.1.3-1] PUBACK"),
    (&[0x52, 2, 0, 1], 0x81, "[MQTT-2.1.3-1] PUBREC"),
    (&[0x60, 2, 0, 1], 0x81, "[MQTT-3.6.1-1]"),
    (&[0x78, 2, 0, 1], 0x81, "[MQTT-2.1.3-1] PUBCOMP"),
    (&[0x80, 7, 0, 1, 0, 0, 1, b'a', 0], 0x81, "[MQTT-3.8.1-1]"),
    (&[0xA0, 6, 0, 1, 0, 0, 1, b'a'], 0x81, "[MQTT-3.10.1-1]"),
    (&[0xC1, 0], 0x81, "[MQTT-2.1.3-1] PINGREQ"),
    (&[0xE1, 0], 0x81, "[MQTT-3.14.1-1]"),
    (&[0xF2, 0], 0x81, "[MQTT-3.15.1-1]"),
    // Lengths
    (&[0xC0, 1, 0], 0x81, "PINGREQ has no content"),
    (
        &[0x40, 1, 0],
        0x81,
        "PUBACK ends inside its packet identifier",
    ),
    (
        &[0x30, 3, 0, 2, b'a'],
        0x81,
        "the topic name runs past the end",
    ),
    (
        &[0x30, 4, 0, 1, b'a', 5],
        0x81,
        "the properties run past the end",
    ),
    (
        &[0x82, 5, 0, 1, 0, 0, 9],
        0x81,
        "a filter runs past the end",
    ),
    (
        &[0x82, 6, 0, 1, 0, 0, 1, b'a'],
        0x81,
        "a filter without options",
    ),
    (
        &[0x40, 5, 0, 1, 0, 0, 7],
        0x81,
        "bytes behind the properties",
    ),
    // Packet identifiers
    (
        &[0x32, 6, 0, 1, b'a', 0, 0, 0],
        0x82,
        "[MQTT-2.2.1-3] PUBLISH",
    ),
    (
        &[0x82, 7, 0, 0, 0, 0, 1, b'a', 0],
        0x82,
        "[MQTT-2.2.1-3] SUBSCRIBE",
    ),
    (
        &[0xA2, 6, 0, 0, 0, 0, 1, b'a'],
        0x82,
        "[MQTT-2.2.1-3] UNSUBSCRIBE",
    ),
    // PUBLISH
    (&[0x36, 6, 0, 1, b'a', 0, 1, 0], 0x81, "[MQTT-3.3.1-4]"),
    (&[0x38, 4, 0, 1, b'a', 0], 0x81, "[MQTT-3.3.1-2]"),
    (
        &[0x30, 3, 0, 0, 0],
        0x82,
        "[MQTT-4.7.3-1] no topic name and no alias",
    ),
    (&[0x30, 4, 0, 1, b'#', 0], 0x90, "[MQTT-3.3.2-2]"),
    (
        &[0x30, 6, 0, 3, b'a', b'/', b'+', 0],
        0x90,
        "[MQTT-3.3.2-2]",
    ),
    (
        &[0x30, 7, 0, 1, b'a', 3, 0x23, 0, 0],
        0x94,
        "[MQTT-3.3.2-8]",
    ),
    (&[0x30, 6, 0, 1, b'a', 2, 0x0B, 1], 0x82, "[MQTT-3.3.4-6]"),
    (
        &[0x30, 6, 0, 1, b'a', 2, 0x0B, 0],
        0x82,
        "§3.3.2.3.8: identifier 0",
    ),
    (
        &[0x30, 8, 0, 1, b'a', 4, 0x08, 0, 1, b'#'],
        0x82,
        "[MQTT-3.3.2-14]",
    ),
    (
        &[0x30, 6, 0, 1, b'a', 2, 0x01, 2],
        0x82,
        "§3.3.2.3.2: neither 0 nor 1",
    ),
    // Strings
    (&[0x30, 4, 0, 1, 0xFF, 0], 0x81, "[MQTT-1.5.4-1]"),
    (
        &[0x30, 6, 0, 3, 0xED, 0xA0, 0x80, 0],
        0x81,
        "[MQTT-1.5.4-1] a surrogate",
    ),
    (
        &[0x30, 5, 0, 2, 0xC1, 0x81, 0],
        0x81,
        "[MQTT-1.5.4-1] overlong",
    ),
    (
        &[0x30, 5, 0, 2, 0xC0, 0x80, 0],
        0x81,
        "[MQTT-1.5.4-1] an overlong U+0000",
    ),
    (
        &[0x30, 7, 0, 4, 0xF4, 0x90, 0x80, 0x80, 0],
        0x81,
        "[MQTT-1.5.4-1] beyond U+10FFFF",
    ),
    (&[0x30, 4, 0, 1, 0, 0], 0x81, "[MQTT-1.5.4-2] a topic name"),
    (
        &[0x82, 7, 0, 1, 0, 0, 1, 0, 0],
        0x81,
        "[MQTT-1.5.4-2] a topic filter",
    ),
    (
        &[0x30, 11, 0, 1, b'a', 7, 0x26, 0, 1, b'k', 0, 1, 0],
        0x81,
        "[MQTT-1.5.7-1]",
    ),
    // Properties
    (
        &[0x30, 6, 0, 1, b'a', 2, 0x7F, 0],
        0x81,
        "§2.2.2.2: no such property",
    ),
    (
        &[0x30, 6, 0, 1, b'a', 2, 0x24, 0],
        0x81,
        "§2.2.2.2: Maximum QoS in PUBLISH",
    ),
    (
        &[0x82, 9, 0, 1, 2, 0x01, 0, 0, 1, b'a', 0],
        0x81,
        "§2.2.2.2: Payload Format in SUBSCRIBE",
    ),
    (
        &[0x40, 6, 0, 1, 0, 2, 0x01, 0],
        0x81,
        "§2.2.2.2: Payload Format in PUBACK",
    ),
    (
        &[0x30, 8, 0, 1, b'a', 4, 0x01, 0, 0x01, 0],
        0x82,
        "§3.3.2.3.2: twice",
    ),
    (
        &[0x82, 11, 0, 1, 4, 0x0B, 1, 0x0B, 2, 0, 1, b'a', 0],
        0x82,
        "§3.8.2.1.2: twice",
    ),
    (
        &[0x82, 9, 0, 1, 2, 0x0B, 0, 0, 1, b'a', 0],
        0x82,
        "§3.8.2.1.2: identifier 0",
    ),
    // SUBSCRIBE and UNSUBSCRIBE
    (&[0x82, 3, 0, 1, 0], 0x82, "[MQTT-3.8.3-2]"),
    (&[0xA2, 3, 0, 1, 0], 0x82, "[MQTT-3.10.3-2]"),
    (
        &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x40],
        0x81,
        "[MQTT-3.8.3-5]",
    ),
    (
        &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x03],
        0x82,
        "§3.8.3.1: QoS 3",
    ),
    (
        &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x30],
        0x82,
        "§3.8.3.1: Retain Handling 3",
    ),
    (
        &[
            0x82, 16, 0, 1, 0, 0, 10, b'$', b's', b'h', b'a', b'r', b'e', b'/', b'g', b'/', b'a', 4,
        ],
        0x82,
        "[MQTT-3.8.3-4]",
    ),
    // Reason codes
    (&[0x40, 3, 0, 1, 0x01], 0x82, "[MQTT-3.4.2-1]"),
    (&[0x50, 3, 0, 1, 0x92], 0x82, "[MQTT-3.5.2-1]"),
    (&[0x62, 3, 0, 1, 0x10], 0x82, "[MQTT-3.6.2-1]"),
    (&[0x70, 3, 0, 1, 0x80], 0x82, "[MQTT-3.7.2-1]"),
    (&[0xE0, 1, 0x01], 0x82, "[MQTT-3.14.2-1]"),
    // The wrong packet
    (&[0x20, 3, 0, 0, 0], 0x82, "CONNACK is the server's"),
    (&[0x90, 4, 0, 1, 0, 0], 0x82, "SUBACK is the server's"),
    (&[0xB0, 4, 0, 1, 0, 0], 0x82, "UNSUBACK is the server's"),
    (&[0xD0, 0], 0x82, "PINGRESP is the server's"),
    (&[0xF0, 0], 0x82, "[MQTT-4.12.0-7]"),
    (
        &[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 1],
        0x82,
        "§3.14.2.2.2: the session expiry was 0",
    ),
];

/// CONNECT itself; answered by CONNACK.
const FIVE_CONNECT: &[Row] = &[
    (
        &[0x11, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 0, 0, 0],
        0x81,
        "[MQTT-2.1.3-1]",
    ),
    (
        &[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 3, 0, 9, 0, 0, 0],
        0x81,
        "[MQTT-3.1.2-3]",
    ),
    (
        &[
            0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 0x0A, 0, 9, 0, 0, 0,
        ],
        0x81,
        "[MQTT-3.1.2-11]",
    ),
    (
        &[
            0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 0x22, 0, 9, 0, 0, 0,
        ],
        0x81,
        "[MQTT-3.1.2-13]",
    ),
    (
        &[
            0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 0x1E, 0, 9, 0, 0, 0,
        ],
        0x81,
        "[MQTT-3.1.2-12]",
    ),
    (
        &[
            0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 0x06, 0, 9, 0, 0, 0,
        ],
        0x81,
        "[MQTT-3.1.2-9]",
    ),
    (
        &[
            0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 0x82, 0, 9, 0, 0, 0,
        ],
        0x81,
        "[MQTT-3.1.2-17]",
    ),
    (
        &[
            0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 0x42, 0, 9, 0, 0, 0,
        ],
        0x81,
        "[MQTT-3.1.2-19]",
    ),
    (
        &[
            0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 0, 0, 0, 7,
        ],
        0x81,
        "[MQTT-3.1.2-16]",
    ),
    (
        &[0x10, 11, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 0],
        0x81,
        "[MQTT-3.1.3-3]",
    ),
    (
        &[
            0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 0, 0, 1, 0xFF,
        ],
        0x81,
        "[MQTT-3.1.3-4]",
    ),
    (
        &[
            0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 0, 0, 1, 0,
        ],
        0x81,
        "[MQTT-1.5.4-2]",
    ),
    (
        &[
            0x10, 16, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 3, 0x21, 0, 0, 0, 0,
        ],
        0x82,
        "§3.1.2.11.3: 0",
    ),
    (
        &[
            0x10, 18, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 5, 0x27, 0, 0, 0, 0, 0, 0,
        ],
        0x82,
        "§3.1.2.11.4: 0",
    ),
    (
        &[
            0x10, 15, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 2, 0x19, 2, 0, 0,
        ],
        0x82,
        "§3.1.2.11.6",
    ),
    (
        &[
            0x10, 15, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 2, 0x17, 2, 0, 0,
        ],
        0x82,
        "§3.1.2.11.7",
    ),
    (
        &[
            0x10, 16, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 3, 0x16, 0, 0, 0, 0,
        ],
        0x82,
        "§3.1.2.11.10",
    ),
    (
        &[
            0x10, 16, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 3, 0x23, 0, 1, 0, 0,
        ],
        0x81,
        "§2.2.2.2",
    ),
    (
        &[
            0x10, 19, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 9, 6, 0x22, 0, 1, 0x22, 0, 1, 0, 0,
        ],
        0x82,
        "§3.1.2.11.5: twice",
    ),
    (
        &[
            0x10, 19, 0, 4, b'M', b'Q', b'T', b'T', 5, 6, 0, 9, 0, 0, 0, 0, 0, 1, b'+', 0, 0,
        ],
        0x90,
        "§3.1.3.3: a wildcard in the will's topic",
    ),
];

/// Behind an accepted CONNECT of 3.1.1: each ends the connection.
const FOUR: &[(&[u8], &str)] = &[
    (&[0x00, 0], "reserved type 0"),
    (&[0xF0, 0], "reserved type 15"),
    (&[0x40, 0x80, 0x80, 0x80, 0x80, 1], "remaining length"),
    (&[0x41, 2, 0, 1], "3.1.1 [MQTT-2.2.2-2] PUBACK"),
    (&[0x60, 2, 0, 1], "3.1.1 [MQTT-3.6.1-1]"),
    (&[0x80, 6, 0, 1, 0, 1, b'a', 0], "3.1.1 [MQTT-3.8.1-1]"),
    (&[0xA0, 5, 0, 1, 0, 1, b'a'], "3.1.1 [MQTT-3.10.1-1]"),
    (&[0xE1, 0], "3.1.1 [MQTT-3.14.1-1]"),
    (&[0xC0, 1, 0], "PINGREQ has no content"),
    (&[0x40, 3, 0, 1, 0], "PUBACK has two bytes"),
    (&[0xE0, 1, 0], "DISCONNECT has no content"),
    (&[0x32, 5, 0, 1, b'a', 0, 0], "3.1.1 [MQTT-2.3.1-1] PUBLISH"),
    (
        &[0x82, 6, 0, 0, 0, 1, b'a', 0],
        "3.1.1 [MQTT-2.3.1-1] SUBSCRIBE",
    ),
    (&[0x36, 5, 0, 1, b'a', 0, 1], "3.1.1 [MQTT-3.3.1-4]"),
    (&[0x38, 3, 0, 1, b'a'], "3.1.1 [MQTT-3.3.1-2]"),
    (&[0x30, 2, 0, 0], "3.1.1 [MQTT-4.7.3-1]"),
    (&[0x30, 3, 0, 1, b'#'], "3.1.1 [MQTT-3.3.2-2]"),
    (&[0x30, 3, 0, 1, 0xFF], "3.1.1 [MQTT-1.5.3-1]"),
    (&[0x30, 3, 0, 1, 0], "3.1.1 [MQTT-1.5.3-2]"),
    (&[0x82, 2, 0, 1], "3.1.1 [MQTT-3.8.3-3]"),
    (&[0xA2, 2, 0, 1], "3.1.1 [MQTT-3.10.3-2]"),
    (
        &[0x82, 6, 0, 1, 0, 1, b'a', 3],
        "3.1.1 [MQTT-3.8.3-4] QoS 3",
    ),
    (
        &[0x82, 6, 0, 1, 0, 1, b'a', 4],
        "3.1.1 [MQTT-3.8.3-4] reserved bits",
    ),
    (&[0x20, 2, 0, 0], "CONNACK is the server's"),
    (&[0xD0, 0], "PINGRESP is the server's"),
    (
        &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 9, 0, 0],
        "3.1.1 [MQTT-3.1.0-2]",
    ),
];

/// CONNECT of 3.1.1 that has no return code for what is wrong: closed without CONNACK.
const FOUR_CONNECT: &[(&[u8], &str)] = &[
    (
        &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 3, 0, 9, 0, 0],
        "3.1.1 [MQTT-3.1.2-3]",
    ),
    (
        &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 0x0A, 0, 9, 0, 0],
        "3.1.1 [MQTT-3.1.2-13]",
    ),
    (
        &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 0x22, 0, 9, 0, 0],
        "3.1.1 [MQTT-3.1.2-15]",
    ),
    (
        &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 0x42, 0, 9, 0, 0],
        "3.1.1 [MQTT-3.1.2-22]",
    ),
    (
        &[0x10, 10, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 9],
        "3.1.1 [MQTT-3.1.3-3]",
    ),
    (
        &[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 9, 0, 0, 7],
        "bytes behind the payload",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_broken_rule_of_mqtt_5_ends_the_connection_with_its_reason_code() {
    let cluster = Cluster::start(1).await;
    let address = cluster.node(1).mqtt();
    let mut wrong = Vec::new();
    for (bytes, code, rule) in FIVE {
        let (mut client, connack) = RawClient::connect(address, 5, "rules", true).await;
        assert_eq!(connack.connack_code(), 0);
        client.send(bytes).await;
        let frames = client.frames_until_closed(SOON).await;
        let codes: Vec<_> = frames.iter().map(Frame::disconnect_code).collect();
        if codes != [*code] {
            wrong.push(format!("{rule}: {codes:x?}, not {code:#x}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_broken_rule_of_connect_is_told_in_connack() {
    let cluster = Cluster::start(1).await;
    let mut wrong = Vec::new();
    for (bytes, code, rule) in FIVE_CONNECT {
        let mut client = RawClient::open(cluster.node(1).mqtt()).await;
        client.send(bytes).await;
        let frames = client.frames_until_closed(SOON).await;
        let codes: Vec<_> = frames.iter().map(Frame::connack_code).collect();
        if codes != [*code] {
            wrong.push(format!("{rule}: {codes:x?}, not {code:#x}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_broken_rule_of_3_1_1_closes_the_connection_without_a_word() {
    let cluster = Cluster::start(1).await;
    let address = cluster.node(1).mqtt();
    let mut wrong = Vec::new();
    for (bytes, rule) in FOUR {
        let (mut client, connack) = RawClient::connect(address, 4, "rules", true).await;
        assert_eq!(connack.connack_code(), 0);
        client.send(bytes).await;
        let frames = client.frames_until_closed(SOON).await;
        if !frames.is_empty() {
            wrong.push(format!("{rule}: {frames:?}"));
        }
    }
    for (bytes, rule) in FOUR_CONNECT {
        let mut client = RawClient::open(address).await;
        client.send(bytes).await;
        let frames = client.frames_until_closed(SOON).await;
        if !frames.is_empty() {
            wrong.push(format!("{rule}: {frames:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What breaks a rule ends one connection, and is not acted on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_is_published_when_its_client_breaks_a_rule() {
    let cluster = Cluster::start(3).await;
    let mut watcher = cluster.connect(2, "watcher").open().await;
    watcher.subscribed("will", 1).await;
    let header = [&packet::string("MQTT")[..], &[5, 0b110, 0, 60, 0]].concat();
    let will = [&[0][..], &packet::string("will"), &packet::string("gone")].concat();
    let body = [header, packet::string("testator"), will].concat();
    let mut client = RawClient::open(cluster.node(1).mqtt()).await;
    client.send(&packet::framed(0x10, &body)).await;
    let connack = client.next_frame(SOON).await.expect("CONNACK");
    assert_eq!(connack.connack_code(), 0);
    client.send(&[0x36, 6, 0, 1, b'a', 0, 1, 0]).await;
    assert_eq!(client.frames_until_closed(SOON).await.len(), 1);
    assert_eq!(
        watcher.next_message(SOON).await.payload,
        "gone",
        "[MQTT-3.1.2-8]"
    );
}
