//! Bans: by client, user, address and network, in force on every node when they are answered, over restarts,
//! and until their time is over; and clients that flap.

use std::time::Duration;

use raftmq_cluster_tests::{Cluster, Connect, SOON, Setup, eventually, run_program};
use serde_json::{Value, json};
use tempfile::TempDir;

const BANNED: (Option<u8>, Option<u8>) = (Some(5), Some(0x8A));
const ADMINISTRATIVE_ACTION: u8 = 0x98;

/// The codes with which both versions of MQTT are refused.
async fn refused(connect: Connect) -> (Option<u8>, Option<u8>) {
    let code = async |connect: Connect| match connect.try_open().await {
        Ok(client) => panic!("{} is let in", client.id()),
        Err(refused) => refused.code,
    };
    (code(connect.clone().v4()).await, code(connect).await)
}

async fn ban(cluster: &Cluster, node: u64, body: Value) -> Value {
    let answer = cluster
        .node(node)
        .http()
        .post("/api/v1/banned", &body)
        .await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    answer.json()
}

async fn unban(cluster: &Cluster, node: u64, path: &str) {
    let path = format!("/api/v1/banned/{path}");
    let answer = cluster.node(node).http().delete(&path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
}

async fn bans(cluster: &Cluster, node: u64) -> Vec<String> {
    let rows = cluster.node(node).http().json("/api/v1/banned").await;
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| row["who"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn in_seconds(seconds: i64) -> String {
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    until.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_lets_a_banned_client_in_once_the_ban_is_answered() {
    let mut cluster = Setup::nodes(3).start().await;
    let user = |node, id: &str| cluster.connect(node, id).username("mallory");
    ban(
        &cluster,
        1,
        json!({"as": "clientid", "who": "evil", "reason": "floods"}),
    )
    .await;
    ban(&cluster, 2, json!({"as": "username", "who": "mallory"})).await;
    for node in cluster.ids() {
        assert_eq!(refused(cluster.connect(node, "evil")).await, BANNED);
        assert_eq!(refused(user(node, "any")).await, BANNED);
        cluster.connect(node, "good").open().await;
        assert_eq!(bans(&cluster, node).await, ["evil", "mallory"]);
    }
    unban(&cluster, 3, "username/mallory").await;
    for node in cluster.ids() {
        user(node, "any").open().await;
    }
    // A node that was away knows it when it is back, and all know it after all were away.
    for node in cluster.ids() {
        cluster.node_mut(node).kill9();
    }
    cluster.start_all();
    cluster.all_ready().await;
    for node in cluster.ids() {
        assert_eq!(refused(cluster.connect(node, "evil")).await, BANNED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_connected_is_sent_away_at_once_on_every_node() {
    let cluster = Setup::nodes(3).start().await;
    let observer = cluster.connect(1, "observer").open().await;
    observer.subscribed("wills/#", 1).await;
    let mut clients = Vec::new();
    for node in cluster.ids() {
        let id = format!("c{node}");
        let connect = cluster.connect(node, &id).username("mallory");
        clients.push(connect.open().await);
    }
    ban(&cluster, 2, json!({"as": "username", "who": "mallory"})).await;
    for client in &mut clients {
        let closed = client.wait_closed(SOON).await;
        assert_eq!(closed.code, Some(ADMINISTRATIVE_ACTION), "{closed:?}");
    }
    assert_eq!(observer.publish("wills/x", 1, "x").await, Ok(0), "it stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_is_banned_and_the_session_waits_for_its_client() {
    let cluster = Setup::nodes(1).start().await;
    let connect = cluster.connect(1, "sleeper").persistent();
    let mut client = connect.clone().open().await;
    client.subscribed("a", 1).await;
    let network = json!({"as": "peerhost_net", "who": "127.0.0.0/8", "until": in_seconds(3_600)});
    let row = ban(&cluster, 1, network).await;
    assert_eq!(row["as"], "peerhost_net");
    let closed = client.wait_closed(SOON).await;
    assert_eq!(closed.code, Some(ADMINISTRATIVE_ACTION), "{closed:?}");
    assert_eq!(refused(cluster.connect(1, "any")).await, BANNED);
    let http = cluster.node(1).http();
    let row = http.json("/api/v1/clients/sleeper").await;
    assert_eq!(row["connected"], false, "{row}");
    unban(&cluster, 1, "peerhost_net/127.0.0.0%2F8").await;
    let client = connect.open().await;
    assert!(client.session_present(), "with its subscription");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_is_gone_when_its_time_is_over() {
    let cluster = Setup::nodes(3).start().await;
    ban(
        &cluster,
        1,
        json!({"as": "clientid", "who": "c", "until": in_seconds(3)}),
    )
    .await;
    assert_eq!(refused(cluster.connect(2, "c")).await, BANNED);
    for node in cluster.ids() {
        eventually("the ban is gone", SOON, async || {
            match bans(&cluster, node).await {
                bans if bans.is_empty() => Ok(()),
                bans => Err(format!("{bans:?}")),
            }
        })
        .await;
        cluster.connect(node, "c").open().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_connects_from_everywhere_nobody_is_in_after_the_answer() {
    let cluster = Setup::nodes(3).start().await;
    let storm: Vec<_> = cluster
        .ids()
        .into_iter()
        .map(|node| {
            let connect = cluster.connect(node, "evil").persistent();
            tokio::spawn(async move {
                // Until it is told that it is banned, also while it takes the others over.
                loop {
                    match connect.clone().try_open().await {
                        Ok(client) => drop(client),
                        Err(refused) if refused.code == Some(0x8A) => return,
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
            })
        })
        .collect();
    eventually("it is connected", SOON, async || {
        let http = cluster.node(1).http();
        http.try_json("/api/v1/clients/evil").await.map(drop)
    })
    .await;
    ban(&cluster, 1, json!({"as": "clientid", "who": "evil"})).await;
    for node in cluster.ids() {
        assert_eq!(refused(cluster.connect(node, "evil")).await, BANNED);
        let http = cluster.node(node).http();
        let row = http.json("/api/v1/clients/evil").await;
        assert_ne!(row["connected"], true, "{row}");
    }
    for task in storm {
        tokio::time::timeout(SOON, task)
            .await
            .expect("each is told")
            .expect("no panic");
    }
}

fn flapping(text: &str) -> (TempDir, Setup) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("rmqtt-flapping-detect.toml");
    std::fs::write(file, text).expect("a file");
    let setup = Setup::nodes(3)
        .set("RAFTMQ_PLUGINS_DIR", &folder.path().display().to_string())
        .set(
            "RAFTMQ_PLUGINS_DEFAULT_STARTUPS",
            "rmqtt-retainer,rmqtt-flapping-detect",
        );
    (folder, setup)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_flaps_is_banned_everywhere_for_a_while() {
    let settings = "max_count = 3\nwindow_time = '10m'\nban_time = '4s'";
    let (_folder, setup) = flapping(settings);
    let cluster = setup.start().await;
    let connect = cluster.connect(1, "flapper");
    // Whoever says good-bye may come as often as it likes.
    for _ in 0..6 {
        connect.clone().open().await.disconnect().await;
    }
    for _ in 0..3 {
        connect.clone().open().await.abort();
    }
    connect.clone().open().await.abort();
    for node in cluster.ids() {
        let connect = cluster.connect(node, "flapper");
        eventually("it is banned", SOON, async || {
            match connect.clone().try_open().await {
                Err(refused) if refused.code == Some(0x8A) => Ok(()),
                Ok(client) => {
                    client.disconnect().await;
                    Err("it is let in".into())
                }
                Err(refused) => Err(format!("{refused:?}")),
            }
        })
        .await;
    }
    eventually("it may come again", Duration::from_secs(30), async || {
        let opened = connect.clone().try_open().await;
        opened.map(drop).map_err(|refused| format!("{refused:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_ban_and_unban_at_a_terminal() {
    let cluster = Setup::nodes(1).start().await;
    let url = format!("http://{}", cluster.node(1).http_address());
    let ctl = async |words: &str| {
        let words: Vec<_> = ["ctl"].into_iter().chain(words.split(' ')).collect();
        let ran = run_program(&words, &[("RAFTMQ_URL", &url)]).await;
        (ran.code, ran.stdout + &ran.stderr)
    };
    let (code, shown) = ctl("ban ip 10.9.8.7/16 --for 2h --reason scans").await;
    assert_eq!(code, Some(0), "{shown}");
    ctl("ban clientid evil").await;
    assert_eq!(refused(cluster.connect(1, "evil")).await, BANNED);
    let (code, shown) = ctl("bans").await;
    let rows: Vec<Vec<_>> = shown
        .lines()
        .skip(1)
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert_eq!((code, rows.len()), (Some(0), 2), "{shown}");
    assert_eq!(rows[0][..3], ["clientid", "evil", "infinity"]);
    assert_eq!(rows[1][..2], ["peerhost_net", "10.9.0.0/16"]);
    let (code, shown) = ctl("unban clientid evil").await;
    assert_eq!((code, shown.trim()), (Some(0), "ok"));
    cluster.connect(1, "evil").open().await;
    let (code, shown) = ctl("unban clientid evil").await;
    assert_eq!(code, Some(1), "{shown}");
}
