//! `raftmq dev`: three members on this machine with one command.

use std::net::TcpListener;
use std::time::Duration;

use raftmq_cluster_tests::{Authority, Connect, Http, SOON, START, Setup, eventually};

/// `dev` uses the standard ports; where something else does, it cannot be tried.
fn standard_ports_are_free() -> bool {
    [1883, 1884, 1885, 6060, 6061, 6062]
        .into_iter()
        .all(|port| TcpListener::bind(("0.0.0.0", port)).is_ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_starts_three_members_and_ctrl_c_stops_them() {
    assert!(
        standard_ports_are_free(),
        "ports 1883-1885 and 6060-6062 must be free for this test"
    );
    let mut cluster = Setup::nodes(1).build();
    let folder = cluster.node(1).data_dir().display().to_string();
    cluster
        .node_mut(1)
        .start_with(&["dev", "--nodes", "3", "--data-dir", &folder]);
    for port in 6060..=6062 {
        let http = Http::new(([127, 0, 0, 1], port).into());
        eventually(&format!("port {port} ready"), START, async || {
            let answer = http.try_get("/ready").await?;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.body)
            }
        })
        .await;
    }
    let mut subscriber = Connect::new(([127, 0, 0, 1], 1885).into(), "subscriber")
        .open()
        .await;
    subscriber.subscribed("dev", 1).await;
    let publisher = Connect::new(([127, 0, 0, 1], 1883).into(), "publisher")
        .open()
        .await;
    publisher.publish("dev", 1, "x").await.unwrap();
    assert_eq!(subscriber.next_message(SOON).await.topic, "dev");

    cluster.node(1).sigint();
    let exit = cluster.node_mut(1).wait_exit(Duration::from_secs(20)).await;
    assert_eq!(exit.code, Some(0), "{}", exit.log);
    eventually("all ports are free again", SOON, async || {
        if standard_ports_are_free() {
            Ok(())
        } else {
            Err("a member still listens".into())
        }
    })
    .await;
}

/// The members' HTTP API may speak TLS: they are asked as it wants to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_asks_its_members_over_tls() {
    let authority = Authority::new("ca");
    let files = authority.sign("server", "server", &["elsewhere.example"], 1);
    let mut cluster = Setup::nodes(1).build();
    let folder = cluster.node(1).data_dir().display().to_string();
    let certificate = format!("http.tls_certificate={}", files.certificate.display());
    let key = format!("http.tls_key={}", files.key.display());
    let ports = [
        "--mqtt-port",
        "20881",
        "--http-port",
        "20891",
        "--rpc-port",
        "20901",
    ];
    let mut line = vec!["dev", "--nodes", "1", "--data-dir", &folder];
    line.extend(ports);
    line.extend(["--set", &certificate, "--set", &key]);
    cluster.node_mut(1).start_with(&line);
    eventually("dev says that the node is ready", START, async || {
        let log = cluster.node(1).log_text();
        match log.contains("curl -k https://127.0.0.1:20891/api/v1/nodes") {
            true => Ok(()),
            false => Err(log),
        }
    })
    .await;
    cluster.node(1).sigint();
    let exit = cluster.node_mut(1).wait_exit(Duration::from_secs(20)).await;
    assert_eq!(exit.code, Some(0), "{}", exit.log);
}
