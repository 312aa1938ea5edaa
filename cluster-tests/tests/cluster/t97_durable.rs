//! Acknowledged means kept (G3): queues, messages under way and packet identifiers survive kill -9.

mod by_listener;
mod kills;
mod moves;
mod one_node;
mod unreachable;
