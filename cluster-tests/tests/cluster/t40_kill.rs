//! kill -9 of any node, at any time.

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{
    Client, Cluster, FAILOVER, NumberedStream, SOON, START, Seed, eventually, numbered, within,
};

/// Publishes numbers until told to stop; returns those that were acknowledged and the longest pause
/// between two acknowledgements.
async fn publish_until(publisher: &Client, stop: Instant) -> (Vec<u64>, Duration) {
    let (mut acknowledged, mut longest, mut number) = (Vec::new(), Duration::ZERO, 0);
    while Instant::now() < stop {
        let sent = Instant::now();
        let code = publisher
            .publish("load", 1, numbered(number))
            .await
            .expect("a survivor's client");
        assert!(code < 0x80, "acknowledged with {code:#04x}");
        longest = longest.max(sent.elapsed());
        acknowledged.push(number);
        number += 1;
    }
    (acknowledged, longest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_goes_on_within_three_seconds_when_the_leader_is_killed_under_load() {
    let mut cluster = Cluster::start(3).await;
    let roles = cluster.roles().await;
    let (one, other) = (roles.followers[0], roles.followers[1]);
    let mut subscriber = cluster.connect(other, "subscriber").open().await;
    subscriber.subscribed("load", 1).await;
    let on_leader = cluster.connect(roles.leader, "on-leader").open().await;
    on_leader.subscribed("load", 1).await;
    let publisher = cluster.connect(one, "publisher").open().await;
    let fresh = cluster.connect(one, "fresh").open().await;

    let stop = Instant::now() + Duration::from_secs(8);
    let killing = async {
        on_leader.publish("before", 1, "x").await.unwrap();
        cluster.node_mut(roles.leader).kill9();
        let killed = Instant::now();
        within("SUBACK after the kill", FAILOVER, fresh.subscribed("a", 1)).await;
        println!("next SUBACK after {:?}", killed.elapsed());
        let connect = cluster.connect(other, "newcomer").open();
        within("CONNACK after the kill", FAILOVER, connect).await;
    };
    let ((acknowledged, longest), ()) = tokio::join!(publish_until(&publisher, stop), killing);
    println!(
        "{} acknowledged, longest pause {longest:?}",
        acknowledged.len()
    );
    assert!(longest < FAILOVER, "QoS 1 stood still for {longest:?}");
    let last = *acknowledged.last().expect("some were acknowledged");
    let stream = NumberedStream::receive(&mut subscriber, last, SOON).await;
    stream.assert_contains(&acknowledged);
    stream.assert_ascending();
}

async fn served_between(cluster: &Cluster, ids: &[u64], round: u64) {
    for &at in ids {
        for &from in ids {
            let topic = format!("served/{round}/{at}/{from}");
            let mut subscriber = cluster.connect(at, &format!("s-{at}")).open().await;
            subscriber.subscribed(&topic, 1).await;
            let publisher = cluster.connect(from, &format!("p-{from}")).open().await;
            publisher.publish(&topic, 1, "x").await.unwrap();
            assert_eq!(subscriber.next_message(SOON).await.topic, topic);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_in_turn_may_be_killed_and_comes_back() {
    let mut cluster = Cluster::start(3).await;
    let mut lives = Vec::new();
    for id in cluster.ids() {
        let client = cluster
            .connect(id, &format!("lives-{id}"))
            .persistent()
            .open()
            .await;
        client.subscribed(&format!("lives/{id}"), 1).await;
        lives.push(client);
    }
    for id in cluster.ids() {
        cluster.node_mut(id).kill9();
        let others = cluster.others(id);
        eventually("the others serve", START, async || {
            let connect = cluster.connect(others[0], "probe").try_open().await;
            connect.map(drop).map_err(|refused| format!("{refused:?}"))
        })
        .await;
        served_between(&cluster, &others, id).await;
        cluster.node_mut(id).start();
        cluster.all_ready().await;
        served_between(&cluster, &cluster.ids(), id + 10).await;
    }
    let ids = cluster.ids();
    cluster.same_routes(&ids, SOON).await;
    for id in ids {
        let name = format!("lives-{id}");
        let client = cluster.connect(id % 3 + 1, &name).persistent().open().await;
        assert!(client.session_present(), "{name} outlived its node");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_and_retained_messages_outlive_the_death_of_all_nodes() {
    let mut cluster = Cluster::start(3).await;
    let mut seed = Seed::new();
    for id in cluster.ids() {
        let client = cluster
            .connect(id, &format!("outlives-{id}"))
            .persistent()
            .open()
            .await;
        client.subscribed(&format!("outlives/{id}"), 1).await;
        client
            .publish_retained(&format!("kept/{id}"), 1, "value")
            .await
            .unwrap();
    }
    let routes = cluster.same_routes(&cluster.ids(), SOON).await;
    for id in cluster.ids() {
        cluster.node_mut(id).kill9();
    }
    let mut order = cluster.ids();
    seed.shuffle(&mut order);
    order
        .into_iter()
        .for_each(|id| cluster.node_mut(id).start());
    cluster.all_ready().await;
    assert_eq!(cluster.same_routes(&cluster.ids(), SOON).await, routes);

    let publisher = cluster.connect(1, "publisher").open().await;
    for id in cluster.ids() {
        let connect = cluster
            .connect(id % 3 + 1, &format!("outlives-{id}"))
            .persistent();
        let mut client = connect.open().await;
        assert!(client.session_present());
        publisher
            .publish(&format!("outlives/{id}"), 1, "x")
            .await
            .unwrap();
        assert_eq!(
            client.next_message(SOON).await.topic,
            format!("outlives/{id}")
        );
        client.subscribed(&format!("kept/{id}"), 1).await;
        assert_eq!(&client.next_message(SOON).await.payload[..], b"value");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_repeated_kills_of_all_nodes() {
    let mut cluster = Cluster::start(3).await;
    for round in 0..3_u64 {
        for number in 0..20 {
            let node = (round + number) % 3 + 1;
            let id = format!("kept-{round}-{number}");
            let client = cluster.connect(node, &id).persistent().open().await;
            client.subscribed(&id, 1).await;
        }
        cluster
            .ids()
            .into_iter()
            .for_each(|id| cluster.node_mut(id).kill9());
        cluster.start_all();
        cluster.all_ready().await;
        let routes = cluster.same_routes(&cluster.ids(), SOON).await;
        assert_eq!(
            routes.len() as u64,
            20 * (round + 1),
            "every acknowledged subscription"
        );
    }
}
