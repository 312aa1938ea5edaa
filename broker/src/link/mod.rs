//! Links: publications that go straight from the publisher's node to the subscribers' nodes.
//!
//! One long-lived stream per (sender, receiver) carries batches with sequence numbers. What is not
//! acknowledged is kept and sent again after a reconnect; the receiver drops what it knows, so
//! nothing is lost or doubled while both nodes live, and order is kept (guarantee G6).
//!
//! | room | concern |
//! | --- | --- |
//! | [`outbox`] | what waits for a peer, and what waits for its acknowledgement |
//! | [`sender`] | the stream to a peer |
//! | [`receiver`] | the streams from peers, into the shards |
//! | [`questions`] | what a node asks a peer |
//! | [`registry`] | which links there are |
//! | [`vitals`] | how a link is |

mod outbox;
mod questions;
mod receiver;
mod registry;
mod sender;
mod vitals;

pub use outbox::{Chunk, Link, Returned};
pub use questions::{confirm_session, hear_out, settle, take_session};
pub use receiver::{BatchGate, LinkService};
pub use registry::{
    CONNECTION_WINDOW, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, LinkList, Links, STREAM_WINDOW,
    channel, follow_members,
};
pub use vitals::LinkStatus;

/// Largest gRPC message of a link, in bytes: a batch and the largest MQTT packet.
pub const MESSAGE_BYTES_MAX: usize = 512 << 20;
