//! A node that must not start says why and what to do, and ends with an exit code that is not 0.

use std::time::Duration;

use raftmq_cluster_tests::{Cluster, Exit, Node, SOON, Setup, eventually};

async fn refused(node: &mut Node) -> Exit {
    let exit = node.wait_exit(Duration::from_secs(15)).await;
    assert!(
        exit.code.is_some_and(|code| code != 0),
        "{:?}: {}",
        exit.code,
        exit.log
    );
    assert!(!exit.log.contains("panicked"), "{}", exit.log);
    exit
}

fn says(exit: &Exit, words: &[&str]) {
    let log = exit.log.to_lowercase();
    for word in words {
        assert!(
            log.contains(&word.to_lowercase()),
            "no '{word}' in:\n{}",
            exit.log
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_named() {
    let mut cluster = Setup::nodes(1).build();
    for address in [
        cluster.node(1).mqtt(),
        cluster.node(1).http_address(),
        cluster.node(1).rpc(),
    ] {
        let taken = std::net::TcpListener::bind(address).expect("the cluster's own address");
        cluster.node_mut(1).start();
        let exit = refused(cluster.node_mut(1)).await;
        says(&exit, &[&address.to_string(), "in use"]);
        drop(taken);
    }
    cluster.start_all();
    cluster.all_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_do_not_share_a_data_directory() {
    let cluster = Cluster::start(1).await;
    let mut second = Setup::nodes(1).build();
    second.node_mut(1).set_data_dir(cluster.node(1).data_dir());
    second.start_all();
    let exit = refused(second.node_mut(1)).await;
    says(&exit, &[&cluster.node(1).data_dir().display().to_string()]);
    cluster
        .connect(1, "unharmed")
        .open()
        .await
        .subscribed("x", 1)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_directory_of_another_node_is_refused() {
    let mut cluster = Cluster::start(3).await;
    let other = cluster.node(2).data_dir().to_path_buf();
    cluster.node_mut(3).kill9();
    cluster.node_mut(2).kill9();
    let own = cluster.node(3).data_dir().to_path_buf();
    cluster.node_mut(3).set_data_dir(&other);
    cluster.node_mut(3).start();
    let exit = refused(cluster.node_mut(3)).await;
    says(&exit, &[&other.display().to_string(), "node"]);
    cluster.node_mut(3).set_data_dir(&own);
    cluster.start_all();
    cluster.all_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupt_data_directory_is_refused_and_nothing_in_it_is_changed() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.connect(1, "kept").persistent().open().await;
    client.subscribed("kept", 1).await;
    cluster.node_mut(3).kill9();
    let broken = break_files(cluster.node(3).data_dir());
    cluster.node_mut(3).start();
    let exit = refused(cluster.node_mut(3)).await;
    says(&exit, &[&cluster.node(3).data_dir().display().to_string()]);
    for (path, bytes) in broken {
        assert!(
            std::fs::read(&path).is_ok_and(|now| now == bytes),
            "{} changed",
            path.display()
        );
    }
    client.subscribed("still/served", 1).await;
}

/// Overwrites the middle of every file and returns what they then hold.
fn break_files(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut broken = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a data directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            broken.extend(break_files(&path));
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("a file");
        let (length, damage) = (bytes.len(), bytes.len().min(4_096));
        bytes[(length - damage) / 2..(length + damage) / 2].fill(0xA5);
        std::fs::write(&path, &bytes).expect("a file");
        broken.push((path, bytes));
    }
    broken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_of_another_cluster_is_refused_by_its_members() {
    let mut ours = Cluster::start(3).await;
    let mut theirs = Cluster::start(3).await;
    ours.node_mut(3).kill9();
    theirs.node_mut(3).kill9();
    let own = ours.node(3).data_dir().to_path_buf();
    let foreign = theirs.node(3).data_dir().to_path_buf();
    ours.node_mut(3).set_data_dir(&foreign);
    ours.node_mut(3).start();
    eventually("it is not let in, and says so", SOON, async || {
        let node = ours.node_mut(3);
        let (running, log) = (node.is_running(), node.log_text().to_lowercase());
        if log.contains("another cluster") || (!running && log.contains("cluster")) {
            return Ok(());
        }
        Err(log)
    })
    .await;
    if ours.node_mut(3).is_running() {
        ours.not_ready(3, SOON).await;
    }
    ours.connect(1, "unharmed")
        .open()
        .await
        .subscribed("x", 1)
        .await;
    ours.node_mut(3).kill9();
    ours.node_mut(3).set_data_dir(&own);
    ours.node_mut(3).start();
    ours.all_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_problems_of_a_configuration_are_told_at_once_with_their_places() {
    let mut cluster = Setup::nodes(1).build();
    let file = cluster.node(1).data_dir().with_extension("toml");
    std::fs::write(
        &file,
        "[mqtt]\nadrr = \"0.0.0.0:1\"\nmax_qos = 7\n\n[nonsense]\nx = 1\n",
    )
    .unwrap();
    let path = file.display().to_string();
    cluster
        .node_mut(1)
        .set("RAFTMQ_MQTT_CONNECT_TIMEOUT", "soon");
    cluster.node_mut(1).start_with(&["run", "-f", &path]);
    let exit = refused(cluster.node_mut(1)).await;
    let places = [
        &format!("{path}:2")[..],
        &format!("{path}:3"),
        &format!("{path}:5"),
    ];
    says(&exit, &places);
    says(
        &exit,
        &["adrr", "max_qos", "nonsense", "RAFTMQ_MQTT_CONNECT_TIMEOUT"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impossible_member_lists_are_refused() {
    let mut cluster = Setup::nodes(3).build();
    let good = cluster.node(1).peers().to_owned();
    let wrong = [
        ("4", good.clone()),
        ("1", good.replace("3@", "2@")),
        ("1", good.split(',').take(2).collect::<Vec<_>>().join(",")),
        ("1", "1@nowhere".to_owned()),
    ];
    for (id, peers) in wrong {
        let node = cluster.node_mut(1);
        let folder = node.data_dir().display().to_string();
        node.start_with(&["run", "--id", id, "--data-dir", &folder, "--peers", &peers]);
        says(&refused(node).await, &["peers"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_and_version_are_told_without_starting() {
    let mut cluster = Setup::nodes(1).build();
    for (arguments, word) in [(["--help"], "run"), (["--version"], "raftmq")] {
        let node = cluster.node_mut(1);
        node.start_with(&arguments);
        let exit = node.wait_exit(SOON).await;
        assert_eq!(exit.code, Some(0), "{}", exit.log);
        says(&exit, &[word]);
    }
}
