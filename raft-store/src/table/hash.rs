//! Comparing tables: one number for all that a table holds.
//!
//! Each record is hashed by itself and the hashes are added up. So the number depends on the content
//! alone: neither on the order in which it came about, nor on how this version lays it out in memory.
//! It tells tables apart that have drifted; it is no protection against somebody who makes them collide.

use super::{Frozen, Table};

/// FNV-1a, 64 bits.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

impl Table {
    /// A number that is the same exactly when two tables are the same (but for collisions). Looks at
    /// everything.
    pub fn hash(&self) -> u64 {
        self.freeze().hash()
    }
}

impl Frozen {
    /// The number of [`Table::hash`]. Takes time in proportion to the table; nobody waits for it.
    pub fn hash(&self) -> u64 {
        let mut sum: u64 = 0;
        self.for_each_record(|kind, record| sum = sum.wrapping_add(record_hash(kind, record)));
        sum
    }
}

fn record_hash(kind: u8, record: &[u8]) -> u64 {
    let bytes = std::iter::once(&kind).chain(record);
    let hash = bytes.fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    });
    spread(hash)
}

/// Lets every bit depend on every other, so that sums of similar records do not cancel out.
fn spread(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ hash >> 29).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use raftmq_proto::v1::{
        Batch, Checkpoint, ClaimSession, Entry, Message, NodeUp, Op, SetRetained, Subscribe,
        Subscription, op::Kind,
    };

    use super::*;

    fn table(kinds: Vec<Kind>) -> Table {
        let up = Kind::NodeUp(NodeUp {
            node_id: 1,
            incarnation: 1,
            ..Default::default()
        });
        let mut table = Table::new();
        for (at, kind) in std::iter::once(up).chain(kinds).enumerate() {
            let batch = Batch {
                node_id: 1,
                incarnation: 1,
                first_seq: at as u64 + 1,
                ops: vec![Op { kind: Some(kind) }],
            };
            let batches = vec![batch];
            table.apply(at as u64 + 1, &Entry { batches });
        }
        table
    }

    fn claim() -> Kind {
        Kind::ClaimSession(ClaimSession {
            client_id: "c".into(),
            node_id: 1,
            ..Default::default()
        })
    }

    /// The claim is the command at index 2.
    fn subscribe(filter: &str, options: u32) -> Kind {
        Kind::Subscribe(Subscribe {
            client_id: "c".into(),
            epoch: super::super::Epoch::new(2, 0).into(),
            subscriptions: vec![Subscription {
                filter: filter.into(),
                options,
                ..Default::default()
            }],
            ..Default::default()
        })
    }

    fn retain(topic: &str) -> Kind {
        Kind::SetRetained(SetRetained {
            message: Some(Message {
                topic: topic.into(),
                payload: "x".into(),
                ..Default::default()
            }),
        })
    }

    #[test]
    fn the_order_in_which_the_same_state_came_about_does_not_show() {
        let forth = vec![
            claim(),
            subscribe("a", 1),
            subscribe("b", 2),
            retain("t"),
            retain("u"),
        ];
        let back = vec![
            claim(),
            subscribe("b", 2),
            subscribe("a", 1),
            retain("u"),
            retain("t"),
        ];
        assert_eq!(table(forth).hash(), table(back).hash());
    }

    #[test]
    fn every_difference_shows() {
        let base = [claim(), subscribe("a", 1), retain("t")];
        let others = [
            [claim(), subscribe("a", 2), retain("t")],
            [claim(), subscribe("b", 1), retain("t")],
            [claim(), subscribe("a", 1), retain("u")],
            [claim(), subscribe("a", 1), subscribe("t", 1)],
        ];
        let hash = table(base.to_vec()).hash();
        for other in others {
            assert_ne!(table(other.to_vec()).hash(), hash, "{other:?}");
        }
    }

    #[test]
    fn the_index_is_part_of_what_is_compared() {
        let mut later = table(vec![claim()]);
        let before = later.hash();
        later.apply(9, &Entry::default());
        assert_ne!(later.hash(), before);
    }

    #[test]
    fn a_checkpoint_tells_its_index_and_changes_nothing_but_its_own_traces() {
        let mut table = table(vec![claim(), subscribe("a", 1)]);
        let (sessions, routes) = (table.session("c").cloned(), table.counts(1.into()));
        let batch = Batch {
            node_id: 1,
            incarnation: 1,
            first_seq: 4,
            ops: vec![Op {
                kind: Some(Kind::Checkpoint(Checkpoint {})),
            }],
        };
        let batches = vec![batch];
        let applied = table.apply(7, &Entry { batches });
        let outcome = super::super::Outcome::Checkpoint { index: 7 };
        assert_eq!(applied.outcomes, [vec![outcome]]);
        assert!(applied.events.is_empty());
        assert_eq!(table.session("c").cloned(), sessions);
        assert_eq!(table.counts(1.into()), routes);
    }
}
