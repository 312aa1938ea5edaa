//! The normative statements of MQTT 5.0 and 3.1.1 against a real broker, byte by byte. Each test carries the ids
//! that it shows; where a publisher and a subscriber take part, they are on different nodes.

mod bytes;
mod connect;
mod delivery;
mod limits;
mod qos;
mod retained;
mod sessions;
mod shared;
mod subscribe;
mod talk;
mod wills;
