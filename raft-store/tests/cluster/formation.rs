use std::time::Duration;

use raftmq_store::{OpenError, Readiness, Role};

use crate::harness::{Cluster, TestResult, note, noted, propose_until_done, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_peers_is_a_cluster_at_once() -> TestResult {
    let cluster = Cluster::serving(1).await?;
    propose_until_done(cluster.store(1), &note("t", "x")).await?;
    assert_eq!(noted(cluster.store(1), "t").as_deref(), Some("x"));
    assert_eq!(cluster.store(1).status().role, Role::Leader);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_forms_before_every_listed_node_has_answered() -> TestResult {
    let mut cluster = Cluster::new(3).await?;
    cluster.start(1).await?;
    cluster.start(3).await?;
    until("node 1 says whom it waits for", || async {
        let readiness = cluster.store(1).readiness();
        matches!(&readiness, Readiness::NotReady(reason) if reason.contains("node 2")).then_some(())
    })
    .await?;
    assert_eq!(cluster.store(1).identity().cluster_id, None);
    cluster.start(2).await?;
    cluster.all_serve().await?;
    let ids: Vec<_> = (1..=3)
        .map(|id| cluster.store(id).identity().cluster_id)
        .collect();
    assert!(
        ids[0].is_some() && ids.iter().all(|id| *id == ids[0]),
        "{ids:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_may_start_in_any_order() -> TestResult {
    for order in [[3, 2, 1], [2, 3, 1]] {
        let mut cluster = Cluster::new(3).await?;
        for id in order {
            cluster.start(id).await?;
        }
        cluster.all_serve().await?;
    }
    Ok(())
}

/// Guarantee G9: an empty disk must not vote in the place of a full one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_disk_stays_out_and_says_so() -> TestResult {
    let mut cluster = Cluster::serving(3).await?;
    propose_until_done(cluster.store(1), &note("t", "x")).await?;
    cluster.kill(2).await?;
    std::fs::remove_dir_all(cluster.data_dir(2))?;
    cluster.start(2).await?;
    until("node 2 says that its directory is empty", || async {
        let readiness = cluster.store(2).readiness();
        matches!(&readiness, Readiness::NotReady(reason) if reason.contains("already a member"))
            .then_some(())
    })
    .await?;
    propose_until_done(cluster.store(1), &note("t", "y")).await?;
    assert_eq!(
        cluster.store(2).status().last_log_index,
        0,
        "nothing was given to it"
    );
    assert_eq!(cluster.store(2).identity().cluster_id, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_two_clusters_never_become_one() -> TestResult {
    let first = Cluster::serving(1).await?;
    let mut second = Cluster::new(2).await?;
    // Node 1 of the second list is, by mistake, the node of the first cluster.
    second.start(2).await?;
    let address = first.config(1).rpc_address;
    let mut config = second.config(2);
    config.data_dir = second.data_dir(7);
    config.peers[0].address = address;
    let stray = raftmq_store::Store::open(config, crate::harness::Witness::default()).await?;
    until(
        "the stray node says that there is another cluster",
        || async {
            let readiness = stray.readiness();
            matches!(&readiness, Readiness::NotReady(reason) if reason.contains("not a member"))
                .then_some(())
        },
    )
    .await?;
    assert_eq!(stray.identity().cluster_id, None);
    assert_eq!(first.store(1).readiness(), Readiness::Ready);
    stray.shutdown(Duration::ZERO).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_in_use_or_of_another_node_is_refused() -> TestResult {
    let cluster = Cluster::serving(1).await?;
    assert!(matches!(cluster.open(1).await, Err(OpenError::Identity(_))));
    Ok(())
}
