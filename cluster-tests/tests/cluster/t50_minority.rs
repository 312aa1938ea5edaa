//! A node that is cut off never lies (G8), and comes back when the network does.

use std::time::Duration;

use raftmq_cluster_tests::{
    Cluster, FAILOVER, Filter, LinkState, RawClient, SOON, START, Setup, Version, eventually,
    within,
};

/// Long enough to look at a node without a lease before it sends its clients away.
const GRACE: Duration = Duration::from_secs(6);

/// How long a node may take to notice that it is cut off: its lease, with a margin.
const NOTICES: Duration = Duration::from_secs(4);

async fn cluster() -> Cluster {
    Setup::nodes(3)
        .linked()
        .set("RAFTMQ_CLUSTER_PARTITION_GRACE", "6s")
        .start()
        .await
}

/// CONNECT is refused with "server unavailable" or "server busy", not left without an answer.
async fn connect_is_refused(cluster: &Cluster, id: u64) {
    let refused = cluster
        .connect(id, "late-5")
        .try_open()
        .await
        .err()
        .expect("no new client");
    assert!(matches!(refused.code, Some(0x88 | 0x89)), "{refused:?}");
    let old = cluster
        .connect(id, "late-4")
        .version(Version::V4)
        .try_open()
        .await;
    assert_eq!(
        old.err().expect("no new client").code,
        Some(3),
        "MQTT 3.1.1 §3.2.2.3"
    );
}

async fn cut_off(cluster: &Cluster, minority: u64, state: LinkState) {
    let mut watched = cluster
        .connect(minority, "watched")
        .keep_alive_seconds(60)
        .open()
        .await;
    watched.subscribed("watched", 1).await;
    let subscriber = cluster.connect(minority, "subscriber").open().await;
    let publisher = cluster.connect(minority, "publisher").open().await;

    cluster.set_links_of(minority, state);
    let reason = cluster.not_ready(minority, NOTICES).await;
    assert!(
        reason.contains("code") && reason.contains("message"),
        "{reason}"
    );
    connect_is_refused(cluster, minority).await;
    let subscribe = subscriber
        .submit_subscribe(&[Filter::new("new", 1)], None)
        .await
        .unwrap();
    let publish = publisher.submit("watched", 1, false, "x").await.unwrap();
    let closed = watched.wait_closed(NOTICES + GRACE + SOON).await;
    assert_eq!(closed.code, Some(0x89).or(closed.code), "{closed:?}");
    assert!(
        !matches!(subscribe.within(SOON).await, Some(Ok(codes)) if codes == [1]),
        "SUBACK"
    );
    assert!(
        !matches!(publish.within(SOON).await, Some(Ok(0..0x80))),
        "PUBACK"
    );
}

async fn majority_serves(cluster: &Cluster, ids: &[u64], round: &str) {
    let mut subscriber = cluster
        .connect(ids[0], &format!("maj-s-{round}"))
        .open()
        .await;
    let publisher = cluster
        .connect(ids[1], &format!("maj-p-{round}"))
        .open()
        .await;
    let topic = format!("majority/{round}");
    within(
        "SUBACK of the majority",
        FAILOVER,
        subscriber.subscribed(&topic, 1),
    )
    .await;
    within(
        "PUBACK of the majority",
        FAILOVER,
        publisher.publish(&topic, 1, "x"),
    )
    .await
    .unwrap();
    assert_eq!(subscriber.next_message(SOON).await.topic, topic);
}

async fn minority(leads: bool, state: LinkState) {
    let cluster = cluster().await;
    let roles = cluster.roles().await;
    let minority = if leads {
        roles.leader
    } else {
        roles.followers[0]
    };
    let majority = cluster.others(minority);
    cut_off(&cluster, minority, state).await;
    majority_serves(&cluster, &majority, "cut").await;
    let while_cut = cluster
        .connect(majority[0], "while-cut")
        .persistent()
        .open()
        .await;
    while_cut.subscribed("while/cut", 1).await;

    cluster.heal();
    cluster.all_ready().await;
    let routes = cluster.same_routes(&cluster.ids(), START).await;
    assert!(
        routes.contains(&("while/cut".to_owned(), majority[0])),
        "{routes:?}"
    );
    majority_serves(&cluster, &[minority, majority[0]], "healed-1").await;
    majority_serves(&cluster, &[majority[1], minority], "healed-2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_cut_off_refuses_and_heals() {
    minority(false, LinkState::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_in_a_black_hole_refuses_and_heals() {
    minority(false, LinkState::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_refuses_and_heals() {
    minority(true, LinkState::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_in_a_black_hole_refuses_and_heals() {
    minority(true, LinkState::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_majority_gives_no_suback_that_the_cut_off_node_does_not_know_of() {
    let cluster = cluster().await;
    let roles = cluster.roles().await;
    let (minority, at) = (roles.followers[0], roles.followers[1]);
    let publisher = cluster.connect(minority, "publisher").open().await;
    let mut subscriber = cluster.connect(at, "subscriber").open().await;
    cluster.set_links_of(minority, LinkState::BlackHole);
    subscriber.subscribed("fenced", 0).await;
    // From here on the cut off node must not accept a PUBLISH that would miss the subscriber.
    let publish = publisher.submit("fenced", 1, false, "x").await.unwrap();
    if let Some(Ok(0..0x80)) = publish.within(Duration::from_secs(3)).await {
        cluster.heal();
        assert_eq!(
            subscriber.next_message(SOON).await.topic,
            "fenced",
            "acknowledged, so it comes"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nobody_is_served() {
    let mut cluster = cluster().await;
    cluster.node_mut(1).kill9();
    cluster.node_mut(2).kill9();
    cluster.not_ready(3, NOTICES).await;
    connect_is_refused(&cluster, 3).await;
    let live = cluster.node(3).http().get("/live").await;
    assert_eq!(live.status, 200, "alive, though it does not serve");
    cluster.start_all();
    cluster.all_ready().await;
    majority_serves(&cluster, &[1, 3], "back").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_cuts_leave_all_tables_the_same() {
    let cluster = cluster().await;
    for (round, cut) in [1, 2, 3, 1].into_iter().enumerate() {
        cluster.set_links_of(cut, LinkState::Cut);
        cluster.not_ready(cut, NOTICES).await;
        for at in cluster.others(cut) {
            let client = cluster
                .connect(at, &format!("kept-{round}-{at}"))
                .persistent()
                .open()
                .await;
            client.subscribed(&format!("kept/{round}/{at}"), 1).await;
        }
        cluster.heal();
        cluster.all_ready().await;
    }
    let routes = cluster.same_routes(&cluster.ids(), SOON).await;
    assert_eq!(routes.len(), 8, "{routes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_mqtt_3_1_1_client_is_refused_within_the_connect_timeout() {
    let cluster = cluster().await;
    cluster.set_links_of(2, LinkState::BlackHole);
    cluster.not_ready(2, NOTICES).await;
    let (mut client, connack) = RawClient::connect(cluster.node(2).mqtt(), 4, "raw", true).await;
    assert_eq!(connack.connack_code(), 3);
    assert_eq!(
        client.next_frame(SOON).await,
        None,
        "closed after the refusal [MQTT-3.2.2-7]"
    );
    cluster.heal();
    eventually("served again", START, async || {
        let opened = cluster.connect(2, "raw").try_open().await;
        opened.map(drop).map_err(|refused| format!("{refused:?}"))
    })
    .await;
}
