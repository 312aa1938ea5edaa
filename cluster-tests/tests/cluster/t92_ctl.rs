//! `raftmq ctl` against a real cluster: what people and scripts see.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use raftmq_cluster_tests::{
    Client, Cluster, Ran, SOON, START, Setup, eventually, program, run_program,
};
use serde_json::Value;

/// `raftmq ctl` asking node `asked`.
async fn ctl(cluster: &Cluster, asked: u64, arguments: &[&str]) -> Ran {
    let url = url(cluster, asked);
    let mut line = vec!["ctl"];
    line.extend(arguments);
    run_program(&line, &[("RAFTMQ_URL", &url)]).await
}

fn url(cluster: &Cluster, node: u64) -> String {
    format!("http://{}", cluster.node(node).http_address())
}

/// Standard output of a command that has to succeed without a warning.
async fn shown(cluster: &Cluster, asked: u64, arguments: &[&str]) -> String {
    let ran = ctl(cluster, asked, arguments).await;
    assert_eq!(
        (ran.code, &*ran.stderr),
        (Some(0), ""),
        "{arguments:?}: {ran:?}"
    );
    ran.stdout
}

async fn json(cluster: &Cluster, asked: u64, arguments: &[&str]) -> Value {
    let mut line = arguments.to_vec();
    line.push("--json");
    let text = shown(cluster, asked, &line).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The words of the lines behind the heading.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let words = |line| str::split_whitespace(line).collect();
    table.lines().skip(1).map(words).collect()
}

