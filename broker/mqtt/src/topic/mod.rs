//! Topic names and topic filters (MQTT 5 §4.7, §4.8.2): which are valid, which match, and the two
//! trees that answer "which filters match this name" and "which names match this filter" without
//! looking at every one.
//!
//! A client chooses the names and filters, so everything here is bounded: a length in bytes, a
//! number of levels ([`LEVELS_MAX`]), and no recursion deeper than that.
//!
//! Knows nothing of sessions, nodes or permissions: the trees map strings to whatever the caller
//! keeps there.

mod delayed;
mod error;
mod matching;
mod node;
mod relation;
mod shared;
mod tree;
mod validate;

pub use delayed::{DELAY_SECONDS_MAX, DelayedName, DelayedNameError};
pub use error::TopicError;
pub use matching::matches;
pub use relation::{covers, overlaps};
pub use shared::{SharedFilter, validate_share_name};
pub use tree::{FilterTree, NameTree};
pub use validate::{LEVELS_MAX, TOPIC_BYTES_MAX, validate_filter, validate_name};

#[cfg(test)]
mod tests;
