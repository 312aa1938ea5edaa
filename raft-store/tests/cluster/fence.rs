use std::time::{Duration, Instant};

use raftmq_store::{Limits, ProposeError, Store};

use crate::harness::{Cluster, Condition, TestResult, note, noted, propose_until_done};

/// Guarantee G2: what is answered is shown by every node that serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_that_has_resolved_shows_on_every_node() -> TestResult {
    let cluster = Cluster::serving(3).await?;
    let mut took = Vec::new();
    for round in 0..2000_u64 {
        let (at, text) = (1 + round % 3, round.to_string());
        let start = Instant::now();
        propose_until_done(cluster.store(at), &note("t", &text)).await?;
        took.push(start.elapsed());
        for id in 1..=3 {
            assert_eq!(
                noted(cluster.store(id), "t").as_ref(),
                Some(&text),
                "round {round}, node {id}"
            );
        }
    }
    took.sort_unstable();
    println!(
        "propose to resolved: p50 {:?}, p99 {:?}",
        took[took.len() / 2],
        took[took.len() * 99 / 100]
    );
    cluster.tables_agree().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_waits_for_a_slow_node() -> TestResult {
    let cluster = Cluster::serving(3).await?;
    let leader = cluster.leader().await?;
    let slow = (1..=3).find(|id| *id != leader).ok_or("a follower")?;
    cluster.set_all(
        |(from, to)| from == slow || to == slow,
        Condition::Slow(Duration::from_millis(15)),
    );
    for round in 0..20 {
        let text = round.to_string();
        propose_until_done(cluster.store(leader), &note("t", &text)).await?;
        assert_eq!(
            noted(cluster.store(slow), "t").as_ref(),
            Some(&text),
            "round {round}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_proposals_at_once_from_all_nodes_are_all_carried_out() -> TestResult {
    let cluster = Cluster::serving(3).await?;
    let start = Instant::now();
    let flood = |store: Store, id: u64| async move {
        let proposals: Vec<_> = (0..5000)
            .map(|n| store.propose(note(&format!("{id}/{n}"), "x")))
            .collect();
        for proposal in proposals {
            proposal.await?;
        }
        Ok::<_, ProposeError>(())
    };
    let floods = (1..=3).map(|id| tokio::spawn(flood(cluster.store(id).clone(), id)));
    for flood in floods.collect::<Vec<_>>() {
        flood.await??;
    }
    println!("15,000 proposals in {:?}", start.elapsed());
    assert_eq!(noted(cluster.store(1), "3/4999").as_deref(), Some("x"));
    assert_eq!(
        (1..=3)
            .map(|id| cluster.store(id).unflushed_files())
            .sum::<usize>(),
        0
    );
    cluster.tables_agree().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_proposals_than_may_wait_are_refused_at_once() -> TestResult {
    let limits = Limits {
        proposals_waiting: 10,
        ..Limits::default()
    };
    let cluster = Cluster::serving_with(1, limits).await?;
    let proposals: Vec<_> = (0..50)
        .map(|_| cluster.store(1).propose(note("t", "x")))
        .collect();
    let mut refused = 0;
    for proposal in proposals {
        refused += u32::from(proposal.await == Err(ProposeError::Overloaded));
    }
    assert!(refused >= 35, "{refused} were refused");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_barrier_on_any_node_shows_what_was_committed_before() -> TestResult {
    let cluster = Cluster::serving(3).await?;
    for round in 0..100_u64 {
        let text = round.to_string();
        propose_until_done(cluster.store(1 + round % 3), &note("t", &text)).await?;
        let reader = cluster.store(1 + (round + 1) % 3);
        reader.read_barrier().await?;
        assert_eq!(noted(reader, "t").as_ref(), Some(&text));
    }
    let reads: Vec<_> = (0..500).map(|_| cluster.store(2).read_barrier()).collect();
    assert!(
        futures::future::join_all(reads)
            .await
            .iter()
            .all(Result::is_ok)
    );
    Ok(())
}
