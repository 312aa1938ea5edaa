//! The leader's side of the leases: what it lends to whom, and who has fallen silent.
//!
//! A new leader does not know what its predecessors lent. Their leases end at the latest `lease` after
//! a quorum last acknowledged them, and since every voter of that quorum refuses other candidates for
//! `election_max` after that, at most `lease - election_max` after the election. A process that comes
//! back as leader of the same term, without an election, waits for the whole `lease`.
//!
//! Nothing is lent before all entries are applied that the log held when the term was noticed: one of
//! them may declare a node down.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Moment;
use crate::config::Timing;

/// A life of a node: (node id, incarnation).
pub(crate) type LifeId = (u64, u64);

/// What a leader knows in one term. Dropped when the term ends.
#[derive(Debug)]
pub(crate) struct Grantor {
    pub(crate) term: u64,
    /// Before this moment leases of earlier leaders may last.
    silence_counts_from: Moment,
    /// Index that has to be applied before anything is lent.
    barrier: u64,
    /// When all that was lent to a life ends.
    lent_until: BTreeMap<LifeId, Moment>,
    /// Lives that were given up in this term; they get nothing any more.
    condemned: BTreeMap<LifeId, Moment>,
    /// This node's applied index over the last while, oldest first.
    applied: VecDeque<(Moment, u64)>,
}

impl Grantor {
    /// `started` is when the process started, `noticed` when it found itself leader of `term`, whose
    /// log then ended at `last_log_index`.
    pub(crate) fn new(
        term: u64,
        started: Moment,
        noticed: Moment,
        last_log_index: u64,
        timing: &Timing,
    ) -> Self {
        let after_election = noticed + timing.lease.saturating_sub(timing.election_max);
        let after_start = started + timing.lease;
        Self {
            term,
            silence_counts_from: after_election.max(after_start) + timing.lease_margin,
            barrier: last_log_index,
            lent_until: BTreeMap::new(),
            condemned: BTreeMap::new(),
            applied: VecDeque::new(),
        }
    }

    /// Notes how far this node has applied, to know later how far it was.
    pub(crate) fn note_applied(&mut self, now: Moment, applied: u64, timing: &Timing) {
        self.applied.push_back((now, applied));
        while self
            .applied
            .get(1)
            .is_some_and(|(at, _)| now.since(*at) >= timing.apply_lag)
        {
            self.applied.pop_front();
        }
    }

