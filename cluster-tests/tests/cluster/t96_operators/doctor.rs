//! Findings of `/cluster/doctor` that need real sessions, certificates that have expired, and the time of the start.

use raftmq_cluster_tests::{
    Cluster, RawClient, SOON, START, Setup, eventually, packet, run_program,
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;

fn finding<'a>(answer: &'a Value, code: &str) -> Option<&'a Value> {
    let findings = answer["findings"].as_array()?;
    findings.iter().find(|finding| finding["code"] == code)
}

async fn found(cluster: &Cluster, asked: u64, code: &str) -> Value {
    let http = cluster.node(asked).http();
    eventually(code, SOON, async || {
        let answer = http.try_json("/api/v1/cluster/doctor").await?;
        finding(&answer, code).cloned().ok_or(answer.to_string())
    })
    .await
}

/// Two members of one group on two nodes; the slow one acknowledges nothing, so that messages wait for it,
/// and the other takes what comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_a_share_group_that_stands_still_is_found_by_every_node() {
    let cluster = Setup::nodes(3)
        .set("RAFTMQ_MQTT_MAX_INFLIGHT", "10")
        .start()
        .await;
    cluster.links_up().await;
    let quick = cluster.connect(1, "quick").open().await;
    quick.subscribed("$share/workers/jobs/#", 1).await;
    let (mut slow, _) = RawClient::connect(cluster.node(2).mqtt(), 4, "slow", true).await;
    slow.send(&packet::subscribe(4, 1, "$share/workers/jobs/#", 1))
        .await;
    assert!(slow.next_frame(SOON).await.is_some(), "a SUBACK");
    let publisher = cluster.connect(3, "publisher").open().await;
    for job in 0..400 {
        publisher
            .publish("jobs/a", 1, format!("{job}"))
            .await
            .expect("a publish");
    }
    for asked in cluster.ids() {
        let hot = found(&cluster, asked, "share_group_hot_member").await;
        assert_eq!(hot["evidence"]["client_id"], "slow", "{hot}");
        assert_eq!(hot["evidence"]["share"], "workers");
        assert_eq!(hot["evidence"]["members"], 2);
        assert!(
            hot["fix"]
                .as_str()
                .is_some_and(|fix| fix.contains("rmqtt-shared-subscription"))
        );
    }
    drop((quick, slow));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_believed_by_no_client() {
    let mut cluster = Setup::nodes(1).build();
    let folder = tempfile::tempdir().expect("a folder");
    let address = cluster.node(1).http_address();
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![address.ip().to_string()]).expect("an address");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2020, 12, 31);
    let certificate = params.self_signed(&key).expect("a certificate");
    for (variable, name, text) in [
        ("RAFTMQ_HTTP_TLS_CERTIFICATE", "cert.pem", certificate.pem()),
        ("RAFTMQ_HTTP_TLS_KEY", "key.pem", key.serialize_pem()),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        cluster
            .node_mut(1)
            .set(variable, &path.display().to_string());
    }
    cluster.start_all();
    // That is what the finding before it is for (its rule is tested where it is).
    let url = format!("https://{address}");
    let ca = folder.path().join("cert.pem").display().to_string();
    let asked = ["ctl", "--url", &url, "--ca", &ca, "doctor", "--json"];
    eventually("a refusal", START, async || {
        let ran = run_program(&asked, &[]).await;
        if ran.stderr.contains("cannot be trusted") {
            Ok(())
        } else {
            Err(format!("{ran:?}"))
        }
    })
    .await;
}

/// The number of a metric of one node.
fn metric(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{")));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("{name}: {text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_the_start_changes_with_each_start_and_at_no_other_time() {
    let mut cluster = Cluster::start(1).await;
    let name = "raftmq_process_start_time_seconds";
    let started = async |cluster: &Cluster| {
        let answer = cluster
            .node(1)
            .http()
            .get("/api/v1/metrics/prometheus/1")
            .await;
        metric(&answer.body, name)
    };
    let uptime = async |cluster: &Cluster| {
        let answer = cluster
            .node(1)
            .http()
            .get("/api/v1/metrics/prometheus/1")
            .await;
        metric(&answer.body, "raftmq_uptime_seconds")
    };
    let first = started(&cluster).await;
    eventually("two seconds of life", SOON, async || {
        let seconds = uptime(&cluster).await;
        if seconds >= 2.0 {
            Ok(())
        } else {
            Err(seconds.to_string())
        }
    })
    .await;
    assert_eq!(started(&cluster).await, first);
    cluster.node_mut(1).restart();
    cluster.all_ready().await;
    assert!(started(&cluster).await > first);
}
