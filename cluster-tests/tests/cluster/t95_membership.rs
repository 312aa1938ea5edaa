//! Nodes join the running cluster, are lost and replaced, and leave for good.

use std::time::Duration;

use raftmq_cluster_tests::{
    Answer, Client, Cluster, NumberedStream, SOON, START, Setup, eventually, number_of, numbered,
};
use serde_json::{Value, json};
use tokio::sync::watch;

/// Beside those of the nodes, below the ephemeral ports.
const OTHER_RPC_PORT: u16 = 25_363;

fn path(node: u64) -> String {
    format!("/api/v1/cluster/nodes/{node}")
}

/// Nodes 1 to 3 form a cluster and serve; node 4 is ready to be started, and to join.
async fn three_and_a_newcomer() -> Cluster {
    let mut cluster = Setup::nodes(4)
        .set("RAFTMQ_MQTT_MAX_QUEUED_MESSAGES", "100000")
        .build();
    let founders: Vec<_> = (1..=3)
        .map(|id| format!("{id}@{}", cluster.node(id).rpc()))
        .collect();
    for id in 1..=3 {
        cluster.node_mut(id).set_peers(&founders.join(","));
        cluster.node_mut(id).start();
    }
    cluster.node_mut(4).set("RAFTMQ_CLUSTER_JOIN", "true");
    cluster.ready(&[1, 2, 3]).await;
    cluster
}

async fn try_join(cluster: &Cluster, asked: u64, node: u64) -> Answer {
    let address = cluster.node(node).rpc().to_string();
    let body = json!({ "address": address });
    cluster
        .node(asked)
        .http()
        .put_json(&path(node), &body)
        .await
}

/// Lets a node in, as soon as it can be; the answer.
async fn join(cluster: &Cluster, asked: u64, node: u64) -> Value {
    eventually(&format!("node {node} is let in"), START, async || {
        let answer = try_join(cluster, asked, node).await;
        match answer.status {
            200 => answer.try_json(),
            _ => Err(answer.body),
        }
    })
    .await
}

async fn remove(cluster: &Cluster, asked: u64, node: u64) -> Value {
    eventually(&format!("node {node} is removed"), START, async || {
        let answer = cluster.node(asked).http().delete(&path(node)).await;
        match answer.status {
            200 => answer.try_json(),
            _ => Err(answer.body),
        }
    })
    .await
}

/// Waits until each of these nodes lists exactly `members`, all as voters that serve.
async fn members_become(cluster: &Cluster, asked: &[u64], members: &[u64]) {
    eventually(&format!("members {members:?}"), START, async || {
        for &id in asked {
            let overview = cluster.node(id).http().try_json("/api/v1/cluster").await?;
            let nodes = overview["nodes"].as_array().ok_or("no nodes")?;
            let ids: Vec<_> = nodes.iter().filter_map(|n| n["node_id"].as_u64()).collect();
            let serves = |node: &Value| {
                node["ready"] == true
                    && ["leader", "follower"].contains(&node["role"].as_str().unwrap_or(""))
            };
            if ids != members || !nodes.iter().all(serves) {
                return Err(format!("node {id}: {overview}"));
            }
        }
        Ok(())
    })
    .await;
}

/// What is subscribed at any node is reached from every node, from SUBACK on.
async fn served_between(cluster: &Cluster, ids: &[u64], round: &str) {
    for &at in ids {
        let mut subscriber = cluster.connect(at, &format!("s-{at}")).open().await;
        for &from in ids {
            let topic = format!("served/{round}/{at}/{from}");
            let publisher = cluster.connect(from, &format!("p-{from}")).open().await;
            subscriber.subscribed(&topic, 1).await;
            publisher
                .publish(&topic, 1, "x")
                .await
                .expect("acknowledged");
            assert_eq!(subscriber.next_message(SOON).await.topic, topic);
        }
    }
}

