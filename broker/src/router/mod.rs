//! Where a publication goes: the replicated table, read and remembered per topic.
//!
//! A publish never asks anybody: the table is in memory. [`TopicCache`] keeps what the table said for a
//! topic until a change of the table touches it, so that the usual publish costs one hash look-up.

mod cache;
mod destinations;
mod explain;
mod share_strategy;

pub use cache::TopicCache;
pub use destinations::{
    Destinations, GroupMember, LeftSubscriber, Lifetime, LocalSubscriber, Resolver, ShardSet,
    ShareGroup,
};
pub use explain::{DryRun, Explained, ExplainedGroup, Explanation, explain};
pub use share_strategy::{Choice, ShareStrategy};
