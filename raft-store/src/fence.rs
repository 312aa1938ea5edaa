//! The fence: a proposal is answered only when every node that is up has applied it.
//!
//! "Up" is what the table of this node says after it applied the proposal's entry. A node that starts
//! later serves only after it applied its own `NodeUp`, which comes later in the log; a node that
//! cannot apply loses its lease before the leader declares it down. So whoever serves when the answer
//! arrives has applied the entry: subscribed means subscribed everywhere.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::batcher::Answer;
use crate::error::ProposeError;
use crate::progress::Progress;
use crate::table::Outcome;

/// Answers that wait for the other nodes.
pub(crate) struct Fence {
    progress: Arc<Progress>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// The other nodes that the table shows as up.
    up: BTreeSet<u64>,
    /// In the order of their log indexes.
    answers: VecDeque<(u64, Answer, Outcome)>,
}

impl Fence {
    pub(crate) fn new(progress: Arc<Progress>) -> Self {
        Self {
            progress,
            waiting: Mutex::default(),
        }
    }

    /// Holds back the outcome of a command that this node has applied at `index`.
    pub(crate) fn hold(&self, index: u64, answers: impl IntoIterator<Item = (Answer, Outcome)>) {
        let mut waiting = self.waiting.lock();
        waiting.answers.extend(
            answers
                .into_iter()
                .map(|(answer, outcome)| (index, answer, outcome)),
        );
    }

    /// The nodes beside this one that are up have changed.
    pub(crate) fn set_up(&self, up: BTreeSet<u64>) {
        self.waiting.lock().up = up;
        self.advance();
    }

    /// Gives the answers that nobody has to be waited for any more.
    pub(crate) fn advance(&self) {
        let mut passed = Vec::new();
        {
            let mut waiting = self.waiting.lock();
            if waiting.answers.is_empty() {
                return;
            }
            let floor = self.progress.floor(&waiting.up);
            while waiting
                .answers
                .front()
                .is_some_and(|(index, ..)| *index <= floor)
            {
                passed.extend(waiting.answers.pop_front());
            }
        }
        for (_, answer, outcome) in passed {
            answer.give(Ok(outcome));
        }
    }

    /// Gives up on answers whose time is over.
    pub(crate) fn expire(&self, now: Instant) {
        let late: VecDeque<_> = {
            let mut waiting = self.waiting.lock();
            let (late, rest) = waiting
                .answers
                .drain(..)
                .partition(|(_, answer, _)| answer.deadline() <= now);
            waiting.answers = rest;
            late
        };
        for (_, answer, _) in late {
            answer.give(Err(ProposeError::TimedOut));
        }
    }

    /// Ends all waiting.
    pub(crate) fn fail(&self, error: &ProposeError) {
        let answers = std::mem::take(&mut self.waiting.lock().answers);
        for (_, answer, _) in answers {
            answer.give(Err(error.clone()));
        }
    }
}
