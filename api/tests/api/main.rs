//! Drives the HTTP API over loopback: the real server and router, real gRPC to peers, and nodes that
//! hold real rows.
#![allow(clippy::unwrap_used)]

mod answers;
mod bad_input;
mod clients;
mod cluster;
mod dashboard;
mod explain;
mod limits;
mod mqtt;
mod peers;
mod plugins;
mod replicated;
mod tail;
mod world;
