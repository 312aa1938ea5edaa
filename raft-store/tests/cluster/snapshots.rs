use std::sync::atomic::Ordering;

use raftmq_store::{Limits, OpenError, Store};

use crate::harness::{Cluster, TestResult, Witness, note, noted, propose_until_done, until};

fn small() -> Limits {
    Limits {
        snapshot_log_bytes: 64 << 10,
        log_keep_bytes: 16 << 10,
        ..Limits::default()
    }
}

async fn write(store: &Store, round: u64) -> TestResult {
    let proposals: Vec<_> = (0..400)
        .map(|n| store.propose(note(&format!("{round}/{n}"), &"x".repeat(200))))
        .collect();
    for proposal in proposals {
        proposal.await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_short_and_a_restart_begins_with_the_snapshot() -> TestResult {
    let mut cluster = Cluster::serving_with(1, small()).await?;
    for round in 0..5 {
        write(cluster.store(1), round).await?;
    }
    until("the log is purged", || async {
        let status = cluster.store(1).status();
        (status.snapshot_index.is_some() && status.log_bytes < 200 << 10).then_some(())
    })
    .await?;
    propose_until_done(cluster.store(1), &note("after", "the snapshot")).await?;
    let hash = cluster.store(1).table().read().retained("4/399").cloned();
    cluster.kill(1).await?;
    cluster.start(1).await?;
    cluster.all_serve().await?;
    assert_eq!(
        cluster.store(1).table().read().retained("4/399").cloned(),
        hash
    );
    assert_eq!(
        noted(cluster.store(1), "after").as_deref(),
        Some("the snapshot")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_long_gets_the_snapshot() -> TestResult {
    let mut cluster = Cluster::serving_with(3, small()).await?;
    let leader = cluster.leader().await?;
    let away = 1 + leader % 3;
    cluster.kill(away).await?;
    propose_until_done(cluster.store(leader), &note("first", "x")).await?;
    let before = cluster.store(leader).status().applied_index;
    for round in 0..6 {
        write(cluster.store(leader), round).await?;
    }
    until("the logs do not reach back", || async {
        let purged = |id| {
            let status = cluster.store(id).status();
            status.snapshot_index > Some(before) && status.log_bytes < 200 << 10
        };
        cluster.running().into_iter().all(purged).then_some(())
    })
    .await?;
    cluster.start(away).await?;
    cluster.all_serve().await?;
    assert!(
        cluster.witness(away).replaced.load(Ordering::SeqCst) >= 2,
        "at the start, and by the snapshot"
    );
    assert_eq!(noted(cluster.store(away), "first").as_deref(), Some("x"));
    cluster.tables_agree().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_or_missing_snapshot_is_refused() -> TestResult {
    let mut cluster = Cluster::serving_with(1, small()).await?;
    for round in 0..5 {
        write(cluster.store(1), round).await?;
    }
    until("the log is purged", || async {
        let status = cluster.store(1).status();
        (status.snapshot_index.is_some() && status.log_bytes < 200 << 10).then_some(())
    })
    .await?;
    cluster.stop(1).await?;
    let snapshots = cluster.data_dir(1).join("snapshots");
    // A snapshot that was being written when the node stopped is not one yet.
    let finished = |entry: &std::fs::DirEntry| entry.path().extension().is_none();
    let path = std::fs::read_dir(&snapshots)?
        .filter_map(Result::ok)
        .find(finished)
        .ok_or("a snapshot")?
        .path();
    let whole = std::fs::read(&path)?;
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for content in [
        &damaged[..],
        &whole[..whole.len() - 10],
        b"",
        b"something else entirely",
    ] {
        std::fs::write(&path, content)?;
        let refused = Store::open(cluster.config(1), Witness::default()).await;
        assert!(
            matches!(refused, Err(OpenError::Snapshot { .. })),
            "{} bytes",
            content.len()
        );
    }
    std::fs::remove_file(&path)?;
    assert!(
        matches!(cluster.open(1).await, Err(OpenError::Snapshot { .. })),
        "missing"
    );
    std::fs::write(&path, whole)?;
    cluster.start(1).await?;
    cluster.all_serve().await
}
