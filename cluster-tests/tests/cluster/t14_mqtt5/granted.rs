//! What CONNACK grants and says is not there, and what becomes of a client that asks all the same.

use raftmq_cluster_tests::{Cluster, RawClient, SOON, Setup, packet};

use super::wire::{
    Property, Published, asked, connect, disconnected, find, id, of_connack, of_reason, of_suback,
    open, publish, subscribed, text,
};

/// SUBSCRIBE with a subscription identifier.
fn subscribe_with_identifier(filter: &str) -> Vec<u8> {
    let body = [&[0, 1, 2, 0x0B, 7][..], &packet::string(filter), &[0]].concat();
    packet::framed(0x82, &body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_of_subscriptions_that_are_not_offered_are_told_and_refused() {
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_MQTT_WILDCARD_SUBSCRIPTION_AVAILABLE", "false")
        .set("RAFTMQ_MQTT_SHARED_SUBSCRIPTION_AVAILABLE", "false")
        .set("RAFTMQ_MQTT_SUBSCRIPTION_IDENTIFIER_AVAILABLE", "false")
        .start()
        .await;
    for (request, code) in [
        (packet::subscribe(5, 1, "a/+", 0), 0xA2),
        (packet::subscribe(5, 1, "$share/g/a", 0), 0x9E),
        (subscribe_with_identifier("a"), 0xA1),
    ] {
        let (mut client, connack) = open(&cluster, 1, "five", &[]).await;
        let told = of_connack(&connack);
        for property in [
            id::WILDCARD_AVAILABLE,
            id::SHARED_AVAILABLE,
            id::IDENTIFIER_AVAILABLE,
        ] {
            assert_eq!(find(&told, property), Some(&[0][..]), "{property:#x}");
        }
        assert_eq!(subscribed(&mut client, "a", 1).await.body[3..], [1]);
        let answer = disconnected(&mut client, &request).await;
        assert_eq!(answer.disconnect_code(), code, "§3.2.2.3.11 and following");
    }
    let address = cluster.node(1).mqtt();
    let (mut four, _) = RawClient::connect(address, 4, "four", true).await;
    for filter in ["a/+", "$share/g/a"] {
        let suback = asked(&mut four, &packet::subscribe(4, 1, filter, 0), 9).await;
        assert_eq!(suback.body[2..], [0x80], "{filter}");
    }
}

/// [MQTT-3.1.2-28]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_requester_gets_its_response_on_the_topic_that_it_was_given() {
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_RESPONSE_INFORMATION", "response/${clientid}")
        .start()
        .await;
    let asks: Property = (0x19, vec![1]);
    let (mut requester, connack) = open(&cluster, 1, "requester", &[asks]).await;
    let information = text(&of_connack(&connack), id::RESPONSE_INFORMATION);
    assert_eq!(information.as_deref(), Some("response/requester"));
    let response_topic = format!("{}/1", information.unwrap());
    subscribed(&mut requester, &response_topic, 1).await;
    let (mut responder, connack) = open(&cluster, 3, "responder", &[]).await;
    let unasked = text(&of_connack(&connack), id::RESPONSE_INFORMATION);
    assert_eq!(unasked, None);
    subscribed(&mut responder, "request", 1).await;

    let properties: [Property; 6] = [
        (0x01, vec![1]),
        (0x03, packet::string("text/plain")),
        (0x08, packet::string(&response_topic)),
        (0x09, [&[0, 3][..], &[0, 0xFF, 7]].concat()),
        (0x26, [packet::string("b"), packet::string("2")].concat()),
        (0x26, [packet::string("a"), packet::string("1")].concat()),
    ];
    let request = publish("request", 1, 9, &properties, "ü".as_bytes());
    asked(&mut requester, &request, 4).await;
    let got = Published::read(&responder.next_frame(SOON).await.expect("the request"));
    // [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18], [MQTT-3.3.2-20]
    assert_eq!(got.properties, properties, "unaltered and in their order");
    let to = text(&got.properties, 0x08).expect("a response topic");
    let correlation = got.properties[3].clone();
    let response = publish(&to, 1, 10, std::slice::from_ref(&correlation), b"answer");
    asked(&mut responder, &response, 4).await;
    let got = Published::read(&requester.next_frame(SOON).await.expect("the response"));
    assert_eq!(
        (&*got.topic, &*got.payload),
        (&*response_topic, &b"answer"[..])
    );
    assert_eq!(got.properties, [correlation]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_is_not_what_it_says_is_refused_when_that_is_checked() {
    let utf8: Property = (id::PAYLOAD_FORMAT, vec![1]);
    let bytes: Property = (id::PAYLOAD_FORMAT, vec![0]);
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_CHECK_PAYLOAD_FORMAT", "true")
        .start()
        .await;
    let (mut subscriber, _) = open(&cluster, 2, "subscriber", &[]).await;
    subscribed(&mut subscriber, "f", 0).await;
    let (mut client, _) = open(&cluster, 1, "client", &[]).await;
    let wrong = |qos| publish("f", qos, 3, std::slice::from_ref(&utf8), b"\xFF");
    assert_eq!(asked(&mut client, &wrong(1), 4).await.body[2], 0x99);
    assert_eq!(asked(&mut client, &wrong(2), 5).await.body[2], 0x99);
    let right = publish("f", 1, 3, std::slice::from_ref(&utf8), "ü".as_bytes());
    asked(&mut client, &right, 4).await;
    let any = publish("f", 1, 3, std::slice::from_ref(&bytes), b"\xFF");
    asked(&mut client, &any, 4).await;
    for payload in ["ü".as_bytes(), b"\xFF"] {
        let got = Published::read(&subscriber.next_frame(SOON).await.expect("PUBLISH"));
        assert_eq!(got.payload, payload);
    }
    let answer = disconnected(&mut client, &wrong(0)).await;
    assert_eq!(answer.disconnect_code(), 0x99, "§3.3.2.3.2");

    let will = [&[2, 0x01, 1][..], &packet::string("w"), &[0, 1, 0xFF]].concat();
    let header = [&packet::string("MQTT")[..], &[5, 0b110, 0, 60, 0]].concat();
    let body = [header, packet::string("testator"), will].concat();
    let mut testator = RawClient::open(cluster.node(1).mqtt()).await;
    let connack = asked(&mut testator, &packet::framed(0x10, &body), 2).await;
    assert_eq!(connack.connack_code(), 0x99);
}

/// [MQTT-3.1.2-29], [MQTT-3.2.2-19], [MQTT-3.9.2-1], [MQTT-3.14.2-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_are_told_to_clients_that_want_them_and_have_room_for_them() {
    let cluster = Cluster::start(1).await;
    let no_reasons: Property = (0x17, vec![0]);
    let small: Property = (0x27, 24_u32.to_be_bytes().to_vec());
    for (properties, told) in [
        (vec![], true),
        (vec![no_reasons], false),
        (vec![small], false),
    ] {
        let (mut client, _) = open(&cluster, 1, "client", &properties).await;
        let suback = subscribed(&mut client, "a/#/b", 0).await;
        let reason = text(&of_suback(&suback), id::REASON_STRING);
        assert_eq!(suback.body.last(), Some(&0x8F));
        assert_eq!(reason.is_some(), told, "{suback:?}");
        let answer = disconnected(&mut client, &publish("+", 0, 0, &[], b"")).await;
        assert_eq!(answer.disconnect_code(), 0x90);
        let reason = text(&of_reason(&answer), id::REASON_STRING);
        assert_eq!(reason.is_some(), told, "{answer:?}");
        let mut refused = RawClient::open(cluster.node(1).mqtt()).await;
        let method: Property = (id::AUTHENTICATION_METHOD, packet::string("unknown"));
        let properties = [&properties[..], &[method]].concat();
        let connack = asked(&mut refused, &connect("refused", &properties), 2).await;
        assert_eq!(connack.connack_code(), 0x8C, "[MQTT-4.12.0-1]");
        let reason = text(&of_connack(&connack), id::REASON_STRING);
        assert_eq!(reason.is_some(), told, "{connack:?}");
    }
}

/// [MQTT-3.1.2-24], [MQTT-3.2.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_can_take_no_connack_gets_nothing() {
    let cluster = Cluster::start(1).await;
    let tiny: Property = (0x27, 8_u32.to_be_bytes().to_vec());
    let mut client = RawClient::open(cluster.node(1).mqtt()).await;
    client.send(&connect("tiny", &[tiny])).await;
    assert_eq!(client.frames_until_closed(SOON).await, []);
}

/// [MQTT-3.9.2-1]: a SUBACK has no part to leave out but its codes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suback_that_is_too_large_ends_the_connection_that_would_wait_for_it() {
    let cluster = Cluster::start(1).await;
    let small: Property = (0x27, 40_u32.to_be_bytes().to_vec());
    let (mut client, _) = open(&cluster, 1, "small", &[small]).await;
    let filter = [&packet::string("a")[..], &[0]].concat();
    let body = [&[0, 1, 0][..], &filter.repeat(50)].concat();
    let answer = disconnected(&mut client, &packet::framed(0x82, &body)).await;
    assert_eq!(answer.disconnect_code(), 0x95);
}
