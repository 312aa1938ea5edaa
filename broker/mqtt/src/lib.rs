//! The MQTT engine's pure core: bytes in, packets out; (now, packet) in, effects out. No socket, no
//! clock, no lock, no await: `Cargo.toml` proves it.
//!
//! - [`codec`]: packets on the wire, MQTT 3.1, 3.1.1 and 5.0.
//! - [`topic`]: topic names, topic filters and matching.
//! - [`publication`]: a message on its way through the broker.
//! - [`fanout`]: one publication, encoded once for many subscribers.
//! - [`session`]: what outlives a connection: inflight windows, queues, packet identifiers.
//! - [`topic_alias`]: numbers that stand for topic names on one connection.

pub mod codec;
pub mod fanout;
pub mod publication;
pub mod session;
pub mod topic;
pub mod topic_alias;
