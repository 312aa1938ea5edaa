//! What MQTT 5 has beyond 3.1.1, in bytes, with publisher and subscriber on different nodes.

mod aliases;
mod endings;
mod granted;
mod queues;
mod scram;
mod wire;
