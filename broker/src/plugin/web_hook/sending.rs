//! Requests, and what is done when they fail.

use super::{
    outbox::{Outbox, Outcome},
    rules::Target,
    service::Service,
    settings::{DeliverySettings, Method},
};
use crate::plugin::outgoing::{self, Connections};
use bytes::Bytes;
use reqwest::{Client, RequestBuilder, Url, header::CONTENT_TYPE};
use serde_json::{Map, Value};
use std::{fs::OpenOptions, io::Write, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::Instant};

/// The first pause before a request is repeated; later ones are `retry_multiplier` times the one before.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Connections that are kept open without a request.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// How long they are kept.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read, so that its connection can be used again; nobody looks at them.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How requests are sent now; another one takes its place when the settings change.
pub(super) struct Sending {
    pub settings: Arc<DeliverySettings>,
    client: Client,
    turns: Semaphore,
}

impl Sending {
    /// By these settings.
    ///
    /// # Errors
    /// There is no HTTP client to be had.
    pub fn new(settings: Arc<DeliverySettings>) -> Result<Sending, String> {
        let client = outgoing::client(&Connections {
            headers: settings.headers.clone(),
            timeout: settings.timeout,
            idle_max: IDLE_CONNECTIONS_MAX,
            idle_time_max: IDLE_TIME_MAX,
            trust: settings.trust.clone(),
        })?;
        Ok(Sending {
            turns: Semaphore::new(settings.requests_max),
            client,
            settings,
        })
    }

    async fn send(&self, target: &Target, events: &[Bytes]) -> Result<(), String> {
        let Ok(_turn) = self.turns.acquire().await else {
            return Err("the plugin is at its end".into());
        };
        if target.method == Method::Append {
            return append(&target.url, events).await;
        }
        // The URL may have parts that are nobody's business.
        let told = |error: reqwest::Error| format!("{:?}", error.without_url());
        let request = self.request(target, events);
        let mut response = request.send().await.map_err(told)?;
        let status = response.status();
        let mut read = 0;
        while let Some(piece) = response.chunk().await.map_err(told)? {
            read += piece.len();
            if read > ANSWER_BYTES_MAX {
                break;
            }
        }
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("it answers {status}")),
        }
    }

    fn request(&self, target: &Target, events: &[Bytes]) -> RequestBuilder {
        let url = &*target.url;
        match (target.method, events) {
            (Method::Get, [event, ..]) => self.client.get(url).query(&parameters(event)),
            (_, [event]) if self.settings.batch_max == 1 => self.posted(url, event.clone()),
            _ => self.posted(url, array(events)),
        }
    }

    fn posted(&self, url: &str, body: Bytes) -> RequestBuilder {
        let request = self.client.post(url).body(body);
        request.header(CONTENT_TYPE, "application/json")
    }
}

/// Appends the events to a file, each as a line. One call writes them, so those of other lanes stand before
/// or behind them and not in between; and a file that was moved away is made anew.
async fn append(url: &str, events: &[Bytes]) -> Result<(), String> {
    let path = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
    let path = path.ok_or("this is no path of this machine")?;
    let lines = [events.join(&b'\n'), b"\n".to_vec()].concat();
    let written = tokio::task::spawn_blocking(move || {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(&lines)
    });
    let written = written.await.map_err(|error| error.to_string())?;
    written.map_err(|error| error.to_string())
}

/// The fields of an event; what is no text stands in JSON.
fn parameters(event: &[u8]) -> Vec<(String, String)> {
    let fields: Map<String, Value> = serde_json::from_slice(event).unwrap_or_default();
    let text = |(name, value)| match value {
        Value::String(text) => (name, text),
        other => (name, other.to_string()),
    };
    fields.into_iter().map(text).collect()
}

fn array(events: &[Bytes]) -> Bytes {
    let bytes = events.iter().map(|event| event.len() + 1).sum::<usize>();
    let mut array = Vec::with_capacity(bytes + 1);
    for event in events {
        array.push(if array.is_empty() { b'[' } else { b',' });
        array.extend_from_slice(event);
    }
    array.push(b']');
    array.into()
}

/// A lane's task: sends what waits there, in its order, until there is nothing.
pub(super) async fn empty_lane(service: Arc<Service>, outbox: Arc<Outbox>, lane: usize) {
    loop {
        let events_max = match outbox.target.method {
            Method::Get => 1,
            Method::Post | Method::Append => service.sending().settings.batch_max,
        };
        let events = outbox.front(lane, events_max);
        if events.is_empty() {
            return;
        }
        let outcome = deliver(&service, &outbox, &events).await;
        outbox.done(lane, events.len(), outcome);
    }
}

async fn deliver(service: &Service, outbox: &Outbox, events: &[Bytes]) -> Outcome {
    let begun = Instant::now();
    let mut pause = PAUSE_MIN;
    loop {
        // Read anew for each attempt: the settings may have changed meanwhile.
        let sending = service.sending();
        match sending.send(&outbox.target, events).await {
            Ok(()) => {
                outbox.works();
                return Outcome::Sent;
            }
            Err(problem) => outbox.fails(problem),
        }
        if begun.elapsed() + pause > sending.settings.retry_time_max {
            return Outcome::GivenUp;
        }
        tokio::time::sleep(pause).await;
        let longer = pause.mul_f64(sending.settings.retry_multiplier);
        pause = longer.min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_gets_a_line_for_each_event() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hook log.json");
        let url = Url::from_file_path(&path).expect("a path").to_string();
        let events = ["{\"a\":1}".into(), "{}".into()];
        append(&url, &events).await.expect("written");
        append(&url, &events[1..]).await.expect("written");
        let text = std::fs::read_to_string(&path).expect("a file");
        assert_eq!(text, "{\"a\":1}\n{}\n{}\n");
        let nowhere = append("file:///nowhere/at/all", &events).await;
        assert!(nowhere.is_err(), "{nowhere:?}");
    }

    #[test]
    fn several_events_are_one_array() {
        let events = ["{\"a\":1}".into(), "{}".into()];
        assert_eq!(array(&events), "[{\"a\":1},{}]");
        assert_eq!(array(&events[..1]), "[{\"a\":1}]");
    }

    #[test]
    fn fields_become_parameters() {
        let found = parameters(br#"{"action": "x", "opts": {"qos": 1}, "dup": false, "a": null}"#);
        let expected = [
            ("a", "null"),
            ("action", "x"),
            ("dup", "false"),
            ("opts", "{\"qos\":1}"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, expected);
    }
}
