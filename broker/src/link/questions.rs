//! What a node asks a peer over the connection of its link.

use super::{Link, MESSAGE_BYTES_MAX};
use crate::engine::Engine;
use raftmq_proto::v1::{self, link_client::LinkClient};
use tonic::{Status, transport::Channel};

fn way(engine: &Engine, link: &Link) -> Result<Channel, Status> {
    let channel = engine.links.channel(engine, link);
    channel.ok_or_else(|| Status::not_found("the node is not a member of the cluster"))
}

/// Asks the peer to see to it that everything it has routed to this node until now is taken here.
///
/// # Errors
/// The peer does not answer.
pub async fn settle(
    engine: &Engine,
    link: &Link,
    request: v1::SettleRequest,
) -> Result<(), Status> {
    let mut client = LinkClient::new(way(engine, link)?);
    client.settle(request).await.map(drop)
}

/// Asks the peer for the state of a session that has moved here.
///
/// # Errors
/// The peer does not answer.
pub async fn take_session(
    engine: &Engine,
    link: &Link,
    request: v1::TakeSessionRequest,
) -> Result<v1::TakeSessionReply, Status> {
    let client = LinkClient::new(way(engine, link)?);
    let mut client = client.max_decoding_message_size(MESSAGE_BYTES_MAX);
    Ok(client.take_session(request).await?.into_inner())
}

/// Tells the peer that the state of a session that it handed out is on this node's disk.
///
/// # Errors
/// The peer does not answer.
pub async fn confirm_session(
    engine: &Engine,
    link: &Link,
    request: v1::ConfirmSessionRequest,
) -> Result<(), Status> {
    let mut client = LinkClient::new(way(engine, link)?);
    client.confirm_session(request).await.map(drop)
}

/// Asks the peer to take in what a client that has connected here has said there, and to wait until it is in
/// the table.
///
/// # Errors
/// The peer does not answer.
pub async fn hear_out(
    engine: &Engine,
    link: &Link,
    request: v1::HearOutRequest,
) -> Result<(), Status> {
    let mut client = LinkClient::new(way(engine, link)?);
    client.hear_out(request).await.map(drop)
}
