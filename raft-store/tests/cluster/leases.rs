use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raftmq_store::Readiness;

use crate::harness::{Cluster, TestResult, note, noted, propose_until_done, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_leader_stops_proposals_for_less_than_three_seconds() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    let mut took = Vec::new();
    for round in 0..3 {
        let leader = cluster.leader().await?;
        cluster.kill(leader).await?;
        let start = Instant::now();
        let survivor = cluster.running()[0];
        let text = round.to_string();
        propose_until_done(cluster.store(survivor), &note("t", &text)).await?;
        took.push(start.elapsed());
        for id in cluster.running() {
            assert_eq!(noted(cluster.store(id), "t").as_ref(), Some(&text));
        }
        cluster.start(leader).await?;
        cluster.all_serve().await?;
    }
    println!("kill of the leader to the next resolved proposal: {took:?}");
    assert!(
        took.iter().all(|took| *took < Duration::from_secs(3)),
        "{took:?}"
    );
    cluster.tables_agree().await
}

/// Guarantee G8, and the order on which G2 hangs: the lease ends before the others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isolated_node_loses_its_lease_before_the_others_go_on_without_it() -> TestResult {
    for isolated_leads in [false, true] {
        let cluster = Cluster::serving(3).await?;
        let leader = cluster.leader().await?;
        let isolated = if isolated_leads {
            leader
        } else {
            1 + leader % 3
        };
        let other = (1..=3)
            .find(|id| *id != isolated && *id != leader)
            .ok_or("another")?;
        let lease = cluster.store(isolated).lease();
        cluster.isolate(isolated);
        propose_until_done(cluster.store(other), &note("t", "without it")).await?;
        assert!(
            !lease.is_held(),
            "it may still serve, and does not show what was answered"
        );
        assert!(matches!(
            cluster.store(isolated).readiness(),
            Readiness::NotReady(_)
        ));
        cluster.heal_all();
        cluster.all_serve().await?;
        assert_eq!(
            noted(cluster.store(isolated), "t").as_deref(),
            Some("without it")
        );
        assert_eq!(
            cluster.witness(isolated).lives_lost.load(Ordering::SeqCst),
            1
        );
        assert_eq!(cluster.store(isolated).identity().incarnation, 2);
        cluster.tables_agree().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nobody_serves() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    cluster.kill(1).await?;
    cluster.kill(2).await?;
    until("the last node stops serving", || async {
        (!cluster.store(3).lease().is_held()).then_some(())
    })
    .await?;
    let refused = cluster.store(3).propose(note("t", "x"));
    cluster.start(1).await?;
    cluster.all_serve().await?;
    // It was proposed by a life that may have ended meanwhile: done or not, it is answered.
    let _ = refused.await;
    Ok(())
}

/// One broken link between two followers must not hold up the cluster: both still reach the leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_that_do_not_reach_each_other_still_serve() -> TestResult {
    let cluster = Cluster::serving(3).await?;
    let leader = cluster.leader().await?;
    let followers: Vec<_> = (1..=3).filter(|id| *id != leader).collect();
    let (a, b) = (followers[0], followers[1]);
    cluster.set_all(
        |link| link == (a, b) || link == (b, a),
        crate::harness::Condition::Cut,
    );
    for round in 0..5 {
        let text = round.to_string();
        propose_until_done(cluster.store(a), &note("t", &text)).await?;
        assert_eq!(noted(cluster.store(b), "t").as_ref(), Some(&text));
    }
    assert_eq!(cluster.store(a).readiness(), Readiness::Ready);
    assert_eq!(cluster.store(b).readiness(), Readiness::Ready);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_in_good_order_holds_nobody_up() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    for leads in [false, true] {
        let leader = cluster.leader().await?;
        let leaving = if leads { leader } else { 1 + leader % 3 };
        let stopping = Instant::now();
        cluster.stop(leaving).await?;
        let (stopped, start) = (stopping.elapsed(), Instant::now());
        let rest = cluster.running()[0];
        propose_until_done(cluster.store(rest), &note("t", "x")).await?;
        println!(
            "leaves as leader {leads}: stop {stopped:?}, next proposal {:?}",
            start.elapsed()
        );
        assert!(
            start.elapsed() < Duration::from_millis(1500),
            "nobody has to find out"
        );
        cluster.start(leaving).await?;
        cluster.all_serve().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_keeps_its_leader_when_a_cut_off_node_comes_back() -> TestResult {
    let cluster = Cluster::serving(3).await?;
    let leader = cluster.leader().await?;
    let term = cluster.store(leader).status().term;
    let isolated = 1 + leader % 3;
    cluster.isolate(isolated);
    until(
        "it is declared down, long after it could have stood for election",
        || async {
            let members = cluster.store(leader).status().members;
            members
                .iter()
                .any(|member| member.node_id == isolated && !member.is_up)
                .then_some(())
        },
    )
    .await?;
    cluster.heal_all();
    cluster.all_serve().await?;
    assert_eq!(cluster.leader().await?, leader);
    assert_eq!(cluster.store(isolated).status().term, term);
    Ok(())
}

/// While it runs, a full disk is like a broken one; `cluster-tests` fills a real one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_is_not_opened_and_says_why() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    cluster.stop(3).await?;
    let full = raftmq_store::Limits {
        disk_reserve_bytes: u64::MAX,
        ..raftmq_store::Limits::default()
    };
    let config = raftmq_store::StoreConfig {
        limits: full,
        ..cluster.config(3)
    };
    let refused = raftmq_store::Store::open(config, crate::harness::Witness::default()).await;
    let reason = refused.err().map(|error| error.to_string());
    assert!(
        reason.is_some_and(|reason| reason.contains("is full")),
        "the reason is told"
    );
    propose_until_done(cluster.store(1), &note("t", "y")).await?;
    cluster.start(3).await?;
    cluster.all_serve().await?;
    Ok(())
}
