//! One node, killed at chosen moments.

use raftmq_cluster_tests::{
    Client, Cluster, Frame, NumberedStream, RawClient, SOON, Version, eventually, numbered, packet,
    within,
};

async fn publish_all(publisher: &Client, topic: &str, qos: u8, count: u64) {
    let mut waiting = Vec::new();
    for number in 0..count {
        let sent = publisher.submit(topic, qos, false, numbered(number)).await;
        waiting.push(sent.expect("connected"));
    }
    for acknowledged in waiting {
        let code = within("PUBACK", SOON, acknowledged.wait()).await;
        assert!(code.is_ok_and(|code| code < 0x80));
    }
}

/// Every delivery is acknowledged to its end.
async fn nothing_is_under_way(cluster: &Cluster) {
    eventually("nothing is under way", SOON, async || {
        let stats = cluster.node(1).http().try_json("/api/v1/stats/1").await?;
        match stats["stats"]["out_inflights.count"].as_u64() {
            Some(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

async fn kill_and_restart(cluster: &mut Cluster) {
    cluster.node_mut(1).kill9();
    cluster.node_mut(1).start();
    cluster.all_ready().await;
}

async fn queue_survives(version: Version, qos: u8) {
    const COUNT: u64 = 300;
    let mut cluster = Cluster::start(1).await;
    let sleeper =
        |cluster: &Cluster, id: &str| cluster.connect(1, id).version(version).persistent();
    // Two shards at least: one publisher's messages go to sessions of its own shard and of others.
    let ids = ["sleeper-a", "sleeper-b", "sleeper-c", "sleeper-d"];
    for id in ids {
        let first = sleeper(&cluster, id).open().await;
        first.subscribed("kept", qos).await;
        first.disconnect().await;
    }
    let publisher = cluster.connect(1, "publisher").open().await;
    publish_all(&publisher, "kept", qos, COUNT).await;
    kill_and_restart(&mut cluster).await;
    for id in ids {
        let mut back = sleeper(&cluster, id).open().await;
        assert!(back.session_present(), "[MQTT-3.2.2-2]");
        let stream = NumberedStream::receive(&mut back, COUNT - 1, SOON).await;
        stream.assert_exactly(COUNT);
        nothing_is_under_way(&cluster).await;
        back.disconnect().await;
    }
    // What was acknowledged by the client is not sent again after the next crash.
    let fence = cluster.connect(1, "fence").open().await;
    let again = sleeper(&cluster, ids[0]).open().await;
    again.subscribed("fence", 1).await;
    again.disconnect().await;
    fence.publish("fence", 1, "x").await.expect("acknowledged");
    kill_and_restart(&mut cluster).await;
    let mut back = sleeper(&cluster, ids[0]).open().await;
    assert_eq!(back.next_message(SOON).await.topic, "fence");
}

/// [MQTT-4.1.0-1], [MQTT-4.5.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_queue_of_qos_1_survives_kill_9() {
    queue_survives(Version::V5, 1).await;
}

/// [MQTT-4.1.0-1], [MQTT-4.5.0-1]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_queue_of_qos_2_survives_kill_9() {
    queue_survives(Version::V4, 2).await;
}

async fn raw(cluster: &Cluster, id: &str) -> RawClient {
    let (client, connack) = RawClient::connect(cluster.node(1).mqtt(), 4, id, false).await;
    assert_eq!(connack.connack_code(), 0);
    client
}

async fn frame(client: &mut RawClient) -> Frame {
    client.next_frame(SOON).await.expect("a packet")
}

/// First byte and packet identifier of an acknowledgement.
async fn acknowledgement(client: &mut RawClient) -> (u8, u16) {
    let frame = frame(client).await;
    (
        frame.first,
        u16::from_be_bytes([frame.body[0], frame.body[1]]),
    )
}

/// First byte and packet identifier of a PUBLISH to a topic of one letter.
async fn publish(client: &mut RawClient) -> (u8, u16) {
    let frame = frame(client).await;
    (
        frame.first,
        u16::from_be_bytes([frame.body[3], frame.body[4]]),
    )
}

/// A PUBLISH that was sent and not acknowledged comes again under its identifier, as a repeat
/// [MQTT-4.4.0-1]; after PUBREC only PUBREL does [MQTT-4.3.3-2].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_to_a_client_goes_on_where_it_was() {
    let mut cluster = Cluster::start(1).await;
    let mut client = raw(&cluster, "under-way").await;
    client.send(&packet::subscribe(4, 1, "t", 2)).await;
    assert_eq!(frame(&mut client).await.kind(), 9);
    let publisher = cluster.connect(1, "publisher").open().await;
    for payload in ["one", "two"] {
        publisher.publish("t", 2, payload).await.expect("kept");
    }
    let (first, one) = publish(&mut client).await;
    let (second, two) = publish(&mut client).await;
    assert_eq!((first, second), (0x34, 0x34));
    client.send(&packet::acknowledgement(0x50, one)).await;
    assert_eq!(acknowledgement(&mut client).await, (0x62, one));

    kill_and_restart(&mut cluster).await;
    let mut client = raw(&cluster, "under-way").await;
    assert_eq!(acknowledgement(&mut client).await, (0x62, one));
    assert_eq!(
        publish(&mut client).await,
        (0x3C, two),
        "DUP [MQTT-3.3.1-1]"
    );
    // An identifier that the client still knows is not given to another message.
    let publisher = cluster.connect(1, "publisher").open().await;
    publisher.publish("t", 2, "three").await.expect("kept");
    let (_, third) = publish(&mut client).await;
    assert!(third != one && third != two);
}

/// The identifier of a QoS 2 PUBLISH outlives the crash until PUBREL: a repeat is not routed again
/// [MQTT-4.3.3-10]. After PUBCOMP it is free, and the next message under it is a new one [MQTT-4.3.3-12].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_received_packet_identifier_outlives_the_node_until_it_is_released() {
    let mut cluster = Cluster::start(1).await;
    let sleeper = cluster.connect(1, "sleeper").persistent().open().await;
    sleeper.subscribed("t", 2).await;
    sleeper.disconnect().await;
    let mut publisher = raw(&cluster, "publisher").await;
    publisher
        .send(&packet::publish(4, "t", 2, 7, b"first"))
        .await;
    assert_eq!(acknowledgement(&mut publisher).await, (0x50, 7));

    kill_and_restart(&mut cluster).await;
    let mut publisher = raw(&cluster, "publisher").await;
    publisher
        .send(&packet::publish(4, "t", 2, 7, b"first"))
        .await;
    assert_eq!(acknowledgement(&mut publisher).await, (0x50, 7));
    publisher.send(&packet::acknowledgement(0x62, 7)).await;
    assert_eq!(acknowledgement(&mut publisher).await, (0x70, 7));

    kill_and_restart(&mut cluster).await;
    let mut publisher = raw(&cluster, "publisher").await;
    publisher
        .send(&packet::publish(4, "t", 2, 7, b"second"))
        .await;
    assert_eq!(acknowledgement(&mut publisher).await, (0x50, 7));
    let mut back = cluster.connect(1, "sleeper").persistent().open().await;
    for expected in ["first", "second"] {
        assert_eq!(back.next_message(SOON).await.payload, expected);
    }
    back.subscribed("fence", 1).await;
    let other = cluster.connect(1, "other").open().await;
    back.expect_no_more(&other, "fence").await;
}

/// A node that stops in good order keeps its queues, too, and a session that was to be thrown away is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_survive_a_stop_in_good_order_and_a_clean_start_empties_them() {
    let mut cluster = Cluster::start(1).await;
    for id in ["stays", "begins-anew"] {
        let client = cluster.connect(1, id).persistent().open().await;
        client.subscribed("t", 1).await;
        client.disconnect().await;
    }
    let publisher = cluster.connect(1, "publisher").open().await;
    publisher.publish("t", 1, "kept").await.expect("kept");
    let anew = cluster.connect(1, "begins-anew").expiry_seconds(3_600);
    let anew = anew.open().await;
    assert!(!anew.session_present(), "[MQTT-3.1.2-4]");
    anew.disconnect().await;
    let exit = cluster.node_mut(1).sigterm_and_wait(SOON).await;
    assert_eq!(exit.code, Some(0), "{}", exit.log);
    cluster.node_mut(1).start();
    cluster.all_ready().await;
    let mut stays = cluster.connect(1, "stays").persistent().open().await;
    assert_eq!(stays.next_message(SOON).await.payload, "kept");
    let mut anew = cluster.connect(1, "begins-anew").persistent().open().await;
    assert!(anew.session_present(), "[MQTT-3.2.2-3]");
    anew.subscribed("fence", 1).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    anew.expect_no_more(&publisher, "fence").await;
}
