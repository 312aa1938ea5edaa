//! A disk that is nearly full: messages that sessions would have to keep are refused with the standard's reason
//! code, before anything fails; what was kept stays, and it goes on when there is room.

use raftmq_cluster_tests::{Client, SOON, Setup, SmallDisk, eventually};

/// What sled takes at first, both reserves, and something to fill.
const DISK_BYTES: u64 = 128 << 20;
/// Less than the journal's reserve, and more than the Raft log's.
const LEFT_BYTES: u64 = 25 << 20;
/// Quota exceeded.
const QUOTA_EXCEEDED: u8 = 0x97;

/// Publishes until the answer is what is expected: the node looks at its disk a few times a second.
async fn answers(publisher: &Client, topic: &str, expected: impl Fn(u8) -> bool) -> u8 {
    eventually("the expected answer", SOON, async || {
        match publisher.publish(topic, 1, "tried").await {
            Ok(code) if expected(code) => Ok(code),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// 3.1.1 [MQTT-4.8.0-2]: what cannot be taken in ends the connection that it came on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nearly_full_disk_refuses_what_would_have_to_be_kept_and_loses_nothing() {
    let mut cluster = Setup::nodes(1).build();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), DISK_BYTES) else {
        return;
    };
    cluster
        .node_mut(1)
        .set_data_dir(&disk.path().join("node-1"));
    cluster.start_all();
    cluster.all_ready().await;
    let sleeper = cluster.connect(1, "sleeper").persistent();
    let first = sleeper.clone().open().await;
    first.subscribed("kept", 1).await;
    first.disconnect().await;
    let mut passing = cluster.connect(1, "passing").open().await;
    passing.subscribed("passing", 1).await;
    let publisher = cluster.connect(1, "publisher").open().await;
    let kept = publisher.publish("kept", 1, "before").await;
    assert!(kept.is_ok_and(|code| code < 0x80));

    disk.fill(LEFT_BYTES);
    let refused = answers(&publisher, "kept", |code| code >= 0x80).await;
    assert_eq!(refused, QUOTA_EXCEEDED);
    // Before MQTT 5 an acknowledgement cannot say no.
    let older = cluster.connect(1, "older").v4().open().await;
    assert!(older.publish("kept", 1, "refused").await.is_err());
    // What nobody has to keep is delivered as ever.
    let passed = publisher.publish("passing", 1, "passes").await;
    assert_eq!(passed, Ok(0));
    assert_eq!(passing.next_message(SOON).await.payload, "passes");

    disk.make_room();
    answers(&publisher, "kept", |code| code < 0x80).await;
    cluster.node_mut(1).kill9();
    cluster.node_mut(1).start();
    cluster.all_ready().await;
    let mut back = sleeper.open().await;
    assert_eq!(back.next_message(SOON).await.payload, "before");
    // Each was answered while the disk had room: before it was seen to be full, and at the end.
    assert_eq!(back.next_message(SOON).await.payload, "tried");
}
