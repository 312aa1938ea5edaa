//! The counters of a node: what `GET /metrics` and `GET /stats` show.
//!
//! A [`Metric`] only grows and starts at 0 with the process. A [`Stat`] is a gauge with the highest
//! value it ever had in this life of the node. Both are plain arrays indexed by an enum, so that
//! counting is one addition; the names of RMQTT's HTTP API are attached here and nowhere else.
//! Between nodes they travel by name, because nodes may run different versions.
//!
//! This module does not count anything itself.

mod history;
mod metric;
mod schema;
mod stat;

pub use history::{FINE_MS, FINE_REACH_MS, History, Sample, merge, window_ms};
pub use metric::{Metric, Metrics};
pub use stat::{Stat, Stats, Summation};

/// Declares an enum whose variants are indices of an array, each with its name.
macro_rules! named_indices {
    ($(#[$doc:meta])* $enum:ident { $($(#[doc = $variant_doc:literal])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum $enum {
            $($(#[doc = $variant_doc])* #[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl $enum {
            /// All of them, in the order in which they are sent.
            pub const ALL: &[$enum] = &[$($enum::$variant,)*];
            /// How many there are: the length of an array indexed by `as usize`.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in the HTTP API.
            pub const fn name(self) -> &'static str {
                match self { $($enum::$variant => $name,)* }
            }

            /// What it counts, in words.
            pub(crate) const fn meaning(self) -> &'static str {
                match self { $($enum::$variant => concat!($($variant_doc),*),)* }
            }
        }
    };
}
use named_indices;
