//! The one batch of this node that is under way.

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Answer;
use crate::error::ProposeError;
use crate::table::Outcome;

/// A slot: empty, or the batch whose outcomes this node's next applies may bring.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    slot: Mutex<Option<UnderWay>>,
}

#[derive(Debug)]
struct UnderWay {
    incarnation: u64,
    first_seq: u64,
    answers: Vec<Answer>,
    done: oneshot::Sender<()>,
}

impl InFlight {
    /// Takes a batch in; the receiver resolves when the batch has left the slot, one way or another.
    pub(crate) fn begin(
        &self,
        incarnation: u64,
        first_seq: u64,
        answers: Vec<Answer>,
    ) -> oneshot::Receiver<()> {
        let (done, left) = oneshot::channel();
        *self.slot.lock() = Some(UnderWay {
            incarnation,
            first_seq,
            answers,
            done,
        });
        left
    }

    /// The batch was applied: its answers with their outcomes. Empty when it is not the one under way.
    pub(crate) fn complete(
        &self,
        incarnation: u64,
        first_seq: u64,
        outcomes: Vec<Outcome>,
    ) -> Vec<(Answer, Outcome)> {
        let mut slot = self.slot.lock();
        let matches = |batch: &UnderWay| {
            (batch.incarnation, batch.first_seq) == (incarnation, first_seq)
                && batch.answers.len() == outcomes.len()
        };
        match slot.take_if(|batch| matches(batch)) {
            Some(batch) => {
                let _ = batch.done.send(());
                batch.answers.into_iter().zip(outcomes).collect()
            }
            None => Vec::new(),
        }
    }

    /// Ends the batch, if there is one, with an error.
    pub(crate) fn fail(&self, error: &ProposeError) {
        let Some(batch) = self.slot.lock().take() else {
            return;
        };
        for answer in batch.answers {
            answer.give(Err(error.clone()));
        }
        let _ = batch.done.send(());
    }
}
