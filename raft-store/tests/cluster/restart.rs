use std::time::Duration;

use crate::harness::{Cluster, PATIENCE, TestResult, note, noted, propose_until_done};

/// Guarantee G9: all nodes off, then on again in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_back_after_all_nodes_were_off() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    for (round, order) in [[1, 2, 3], [3, 1, 2], [2, 3, 1]].into_iter().enumerate() {
        let text = round.to_string();
        propose_until_done(cluster.store(1), &note(&format!("t/{round}"), &text)).await?;
        for id in 1..=3 {
            cluster.kill(id).await?;
        }
        for id in order {
            cluster.start(id).await?;
        }
        cluster.all_serve().await?;
        for id in 1..=3 {
            for earlier in 0..=round {
                let found = noted(cluster.store(id), &format!("t/{earlier}"));
                assert_eq!(found, Some(earlier.to_string()), "node {id}, round {round}");
            }
        }
    }
    cluster.tables_agree().await
}

/// Nodes fall and come back while all of them propose; nothing acknowledged is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_while_nodes_fall_and_come_back() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    let mut acknowledged = Vec::new();
    for round in 0..6_u64 {
        let victim = 1 + round % 3;
        let witness = 1 + victim % 3;
        let proposals: Vec<_> = (0..200)
            .map(|n| format!("{round}/{n}"))
            .map(|topic| (cluster.store(witness).propose(note(&topic, "x")), topic))
            .collect();
        cluster.kill(victim).await?;
        for (proposal, topic) in proposals {
            if tokio::time::timeout(PATIENCE, proposal).await?.is_ok() {
                acknowledged.push(topic);
            }
        }
        cluster.start(victim).await?;
        cluster.all_serve().await?;
        for id in 1..=3 {
            for topic in &acknowledged {
                assert_eq!(
                    noted(cluster.store(id), topic).as_deref(),
                    Some("x"),
                    "node {id}, {topic}"
                );
            }
        }
    }
    assert!(
        acknowledged.len() > 600,
        "{} were acknowledged",
        acknowledged.len()
    );
    cluster.tables_agree().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_log_in_the_place_of_a_full_one_is_refused() -> TestResult {
    let mut cluster = Cluster::serving(1).await?;
    propose_until_done(cluster.store(1), &note("t", "x")).await?;
    cluster.stop(1).await?;
    tokio::time::timeout(Duration::from_secs(5), async {
        std::fs::remove_dir_all(cluster.data_dir(1).join("log"))
    })
    .await??;
    let refused = cluster.open(1).await;
    assert!(matches!(refused, Err(raftmq_store::OpenError::Log(_))));
    Ok(())
}
