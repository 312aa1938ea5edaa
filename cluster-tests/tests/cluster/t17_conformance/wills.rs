//! The Will (§3.1.2.5).

use super::{
    bytes::{Connect, WillRetain},
    talk::{LEVELS, Talk},
};
use raftmq_cluster_tests::Cluster;

async fn watcher(cluster: &Cluster, level: u8, topic: &str) -> Talk {
    let mut watcher = Talk::clean(cluster, 3, level, "watcher").await;
    watcher.subscribed(topic, 1).await;
    watcher.subscribed("fence", 1).await;
    watcher
}

/// [MQTT-3.1.2-7], [MQTT-3.1.2-8], [MQTT-3.1.2-10], [MQTT-3.1.2-14], 3.1.1 [MQTT-3.1.2-8],
/// 3.1.1 [MQTT-3.1.2-10], 3.1.1 [MQTT-3.1.2-12], 3.1.1 [MQTT-3.1.2-16]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_is_published_once_when_the_connection_is_lost() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut watcher = watcher(&cluster, level, "will/mortal").await;
        let connect = Connect::new(level, "mortal").will("will/mortal", 1, WillRetain::No, &[]);
        drop(Talk::open(&cluster, 1, level, connect).await);
        let will = watcher.message().await;
        assert_eq!(
            (&*will.topic, &*will.payload, will.qos),
            ("will/mortal", "will", 1)
        );
        watcher.puback(will.packet_id).await;
        // Its next connection has none, and so nothing is published when that one is lost.
        let mut without = Talk::clean(&cluster, 1, level, "mortal").await;
        without.silent().await;
        drop(without);
        let mut late = Talk::clean(&cluster, 1, level, "late").await;
        late.subscribed("will/mortal", 1).await;
        watcher.nothing_before_fence(&mut late).await;
        late.silent().await;
    }
}

/// [MQTT-3.1.2-15], 3.1.1 [MQTT-3.1.2-17]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_with_retain_is_retained() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let topic = format!("will/retained/{level}");
        let mut watcher = watcher(&cluster, level, &topic).await;
        let connect = Connect::new(level, "mortal").will(&topic, 1, WillRetain::Yes, &[]);
        drop(Talk::open(&cluster, 1, level, connect).await);
        let live = watcher.message().await;
        assert_eq!((&*live.topic, live.retain), (&*topic, false));
        let mut late = Talk::clean(&cluster, 2, level, "late").await;
        late.subscribed(&topic, 1).await;
        let retained = late.message().await;
        assert_eq!((&*retained.payload, retained.retain), ("will", true));
        drop(watcher);
    }
}

/// [MQTT-3.1.2-10], [MQTT-3.14.4-3], 3.1.1 [MQTT-3.1.2-10], 3.1.1 [MQTT-3.14.4-3]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_takes_the_will_back() {
    let cluster = Cluster::start(3).await;
    for level in LEVELS {
        let mut watcher = watcher(&cluster, level, "will/polite").await;
        let connect = Connect::new(level, "polite").will("will/polite", 1, WillRetain::No, &[]);
        let client = Talk::open(&cluster, 1, level, connect).await;
        client.disconnect().await;
        // The same client again: its DISCONNECT has been carried out before.
        let mut again = Talk::clean(&cluster, 1, level, "polite").await;
        watcher.nothing_before_fence(&mut again).await;
    }
}

/// [MQTT-3.1.3-10]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_properties_of_a_will_keep_their_order() {
    let cluster = Cluster::start(3).await;
    let mut watcher = watcher(&cluster, 5, "will/ordered").await;
    let pair = |name, value| [0x26, 0, 1, name, 0, 1, value];
    let properties = [pair(b'z', b'1'), pair(b'a', b'2'), pair(b'z', b'3')].concat();
    let connect = Connect::new(5, "mortal").will("will/ordered", 1, WillRetain::No, &properties);
    drop(Talk::open(&cluster, 1, 5, connect).await);
    assert_eq!(watcher.message().await.properties, properties);
}
