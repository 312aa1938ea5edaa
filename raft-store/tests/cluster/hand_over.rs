use std::time::Duration;

use raftmq_proto::v1::{Drain, Op, SetDrain, op::Kind};
use raftmq_store::Role;
use raftmq_store::table::{Outcome, Refusal};

use crate::harness::{Cluster, TestResult, note, propose_until_done, until};

fn drain(node_id: u64) -> Op {
    let drain = Some(Drain {
        clients_per_second: 1,
        since_ms: 1,
    });
    Op {
        kind: Some(Kind::SetDrain(SetDrain { node_id, drain })),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_hands_over_stays_and_serves() -> TestResult {
    let cluster = Cluster::serving(3).await?;
    for _ in 0..2 {
        let leader = cluster.leader().await?;
        until("it is handed over", || async {
            let store = cluster.store(leader);
            store
                .hand_over_leadership(Duration::from_secs(5))
                .await
                .then_some(())
        })
        .await?;
        let next = until("another one leads", || async {
            let next = cluster.leader().await.ok()?;
            (next != leader).then_some(next)
        })
        .await?;
        assert_eq!(cluster.store(leader).status().role, Role::Follower);
        for id in [leader, next] {
            propose_until_done(cluster.store(id), &note("t", &id.to_string())).await?;
        }
        assert_eq!(
            cluster
                .witness(leader)
                .lives_lost
                .load(std::sync::atomic::Ordering::SeqCst),
            0,
            "its life went on"
        );
    }
    cluster.all_serve().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_not_handed_to_a_node_that_drains() -> TestResult {
    let cluster = Cluster::serving(3).await?;
    let leader = cluster.leader().await?;
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    propose_until_done(cluster.store(leader), &drain(others[0])).await?;
    until("the other one leads", || async {
        let store = cluster.store(leader);
        store.hand_over_leadership(Duration::from_secs(5)).await;
        (cluster.leader().await.ok()? == others[1]).then_some(())
    })
    .await?;
    let order = cluster.store(others[0]).own_drain();
    assert_eq!(
        order.borrow().map(|drain| drain.clients_per_second),
        Some(1)
    );
    assert!(cluster.store(leader).own_drain().borrow().is_none());
    cluster.all_serve().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_of_one_cannot_hand_over_and_goes_on() -> TestResult {
    let cluster = Cluster::serving(1).await?;
    assert!(
        !cluster
            .store(1)
            .hand_over_leadership(Duration::from_secs(1))
            .await
    );
    let refused = cluster.store(1).propose(drain(1)).await?;
    assert_eq!(refused, Outcome::Refused(Refusal::NoOtherNode));
    propose_until_done(cluster.store(1), &note("t", "goes on")).await?;
    Ok(())
}
