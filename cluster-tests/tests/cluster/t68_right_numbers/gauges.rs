//! Each gauge, held still so that its value is known, and the highest value that it has had, also while
//! nobody asked.

use std::time::Duration;

use raftmq_cluster_tests::{Cluster, RawClient, SOON, Setup, eventually, packet};

use super::book::{Values, values};
use super::traffic::{asked, published, raw, subscribed};

/// What a gauge may show.
#[derive(Clone, Copy)]
enum Shows {
    Exactly(u64),
    /// Depends on the moment.
    AtMost(u64),
}

use Shows::{AtMost, Exactly};

impl Shows {
    fn allows(self, value: u64) -> bool {
        match self {
            Exactly(wanted) => value == wanted,
            AtMost(bound) => value <= bound,
        }
    }
}

/// Every node's gauges, as node 1 tells them.
async fn stats(cluster: &Cluster) -> Result<Vec<Values>, String> {
    let rows = cluster.node(1).http().try_json("/api/v1/stats").await?;
    let rows = rows.as_array().ok_or("no array")?.iter();
    Ok(rows.map(|row| values(&row["stats"])).collect())
}

/// Waits until all gauges with this ending show what they may; one that is not named fails.
async fn show(cluster: &Cluster, ending: &str, expected: &[(&str, [Shows; 3])]) {
    eventually(ending, SOON, async || {
        let all = stats(cluster).await?;
        for (node, values) in all.iter().enumerate() {
            for (name, value) in values {
                let Some(gauge) = name.strip_suffix(ending) else {
                    continue;
                };
                let row = expected.iter().find(|(known, _)| *known == gauge);
                let (_, shows) = row.ok_or_else(|| format!("nobody knows {name}"))?;
                if !shows[node].allows(*value) {
                    return Err(format!("node {}: {name} is {value}", node + 1));
                }
            }
        }
        Ok(())
    })
    .await;
}

fn same(shows: Shows) -> [Shows; 3] {
    [shows; 3]
}

