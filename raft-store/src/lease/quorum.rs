//! When a quorum last acknowledged this node as the leader.
//!
//! openraft's own figure is rounded and as old as its last report; a lease needs one that errs on the
//! safe side. Here counts when a request was *sent* whose answer accepted the sender as leader: the
//! voter that answered refuses its vote to others for `election_max` after that (openraft's leader
//! lease), so until then nobody else has been elected.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use crate::clock::Moment;

/// Latest acknowledgement of each voter, by Raft id, with the term that it acknowledged.
#[derive(Debug, Default)]
pub(crate) struct QuorumContact {
    acks: Mutex<BTreeMap<u64, (u64, Moment)>>,
}

impl QuorumContact {
    pub(crate) fn acknowledged(&self, voter: u64, term: u64, sent: Moment) {
        let mut acks = self.acks.lock();
        let latest = acks.entry(voter).or_insert((term, sent));
        *latest = (*latest).max((term, sent));
    }

    /// When this node, leader in `term`, sent the requests with which it last reached a majority of
    /// every set of voters. `None`: not yet in this term.
    pub(crate) fn last(
        &self,
        own: u64,
        term: u64,
        configs: &[BTreeSet<u64>],
        now: Moment,
    ) -> Option<Moment> {
        let acks = self.acks.lock();
        let sent = |voter: &u64| match acks.get(voter) {
            _ if *voter == own => Some(now),
            Some((acked_term, sent)) if *acked_term == term => Some(*sent),
            _ => None,
        };
        configs
            .iter()
            .map(|voters| majority(voters.iter().map(sent).collect()))
            .min()
            .flatten()
    }

    /// When that peer last acknowledged this node as leader.
    pub(crate) fn last_of(&self, voter: u64) -> Option<Moment> {
        self.acks.lock().get(&voter).map(|(_, sent)| *sent)
    }
}

/// The latest moment that a majority has reached.
fn majority(mut sent: Vec<Option<Moment>>) -> Option<Moment> {
    sent.sort_unstable_by(|a, b| b.cmp(a));
    sent.get(sent.len() / 2).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn the_second_latest_of_three_counts() {
        let contact = QuorumContact::default();
        let voters = [BTreeSet::from([1, 2, 3])];
        assert_eq!(contact.last(1, 4, &voters, at(90)), None);
        contact.acknowledged(2, 4, at(50));
        contact.acknowledged(3, 4, at(60));
        assert_eq!(contact.last(1, 4, &voters, at(90)), Some(at(60)));
        contact.acknowledged(2, 4, at(70));
        assert_eq!(contact.last(1, 4, &voters, at(90)), Some(at(70)));
    }

    #[test]
    fn an_acknowledgement_of_another_term_does_not_count() {
        let contact = QuorumContact::default();
        contact.acknowledged(2, 4, at(50));
        let voters = [BTreeSet::from([1, 2, 3])];
        assert_eq!(contact.last(1, 5, &voters, at(90)), None);
    }

    #[test]
    fn a_late_answer_does_not_move_the_moment_back() {
        let contact = QuorumContact::default();
        contact.acknowledged(2, 4, at(50));
        contact.acknowledged(2, 4, at(40));
        assert_eq!(contact.last_of(2), Some(at(50)));
    }

    #[test]
    fn every_set_of_a_joint_membership_has_to_be_reached() {
        let contact = QuorumContact::default();
        let voters = [BTreeSet::from([1, 2, 3]), BTreeSet::from([3, 4, 5])];
        contact.acknowledged(2, 4, at(50));
        assert_eq!(contact.last(1, 4, &voters, at(90)), None);
        contact.acknowledged(4, 4, at(30));
        contact.acknowledged(5, 4, at(20));
        assert_eq!(contact.last(1, 4, &voters, at(90)), Some(at(20)));
    }

    #[test]
    fn a_single_voter_is_its_own_quorum() {
        let contact = QuorumContact::default();
        assert_eq!(
            contact.last(1, 4, &[BTreeSet::from([1])], at(90)),
            Some(at(90))
        );
    }
}