/// A cluster with a subscriber on node 2.
async fn with_subscriber() -> (Cluster, Client) {
    let cluster = Cluster::start(3).await;
    let client = cluster.connect(2, "reader").username("ann").open().await;
    client.subscribed("a/+", 1).await;
    (cluster, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_list_is_a_table_or_the_servers_json() {
    let (cluster, mut client) = with_subscriber().await;
    let nodes = shown(&cluster, 1, &["nodes"]).await;
    let ids: Vec<_> = rows(&nodes).iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(ids, ["1", "2", "3"], "{nodes}");
    assert_eq!(
        json(&cluster, 1, &["nodes"]).await.as_array().map(Vec::len),
        Some(3)
    );

    let clients = shown(&cluster, 3, &["clients", "--like", "read"]).await;
    assert_eq!(
        rows(&clients)[0][..3],
        ["reader", "2", "connected"],
        "{clients}"
    );
    assert!(clients.contains("ann"), "{clients}");
    assert_eq!(
        json(&cluster, 3, &["clients"]).await[0]["clientid"],
        "reader"
    );
    assert_eq!(
        rows(&shown(&cluster, 3, &["clients", "--connected", "false"]).await).len(),
        0
    );

    let subs = shown(&cluster, 1, &["subs", "--match", "a/b"]).await;
    assert_eq!(rows(&subs)[0][..3], ["reader", "2", "a/+"], "{subs}");
    assert_eq!(
        json(&cluster, 1, &["subs", "--client", "reader"]).await[0]["topic"],
        "a/+"
    );
    assert_eq!(
        rows(&shown(&cluster, 1, &["subs", "--match", "b"]).await).len(),
        0
    );

    let routes = shown(&cluster, 3, &["routes"]).await;
    assert_eq!(rows(&routes), [["a/+", "2"]], "{routes}");
    assert_eq!(json(&cluster, 3, &["routes", "a/x"]).await[0]["node_id"], 2);
    assert_eq!(rows(&shown(&cluster, 3, &["routes", "b/x"]).await).len(), 0);

    let published = shown(&cluster, 3, &["publish", "a/b", "hi", "--qos", "1"]).await;
    assert_eq!(published, "ok\n");
    let message = client.next_message(SOON).await;
    assert_eq!((&*message.topic, &message.payload[..]), ("a/b", &b"hi"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_kicked_and_an_unknown_one_is_a_failure() {
    let (cluster, mut client) = with_subscriber().await;
    let kicked = shown(&cluster, 3, &["kick", "reader"]).await;
    assert!(kicked.ends_with("/reader/ann\n"), "{kicked}");
    client.wait_closed(SOON).await;
    let again = ctl(&cluster, 3, &["kick", "reader"]).await;
    assert_eq!((again.code, &*again.stdout), (Some(1), ""));
    assert!(
        again.stderr.contains("There is no client 'reader'"),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_several_pages_is_complete_or_says_that_it_is_not() {
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_HTTP_MAX_ROW_LIMIT", "3")
        .start()
        .await;
    let mut clients = Vec::new();
    for number in 0..8 {
        let id = format!("page-{number}");
        clients.push(cluster.connect(number % 3 + 1, &id).open().await);
    }
    let all = json(&cluster, 1, &["clients", "--all"]).await;
    let ids: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["clientid"].clone())
        .collect();
    assert_eq!(ids, (0..8).map(|n| format!("page-{n}")).collect::<Vec<_>>());
    let first = ctl(&cluster, 1, &["clients"]).await;
    assert_eq!((first.code, rows(&first.stdout).len()), (Some(0), 3));
    assert!(
        first.stderr.contains("there are more than these 3 rows"),
        "{first:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_token_nothing_is_shown() {
    let cluster = Setup::nodes(1)
        .set("RAFTMQ_HTTP_BEARER_TOKEN", "s3cret")
        .start()
        .await;
    for arguments in [
        &["nodes"][..],
        &["nodes", "--token", "wrong"],
        &["tail"],
        &["top", "--once"],
    ] {
        let ran = ctl(&cluster, 1, arguments).await;
        assert_eq!(
            (ran.code, &*ran.stdout),
            (Some(1), ""),
            "{arguments:?}: {ran:?}"
        );
        assert!(ran.stderr.contains("Authorization: Bearer"), "{ran:?}");
    }
    let url = url(&cluster, 1);
    let environment = [("RAFTMQ_URL", &*url), ("RAFTMQ_TOKEN", "s3cret")];
    let ran = run_program(&["ctl", "nodes"], &environment).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_is_a_failure_and_what_makes_no_sense_is_wrong_usage() {
    // Nobody listens on the guarded address's other ports.
    let address = raftmq_cluster_tests::Loopback::reserve();
    let url = format!("http://{}", address.port(22_001));
    let ran = run_program(&["ctl", "nodes", "--url", &url], &[]).await;
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""), "{ran:?}");
    assert!(
        ran.stderr.contains(&url) && ran.stderr.contains("refused"),
        "{ran:?}"
    );
    for arguments in [
        &["ctl"][..],
        &["ctl", "explode"],
        &["ctl", "nodes", "--url", "ftp://x"],
        &["ctl", "publish", "t", "x", "--qos", "7"],
    ] {
        let ran = run_program(arguments, &[]).await;
        assert_eq!(
            (ran.code, &*ran.stdout),
            (Some(2), ""),
            "{arguments:?}: {ran:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_told_in_the_servers_words() {
    let cluster = Cluster::start(1).await;
    for (arguments, word) in [
        (&["publish", "a/#", "x"][..], "a/#"),
        (&["tail", "--event", "exploded"], "exploded"),
        (&["tail", "--node", "9"], "There is no node 9"),
        (&["routes", "a/#"], "a/#"),
    ] {
        let ran = ctl(&cluster, 1, arguments).await;
        assert_eq!(
            (ran.code, &*ran.stdout),
            (Some(1), ""),
            "{arguments:?}: {ran:?}"
        );
        assert!(ran.stderr.contains(word), "{arguments:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_missing_in_an_answer_is_a_warning() {
    let (mut cluster, _client) = with_subscriber().await;
    cluster.node_mut(3).kill9();
    let nodes = ctl(&cluster, 1, &["nodes"]).await;
    assert_eq!(
        (nodes.code, rows(&nodes.stdout).len()),
        (Some(0), 3),
        "{nodes:?}"
    );
    assert!(nodes.stdout.contains("No answer"), "{nodes:?}");
    assert!(
        nodes.stderr.contains("warning: node 3 is missing"),
        "{nodes:?}"
    );
    let clients = ctl(&cluster, 1, &["clients"]).await;
    assert_eq!(clients.code, Some(0), "{clients:?}");
    assert!(
        clients.stderr.contains("warning: node 3 did not answer"),
        "{clients:?}"
    );
    let top = ctl(&cluster, 1, &["top", "--once", "--interval", "1"]).await;
    assert_eq!(top.code, Some(0), "{top:?}");
    assert!(top.stdout.contains("node 3 is missing"), "{top:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_shows_rates_and_gauges_of_each_node() {
    let (cluster, _client) = with_subscriber().await;
    let top = json(&cluster, 1, &["top", "--once", "--interval", "1"]).await;
    let row = &top["nodes"][1];
    assert_eq!(
        (&row["node"], &row["clients"]),
        (&2.into(), &1.into()),
        "{top}"
    );
    assert_eq!(top["nodes"].as_array().map(Vec::len), Some(3));
    let table = shown(&cluster, 2, &["top", "--once", "--interval", "1"]).await;
    assert!(
        table.contains("MESSAGES IN/S") && !table.contains('\x1b'),
        "{table:?}"
    );
    assert!(
        table
            .lines()
            .last()
            .is_some_and(|line| line.starts_with("all")),
        "{table}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_writes_a_line_for_each_event_until_the_node_stops() {
    let mut cluster = Cluster::start(3).await;
    let url = url(&cluster, 1);
    let mut command = program(
        &["ctl", "tail", "--client", "seen"],
        &[("RAFTMQ_URL", &url)],
    );
    let mut child = command.stdin(Stdio::null()).spawn().expect("raftmq starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = std::thread::spawn(move || (lines.next(), lines));
    // The command needs a moment to listen: connects until one has been seen.
    eventually("a line", START, async || {
        let _client = cluster.connect(2, "seen").open().await;
        if first.is_finished() {
            Ok(())
        } else {
            Err("no line yet".into())
        }
    })
    .await;
    let (line, lines) = first.join().expect("no panic");
    let line = line.expect("a line").expect("text");
    assert!(line.contains("node 2") && line.contains("seen"), "{line}");
    cluster.node_mut(1).sigterm_and_wait(START).await;
    let status = tokio::task::spawn_blocking(move || {
        lines.for_each(drop);
        child.wait()
    });
    let status = status
        .await
        .expect("no panic")
        .expect("a child to wait for");
    assert_eq!(status.code(), Some(1), "a stream that ends is no success");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_drained_and_takes_clients_again() {
    let (cluster, mut client) = with_subscriber().await;
    let forecast = shown(&cluster, 1, &["drain", "2", "--dry-run"]).await;
    assert!(forecast.contains("possible"), "{forecast}");
    assert_eq!(client.closed(), None, "a forecast does nothing");
    let ordered = shown(&cluster, 3, &["drain", "2"]).await;
    assert!(ordered.contains("draining"), "{ordered}");
    client.wait_closed(SOON).await;
    eventually("node 2 is drained", START, async || {
        let progress = json(&cluster, 1, &["drain", "2", "--status"]).await;
        (progress["step"] == "drained")
            .then_some(())
            .ok_or(progress.to_string())
    })
    .await;
    let refused = cluster.connect(2, "late").try_open().await;
    assert!(refused.is_err(), "it takes nobody");
    let ended = json(&cluster, 1, &["undrain", "2"]).await;
    assert_eq!(ended["draining"], false, "{ended}");
    cluster.ready(&[2]).await;
    let back = cluster.connect(2, "late").open().await;
    back.subscribed("late", 1).await;
    let wrong = ctl(&cluster, 1, &["drain", "9"]).await;
    assert_eq!((wrong.code, &*wrong.stdout), (Some(1), ""), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_removed_and_another_one_joins_in_its_place() {
    let mut cluster = Cluster::start(3).await;
    let address = cluster.node(3).rpc().to_string();
    let forecast = shown(&cluster, 1, &["remove", "3", "--dry-run"]).await;
    assert!(forecast.contains("leaves"), "{forecast}");
    assert_eq!(rows(&shown(&cluster, 1, &["nodes"]).await).len(), 3);
    let removed = shown(&cluster, 2, &["remove", "3"]).await;
    assert!(removed.contains("leaves"), "{removed}");
    eventually("two nodes are left", START, async || {
        let nodes = ctl(&cluster, 1, &["nodes"]).await;
        (rows(&nodes.stdout).len() == 2)
            .then_some(())
            .ok_or(nodes.stdout)
    })
    .await;
    cluster.node_mut(3).kill9();
    cluster.node_mut(3).wipe();
    cluster.node_mut(3).set("RAFTMQ_CLUSTER_JOIN", "true");
    cluster.node_mut(3).start();
    eventually("it is let in", START, async || {
        let joined = ctl(&cluster, 1, &["join", "3", &address]).await;
        (joined.code == Some(0))
            .then_some(())
            .ok_or(format!("{joined:?}"))
    })
    .await;
    cluster.ready(&[3]).await;
    assert_eq!(rows(&shown(&cluster, 3, &["nodes"]).await).len(), 3);
    let unknown = ctl(&cluster, 1, &["remove", "9"]).await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("no node 9"), "{unknown:?}");
}