fn each(counts: [u64; 3]) -> [Shows; 3] {
    counts.map(Exactly)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_gauge_shows_what_is_and_the_highest_that_was() {
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_CONNECT_TIMEOUT", "5m")
        .set("RAFTMQ_MQTT_MAX_INFLIGHT", "2")
        .start()
        .await;
    // A peak that nobody looks at: four clients on node 3, each with two subscriptions.
    let mut passing = Vec::new();
    for number in 0..4 {
        let mut client = raw(&cluster, 3, 4, &format!("passing-{number}"), true).await;
        subscribed(&mut client, 4, "passing", 0).await;
        subscribed(&mut client, 4, "$share/g/passing", 0).await;
        passing.push(client);
    }
    drop(passing);
    eventually("their sessions end", SOON, async || {
        match cluster.clients_like(1, "passing").await?.len() {
            0 => Ok(()),
            left => Err(format!("{left} left")),
        }
    })
    .await;
    let mut mute = raw(&cluster, 1, 4, "mute", false).await;
    subscribed(&mut mute, 4, "m", 1).await;
    let mut publisher = raw(&cluster, 2, 5, "publisher", true).await;
    let mut retained = packet::publish(5, "kept", 1, 8, b"x");
    retained[0] |= 1;
    asked(&mut publisher, &retained, 4).await;
    for _ in 0..5 {
        published(&mut publisher, 5, "m", b"x").await;
    }
    asked(&mut publisher, &packet::publish(5, "void", 2, 9, b"x"), 5).await;
    let waiting = [
        RawClient::open(cluster.node(3).mqtt()).await,
        RawClient::open(cluster.node(3).mqtt()).await,
    ];
    show(
        &cluster,
        ".count",
        &[
            ("connections", each([1, 1, 0])),
            ("delayed_publishs", each([0, 0, 0])),
            ("forwards", each([0, 0, 0])),
            ("handshakings", each([0, 0, 2])),
            ("handshakings_active", each([0, 0, 0])),
            ("handshakings_rate", same(AtMost(8))),
            ("in_inflights", each([0, 1, 0])),
            ("journal_bytes", same(AtMost(16_384))),
            ("message_queues", each([3, 0, 0])),
            ("message_storages", each([0, 0, 0])),
            ("out_inflights", each([2, 0, 0])),
            ("retained", each([1, 1, 1])),
            ("retaineds", each([1, 1, 1])),
            ("routes", each([1, 1, 1])),
            ("sessions", each([1, 1, 0])),
            ("subscriptions", each([1, 0, 0])),
            ("subscriptions_shared", each([0, 0, 0])),
            ("topics", each([1, 1, 1])),
        ],
    )
    .await;
    drop(waiting);
    // A new session with clean start has nothing of the old one.
    let _fresh = raw(&cluster, 1, 4, "mute", true).await;
    asked(&mut publisher, &packet::acknowledgement(0x62, 9), 7).await;
    let maxima = [
        ("connections", each([1, 1, 4])),
        ("delayed_publishs", each([0, 0, 0])),
        ("forwards", same(AtMost(1))),
        ("handshakings", each([1, 1, 2])),
        ("handshakings_active", each([1, 1, 1])),
        ("handshakings_rate", same(AtMost(8))),
        ("in_inflights", each([0, 1, 0])),
        ("journal_bytes", same(AtMost(16_384))),
        ("message_queues", each([3, 0, 0])),
        ("message_storages", each([0, 0, 0])),
        ("out_inflights", each([2, 0, 0])),
        ("retained", each([1, 1, 1])),
        ("retaineds", each([1, 1, 1])),
        ("routes", each([1, 1, 1])),
        ("sessions", each([1, 1, 4])),
        ("subscriptions", each([1, 0, 8])),
        ("subscriptions_shared", each([0, 0, 4])),
        ("topics", each([1, 1, 1])),
    ];
    show(&cluster, ".max", &maxima).await;
    show(
        &cluster,
        ".count",
        &[
            ("connections", each([1, 1, 0])),
            ("delayed_publishs", each([0, 0, 0])),
            ("forwards", each([0, 0, 0])),
            ("handshakings", each([0, 0, 0])),
            ("handshakings_active", each([0, 0, 0])),
            ("handshakings_rate", same(AtMost(8))),
            ("in_inflights", each([0, 0, 0])),
            ("journal_bytes", same(AtMost(16_384))),
            ("message_queues", each([0, 0, 0])),
            ("message_storages", each([0, 0, 0])),
            ("out_inflights", each([0, 0, 0])),
            ("retained", each([1, 1, 1])),
            ("retaineds", each([1, 1, 1])),
            ("routes", each([0, 0, 0])),
            ("sessions", each([1, 1, 0])),
            ("subscriptions", each([0, 0, 0])),
            ("subscriptions_shared", each([0, 0, 0])),
            ("topics", each([0, 0, 0])),
        ],
    )
    .await;
    let all = stats(&cluster).await.expect("stats");
    let sum = cluster.node(2).http().json("/api/v1/stats/sum").await;
    for (name, value) in values(&sum["stats"]) {
        let parts = all.iter().map(|values| values[&name]);
        let is_everywhere = ["topics.", "routes.", "retained"];
        let wanted = match is_everywhere.iter().any(|start| name.starts_with(start)) {
            true => parts.max().unwrap_or(0),
            false => parts.sum(),
        };
        let may_differ = name.starts_with("handshakings_rate");
        assert!(
            value == wanted || may_differ,
            "{name}: {value}, not {wanted}"
        );
    }
}

/// What was on its way to a node that goes down is counted as under way, then as dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_for_a_node_that_stands_still_are_under_way_and_then_dropped() {
    const MESSAGES: u64 = 5;
    let cluster = Cluster::start(3).await;
    let roles = cluster.roles().await;
    let (from, to) = (roles.leader, roles.followers[0]);
    let mut subscriber = raw(&cluster, to, 4, "subscriber", true).await;
    subscribed(&mut subscriber, 4, "t", 0).await;
    let mut publisher = raw(&cluster, from, 4, "publisher", true).await;
    published(&mut publisher, 4, "t", b"warm").await;
    cluster.node(to).sigstop().await;
    for _ in 0..MESSAGES {
        publisher.send(&packet::publish(4, "t", 0, 0, b"x")).await;
    }
    let number = async |path: &str, part: &str, name: &str| {
        let row = cluster.node(from).http().try_json(path).await?;
        row[part][name].as_u64().ok_or_else(|| row.to_string())
    };
    let stats = format!("/api/v1/stats/{from}");
    eventually("the highest number under way", SOON, async || match number(
        &stats,
        "stats",
        "forwards.max",
    )
    .await?
    {
        MESSAGES => Ok(()),
        other => Err(format!("{other} under way")),
    })
    .await;
    let metrics = format!("/api/v1/metrics/{from}");
    eventually("all of them dropped", Duration::from_secs(20), async || {
        let dropped = number(&metrics, "metrics", "messages.dropped").await?;
        let forwards = number(&stats, "stats", "forwards.count").await?;
        match (dropped, forwards) {
            (MESSAGES, 0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    cluster.node(to).sigcont();
}
