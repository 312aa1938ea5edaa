//! A node whose disk fills up ends with the reason, has lost nothing of what was acknowledged, and comes
//! back when there is room. The others serve on.

use std::time::Duration;

use raftmq_cluster_tests::{SOON, Setup, SmallDisk};

/// Of the disk of node 3: what sled takes at first, the reserve of 16 MiB, and something to fill.
const DISK_BYTES: u64 = 96 << 20;
/// Less than the reserve.
const LEFT_BYTES: u64 = 8 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_ends_and_comes_back_with_all_that_was_acknowledged() {
    let mut cluster = Setup::nodes(3).build();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), DISK_BYTES) else {
        return;
    };
    cluster
        .node_mut(3)
        .set_data_dir(&disk.path().join("node-3"));
    cluster.start_all();
    cluster.all_ready().await;
    let session = cluster.connect(3, "session").persistent().open().await;
    session.subscribed("kept/#", 1).await;
    let publisher = cluster.connect(3, "publisher").open().await;
    let kept = publisher.publish_retained("kept/before", 1, "before").await;
    assert_eq!(kept, Ok(0));

    disk.fill(LEFT_BYTES);
    let exit = cluster.node_mut(3).wait_exit(SOON).await;
    assert_eq!(exit.code, Some(1), "{}", exit.log);
    assert!(exit.log.contains("is full"), "{}", exit.log);
    assert!(!exit.log.contains("panicked"), "{}", exit.log);

    let other = cluster.connect(1, "other").open().await;
    other.subscribed("others/serve/on", 1).await;
    let kept = other
        .publish_retained("kept/meanwhile", 1, "meanwhile")
        .await;
    assert!(kept.is_ok_and(|code| code < 0x80), "acknowledged");

    cluster.node_mut(3).start();
    let refused = cluster.node_mut(3).wait_exit(SOON).await;
    assert_eq!(refused.code, Some(1), "{}", refused.log);
    assert!(refused.log.contains("make room"), "{}", refused.log);

    disk.make_room();
    cluster.node_mut(3).start();
    cluster.all_ready().await;
    let back = cluster.connect(3, "session").persistent().open().await;
    assert!(back.session_present(), "the session was acknowledged");
    let mut reader = cluster.connect(3, "reader").open().await;
    reader.subscribed("kept/+", 1).await;
    let mut found = Vec::new();
    while found.len() < 2 {
        found.push(reader.next_message(Duration::from_secs(5)).await.topic);
    }
    found.sort();
    assert_eq!(found, ["kept/before", "kept/meanwhile"]);
}
