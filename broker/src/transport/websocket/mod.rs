//! MQTT over WebSocket (MQTT 5 §6): the opening handshake and the frames, without a socket.
//!
//! Written here, and not taken from a library: what there is keeps buffers for each connection and copies every
//! message, where MQTT wants a stream that is decoded in the shard's one buffer.

pub(crate) mod frame;
pub(crate) mod upgrade;

pub(crate) use frame::{Control, Decoder};
