//! What is heard as the lines of an event stream: at most so many events a second, the count of the
//! rest, and a comment when there is nothing to say.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream, Stream};
use schemars::JsonSchema;
use serde::Serialize;

use super::sources::Heard;
use crate::event::{Budget, Row, Told};

/// Events per second of one listener, from all nodes together.
const EVENTS_PER_SECOND: u32 = 1_000;
/// How long after events were left out that is told at the latest.
const SKIPPED_TOLD_AFTER: Duration = Duration::from_secs(1);
/// A comment (WHATWG HTML §9.2.6): readers ignore it, proxies see that the connection lives.
const COMMENT: &str = ": nothing happened\n\n";

/// The data of an event.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "TailData")]
#[expect(
    dead_code,
    reason = "it names the shapes for the description; each is written by itself"
)]
pub(super) enum TailData<'a> {
    Event(Row<'a>),
    Skipped(Skipped),
    NodeState(NodeState<'a>),
}

/// Events that were left out.
#[derive(Serialize, JsonSchema)]
pub(super) struct Skipped {
    event: &'static str,
    count: u64,
}

/// Whether a node's events come: `listening` or `unreachable`.
#[derive(Serialize, JsonSchema)]
pub(super) struct NodeState<'a> {
    event: &'static str,
    node_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Writes what is heard.
pub(super) struct Lines {
    heard: BoxStream<'static, Heard>,
    heartbeat: Duration,
    started: Instant,
    budget: Budget,
    /// Left out and not told yet.
    skipped: u64,
}

impl Lines {
    pub(super) fn new(heard: BoxStream<'static, Heard>, heartbeat: Duration) -> Self {
        Self {
            heard,
            heartbeat,
            started: Instant::now(),
            budget: Budget::new(EVENTS_PER_SECOND),
            skipped: 0,
        }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, async |mut lines| {
            let next = lines.next().await?;
            Some((Bytes::from(next), lines))
        })
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            let patience = match self.skipped {
                0 => self.heartbeat,
                _ => SKIPPED_TOLD_AFTER,
            };
            match tokio::time::timeout(patience, self.heard.next()).await {
                Ok(None) => return None,
                Ok(Some(heard)) => {
                    let now_ms = u64::try_from(self.started.elapsed().as_millis());
                    if let Some(text) = self.write(&heard, now_ms.unwrap_or(u64::MAX)) {
                        return Some(text);
                    }
                }
                Err(_) if self.skipped > 0 => return Some(self.tell_skipped()),
                Err(_) => return Some(COMMENT.to_owned()),
            }
        }
    }

    /// `None`: nothing to be written now.
    fn write(&mut self, heard: &Heard, now_ms: u64) -> Option<String> {
        match heard {
            Heard::Told(Told::Skipped(count)) => {
                self.skipped += count;
                None
            }
            Heard::Told(Told::Event(event)) => {
                if !self.budget.take(now_ms) {
                    self.skipped += 1;
                    return None;
                }
                let mut text = self.tell_skipped();
                text += &line(event.kind.name().as_str(), event.as_ref());
                Some(text)
            }
            Heard::Listening { node_id } => Some(node_state("listening", *node_id, None)),
            Heard::Unreachable { node_id, error } => {
                Some(node_state("unreachable", *node_id, Some(error)))
            }
        }
    }

    /// Empty when nothing was left out.
    fn tell_skipped(&mut self) -> String {
        let event = "skipped";
        match std::mem::take(&mut self.skipped) {
            0 => String::new(),
            count => line(event, &Skipped { event, count }),
        }
    }
}

fn node_state(event: &'static str, node_id: u64, error: Option<&str>) -> String {
    let state = NodeState {
        event,
        node_id,
        error,
    };
    line(event, &state)
}

/// JSON has no line breaks outside of its strings, and in them they are escaped: one `data` line.
fn line(event: &str, data: &impl Serialize) -> String {
    match serde_json::to_string(data) {
        Ok(json) => format!("event: {event}\ndata: {json}\n\n"),
        Err(error) => {
            tracing::error!(%error, event, "an event could not be written as JSON");
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventClient, EventKind};
    use std::sync::Arc;

    fn lines() -> Lines {
        Lines::new(Box::pin(stream::empty()), Duration::from_secs(15))
    }

    fn event(client_id: &str) -> Heard {
        let client = EventClient {
            client_id: client_id.into(),
            username: None,
            peer: Some(([10, 0, 0, 9], 1_234).into()),
        };
        let kind = EventKind::Disconnected {
            reason: "gone".into(),
            reason_code: None,
        };
        Heard::Told(Told::Event(Arc::new(Event {
            node_id: 2,
            at_ms: 0,
            client,
            kind,
        })))
    }

    #[test]
    fn an_event_is_its_name_and_one_line_of_json() {
        let text = lines().write(&event("a\nb"), 0).unwrap();
        assert_eq!(
            text,
            "event: disconnected\ndata: {\"event\":\"disconnected\",\"node_id\":2,\"at_ms\":0,\"at\":\"\",\
             \"clientid\":\"a\\nb\",\"ip_address\":\"10.0.0.9\",\"port\":1234,\"reason\":\"gone\"}\n\n"
        );
    }

    #[test]
    fn beyond_the_rate_events_are_counted_and_told_with_the_next_that_fits() {
        let mut lines = lines();
        let written = (0..1_005).filter_map(|_| lines.write(&event("c"), 999));
        assert_eq!(written.count(), 1_000);
        let text = lines.write(&event("next"), 1_000).unwrap();
        let skipped =
            "event: skipped\ndata: {\"event\":\"skipped\",\"count\":5}\n\nevent: disconnected";
        assert!(text.starts_with(skipped), "{text}");
    }

    #[test]
    fn what_the_nodes_left_out_is_added_up() {
        let mut lines = lines();
        for count in [2, 3] {
            assert_eq!(lines.write(&Heard::Told(Told::Skipped(count)), 0), None);
        }
        assert!(lines.tell_skipped().contains("\"count\":5"));
        assert_eq!(lines.tell_skipped(), "");
    }
}
