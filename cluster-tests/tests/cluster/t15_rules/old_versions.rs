//! MQTT 3.1 (`MQIsdp`, level 3), and what old bridges send.

use raftmq_cluster_tests::{Cluster, RawClient, SOON, Setup, packet};

fn connect(name: &str, level: u8, flags: u8, id: &str) -> Vec<u8> {
    let header = [&packet::string(name)[..], &[level, flags, 0, 60]].concat();
    packet::framed(0x10, &[header, packet::string(id)].concat())
}

async fn answer(cluster: &Cluster, node: u64, request: &[u8]) -> (RawClient, u8) {
    let mut client = RawClient::open(cluster.node(node).mqtt()).await;
    client.send(request).await;
    let connack = client.next_frame(SOON).await.expect("CONNACK");
    (client, connack.connack_code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_3_1_talks_to_one_of_5_on_another_node() {
    let cluster = Cluster::start(3).await;
    let (mut old, code) = answer(&cluster, 1, &connect("MQIsdp", 3, 2, "old")).await;
    assert_eq!(code, 0);
    // DUP on SUBSCRIBE, which 3.1 allows.
    let mut subscribe = packet::subscribe(4, 7, "to/old/+", 2);
    subscribe[0] |= 8;
    old.send(&subscribe).await;
    let suback = old.next_frame(SOON).await.expect("SUBACK");
    assert_eq!(suback.body[..], [0, 7, 2]);
    let mut new = cluster.connect(3, "new").open().await;
    new.subscribed("to/new", 2).await;
    old.send(&packet::publish(4, "to/new", 2, 9, b"x")).await;
    assert_eq!(old.next_frame(SOON).await.expect("PUBREC").kind(), 5);
    old.send(&packet::acknowledgement(0x62, 9)).await;
    assert_eq!(old.next_frame(SOON).await.expect("PUBCOMP").kind(), 7);
    assert_eq!(new.next_message(SOON).await.topic, "to/new");
    new.publish("to/old/1", 1, "y").await.unwrap();
    let publish = old.next_frame(SOON).await.expect("PUBLISH");
    assert_eq!(publish.first, 0x32);
    old.send(&packet::acknowledgement(0x40, 1)).await;
    old.send(&packet::PINGREQ).await;
    assert_eq!(old.next_frame(SOON).await.expect("PINGRESP").kind(), 13);
}

/// MQTT 3.1 §3.1: one to 23 characters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_identifier_of_3_1_has_1_to_23_characters() {
    let mut cluster = Setup::nodes(1).build();
    cluster.start_all();
    cluster.all_ready().await;
    let longest = "ü".repeat(23);
    let too_long = "ü".repeat(24);
    for (id, code) in [("a", 0), (&*longest, 0), (&*too_long, 2), ("", 2)] {
        for flags in [0, 2] {
            let request = connect("MQIsdp", 3, flags, id);
            assert_eq!(answer(&cluster, 1, &request).await.1, code, "{id:?}");
        }
        let request = connect("MQTT", 4, 2, id);
        assert_eq!(answer(&cluster, 1, &request).await.1, 0, "3.1.1: {id:?}");
    }
    let node = cluster.node_mut(1);
    node.kill9();
    node.set("RAFTMQ_MQTT_MAX_CLIENT_ID_3_1", "24");
    node.start();
    cluster.all_ready().await;
    let request = connect("MQIsdp", 3, 2, &too_long);
    assert_eq!(
        answer(&cluster, 1, &request).await.1,
        0,
        "when it is told so"
    );
}

/// MQTT 3.1 §3.8: a SUBSCRIBE is always acknowledged, and never with a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_filter_is_0x80_in_3_1_1_and_nothing_is_said_of_it_in_3_1() {
    let cluster = Cluster::start(1).await;
    for (name, level, code) in [("MQIsdp", 3, 0), ("MQTT", 4, 0x80)] {
        let (mut client, connack) = answer(&cluster, 1, &connect(name, level, 2, "c")).await;
        assert_eq!(connack, 0);
        client.send(&packet::subscribe(4, 7, "a/#/b", 1)).await;
        let suback = client.next_frame(SOON).await.expect("SUBACK");
        assert_eq!(suback.body[..], [0, 7, code], "{name}");
    }
}

/// mosquitto's bridges first set bit 7 of the level, and come back without it when that is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_is_not_spoken_is_refused_with_a_return_code_that_everybody_reads() {
    let cluster = Cluster::start(1).await;
    for (name, level) in [
        ("MQIsdp", 0x83),
        ("MQTT", 0x84),
        ("MQTT", 3),
        ("MQIsdp", 4),
        ("MQTT", 6),
        ("MQTT", 0),
    ] {
        let request = connect(name, level, 2, "bridge");
        let (mut client, code) = answer(&cluster, 1, &request).await;
        assert_eq!(code, 1, "{name} {level:#x}");
        assert_eq!(client.next_frame(SOON).await, None);
    }
}

/// MQTT 3.1 and 3.1.1 clients use share groups by nothing but their filter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_all_versions_are_members_of_one_share_group() {
    let cluster = Cluster::start(3).await;
    let mut members = Vec::new();
    let versions = [("MQIsdp", 3), ("MQTT", 4)];
    for (node, (name, level)) in (1..).zip(versions) {
        let id = format!("member-{level}");
        let (mut member, code) = answer(&cluster, node, &connect(name, level, 2, &id)).await;
        assert_eq!(code, 0);
        member
            .send(&packet::subscribe(4, 1, "$share/group/work/#", 1))
            .await;
        let suback = member.next_frame(SOON).await.expect("SUBACK");
        assert_eq!(suback.body[..], [0, 1, 1]);
        members.push(member);
    }
    let publisher = cluster.connect(3, "publisher").open().await;
    for number in 0..10 {
        publisher
            .publish("work/x", 1, number.to_string())
            .await
            .unwrap();
    }
    for member in &mut members {
        for _ in 0..5 {
            let frame = member.next_frame(SOON).await.expect("its share");
            assert_eq!(frame.kind(), 3);
        }
        member.send(&packet::PINGREQ).await;
        let last = member.next_frame(SOON).await.expect("PINGRESP");
        assert_eq!(last.kind(), 13, "half of them and no more");
    }
}
