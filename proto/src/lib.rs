//! Everything that crosses between nodes, as protobuf: the commands of the replicated table, the
//! Raft messages, the message links and the queries of the HTTP API. The `.proto` files in
//! `raftmq/v1` are the documentation; this crate only includes what is generated from them.
//!
//! This crate knows nothing of MQTT sessions, HTTP or disks.
#![allow(missing_docs, clippy::all, rustdoc::all)]

/// Version 1 of the protocol between nodes.
pub mod v1 {
    tonic::include_proto!("raftmq.v1");
}
