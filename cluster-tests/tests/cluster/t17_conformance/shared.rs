//! Shared subscriptions (§4.8.2).

use super::{
    bytes::{Connect, Publish},
    talk::Talk,
};
use raftmq_cluster_tests::{Cluster, packet};

async fn member(cluster: &Cluster, node: u64, id: &str, qos: u8) -> Talk {
    let mut member = Talk::open(cluster, node, 5, Connect::new(5, id).kept()).await;
    member.subscribed("$share/group/shared", qos).await;
    member.subscribed("fence", 1).await;
    member
}

/// [MQTT-4.8.2-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_member_gets_messages_with_the_qos_that_was_granted_to_it() {
    let cluster = Cluster::start(3).await;
    let mut members = [
        member(&cluster, 1, "qos-0", 0).await,
        member(&cluster, 2, "qos-1", 1).await,
    ];
    let mut publisher = Talk::clean(&cluster, 3, 5, "publisher").await;
    for id in 1..=6 {
        publisher
            .send(&Publish::new(5, "shared", 2, id, "x").bytes())
            .await;
        publisher.acknowledged(0x50, id).await;
    }
    publisher.published("fence", "fence").await;
    let mut total = 0;
    for (granted, member) in members.iter_mut().enumerate() {
        loop {
            let message = member.message().await;
            if message.topic == "fence" {
                break;
            }
            assert_eq!(usize::from(message.qos), granted);
            total += 1;
        }
    }
    assert_eq!(total, 6);
}

/// A QoS 2 message that one member has received and not answered; that member, and the other one.
async fn begun(cluster: &Cluster, publisher: &mut Talk) -> (Talk, u16, Talk) {
    let first = member(cluster, 1, "first", 2).await;
    publisher
        .send(&Publish::new(5, "shared", 2, 1, "x").bytes())
        .await;
    publisher.acknowledged(0x50, 1).await;
    let mut first = first;
    let message = first.message().await;
    let other = member(cluster, 2, "other", 2).await;
    (first, message.packet_id, other)
}

/// [MQTT-4.8.2-4]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_delivery_is_completed_when_its_client_comes_back() {
    let cluster = Cluster::start(3).await;
    let mut publisher = Talk::clean(&cluster, 3, 5, "publisher").await;
    let (first, id, mut other) = begun(&cluster, &mut publisher).await;
    drop(first);
    let mut first = Talk::open(&cluster, 1, 5, Connect::new(5, "first").kept()).await;
    let repeated = first.message().await;
    assert_eq!((repeated.packet_id, repeated.dup), (id, true));
    first.send(&packet::acknowledgement(0x50, id)).await;
    first.acknowledged(0x62, id).await;
    other.nothing_before_fence(&mut publisher).await;
}

/// [MQTT-4.8.2-5]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_delivery_ends_with_the_session_it_began_in() {
    let cluster = Cluster::start(3).await;
    let mut publisher = Talk::clean(&cluster, 3, 5, "publisher").await;
    let (first, _, mut other) = begun(&cluster, &mut publisher).await;
    drop(first);
    let mut first = Talk::clean(&cluster, 1, 5, "first").await;
    first.silent().await;
    other.nothing_before_fence(&mut publisher).await;
}

/// [MQTT-4.8.2-6], [MQTT-4.4.0-2]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_message_that_was_refused_goes_to_nobody_else() {
    let cluster = Cluster::start(3).await;
    let mut publisher = Talk::clean(&cluster, 3, 5, "publisher").await;
    let (mut first, id, mut other) = begun(&cluster, &mut publisher).await;
    let [high, low] = id.to_be_bytes();
    first.send(&[0x50, 3, high, low, 0x97]).await;
    first.silent().await;
    drop(first);
    let mut first = Talk::open(&cluster, 1, 5, Connect::new(5, "first").kept()).await;
    first.silent().await;
    other.nothing_before_fence(&mut publisher).await;
}
