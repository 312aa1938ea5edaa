use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                Self(number)
            }
        }

        impl From<$name> for u64 {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// Number of a node in the cluster.
    NodeId
}

id! {
    /// A life of a node; later lives have higher numbers.
    Incarnation
}

id! {
    /// A claim of a client identifier; later claims have higher numbers: the index of the log entry
    /// and the place of the command in it.
    Epoch
}

/// Bits of an epoch that hold the place in the entry: more commands than an entry may have.
const PLACE_BITS: u32 = 12;

impl Epoch {
    /// Index of the log entry that made the claim.
    pub fn index(self) -> u64 {
        self.0 >> PLACE_BITS
    }

    pub(super) fn new(index: u64, place: usize) -> Epoch {
        debug_assert!(
            place < 1 << PLACE_BITS,
            "an entry has at most 1,024 commands"
        );
        Epoch(index << PLACE_BITS | place as u64)
    }
}
