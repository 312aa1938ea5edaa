//! The stream to one peer: connects, says who we are, repeats what may be lost, then goes on.

use super::Link;
use crate::engine::Engine;
use raftmq_mqtt::publication::FRAME_VERSION;
use raftmq_proto::v1::{self, link_client::LinkClient, link_reply, link_request};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, transport::Channel};

/// Pause before the stream is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether a node that is not a member has become one.
const REST: Duration = Duration::from_millis(200);
/// Batches handed to the transport and not yet sent.
const BATCHES_AHEAD: usize = 16;
/// How long a peer may take to answer a hello.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(3);
/// A link on which nothing moves is probed so often.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the stream to a peer going until the node ends.
pub async fn run(engine: Arc<Engine>, link: Arc<Link>) {
    let mut ended = engine.ended.clone();
    let forever = async {
        let mut was_reachable = true;
        loop {
            let Some(channel) = engine.links.channel(&engine, &link) else {
                // Nobody waits for a node that has left.
                link.peer_is_down();
                tokio::time::sleep(REST).await;
                continue;
            };
            let ended = stream(&engine, &link, channel).await;
            link.set_up(false);
            match ended {
                Ok(()) => was_reachable = true,
                Err(status) => {
                    if std::mem::take(&mut was_reachable) {
                        tracing::info!(
                            peer = link.peer(),
                            address = link.address(),
                            reason = status.message(),
                            "link is down"
                        );
                    }
                }
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    };
    tokio::select! {
        () = forever => {}
        _ = ended.wait_for(|end| *end) => {}
    }
}

/// One life of the stream. `Ok`: it had been up.
async fn stream(engine: &Engine, link: &Link, channel: Channel) -> Result<(), Status> {
    let identity = engine.store.identity();
    let Some(cluster_id) = identity.cluster_id else {
        return Err(Status::unavailable(
            "this node does not belong to a cluster yet",
        ));
    };
    let (requests, outgoing) = mpsc::channel(BATCHES_AHEAD);
    let hello = v1::LinkHello {
        cluster_id,
        from_node_id: engine.node_id,
        from_incarnation: identity.incarnation,
        to_node_id: link.peer(),
        frame_version: FRAME_VERSION,
        first_seq: link.first_seq(),
    };
    send(&requests, link_request::Kind::Hello(hello)).await?;
    let client = LinkClient::new(channel);
    let mut client = client.max_encoding_message_size(super::MESSAGE_BYTES_MAX);
    let opening = async {
        let mut replies = client
            .forward(ReceiverStream::new(outgoing))
            .await?
            .into_inner();
        let welcome = replies.message().await?;
        Ok::<_, Status>((replies, welcome))
    };
    let (mut replies, first) = tokio::time::timeout(WELCOME_TIMEOUT, opening)
        .await
        .map_err(|_| Status::deadline_exceeded("no welcome in time"))??;
    let Some(link_reply::Kind::Welcome(welcome)) = first.and_then(|reply| reply.kind) else {
        return Err(Status::internal("the first reply is not a welcome"));
    };
    tracing::info!(peer = link.peer(), address = link.address(), "link is up");
    link.set_up(true);
    // How long that took says how long the stream was down, not how long the way is.
    let _ = link.acknowledge(welcome.last_seq);
    for batch in link.unacknowledged_after(welcome.last_seq) {
        send(&requests, link_request::Kind::Batch(batch)).await?;
    }
    let sending = async {
        loop {
            while let Some(batch) = link.next_batch() {
                send(&requests, link_request::Kind::Batch(batch)).await?;
            }
            tokio::select! {
                () = link.wake.notified() => {}
                () = tokio::time::sleep(PROBE_INTERVAL) => {
                    if let Some(probe) = link.probe() {
                        send(&requests, link_request::Kind::Batch(probe)).await?;
                    }
                }
            }
        }
    };
    let receiving = async {
        while let Some(reply) = replies.message().await? {
            if let Some(link_reply::Kind::AckedSeq(seq)) = reply.kind
                && let Some(round_trip) = link.acknowledge(seq)
            {
                link.measured(round_trip);
            }
        }
        Ok::<(), Status>(())
    };
    let ended: Result<(), Status> = tokio::select! {
        ended = sending => ended,
        ended = receiving => ended,
    };
    let reason = ended.err().map_or_else(
        || "closed by the peer".to_owned(),
        |status| status.message().to_owned(),
    );
    tracing::info!(peer = link.peer(), reason, "link is down");
    Ok(())
}

async fn send(
    requests: &mpsc::Sender<v1::LinkRequest>,
    kind: link_request::Kind,
) -> Result<(), Status> {
    let request = v1::LinkRequest { kind: Some(kind) };
    requests
        .send(request)
        .await
        .map_err(|_| Status::unavailable("the stream is closed"))
}
