//! Drives the HTTP API over loopback: the real server and router, real gRPC to peers, and nodes that
//! hold real rows.
#![allow(clippy::unwrap_used)]

mod answers;
mod bad_input;
mod clients;
mod exposition;
mod health;
mod history;
mod limits;
mod mqtt;
mod offlines;
mod peers;
mod prometheus;
mod replicated;
mod retains;
mod world;
