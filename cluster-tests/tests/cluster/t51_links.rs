//! Bad links between nodes that are alive.

use std::time::Duration;

use raftmq_cluster_tests::{
    Client, Cluster, LinkState, NumberedStream, SOON, START, Setup, numbered,
};

async fn stream_over(cluster: &Cluster, from: u64, to: u64, qos: u8) {
    const MESSAGES: u64 = 300;
    let name = format!("stream-{from}-{to}-{qos}");
    let mut subscriber = cluster.connect(to, &format!("s-{name}")).open().await;
    subscriber.subscribed(&name, qos).await;
    let publisher = cluster
        .connect(from, &format!("p-{name}"))
        .inflight(100)
        .open()
        .await;
    publish_all(&publisher, &name, qos, MESSAGES).await;
    let stream = NumberedStream::receive(&mut subscriber, MESSAGES - 1, START).await;
    stream.assert_exactly(MESSAGES);
}

async fn publish_all(publisher: &Client, topic: &str, qos: u8, count: u64) {
    let mut acknowledgements = Vec::new();
    for number in 0..count {
        acknowledgements.push(
            publisher
                .submit(topic, qos, false, numbered(number))
                .await
                .unwrap(),
        );
    }
    for acknowledgement in acknowledgements {
        assert!(acknowledgement.wait().await.expect("the connection stays") < 0x80);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_delays_and_changes_nothing_else() {
    // A round trip of 400 ms: the heartbeat has to be longer, and all that follows from it.
    let cluster = Setup::nodes(3)
        .linked()
        .set("RAFTMQ_CLUSTER_HEARTBEAT", "600ms")
        .set("RAFTMQ_CLUSTER_ELECTION_MIN", "1800ms")
        .set("RAFTMQ_CLUSTER_ELECTION_MAX", "3s")
        .set("RAFTMQ_CLUSTER_LEASE", "6s")
        .start()
        .await;
    let slow = cluster.roles().await.followers[0];
    cluster.set_links_of(slow, LinkState::Delayed(Duration::from_millis(200)));
    cluster.all_ready().await;
    let near = cluster.others(slow);
    for qos in 0..=2 {
        stream_over(&cluster, near[0], slow, qos).await;
        stream_over(&cluster, slow, near[1], qos).await;
    }
    fence_holds(&cluster, slow, near[0]).await;
    fence_holds(&cluster, near[0], slow).await;
    cluster.same_routes(&cluster.ids(), SOON).await;
}

async fn fence_holds(cluster: &Cluster, at: u64, from: u64) {
    let mut subscriber = cluster.connect(at, &format!("fence-{at}")).open().await;
    let publisher = cluster
        .connect(from, &format!("fence-from-{from}"))
        .open()
        .await;
    for round in 0..10 {
        let topic = format!("fence/{at}/{from}/{round}");
        subscriber.subscribed(&topic, 0).await;
        publisher.publish(&topic, 0, "x").await.unwrap();
        assert_eq!(subscriber.next_message(SOON).await.topic, topic);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_messages_survive_a_cut_between_two_followers() {
    const MESSAGES: u64 = 200;
    let cluster = Setup::nodes(3).linked().start().await;
    let roles = cluster.roles().await;
    let (from, to) = (roles.followers[0], roles.followers[1]);
    let mut subscriber = cluster.connect(to, "subscriber").persistent().open().await;
    subscriber.subscribed("cut", 1).await;
    let publisher = cluster.connect(from, "publisher").inflight(10).open().await;
    let faults = async {
        for _ in 0..3 {
            cluster.link(from, to).set(LinkState::Cut);
            cluster.link(to, from).set(LinkState::Cut);
            tokio::time::sleep(Duration::from_millis(400)).await;
            cluster.heal();
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    };
    let publishing = async {
        let mut acknowledged = Vec::new();
        for number in 0..MESSAGES {
            if publisher
                .publish("cut", 1, numbered(number))
                .await
                .is_ok_and(|code| code < 0x80)
            {
                acknowledged.push(number);
            }
        }
        acknowledged
    };
    let ((), acknowledged) = tokio::join!(faults, publishing);
    assert!(!acknowledged.is_empty());
    let last = *acknowledged.last().expect("not empty");
    let stream = NumberedStream::receive(&mut subscriber, last, START).await;
    stream.assert_contains(&acknowledged);
    stream.assert_ascending();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_in_order_over_links_that_break_again_and_again() {
    const MESSAGES: u64 = 3_000;
    let cluster = Setup::nodes(3)
        .linked()
        .set("RAFTMQ_CLUSTER_LEASE", "5s")
        .set("RAFTMQ_MQTT_MAX_QUEUED_MESSAGES", "20000")
        .start()
        .await;
    let mut subscriber = cluster.connect(3, "subscriber").open().await;
    subscriber.subscribed("breaks", 1).await;
    let publisher = cluster.connect(1, "publisher").inflight(50).open().await;
    let publishing = async {
        publish_all(&publisher, "breaks", 1, MESSAGES).await;
        NumberedStream::receive(&mut subscriber, MESSAGES - 1, START).await
    };
    let breaking = async {
        loop {
            cluster.link(1, 3).set(LinkState::Cut);
            tokio::time::sleep(Duration::from_millis(30)).await;
            cluster.link(1, 3).set(LinkState::Open);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let stream = tokio::select! {
        stream = publishing => stream,
        () = breaking => unreachable!("it never ends"),
    };
    stream.assert_exactly(MESSAGES);
}
