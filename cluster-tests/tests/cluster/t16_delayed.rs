//! `$delayed/<seconds>/<topic>`: published later, once, whatever dies meanwhile.

mod faults;
mod rules;

use raftmq_cluster_tests::{Client, Cluster, SOON, eventually, within};

/// Publishes and has it acknowledged.
async fn publish(client: &Client, topic: &str, qos: u8, payload: &str) {
    let sent = client.publish(topic, qos, payload.to_owned());
    let code = within("PUBACK", SOON, sent).await;
    assert!(code.as_ref().is_ok_and(|code| *code < 0x80), "{code:?}");
}

async fn subscriber(cluster: &Cluster, node: u64, id: &str, filters: &[&str]) -> Client {
    let client = cluster.connect(node, id).open().await;
    for filter in filters {
        client.subscribed(filter, 2).await;
    }
    client
}

/// A session that outlives its connection, left.
async fn sleeping(cluster: &Cluster, node: u64, id: &str, filters: &[&str]) {
    let client = cluster.connect(node, id).persistent().open().await;
    for filter in filters {
        client.subscribed(filter, 2).await;
    }
    client.disconnect().await;
}

async fn next(client: &mut Client) -> (String, String) {
    let message = client.next_message(SOON).await;
    let payload = String::from_utf8_lossy(&message.payload).into_owned();
    (message.topic, payload)
}

/// Waits until node `asked` says that so many messages wait in the cluster.
async fn waiting(cluster: &Cluster, asked: u64, count: u64) {
    eventually(&format!("{count} wait"), SOON, async || {
        let path = format!("/api/v1/stats/{asked}");
        let stats = cluster.node(asked).http().try_json(&path).await?;
        match stats["stats"]["delayed_publishs.count"].as_u64() {
            Some(found) if found == count => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
