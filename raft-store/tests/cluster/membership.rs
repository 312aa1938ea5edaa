//! Nodes that join, are replaced, and leave.

use std::time::Duration;

use raftmq_store::{MembershipError, Mode, Readiness};

use crate::harness::{Cluster, TestResult, note, noted, propose_until_done, until};

fn code<T: std::fmt::Debug>(answer: Result<T, MembershipError>) -> String {
    match answer {
        Err(MembershipError::Refused { code, .. }) => code,
        other => format!("{other:?}"),
    }
}

/// Node ids of the voters as node `asked` knows them.
fn voters(cluster: &Cluster, asked: u64) -> Vec<u64> {
    let members = cluster.store(asked).status().members;
    let voters = members.iter().filter(|member| member.is_voter);
    voters.map(|member| member.node_id).collect()
}

async fn voters_become(cluster: &Cluster, asked: &[u64], expected: &[u64]) -> TestResult {
    until(&format!("the voters {expected:?}"), || async {
        let same = |id: &u64| voters(cluster, *id) == expected;
        asked.iter().all(same).then_some(())
    })
    .await
    .map_err(|error| {
        let seen: Vec<_> = asked.iter().map(|id| (*id, voters(cluster, *id))).collect();
        format!("{error}: {seen:?}").into()
    })
}

