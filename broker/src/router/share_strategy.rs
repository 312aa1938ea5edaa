//! Which member of a share group gets a message.
//!
//! The strategies that keep a member give every member a number made of its name and the key (the
//! group, the publisher or the topic), and take the highest ("highest random weight"). So they need no
//! memory, all nodes agree, and when a member leaves only what was its own moves.

use super::GroupMember;
use raftmq_store::table::NodeId;
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// See the variants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareStrategy {
    /// Any member.
    Random,
    /// One after the other.
    #[default]
    RoundRobin,
    /// Members on the publisher's node, one after the other; others only if there are none.
    LocalFirst,
    /// One member gets everything for as long as it is connected.
    Sticky,
    /// All messages of one publisher go to one member.
    HashClientid,
    /// All messages on one topic go to one member.
    HashTopic,
}

/// What a choice may depend on.
pub struct Choice<'a> {
    /// Counts the choices made for this topic.
    pub turn: usize,
    /// The publisher's node.
    pub node: NodeId,
    /// Share name.
    pub share: &'a str,
    /// The publisher's client identifier.
    pub publisher: &'a str,
    /// The topic name.
    pub topic: &'a str,
}

impl ShareStrategy {
    /// The member that gets the message; `None` only when there are none.
    pub fn choose<'m>(
        self,
        members: &'m [GroupMember],
        choice: &Choice<'_>,
    ) -> Option<&'m GroupMember> {
        if let [only] = members {
            return Some(only);
        }
        match self {
            ShareStrategy::Random => members.get(rand::random_range(0..members.len().max(1))),
            ShareStrategy::RoundRobin => members.get(choice.turn % members.len().max(1)),
            ShareStrategy::LocalFirst => local_first(members, choice),
            ShareStrategy::Sticky => heaviest(members, choice.share),
            ShareStrategy::HashClientid => heaviest(members, choice.publisher),
            ShareStrategy::HashTopic => heaviest(members, choice.topic),
        }
    }
}

fn local_first<'m>(members: &'m [GroupMember], choice: &Choice<'_>) -> Option<&'m GroupMember> {
    let is_local = |member: &&GroupMember| member.node == choice.node;
    let count = members.iter().filter(is_local).count();
    if count == 0 {
        return members.get(choice.turn % members.len().max(1));
    }
    members.iter().filter(is_local).nth(choice.turn % count)
}

fn heaviest<'m>(members: &'m [GroupMember], key: &str) -> Option<&'m GroupMember> {
    members.iter().max_by_key(|member| {
        let mut hasher = rustc_hash::FxHasher::default();
        (key, &*member.client_id).hash(&mut hasher);
        // The lower bits of this hash alone are not well mixed.
        (
            hasher
                .finish()
                .rotate_left(26)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15),
            &member.client_id,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn members(count: u64) -> Vec<GroupMember> {
        (0..count)
            .map(|number| GroupMember {
                client_id: format!("member-{number}").into(),
                node: (1 + number % 3).into(),
                options: 1,
                subscription_id: 0,
            })
            .collect()
    }

    fn choice<'a>(turn: usize, publisher: &'a str, topic: &'a str) -> Choice<'a> {
        Choice {
            turn,
            node: 2.into(),
            share: "group",
            publisher,
            topic,
        }
    }

    #[test]
    fn round_robin_takes_one_after_the_other() {
        let members = members(3);
        let chosen: Vec<_> = (0..6)
            .filter_map(|turn| ShareStrategy::RoundRobin.choose(&members, &choice(turn, "p", "t")))
            .map(|member| member.client_id.to_string())
            .collect();
        assert_eq!(&chosen[..3], &chosen[3..]);
        assert_eq!(
            chosen[..3]
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            3
        );
    }

    #[test]
    fn local_first_leaves_the_node_only_when_it_has_no_member() {
        let members = members(6);
        for turn in 0..10 {
            let chosen = ShareStrategy::LocalFirst.choose(&members, &choice(turn, "p", "t"));
            assert_eq!(chosen.map(|member| member.node), Some(2.into()));
        }
        let remote: Vec<_> = members.into_iter().filter(|m| m.node != 2.into()).collect();
        let chosen = ShareStrategy::LocalFirst.choose(&remote, &choice(0, "p", "t"));
        assert!(chosen.is_some());
    }

    #[test]
    fn a_key_keeps_its_member_when_another_one_leaves() {
        let all = members(10);
        let topics: Vec<String> = (0..200).map(|number| format!("topic/{number}")).collect();
        let of = |members: &[GroupMember], topic: &str| {
            let chosen = ShareStrategy::HashTopic.choose(members, &choice(0, "p", topic));
            chosen.map(|member| member.client_id.clone())
        };
        let leaver = all[3].client_id.clone();
        let fewer: Vec<_> = all
            .iter()
            .filter(|m| m.client_id != leaver)
            .cloned()
            .collect();
        let mut shares = BTreeMap::new();
        for topic in &topics {
            let before = of(&all, topic);
            *shares.entry(before.clone()).or_insert(0) += 1;
            if before.as_deref() != Some(&*leaver) {
                assert_eq!(of(&fewer, topic), before, "{topic}");
            }
        }
        assert_eq!(shares.len(), 10, "every member has a share: {shares:?}");
    }

    #[test]
    fn sticky_takes_one_member_for_all_publishers_and_topics() {
        let members = members(5);
        let first = ShareStrategy::Sticky.choose(&members, &choice(0, "p", "t"));
        let other = ShareStrategy::Sticky.choose(&members, &choice(7, "q", "u"));
        assert_eq!(first.map(|m| &m.client_id), other.map(|m| &m.client_id));
    }
}
