//! Lists of very many rows: paged whole, each row once, while clients come and go; found by index; and
//! without filling the memory of the nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use raftmq_cluster_tests::{Answer, Cluster, Crowd, Http, RawClient};

const CROWD: Crowd = Crowd {
    clients: 10_000,
    filters: 10,
};
/// A page of 10,000 rows is some megabytes as JSON, and some more as rows on their way.
const GROWTH_BYTES_MAX: u64 = 96 << 20;

/// How often each row of the crowd came, by one of its fields, over all pages.
async fn pages(http: &Http, path: &str, field: &str, limit: u32) -> BTreeMap<String, u32> {
    let (mut seen, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let answer = http.get(&format!("{path}_limit={limit}{cursor}")).await;
        for value in column(&answer, field) {
            if value.starts_with("crowd-") {
                *seen.entry(value).or_default() += 1;
            }
        }
        let Some(next) = answer.header("x-next-cursor") else {
            return seen;
        };
        cursor = format!("&_cursor={next}");
    }
}

fn column(answer: &Answer, field: &str) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("x-unreachable-nodes"), None);
    let json = answer.json();
    let rows = json.as_array().expect("an array").iter();
    rows.map(|row| row[field].as_str().expect("a text").to_owned())
        .collect()
}

/// Every client of the crowd, so many times.
fn everybody(times: u32) -> BTreeMap<String, u32> {
    CROWD.client_ids().map(|id| (id, times)).collect()
}

/// Clients that sort between those of the crowd connect and vanish, until the end.
async fn come_and_go(addresses: Vec<std::net::SocketAddr>, ends: Arc<AtomicBool>) -> u32 {
    let mut number = 0;
    while !ends.load(Ordering::Relaxed) {
        let address = addresses[number as usize % addresses.len()];
        let id = format!("crowe-{:03}", number % 50);
        let before = format!("a-{:03}", number % 50);
        let _one = RawClient::connect(address, 4, &id, true).await;
        let _two = RawClient::connect(address, 5, &before, true).await;
        number += 1;
    }
    number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_lists_are_paged_whole_while_clients_come_and_go() {
    let cluster = Cluster::start(3).await;
    CROWD.gather(&cluster).await;
    let before: Vec<u64> = cluster.nodes().iter().map(|n| n.resident_bytes()).collect();
    let ends = Arc::new(AtomicBool::new(false));
    let addresses = cluster.nodes().iter().map(|node| node.mqtt()).collect();
    let coming = tokio::spawn(come_and_go(addresses, ends.clone()));

    let http = cluster.node(1).http();
    assert_eq!(
        pages(http, "/api/v1/clients?", "clientid", 3_000).await,
        everybody(1)
    );
    let http = cluster.node(2).http();
    let matching = "/api/v1/subscriptions?_match_topic=all&";
    assert_eq!(pages(http, matching, "clientid", 999).await, everybody(1));
    let http = cluster.node(3).http();
    assert_eq!(
        pages(http, "/api/v1/subscriptions?", "clientid", 10_000).await,
        everybody(CROWD.filters)
    );
    let in_large_pieces = pages(http, "/api/v1/clients?", "clientid", 10_000).await;
    assert_eq!(in_large_pieces, everybody(1));

    ends.store(true, Ordering::Relaxed);
    assert!(coming.await.expect("no panic") > 0);
    for (node, before) in cluster.nodes().iter().zip(before) {
        let grown = node.resident_bytes().saturating_sub(before);
        let (id, grown_mib) = (node.id(), grown >> 20);
        assert!(
            grown < GROWTH_BYTES_MAX,
            "node {id} grew by {grown_mib} MiB"
        );
    }
    finds_few_among_many(&cluster).await;
}

async fn finds_few_among_many(cluster: &Cluster) {
    for node in cluster.nodes() {
        let rows = async |path: &str, field: &str| column(&node.http().get(path).await, field);
        let client = "crowd-004242";
        let found = rows(&format!("/api/v1/clients?clientid={client}"), "clientid").await;
        assert_eq!(found, [client]);
        let path = format!("/api/v1/subscriptions?clientid={client}");
        assert_eq!(rows(&path, "topic").await.len(), CROWD.filters as usize);
        let path = "/api/v1/subscriptions?topic=own%2F4242%2F3";
        assert_eq!(rows(path, "clientid").await, [client]);
        let path = "/api/v1/subscriptions?_match_topic=own%2F4242%2F3";
        assert_eq!(rows(path, "clientid").await, [client]);
        let path = "/api/v1/subscriptions?topic=hundred%2F42";
        assert_eq!(rows(path, "clientid").await.len(), 100);
        let path = "/api/v1/routes/own%2F4242%2F3";
        assert_eq!(rows(path, "topic").await, ["own/4242/3"]);
        assert_eq!(rows("/api/v1/routes/all", "topic").await, ["all"; 3]);
    }
}
