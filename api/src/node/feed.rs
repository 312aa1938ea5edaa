//! The events of a node on their way to another: batches, and a sign of life when there are none.
//!
//! A node that is cut off or stands still sends no end of the stream. So one that has nothing to tell
//! says that, and one that says nothing for long is taken for lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use raftmq_proto::v1;
use tonic::{Status, Streaming};

use super::NodeError;
use crate::event::{Event, EventFeed, Told};

/// How often a node without events says that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// The shortest silence after which a node is taken for lost, whatever the deadline of questions.
const SILENCE_MIN: Duration = Duration::from_secs(3);
/// Events of one message.
const BATCH_EVENTS: usize = 64;

/// What a node sends to the peer that listens.
pub(super) fn to_peer(feed: EventFeed) -> BoxStream<'static, Result<v1::EventsReply, Status>> {
    let batches = Box::pin(feed.ready_chunks(BATCH_EVENTS));
    let replies = stream::unfold(batches, async |mut batches| {
        let reply = match tokio::time::timeout(SIGN_OF_LIFE, batches.next()).await {
            Err(_) => Ok(v1::EventsReply::default()),
            Ok(Some(batch)) => reply(batch),
            Ok(None) => return None,
        };
        Some((reply, batches))
    });
    Box::pin(replies)
}

fn reply(batch: Vec<Result<Told, NodeError>>) -> Result<v1::EventsReply, Status> {
    let mut reply = v1::EventsReply::default();
    for told in batch {
        match told.map_err(|error| Status::unavailable(error.to_string()))? {
            Told::Event(event) => reply.events.push(event.as_ref().into()),
            Told::Skipped(count) => reply.skipped += count,
        }
    }
    Ok(reply)
}

/// What arrives from a peer; `peer` names it in errors, `deadline` is that of questions.
pub(super) fn from_peer(
    replies: Streaming<v1::EventsReply>,
    peer: String,
    deadline: Duration,
) -> EventFeed {
    let arriving = Arriving {
        replies,
        peer,
        silence_max: deadline.max(SILENCE_MIN),
        waiting: VecDeque::new(),
    };
    let told = stream::try_unfold(arriving, async |mut arriving| {
        let told = arriving.next().await?;
        Ok(Some((told, arriving)))
    });
    Box::pin(told)
}

struct Arriving {
    replies: Streaming<v1::EventsReply>,
    peer: String,
    silence_max: Duration,
    /// The rest of one message.
    waiting: VecDeque<Told>,
}

impl Arriving {
    async fn next(&mut self) -> Result<Told, NodeError> {
        loop {
            if let Some(told) = self.waiting.pop_front() {
                return Ok(told);
            }
            let arrived = tokio::time::timeout(self.silence_max, self.replies.message()).await;
            match arrived {
                Ok(Ok(Some(reply))) => self.waiting = unpack(reply),
                Ok(Ok(None)) => return Err(self.lost("it ended the stream of its events")),
                Ok(Err(status)) => return Err(self.lost(status.message())),
                Err(_) => return Err(self.lost("it has been silent for too long")),
            }
        }
    }

    fn lost(&self, why: &str) -> NodeError {
        NodeError::Unreachable(format!("{}: {why}", self.peer))
    }
}

fn unpack(reply: v1::EventsReply) -> VecDeque<Told> {
    let mut skipped = reply.skipped;
    let mut told = VecDeque::with_capacity(reply.events.len() + 1);
    for row in reply.events {
        match Event::from_wire(row) {
            Some(event) => told.push_back(Told::Event(Arc::new(event))),
            None => skipped += 1,
        }
    }
    if skipped > 0 {
        told.push_back(Told::Skipped(skipped));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_an_unknown_kind_is_counted_as_skipped() {
        let reply = v1::EventsReply {
            events: vec![v1::EventRow::default()],
            skipped: 2,
        };
        assert_eq!(unpack(reply), [Told::Skipped(3)]);
    }

    #[test]
    fn a_sign_of_life_tells_nothing() {
        assert!(unpack(v1::EventsReply::default()).is_empty());
    }
}
