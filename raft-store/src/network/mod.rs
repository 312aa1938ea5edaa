//! Requests between the nodes, over gRPC.
//!
//! * `pool`: one connection per peer for Raft's small requests, one for snapshots, so that heartbeats
//!   never queue behind a gigabyte.
//! * `raft_client`: openraft's view of a peer.
//! * `snapshot_stream`: a snapshot file as a stream, both ends.
//! * `service`: what this node answers.
//! * `admission`: which requests it answers at all.

pub(crate) mod admission;
pub(crate) mod pool;
pub(crate) mod raft_client;
pub(crate) mod service;
pub(crate) mod snapshot_stream;

/// Largest message that is taken from a peer. Log entries are at most 1 MiB per request; this leaves
/// room for later versions.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 20;
