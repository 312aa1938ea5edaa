//! The broker of RaftMQ: the MQTT engine around the pure core `raftmq-mqtt`, and the program that
//! wires it to the replicated table, the links between nodes and the HTTP API.
//!
//! [`node`] is where to begin: it builds all parts. `shard` is where the work happens.

mod admin;
mod admission;
pub mod cli;
pub mod config;
mod connect;
mod counting;
pub mod ctl;
mod delayed;
pub mod dev;
mod drain;
mod engine;
mod events;
mod gauges;
pub mod health;
mod journal;
mod link;
mod listener;
pub mod logging;
pub mod node;
mod observer;
pub mod passwords;
mod plugin;
mod proxy_protocol;
mod router;
mod scram;
mod settings;
mod shard;
mod takeovers;
mod transport;
