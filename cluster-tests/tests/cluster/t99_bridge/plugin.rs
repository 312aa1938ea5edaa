//! Files with mistakes, reloads, and who else may use a bridge's client identifier.

use raftmq_cluster_tests::{Connect, Mosquitto, SOON, eventually};

use super::{Bridged, EGRESS, INGRESS, subscribed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_is_all_or_nothing_and_changes_only_what_has_changed() {
    let mut bridged = Bridged::build(1, EGRESS);
    let mosquitto = Mosquitto::start(bridged.remote()).await;
    let server = mosquitto.address();
    bridged.write(EGRESS, server, "", &[("a", "x"), ("b", "y")]);
    bridged.run().await;
    bridged.runner(EGRESS, &[1]).await;
    bridged.write(EGRESS, server, "keepalive = 'soon'", &[("a", "x")]);
    let (status, body) = bridged.command(1, EGRESS, "config/reload").await;
    assert_eq!(status, 400, "{body}");
    assert!(
        body.contains("line 1") && body.contains("keepalive"),
        "{body}"
    );
    let mut far = subscribed(Connect::new(server, "far"), "#").await;
    let publisher = bridged.cluster.connect(1, "publisher").open().await;
    assert!(publisher.publish("b", 1, "0").await.is_ok());
    assert_eq!(
        far.next_message(SOON).await.topic,
        "y",
        "the old settings hold"
    );
    bridged.write(EGRESS, server, "", &[("a", "x"), ("c", "z")]);
    let (status, body) = bridged.command(1, EGRESS, "config/reload").await;
    assert_eq!(status, 200, "{body}");
    eventually(
        "the new entry is at work, and the old one gone",
        SOON,
        async || {
            let path = "/api/v1/subscriptions";
            let rows = bridged.cluster.node(1).http().try_json(path).await?;
            let topics: Vec<_> = rows.as_array().into_iter().flatten().collect();
            let has = |topic: &str| topics.iter().any(|row| row["topic"] == topic);
            (has("a") && has("c") && !has("b"))
                .then_some(())
                .ok_or(rows.to_string())
        },
    )
    .await;
    assert!(publisher.publish("c", 1, "0").await.is_ok());
    assert_eq!(far.next_message(SOON).await.topic, "z");
    let (status, body) = bridged.command(1, EGRESS, "unload").await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_by_which_messages_would_come_back_is_refused_with_the_line() {
    let mut bridged = Bridged::build(1, EGRESS);
    let server = bridged.remote();
    let v4 = "mqtt_ver = 'v4'";
    bridged.write(EGRESS, server, v4, &[("#", "${local.topic}")]);
    bridged.write(INGRESS, server, v4, &[("#", "${remote.topic}")]);
    bridged.run().await;
    let (status, body) = bridged.command(1, INGRESS, "load").await;
    assert_eq!(status, 400, "{body}");
    assert!(
        body.contains("line 6") && body.contains("come back"),
        "{body}"
    );
    bridged.write(INGRESS, server, v4, &[("#", "far/${remote.topic}")]);
    bridged.write(EGRESS, server, v4, &[("near/#", "${local.topic}")]);
    let (status, body) = bridged.command(1, EGRESS, "config/reload").await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = bridged.command(1, INGRESS, "load").await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_gets_the_client_of_a_bridge() {
    let mut bridged = Bridged::build(1, EGRESS);
    bridged.write(EGRESS, bridged.remote(), "", &[("#", "${local.topic}")]);
    bridged.run().await;
    let id = eventually("it runs", SOON, async || {
        let entry = bridged.entry(1, EGRESS).await?;
        let id = entry["clientid"].as_str().map(str::to_owned);
        id.filter(|_| entry["role"] == "running")
            .ok_or(entry.to_string())
    })
    .await;
    let refused = bridged
        .cluster
        .connect(1, &id)
        .persistent()
        .try_open()
        .await;
    let refused = refused.err().expect("refused");
    assert_eq!(refused.code, Some(0x85), "{refused:?}");
    let entry = bridged.entry(1, EGRESS).await.expect("it");
    assert_eq!(entry["role"], "running", "{entry}");
}