    /// Lends time to a life that the table shows as up. `quorum` is when a quorum was last reached.
    pub(crate) fn lend(
        &mut self,
        life: LifeId,
        applied: u64,
        own_applied: u64,
        quorum: Option<Moment>,
        now: Moment,
        timing: &Timing,
    ) -> Result<Duration, &'static str> {
        if own_applied < self.barrier {
            return Err("the leader has not applied the log of earlier terms yet");
        }
        if self.condemned.contains_key(&life) {
            return Err("this life of the node has been given up");
        }
        if self.lags(applied, now, timing) {
            return Err("the node is too far behind in applying the log");
        }
        let end = quorum.ok_or("the leader has not reached a quorum yet")? + timing.lease;
        let span = end.since(now);
        if span.is_zero() {
            return Err("the leader has lost contact with the quorum");
        }
        let lent = self.lent_until.entry(life).or_insert(end);
        *lent = end.max(*lent);
        Ok(span)
    }

    fn lags(&self, applied: u64, now: Moment, timing: &Timing) -> bool {
        let then = self
            .applied
            .iter()
            .take_while(|(at, _)| now.since(*at) >= timing.apply_lag)
            .last();
        then.is_some_and(|(_, index)| applied < *index)
    }

    /// Which of the lives that the table shows as up have no lease any more, from anybody. They are
    /// given up: nothing will be lent to them in this term.
    pub(crate) fn give_up_silent(
        &mut self,
        up: impl IntoIterator<Item = LifeId>,
        now: Moment,
        timing: &Timing,
    ) -> Vec<LifeId> {
        // A life that is seen for the first time gets a while to ask.
        let first = now + timing.lease.saturating_sub(timing.election_max);
        let mut silent = Vec::new();
        for life in up {
            let end = *self.lent_until.entry(life).or_insert(first);
            if now >= end + timing.lease_margin && now >= self.silence_counts_from {
                silent.push(life);
            }
        }
        let due = |life: &LifeId| {
            self.condemned
                .get(life)
                .is_none_or(|proposed| now.since(*proposed) >= timing.election_max)
        };
        let due: Vec<LifeId> = silent.into_iter().filter(due).collect();
        for life in &due {
            self.condemned.insert(*life, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: LifeId = (3, 7);

    fn ms(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn grantor(timing: &Timing) -> Grantor {
        Grantor::new(2, ms(0), ms(100_000), 10, timing)
    }

    #[test]
    fn nothing_is_lent_before_the_log_of_earlier_terms_is_applied() {
        let timing = Timing::default();
        let mut grantor = grantor(&timing);
        let now = ms(100_000);
        assert!(grantor.lend(X, 9, 9, Some(now), now, &timing).is_err());
        assert_eq!(
            grantor.lend(X, 10, 10, Some(now), now, &timing),
            Ok(timing.lease)
        );
    }

    #[test]
    fn the_span_shrinks_with_the_age_of_the_quorum() {
        let timing = Timing::default();
        let mut grantor = grantor(&timing);
        let lent = grantor.lend(X, 10, 10, Some(ms(100_000)), ms(100_400), &timing);
        assert_eq!(lent, Ok(Duration::from_millis(1100)));
        assert!(
            grantor
                .lend(X, 10, 10, Some(ms(100_000)), ms(101_500), &timing)
                .is_err()
        );
        assert!(grantor.lend(X, 10, 10, None, ms(100_400), &timing).is_err());
    }

    #[test]
    fn a_silent_life_is_given_up_only_when_all_it_may_hold_has_ended() {
        let timing = Timing::default();
        let mut grantor = grantor(&timing);
        assert!(
            grantor.give_up_silent([X], ms(100_000), &timing).is_empty(),
            "it has not had time to ask"
        );
        assert!(
            grantor.give_up_silent([X], ms(100_999), &timing).is_empty(),
            "an earlier leader may have lent"
        );
        assert_eq!(grantor.give_up_silent([X], ms(101_000), &timing), [X]);
    }

    #[test]
    fn a_life_that_was_lent_time_is_given_up_after_its_end_and_the_margin() {
        let timing = Timing::default();
        let mut grantor = grantor(&timing);
        assert!(
            grantor
                .lend(X, 10, 10, Some(ms(101_000)), ms(101_000), &timing)
                .is_ok()
        );
        assert!(grantor.give_up_silent([X], ms(102_599), &timing).is_empty());
        assert_eq!(grantor.give_up_silent([X], ms(102_600), &timing), [X]);
        let now = ms(102_602);
        assert!(
            grantor.lend(X, 10, 10, Some(now), now, &timing).is_err(),
            "what is given up stays given up"
        );
        assert!(
            grantor
                .lend((3, 8), 10, 10, Some(now), now, &timing)
                .is_ok(),
            "the next life is another one"
        );
    }

    #[test]
    fn a_process_that_comes_back_as_leader_waits_for_a_whole_lease() {
        let timing = Timing::default();
        let mut grantor = Grantor::new(2, ms(100_000), ms(100_010), 10, &timing);
        assert!(grantor.give_up_silent([X], ms(100_010), &timing).is_empty());
        assert!(grantor.give_up_silent([X], ms(101_599), &timing).is_empty());
        assert_eq!(grantor.give_up_silent([X], ms(101_600), &timing), [X]);
    }

    #[test]
    fn a_node_that_does_not_apply_gets_nothing() {
        let timing = Timing::default();
        let mut grantor = grantor(&timing);
        grantor.note_applied(ms(100_000), 10, &timing);
        grantor.note_applied(ms(100_100), 20, &timing);
        let now = ms(101_050);
        assert!(
            grantor.lend(X, 10, 20, Some(now), now, &timing).is_ok(),
            "it is less than the limit behind"
        );
        let now = ms(101_100);
        assert!(grantor.lend(X, 10, 20, Some(now), now, &timing).is_err());
        assert!(grantor.lend(X, 20, 20, Some(now), now, &timing).is_ok());
    }
}
