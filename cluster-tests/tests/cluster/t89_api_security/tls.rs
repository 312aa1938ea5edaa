//! The API over TLS, asked with `raftmq ctl`, and its certificate exchanged while it runs.

use std::path::{Path, PathBuf};

use raftmq_cluster_tests::{Cluster, Ran, START, Setup, eventually, run_program};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

/// A folder with a certificate and its key.
struct Files(TempDir);

impl Files {
    fn new(cluster: &Cluster) -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        files.exchange(cluster);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes another certificate for the address of node 1, and its key.
    fn exchange(&self, cluster: &Cluster) {
        let address = cluster.node(1).http_address().ip().to_string();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![address]).expect("an address");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(self.path("cert.pem"), certificate.pem()).expect("a file");
        std::fs::write(self.path("key.pem"), key.serialize_pem()).expect("a file");
    }
}

fn set_files(cluster: &mut Cluster, files: &Files) {
    for (variable, name) in [
        ("RAFTMQ_HTTP_TLS_CERTIFICATE", "cert.pem"),
        ("RAFTMQ_HTTP_TLS_KEY", "key.pem"),
    ] {
        let path = files.path(name).display().to_string();
        cluster.node_mut(1).set(variable, &path);
    }
}

async fn ctl(cluster: &Cluster, ca: Option<&Path>, arguments: &[&str]) -> Ran {
    let url = format!("https://{}", cluster.node(1).http_address());
    let ca = ca.map(|ca| ca.display().to_string());
    let mut line = vec!["ctl", "--url", &url];
    if let Some(ca) = &ca {
        line.extend(["--ca", ca]);
    }
    line.extend(arguments);
    run_program(&line, &[]).await
}

async fn serves(cluster: &Cluster, ca: &Path) {
    eventually("an answer over TLS", START, async || {
        let ran = ctl(cluster, Some(ca), &["nodes"]).await;
        if ran.code == Some(0) {
            Ok(())
        } else {
            Err(ran.stderr)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_asked_over_tls_and_its_certificate_exchanged_while_it_runs() {
    let mut cluster = Setup::nodes(1).build();
    let files = Files::new(&cluster);
    set_files(&mut cluster, &files);
    cluster.start_all();
    let first = files.path("first.pem");
    std::fs::copy(files.path("cert.pem"), &first).expect("a copy");
    serves(&cluster, &first).await;

    let stranger = ctl(&cluster, None, &["nodes"]).await;
    assert_eq!(stranger.code, Some(1), "{stranger:?}");
    assert!(
        stranger.stderr.contains("certificate") || stranger.stderr.contains("cannot be trusted"),
        "{stranger:?}"
    );
    let plain = cluster.node(1).http().get("/live").await;
    assert_eq!(plain.status, 400, "{plain:?}");
    assert_eq!(plain.json()["code"], "refused");
    assert!(cluster.node(1).log_text().contains("  HTTP API  https://"));

    files.exchange(&cluster);
    serves(&cluster, &files.path("cert.pem")).await;
    let old = ctl(&cluster, Some(&first), &["nodes"]).await;
    assert_eq!(old.code, Some(1), "{old:?}");
}

/// Who asks on the node's own machine has its certificate, whatever names are in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_asked_over_tls_and_only_the_nodes_own_certificate_is_believed() {
    let mut cluster = Setup::nodes(1).build();
    let (files, others) = (Files::new(&cluster), Files::new(&cluster));
    let address = cluster.node(1).http_address().to_string();
    let health = async |files: &Files| {
        let certificate = format!("http.tls_certificate={}", files.path("cert.pem").display());
        let line = ["health", "--http-addr", &address, "--set", &certificate];
        run_program(&line, &[]).await
    };
    let before = health(&files).await;
    assert_eq!(before.code, Some(1), "{before:?}");
    set_files(&mut cluster, &files);
    cluster.start_all();
    eventually("the node is ready", START, async || {
        let ran = health(&files).await;
        if ran.code == Some(0) {
            Ok(())
        } else {
            Err(ran.stderr)
        }
    })
    .await;
    let stranger = health(&others).await;
    assert_eq!(stranger.code, Some(1), "{stranger:?}");
    assert!(stranger.stderr.contains("not ready"), "{stranger:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_of_no_use_are_told_before_a_port_opens() {
    let mut cluster = Setup::nodes(1).build();
    let files = Files::new(&cluster);
    let content = std::fs::read_to_string(files.path("key.pem")).expect("the key");
    let secret = content.lines().nth(1).expect("a line of the key");
    std::fs::write(
        files.path("key.pem"),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}"),
    )
    .expect("a broken key");
    set_files(&mut cluster, &files);
    // A port in use would be the first complaint if ports were opened first.
    let taken = std::net::TcpListener::bind(cluster.node(1).http_address());
    cluster.node_mut(1).start();
    let exit = cluster.node_mut(1).wait_exit(START).await;
    drop(taken);
    assert_eq!(exit.code, Some(1), "{}", exit.log);
    let file = files.path("key.pem").display().to_string();
    let expected = format!("{file}: a section of the PEM file has no end");
    assert!(exit.log.contains(&expected), "{}", exit.log);
    assert!(
        !exit.log.contains(secret) && !exit.log.contains("cannot listen"),
        "{}",
        exit.log
    );
}
