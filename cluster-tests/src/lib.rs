//! A cluster of real `raftmq` processes, for tests that try to break its guarantees.
//!
//! The tests know of the broker only what a user knows: its command line, its settings, MQTT and
//! the HTTP API. So they hold for any implementation behind these, and what they prove they prove
//! of the program that is shipped.
//!
//! - [`Cluster`] starts the members, each a [`Node`] with its own data directory, log file and
//!   addresses; they end with the test, whatever ends the test.
//! - [`Link`]s stand between two nodes and can delay, cut and black-hole what they say.
//! - [`Client`] drives rumqttc (MQTT 3.1.1 and 5.0); [`RawClient`] speaks bytes, for what a
//!   decent client would never send and for exact timing.
//! - [`Browser`] is a headless Chromium, for what a person sees.
//! - [`eventually`] waits for a state by asking again until a deadline; nothing here sleeps for a
//!   fixed time in the hope that something has happened meanwhile.

mod address;
mod binary;
mod browser;
mod client;
mod cluster;
mod crowd;
mod hooks;
mod http;
mod members;
mod mosquitto;
mod node;
mod program;
mod proxy;
mod raw;
mod rows;
mod seed;
mod small_disk;
mod stream;
mod tail;
mod transports;
mod wait;
mod way;

pub use address::Loopback;
pub use binary::raftmq_binary;
pub use browser::{Browser, Page};
pub use client::{Acknowledged, Client, Closed, Connect, Filter, Message, Refused, Version, Will};
pub use cluster::{Cluster, Setup};
pub use crowd::Crowd;
pub use hooks::HookServer;
pub use http::{Answer, Http};
pub use members::{Roles, roles};
pub use mosquitto::Mosquitto;
pub use node::{Exit, Node};
pub use program::{Ran, program, run_program};
pub use proxy::{Link, LinkState};
pub use raw::{Frame, RawClient, Stream, packet};
pub use seed::Seed;
pub use small_disk::SmallDisk;
pub use stream::{NumberedStream, number_of, numbered};
pub use tail::Tail;
pub use transports::{Authority, Certificate, over_quic, over_tls, over_websocket, stream_of};
pub use wait::{eventually, within};
pub use way::{Way, percentiles};

/// The deadline for what a healthy cluster does at once; long, because a test machine may be busy.
pub const SOON: std::time::Duration = std::time::Duration::from_secs(10);

/// The deadline for a start, a restart or healing.
pub const START: std::time::Duration = std::time::Duration::from_secs(30);

/// How long writes may stand still after the leader was killed.
pub const FAILOVER: std::time::Duration = std::time::Duration::from_secs(3);
