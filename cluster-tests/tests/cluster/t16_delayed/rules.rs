//! What is delayed, what is refused, and what arrives.

use std::time::{Duration, Instant};

use raftmq_cluster_tests::{
    Cluster, Filter, RawClient, SOON, Setup, Version, eventually, packet, within,
};
use serde_json::{Value, json};

use super::{next, publish, sleeping, subscriber, waiting};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reaches_every_node_once_when_its_time_has_come_and_not_before() {
    let cluster = Cluster::start(3).await;
    let mut subscribers = Vec::new();
    for node in cluster.ids() {
        let id = format!("subscriber-{node}");
        let fence = format!("fence/{node}");
        subscribers.push(subscriber(&cluster, node, &id, &["later/#", &fence]).await);
    }
    let fence = cluster.connect(2, "fence").open().await;
    for version in [Version::V4, Version::V5] {
        let id = format!("publisher-{version:?}");
        let publisher = cluster.connect(1, &id).version(version).open().await;
        for qos in 0..=2 {
            let topic = format!("later/{qos}");
            let sent = Instant::now();
            publish(&publisher, &format!("$delayed/1/{topic}"), qos, "x").await;
            for (subscriber, node) in subscribers.iter_mut().zip(cluster.ids()) {
                let message = subscriber.next_message(SOON).await;
                assert!(sent.elapsed() >= Duration::from_secs(1), "{message:?}");
                assert_eq!((&*message.topic, message.qos), (&*topic, qos));
                let fence_topic = format!("fence/{node}");
                subscriber.expect_no_more(&fence, &fence_topic).await;
            }
        }
    }
    waiting(&cluster, 3, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_come_in_the_order_of_their_times_and_those_of_one_time_as_they_were_sent() {
    const COUNT: usize = 200;
    let cluster = Cluster::start(3).await;
    let mut subscriber = subscriber(&cluster, 3, "subscriber", &["later"]).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    publish(&publisher, "$delayed/6/later", 1, "last").await;
    let mut under_way = Vec::new();
    for number in 0..COUNT {
        let sent = publisher.submit("$delayed/1/later", 1, false, number.to_string());
        under_way.push(sent.await.expect("connected"));
    }
    for acknowledged in under_way {
        let code = within("PUBACK", SOON, acknowledged.wait()).await;
        assert!(code.is_ok_and(|code| code < 0x80));
    }
    for number in 0..COUNT {
        assert_eq!(next(&mut subscriber).await.1, number.to_string());
    }
    assert_eq!(next(&mut subscriber).await.1, "last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_moves_and_ends_leaves_its_message_behind() {
    let cluster = Cluster::start(3).await;
    let mut subscriber = subscriber(&cluster, 3, "subscriber", &["later", "fence"]).await;
    let first = cluster.connect(1, "publisher").persistent().open().await;
    publish(&first, "$delayed/2/later", 1, "x").await;
    let second = cluster.connect(2, "publisher").persistent().open().await;
    second.disconnect().await;
    cluster
        .connect(3, "publisher")
        .open()
        .await
        .disconnect()
        .await;
    assert_eq!(next(&mut subscriber).await, ("later".into(), "x".into()));
    let fence = cluster.connect(1, "fence").open().await;
    subscriber.expect_no_more(&fence, "fence").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_waits_for_its_client_gets_what_has_qos_1_or_2() {
    let cluster = Cluster::start(3).await;
    sleeping(&cluster, 2, "sleeper", &["later/#"]).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    for qos in [0, 1, 2] {
        publish(&publisher, &format!("$delayed/3/later/{qos}"), qos, "x").await;
    }
    waiting(&cluster, 1, 3).await;
    waiting(&cluster, 1, 0).await;
    let mut back = cluster.connect(2, "sleeper").persistent().open().await;
    assert!(back.session_present());
    let mut got = [next(&mut back).await.0, next(&mut back).await.0];
    got.sort();
    assert_eq!(got, ["later/1", "later/2"]);
    publish(&publisher, "later/fence", 1, "x").await;
    assert_eq!(next(&mut back).await.0, "later/fence");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_of_a_share_group_gets_it() {
    const COUNT: usize = 30;
    let cluster = Cluster::start(3).await;
    let mut members = Vec::new();
    for node in cluster.ids() {
        let id = format!("member-{node}");
        members.push(subscriber(&cluster, node, &id, &["$share/g/later"]).await);
    }
    let publisher = cluster.connect(1, "publisher").open().await;
    for number in 0..COUNT {
        publish(&publisher, "$delayed/1/later", 1, &number.to_string()).await;
    }
    let mut got = Vec::new();
    eventually("all have arrived", SOON, async || {
        for member in &mut members {
            got.extend(member.arrived().into_iter().map(|message| message.payload));
        }
        match got.len() {
            COUNT.. => Ok(()),
            left => Err(format!("{left}")),
        }
    })
    .await;
    got.sort();
    got.dedup();
    assert_eq!(got.len(), COUNT, "each came once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_one_is_retained_when_it_is_published() {
    let cluster = Cluster::start(3).await;
    let mut early = subscriber(&cluster, 2, "early", &["kept"]).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let sent = publisher.publish_retained("$delayed/3/kept", 1, "x");
    assert_eq!(within("PUBACK", SOON, sent).await, Ok(0));
    let retains = cluster.node(3).http().json("/api/v1/retains").await;
    assert!(!retains.to_string().contains("kept"), "{retains}");
    assert!(!early.next_message(SOON).await.retain);
    waiting(&cluster, 3, 0).await;
    for node in cluster.ids() {
        let mut late = subscriber(&cluster, node, &format!("late-{node}"), &["kept"]).await;
        assert!(late.next_message(SOON).await.retain);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_delay_is_at_once_and_no_local_and_aliases_are_kept_to() {
    let cluster = Cluster::start(1).await;
    let mut own = cluster.connect(1, "own").open().await;
    let quiet = Filter::new("later", 1).no_local();
    assert_eq!(own.subscribe(&[quiet]).await, Ok(vec![1]));
    own.subscribed("at-once", 1).await;
    publish(&own, "$delayed/1/later", 1, "x").await;
    waiting(&cluster, 1, 0).await;
    publish(&own, "$delayed/0/at-once", 1, "x").await;
    assert_eq!(next(&mut own).await.0, "at-once");

    let mut other = subscriber(&cluster, 1, "other", &["aliased"]).await;
    let (mut raw, _) = RawClient::connect(cluster.node(1).mqtt(), 5, "raw", true).await;
    // Alias 1 stands for the whole name, the delay with it.
    for name in ["$delayed/1/aliased", ""] {
        let mut body = packet::string(name);
        body.extend([0, 7, 3, 0x23, 0, 1, b'x']);
        raw.send(&packet::framed(0x32, &body)).await;
        let puback = raw.next_frame(SOON).await.expect("PUBACK");
        assert_eq!(puback.kind(), 4, "{puback:?}");
    }
    for _ in 0..2 {
        assert_eq!(next(&mut other).await.0, "aliased");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_none_is_refused_as_the_version_allows() {
    const WRONG: [&str; 5] = [
        "$delayed/x/a",
        "$delayed/4294968/a",
        "$delayed/5/",
        "$delayed/5",
        "$delayed/5/$delayed/5/a",
    ];
    let cluster = Cluster::start(1).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    for name in WRONG {
        for qos in [1, 2] {
            let code = publisher.publish(name, qos, "x").await;
            assert_eq!(code, Ok(0x90), "{name} with QoS {qos}");
        }
    }
    let mut mute = cluster.connect(1, "qos-0").open().await;
    mute.publish(WRONG[0], 0, "x").await.expect("sent");
    assert_eq!(mute.wait_closed(SOON).await.code, Some(0x90));
    for qos in 0..=2 {
        let mut old = cluster.connect(1, "old").v4().open().await;
        let sent = old.submit(WRONG[0], qos, false, "x").await;
        sent.expect("connected");
        old.wait_closed(SOON).await;
    }
    waiting(&cluster, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_limits_of_number_and_size_it_is_refused() {
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_MAX_DELAYED_MESSAGES", "2")
        .start()
        .await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let large = vec![b'x'; 121 << 10];
    let code = publisher.publish("$delayed/60/later", 1, large).await;
    assert_eq!(code, Ok(0x97));
    publish(&publisher, "$delayed/3600/later", 1, "x").await;
    publish(&publisher, "$delayed/3600/later", 0, "x").await;
    waiting(&cluster, 2, 2).await;
    for node in cluster.ids() {
        let client = cluster.connect(node, "one-more").open().await;
        for qos in [1, 2] {
            let code = client.publish("$delayed/3600/later", qos, "x").await;
            assert_eq!(code, Ok(0x97), "node {node}, QoS {qos}");
        }
    }
    publish(&publisher, "$delayed/3600/later", 0, "dropped").await;
    eventually("it is counted", SOON, async || {
        let metrics = cluster.node(1).http().try_json("/api/v1/metrics/1").await?;
        match metrics["metrics"]["messages.dropped"].as_u64() {
            Some(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let mut old = cluster.connect(2, "old").v4().open().await;
    let sent = old.submit("$delayed/3600/later", 1, false, "x").await;
    sent.expect("connected");
    old.wait_closed(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_api_delays_shows_and_refuses() {
    let cluster = Cluster::start(3).await;
    let mut subscriber = subscriber(&cluster, 3, "subscriber", &["later"]).await;
    let http = cluster.node(1).http();
    let features = http.json("/api/v1/features").await;
    for node in features["nodes"].as_array().expect("nodes") {
        assert_eq!(node["features"]["delayed"], true, "{features}");
    }
    let post = async |topic: &str| {
        let body = json!({"topic": topic, "payload": "x", "qos": 1, "clientid": "poster"});
        http.post("/api/v1/mqtt/publish", &body).await
    };
    let answer = post("$delayed/3/later").await;
    assert_eq!((answer.status, &*answer.body), (200, "ok"), "{answer:?}");
    let gauge =
        |stats: &Value, kind: &str| stats["stats"][format!("delayed_publishs.{kind}")].clone();
    for node in cluster.ids() {
        waiting(&cluster, node, 1).await;
    }
    let sum = http.json("/api/v1/stats/sum").await;
    assert_eq!(gauge(&sum, "count"), 1, "{sum}");
    assert_eq!(next(&mut subscriber).await, ("later".into(), "x".into()));
    for node in cluster.ids() {
        waiting(&cluster, node, 0).await;
    }
    let sum = http.json("/api/v1/stats/sum").await;
    assert_eq!(
        (gauge(&sum, "count"), gauge(&sum, "max")),
        (json!(0), json!(1))
    );
    for name in ["$delayed/x/a", "$delayed/5/"] {
        let answer = post(name).await;
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_feature_the_name_is_one_like_any_other() {
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_MQTT_DELAYED_PUBLISH", "false")
        .start()
        .await;
    let mut subscriber = subscriber(&cluster, 1, "subscriber", &["$delayed/#", "later"]).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    publish(&publisher, "$delayed/1/later", 1, "x").await;
    let got = next(&mut subscriber).await;
    assert_eq!(got, ("$delayed/1/later".into(), "x".into()));
    let features = cluster.node(1).http().json("/api/v1/features").await;
    assert_eq!(features["nodes"][0]["features"]["delayed"], false);
}

/// Access rules speak of the topic that it is published to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_rules_judge_the_topic_behind_the_delay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rules =
        "rules = [[\"deny\", \"all\", \"publish\", [\"secret/#\"]], [\"allow\", \"all\"]]\n";
    std::fs::write(folder.path().join("rmqtt-acl.toml"), rules).expect("a file");
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
        .set("RAFTMQ_PLUGINS_DEFAULT_STARTUPS", "rmqtt-acl")
        .start()
        .await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let code = publisher.publish("$delayed/1/secret/a", 1, "x").await;
    assert_eq!(code, Ok(0x87));
    publish(&publisher, "$delayed/60/open/a", 1, "x").await;
    waiting(&cluster, 1, 1).await;
}