async fn says(cluster: &Cluster, id: u64, what: &str) -> TestResult {
    let said = until(&format!("node {id} says {what}"), || async {
        let readiness = cluster.store(id).readiness();
        matches!(&readiness, Readiness::NotReady(why) if why.contains(what)).then_some(())
    })
    .await;
    said.map_err(|error| {
        let store = cluster.store(id);
        format!(
            "{error}; it says {:?}; {:?}; {:?}",
            store.readiness(),
            store.identity(),
            store.table().nodes()
        )
        .into()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fourth_node_joins_votes_and_is_remembered() -> TestResult {
    let mut cluster = Cluster::with_newcomer(4).await?;
    propose_until_done(cluster.store(1), &note("before", "x")).await?;
    says(&cluster, 4, "not a member").await?;
    let address = cluster.address_for_others(4);
    let asked = 1 + cluster.leader_of(&[1, 2, 3]).await? % 3;
    let forecast = cluster
        .store(asked)
        .admit(4, &address, Mode::Forecast)
        .await?;
    assert_eq!(forecast.change, "joins");
    assert_eq!(
        (&*forecast.voters, &*forecast.voters_after),
        (&[1, 2, 3][..], &[1, 2, 3, 4][..])
    );
    assert_eq!(
        voters(&cluster, asked),
        [1, 2, 3],
        "a forecast does nothing"
    );
    let told = cluster.store(asked).admit(4, &address, Mode::Do).await?;
    assert_eq!(told, forecast);
    voters_become(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4]).await?;
    cluster.all_serve().await?;
    assert_eq!(noted(cluster.store(4), "before").as_deref(), Some("x"));
    propose_until_done(cluster.store(4), &note("from", "4")).await?;
    for id in 1..=4 {
        assert_eq!(
            noted(cluster.store(id), "from").as_deref(),
            Some("4"),
            "the fence holds"
        );
    }
    let again = cluster.store(2).admit(4, &address, Mode::Do).await?;
    assert_eq!(again.change, "unchanged");
    for id in 1..=4 {
        cluster.kill(id).await?;
    }
    for id in 1..=4 {
        cluster.start(id).await?;
    }
    cluster.all_serve().await?;
    voters_become(&cluster, &[1, 2, 3, 4], &[1, 2, 3, 4]).await?;
    cluster.tables_agree().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_is_finished_by_the_next_leader() -> TestResult {
    let mut cluster = Cluster::with_newcomer(4).await?;
    let leader = cluster.leader_of(&[1, 2, 3]).await?;
    let address = cluster.address_for_others(4);
    cluster.store(leader).admit(4, &address, Mode::Do).await?;
    cluster.kill(leader).await?;
    let rest = cluster.running();
    voters_become(&cluster, &rest, &[1, 2, 3, 4]).await?;
    cluster.all_serve().await?;
    cluster.start(leader).await?;
    cluster.all_serve().await?;
    cluster.tables_agree().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_directory_is_replaced_and_cannot_come_back() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    propose_until_done(cluster.store(1), &note("t", "x")).await?;
    let kept_aside = cluster.data_dir(9);
    cluster.kill(2).await?;
    std::fs::rename(cluster.data_dir(2), &kept_aside)?;
    cluster.start(2).await?;
    says(&cluster, 2, "another data directory").await?;
    let address = cluster.address_for_others(2);
    until("node 2 is down and replaced", || async {
        let told = cluster.store(3).admit(2, &address, Mode::Do).await;
        (told.ok()?.change == "replaces").then_some(())
    })
    .await?;
    cluster.all_serve().await?;
    voters_become(&cluster, &[1, 2, 3], &[1, 2, 3]).await?;
    assert_eq!(noted(cluster.store(2), "t").as_deref(), Some("x"));
    propose_until_done(cluster.store(2), &note("t", "y")).await?;

    cluster.kill(2).await?;
    std::fs::rename(cluster.data_dir(2), cluster.data_dir(8))?;
    std::fs::rename(&kept_aside, cluster.data_dir(2))?;
    cluster.start(2).await?;
    says(&cluster, 2, "removed").await?;
    propose_until_done(cluster.store(1), &note("t", "z")).await?;
    assert_ne!(
        noted(cluster.store(2), "t").as_deref(),
        Some("z"),
        "it gets nothing"
    );
    let refused = cluster.store(1).admit(2, &address, Mode::Do).await;
    assert_eq!(code(refused), "was_removed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_stops_serving_disturbs_nobody_and_may_come_back_empty() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    let leader = cluster.leader().await?;
    let gone = 1 + leader % 3;
    let other = 1 + gone % 3;
    let lease = cluster.store(gone).lease();
    let forecast = cluster.store(other).remove(gone, Mode::Forecast).await?;
    assert_eq!(forecast.change, "leaves");
    assert_eq!(forecast.voters_after.len(), 2);
    cluster.store(other).remove(gone, Mode::Do).await?;
    assert!(!lease.is_held());
    says(&cluster, gone, "removed").await?;
    let rest = cluster.store(other).status();
    let rest: Vec<u64> = rest.members.iter().map(|member| member.node_id).collect();
    assert!(!rest.contains(&gone) && rest.len() == 2, "{rest:?}");
    until("the table forgets it", || async {
        let nodes = cluster.store(other).table().nodes();
        nodes.iter().all(|node| node.node_id != gone).then_some(())
    })
    .await?;
    let term = cluster.store(leader).status().term;
    cluster.kill(gone).await?;
    cluster.start(gone).await?;
    says(&cluster, gone, "removed").await?;
    propose_until_done(cluster.store(other), &note("t", "without it")).await?;
    assert_eq!(cluster.store(leader).status().term, term, "no election");
    let address = cluster.address_for_others(gone);
    let refused = cluster.store(other).admit(gone, &address, Mode::Do).await;
    assert_eq!(code(refused), "was_removed");

    cluster.kill(gone).await?;
    std::fs::remove_dir_all(cluster.data_dir(gone))?;
    cluster.start(gone).await?;
    let told = cluster.store(other).admit(gone, &address, Mode::Do).await?;
    assert_eq!(told.change, "joins");
    cluster.all_serve().await?;
    voters_become(&cluster, &[1, 2, 3], &[1, 2, 3]).await?;
    cluster.tables_agree().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_removed_hands_over_first_whoever_is_asked() -> TestResult {
    for asks_itself in [true, false] {
        let cluster = Cluster::serving(3).await?;
        let leader = cluster.leader().await?;
        let rest: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
        let asked = if asks_itself { leader } else { rest[0] };
        until("it is removed", || async {
            let answer = cluster.store(asked).remove(leader, Mode::Do).await;
            answer.is_ok().then_some(())
        })
        .await?;
        says(&cluster, leader, "removed").await?;
        voters_become(&cluster, &rest, &rest).await?;
        propose_until_done(cluster.store(rest[0]), &note("t", "x")).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_is_removed_and_the_last_ones_are_not() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    let store = cluster.store(1).clone();
    assert_eq!(code(store.remove(7, Mode::Do).await), "unknown_node");
    let own = cluster.address_for_others(2);
    assert_eq!(code(store.admit(3, &own, Mode::Do).await), "other_node");
    assert_eq!(
        code(store.admit(4, "127.0.0.1:1", Mode::Do).await),
        "node_unreachable"
    );
    drop(store);
    cluster.kill(3).await?;
    until("node 3 is removed", || async {
        cluster.store(1).remove(3, Mode::Do).await.ok()
    })
    .await?;
    voters_become(&cluster, &[1, 2], &[1, 2]).await?;
    propose_until_done(cluster.store(2), &note("t", "of two")).await?;
    let leader = cluster.leader().await?;
    let other = 3 - leader;
    cluster.store(leader).remove(other, Mode::Do).await?;
    voters_become(&cluster, &[leader], &[leader]).await?;
    let refused = cluster.store(leader).remove(leader, Mode::Do).await;
    assert_eq!(code(refused), "last_node");
    propose_until_done(cluster.store(leader), &note("t", "of one")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_removed_when_the_rest_has_no_majority() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    cluster.kill(3).await?;
    until("node 3 is down", || async {
        let nodes = cluster.store(1).table().nodes();
        let down = nodes.iter().any(|node| node.node_id == 3 && !node.is_up);
        down.then_some(())
    })
    .await?;
    let refused = cluster.store(1).remove(2, Mode::Do).await;
    assert_eq!(code(refused), "no_quorum");
    let lease = cluster.store(2).lease();
    assert!(lease.is_held(), "it was not told to go");
    tokio::time::timeout(Duration::from_secs(30), cluster.store(2).read_barrier()).await??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_asked_to_leave_and_is_not_removed_serves_again() -> TestResult {
    let mut cluster = Cluster::new(3).await?;
    cluster.timing.recall = Duration::from_millis(1_500);
    for id in 1..=3 {
        cluster.start(id).await?;
    }
    cluster.all_serve().await?;
    let gone = cluster.leader().await? % 3 + 1;
    let first_life = cluster.store(gone).identity().incarnation;
    cluster.ask_to_leave(gone).await?;
    let readiness = cluster.store(gone).readiness();
    assert!(matches!(readiness, Readiness::NotReady(_)), "{readiness:?}");
    let others = cluster.running().into_iter().find(|id| *id != gone);
    let other = others.ok_or("no other node")?;
    propose_until_done(cluster.store(other), &note("meanwhile", "x")).await?;
    cluster.all_serve().await?;
    assert_eq!(
        noted(cluster.store(gone), "meanwhile").as_deref(),
        Some("x")
    );
    assert!(cluster.store(gone).identity().incarnation > first_life);
    voters_become(&cluster, &[1, 2, 3], &[1, 2, 3]).await?;
    propose_until_done(cluster.store(gone), &note("again", "y")).await?;
    cluster.tables_agree().await
}