/// Publishes numbers to "load" until it is told to stop; how many were acknowledged.
async fn publish_until(publisher: &Client, stop: watch::Receiver<bool>) -> u64 {
    let mut number = 0;
    while !*stop.borrow() {
        let code = publisher.publish("load", 1, numbered(number)).await;
        assert_eq!(code, Ok(0), "message {number}");
        number += 1;
    }
    number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fourth_node_joins_under_load_and_everybody_remembers() {
    let mut cluster = three_and_a_newcomer().await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let mut reader = cluster.connect(2, "reader").persistent().open().await;
    reader.subscribed("load", 1).await;
    let (stop, stopping) = watch::channel(false);
    cluster.node_mut(4).start();
    let joining = async {
        let why = cluster.not_ready(4, START).await;
        assert!(!why.is_empty());
        let told = join(&cluster, 2, 4).await;
        assert_eq!(told["change"], "joins", "{told}");
        assert_eq!(told["voters_after"], json!([1, 2, 3, 4]));
        cluster.ready(&[4]).await;
        members_become(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4]).await;
        served_between(&cluster, &[1, 2, 3, 4], "joined").await;
        stop.send_replace(true);
    };
    let (published, ()) = tokio::join!(publish_until(&publisher, stopping), joining);
    let stream = NumberedStream::receive(&mut reader, published - 1, START).await;
    stream.assert_exactly(published);

    let resident = cluster.connect(4, "resident").persistent().open().await;
    resident.subscribed("resident", 1).await;
    for id in cluster.ids() {
        let http = cluster.node(id).http();
        let nodes = http.json("/api/v1/nodes").await;
        assert_eq!(nodes.as_array().map(Vec::len), Some(4), "{nodes}");
        let stats = http.get("/api/v1/stats/sum").await;
        assert_eq!(stats.header("x-unreachable-nodes"), None, "{stats:?}");
        let routes = cluster.routes(id).await.expect("rows");
        assert!(routes.contains(&("resident".into(), 4)), "{routes:?}");
    }
    let again = try_join(&cluster, 3, 4).await.try_json().expect("JSON");
    assert_eq!(again["change"], "unchanged", "{again}");

    for id in cluster.ids() {
        cluster.node_mut(id).kill9();
    }
    cluster.start_all();
    cluster.all_ready().await;
    members_become(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4]).await;
    served_between(&cluster, &[1, 4], "again").await;
    let resident = cluster.connect(3, "resident").persistent().open().await;
    assert!(resident.session_present());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_is_removed_and_another_one_joins_under_its_id() {
    let mut cluster = three_and_a_newcomer().await;
    cluster.node_mut(4).start();
    join(&cluster, 1, 4).await;
    members_become(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4]).await;
    let kept = cluster.connect(4, "kept").persistent().open().await;
    kept.subscribed("kept", 1).await;
    let _mortal = cluster.connect(4, "mortal").open().await;

    cluster.node_mut(4).kill9();
    let told = remove(&cluster, 3, 4).await;
    assert_eq!(told["voters_after"], json!([1, 2, 3]));
    members_become(&cluster, &[1, 2, 3], &[1, 2, 3]).await;
    let missing = cluster.node(2).http().delete(&path(4)).await;
    assert_eq!(missing.status, 404, "{}", missing.body);
    let back = cluster.connect(2, "kept").persistent().open().await;
    assert!(back.session_present(), "sessions outlive the node");
    assert_eq!(
        cluster.clients_like(1, "mortal").await.expect("rows").len(),
        0
    );

    cluster.node_mut(4).start();
    let why = cluster.not_ready(4, START).await;
    eventually("it knows that it is out", START, async || {
        let why = cluster.not_ready(4, SOON).await;
        why.contains("removed").then_some(()).ok_or(why)
    })
    .await;
    assert!(!why.is_empty());
    let refused = try_join(&cluster, 1, 4).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(refused.body.contains("was_removed"), "{}", refused.body);
    served_between(&cluster, &[1, 2, 3], "undisturbed").await;

    cluster.node_mut(4).kill9();
    cluster.node_mut(4).wipe();
    cluster.node_mut(4).start();
    let told = join(&cluster, 2, 4).await;
    assert_eq!(told["change"], "joins");
    members_become(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4]).await;
    served_between(&cluster, &[1, 2, 3, 4], "replaced").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_disk_is_replaced_by_an_empty_one() {
    let mut cluster = Cluster::start(3).await;
    let kept = cluster.connect(2, "kept").persistent().open().await;
    kept.subscribed("kept", 1).await;
    let running = try_join(&cluster, 1, 2).await;
    assert_eq!(running.status, 200, "it is where it is: {}", running.body);
    cluster.node_mut(2).kill9();
    cluster.node_mut(2).wipe();
    cluster.node_mut(2).start();
    let why = eventually("it says what happened", START, async || {
        let why = cluster.not_ready(2, SOON).await;
        why.contains("another data directory")
            .then_some(why.clone())
            .ok_or(why)
    })
    .await;
    assert!(why.contains("ctl join 2"), "it says what to do: {why}");
    let told = join(&cluster, 3, 2).await;
    assert_eq!(told["change"], "replaces", "{told}");
    members_become(&cluster, &[1, 2, 3], &[1, 2, 3]).await;
    served_between(&cluster, &[1, 2, 3], "whole").await;
    let mut client = cluster.connect(2, "kept").persistent().open().await;
    assert!(client.session_present());
    let publisher = cluster.connect(1, "publisher").open().await;
    publisher
        .publish("kept", 1, "7")
        .await
        .expect("acknowledged");
    assert_eq!(number_of(&client.next_message(SOON).await), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_may_die_in_the_middle_of_a_change() {
    let mut cluster = three_and_a_newcomer().await;
    cluster.node_mut(4).start();
    cluster.not_ready(4, START).await;
    let leader = eventually("a leader", START, async || {
        let overview = cluster.node(1).http().try_json("/api/v1/cluster").await?;
        overview["leader_id"].as_u64().ok_or(overview.to_string())
    })
    .await;
    let asked = 1 + leader % 3;
    let told = join(&cluster, asked, 4).await;
    assert_eq!(told["change"], "joins");
    cluster.node_mut(leader).kill9();
    let rest = cluster.others(leader);
    cluster.ready(&rest).await;
    served_between(&cluster, &rest, "without").await;
    cluster.node_mut(leader).start();
    members_become(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4]).await;

    let next = cluster.roles().await.leader;
    let gone = cluster
        .others(next)
        .into_iter()
        .find(|id| *id != 4)
        .expect("one more");
    let asked = cluster
        .others(next)
        .into_iter()
        .find(|id| *id != gone)
        .expect("one more");
    let http = cluster.node(asked).http().clone();
    let removing = tokio::spawn(async move { http.delete(&path(gone)).await.status });
    eventually("it has begun", SOON, async || {
        let ready = cluster.node(gone).http().try_get("/ready").await?;
        (ready.status == 503).then_some(()).ok_or(ready.body)
    })
    .await;
    cluster.node_mut(next).kill9();
    // Done by the next leader when the question reached it; else it is asked again.
    let _status = removing.await.expect("an answer");
    cluster.node_mut(next).start();
    eventually("the removal is complete", START * 2, async || {
        let answer = cluster.node(asked).http().delete(&path(gone)).await;
        [200, 404]
            .contains(&answer.status)
            .then_some(())
            .ok_or(answer.body)
    })
    .await;
    let rest = cluster.others(gone);
    members_become(&cluster, &rest, &rest).await;
    served_between(&cluster, &rest, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_serves_is_removed_and_its_clients_go_elsewhere() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.roles().await.leader;
    let follower = cluster.others(leader)[0];
    let stays = cluster.others(leader)[1];
    for (gone, left) in [(leader, vec![follower, stays])] {
        let mut client = cluster.connect(gone, "client").persistent().open().await;
        client.subscribed("client", 1).await;
        let forecast = cluster
            .node(gone)
            .http()
            .delete(&format!("{}?dry_run=true", path(gone)))
            .await;
        assert_eq!(forecast.status, 200, "{}", forecast.body);
        remove(&cluster, gone, gone).await;
        client.wait_closed(SOON).await;
        let why = cluster.not_ready(gone, SOON).await;
        assert!(why.contains("removed"), "{why}");
        let mut sorted = left.clone();
        sorted.sort_unstable();
        members_become(&cluster, &left, &sorted).await;
        let mut client = cluster.connect(left[0], "client").persistent().open().await;
        assert!(client.session_present());
        let publisher = cluster.connect(left[1], "publisher").open().await;
        publisher
            .publish("client", 1, "x")
            .await
            .expect("acknowledged");
        assert_eq!(client.next_message(SOON).await.topic, "client");
        let late = cluster.connect(gone, "late").try_open().await;
        assert!(late.is_err(), "it takes nobody");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_moves_to_another_address_and_keeps_what_it_has() {
    let mut cluster = Cluster::start(3).await;
    let kept = cluster.connect(3, "kept").persistent().open().await;
    kept.subscribed("kept", 1).await;
    cluster.node_mut(3).sigterm_and_wait(START).await;
    let address = cluster.address().port(OTHER_RPC_PORT);
    cluster.node_mut(3).set_rpc(address);
    cluster.node_mut(3).start();
    let told = join(&cluster, 1, 3).await;
    assert_eq!(told["change"], "moves", "{told}");
    assert_eq!(told["voters_after"], json!([1, 2, 3]));
    members_become(&cluster, &[1, 2, 3], &[1, 2, 3]).await;
    served_between(&cluster, &[1, 2, 3], "moved").await;
    // The lists of peers still name the old address: what the log says counts, after a restart, too.
    for id in cluster.ids() {
        cluster.node_mut(id).kill9();
    }
    cluster.start_all();
    cluster.all_ready().await;
    served_between(&cluster, &[1, 2, 3], "again").await;
    let kept = cluster.connect(1, "kept").persistent().open().await;
    assert!(kept.session_present());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_stop_the_cluster_is_refused() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.node(1).http().clone();
    let code = |answer: &Answer| answer.try_json().map(|json| json["code"].clone());
    let unknown = http.delete(&path(9)).await;
    assert_eq!(
        (unknown.status, code(&unknown)),
        (404, Ok(json!("unknown_node")))
    );
    let nobody = json!({ "address": "127.0.0.1:1" });
    let nobody = http.put_json(&path(4), &nobody).await;
    assert_eq!(
        (nobody.status, code(&nobody)),
        (503, Ok(json!("node_unreachable")))
    );
    let other = json!({ "address": cluster.node(2).rpc().to_string() });
    let other = http.put_json(&path(4), &other).await;
    assert_eq!((other.status, code(&other)), (409, Ok(json!("other_node"))));
    cluster.node_mut(3).kill9();
    eventually("node 3 is down", START, async || {
        let answer = http.delete(&format!("{}?dry_run=true", path(2))).await;
        (code(&answer) == Ok(json!("no_quorum")))
            .then_some(())
            .ok_or(answer.body)
    })
    .await;
    let refused = http.delete(&path(2)).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    cluster.ready(&[1, 2]).await;
    drop(cluster);
    let alone = Cluster::start(1).await;
    let last = alone.node(1).http().delete(&path(1)).await;
    assert_eq!((last.status, code(&last)), (409, Ok(json!("last_node"))));
    alone.ready(&[1]).await;
    tokio::time::timeout(Duration::from_secs(30), alone.connect(1, "c").open())
        .await
        .expect("it serves");
}
