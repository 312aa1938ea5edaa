//! The HTTP API as strangers meet it: over TLS, with too many requests, guessing the token, and looking for
//! secrets in whatever a node says.

mod secrets;
mod tls;

use raftmq_cluster_tests::{Cluster, Http, SOON, START, Setup, eventually};

/// A cluster of one that asks for this token.
async fn guarded(settings: &[(&str, &str)]) -> Cluster {
    let mut setup = Setup::nodes(1).set("RAFTMQ_HTTP_BEARER_TOKEN", "right");
    for (variable, value) in settings {
        setup = setup.set(variable, value);
    }
    setup.start().await
}

fn http(cluster: &Cluster, token: &str) -> Http {
    Http::new(cluster.node(1).http_address()).with_token(token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_the_token_is_not_heard_any_more() {
    let limit = ("RAFTMQ_HTTP_MAX_WRONG_TOKENS_PER_MINUTE", "3");
    let cluster = guarded(&[limit]).await;
    for _ in 0..3 {
        assert_eq!(
            http(&cluster, "wrong").get("/api/v1/brokers").await.status,
            401
        );
    }
    let refused = http(&cluster, "right").get("/api/v1/brokers").await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.json()["code"], "too_many_requests");
    let wait = refused.header("retry-after").and_then(|s| s.parse().ok());
    assert!(
        wait.is_some_and(|wait: u64| (1..=20).contains(&wait)),
        "{refused:?}"
    );
    assert_eq!(http(&cluster, "").get("/ready").await.status, 200);
    assert_eq!(http(&cluster, "").get("/dashboard/").await.status, 200);
    let log = cluster.node(1).log_text();
    assert_eq!(log.matches("without the right token").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_too_much_is_told_to_come_back_later_and_may() {
    let limit = ("RAFTMQ_HTTP_MAX_REQUESTS_PER_SECOND_PER_ADDRESS", "1");
    let cluster = guarded(&[limit]).await;
    let http = http(&cluster, "right");
    let refused = eventually("a refusal", SOON, async || {
        let answer = http.get("/api/v1/brokers").await;
        if answer.status == 429 {
            Ok(answer)
        } else {
            Err(answer.body)
        }
    })
    .await;
    assert_eq!(refused.json()["code"], "too_many_requests");
    assert_eq!(http.get("/live").await.status, 200);
    eventually("an answer", SOON, async || {
        let answer = http.get("/api/v1/brokers").await;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.body)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_warns_at_its_start_when_everybody_may_use_its_api() {
    let warning = "the HTTP API asks for no token";
    let banner = "WARNING: open to the network and without a token";
    let mut cluster = Setup::nodes(1).build();
    let (data, mqtt, rpc) = {
        let node = cluster.node(1);
        let data = node.data_dir().display().to_string();
        (data, node.mqtt().to_string(), node.rpc().to_string())
    };
    let mut arguments = vec!["run", "--data-dir", &*data, "--mqtt-addr", &*mqtt];
    arguments.extend(["--rpc-addr", &*rpc, "--http-addr", "0.0.0.0:0"]);
    cluster.node_mut(1).start_with(&arguments);
    let log = eventually("the whole banner", START, async || {
        let log = cluster.node(1).log_text();
        if log.contains("  mosquitto_pub ") {
            Ok(log)
        } else {
            Err(log)
        }
    })
    .await;
    assert_eq!(
        (log.matches(warning).count(), log.matches(banner).count()),
        (1, 1),
        "{log}"
    );
    assert!(log.contains(" WARN "), "{log}");

    // With a token there is nothing to warn of, nor on this machine alone.
    for guarded in [guarded(&[]).await, Cluster::start(1).await] {
        let log = guarded.node(1).log_text();
        assert!(!log.contains(warning) && !log.contains(banner), "{log}");
    }
}
