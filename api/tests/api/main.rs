//! Drives the HTTP API over loopback: the real server and router, real gRPC to peers, and nodes that
//! hold real rows.
#![allow(clippy::unwrap_used)]

mod answers;
mod bad_input;
mod banned;
mod clients;
mod cluster;
mod contract;
mod dashboard;
mod documentation;
mod drain;
mod explain;
mod exposition;
mod golden;
mod health;
mod history;
mod limits;
mod live;
mod membership;
mod mqtt;
mod offlines;
mod openapi;
mod peers;
mod plugins;
mod prometheus;
mod rates;
mod replicated;
mod retains;
mod tail;
mod tls;
mod world;
