//! The DevTools protocol: requests with numbers, answers with the same numbers, and events between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::oneshot;

use crate::START;
use crate::wait::within;

/// Events kept for one test; those beyond it are forgotten, oldest first.
const EVENTS_MAX: usize = 50_000;

/// The end that the test holds. Cheap to clone.
#[derive(Clone)]
pub(super) struct Wire {
    input: Arc<tokio::sync::Mutex<Box<dyn AsyncWrite + Send + Unpin>>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    /// Requests under way. Empty and closed when the browser has ended.
    waiting: BTreeMap<u64, oneshot::Sender<Value>>,
    events: std::collections::VecDeque<Value>,
    ended: bool,
}

impl Wire {
    pub(super) fn new(
        input: impl AsyncWrite + Send + Unpin + 'static,
        output: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        let state = Arc::<Mutex<State>>::default();
        tokio::spawn(read(output, state.clone()));
        Self {
            input: Arc::new(tokio::sync::Mutex::new(Box::new(input))),
            state,
        }
    }

    /// Sends a request, to the browser or to the page of a session, and waits for its result.
    ///
    /// # Errors
    /// The browser refused it, or has ended.
    pub(super) async fn ask(
        &self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> Result<Value, String> {
        let (sender, answer) = oneshot::channel();
        let id = self.enter(sender);
        let mut request = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        let mut bytes = request.to_string().into_bytes();
        bytes.push(0);
        let written = self.input.lock().await.write_all(&bytes).await;
        written.map_err(|error| format!("{method}: {error}"))?;
        let mut answer = within(method, START, answer)
            .await
            .map_err(|_| format!("{method}: the browser has ended"))?;
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {error}")),
            None => Ok(answer["result"].take()),
        }
    }

    fn enter(&self, sender: oneshot::Sender<Value>) -> u64 {
        let mut state = self.state.lock().expect("the state");
        state.last_id += 1;
        let id = state.last_id;
        // A request that is entered after the end gets its answer, too: its sender is dropped.
        if !state.ended {
            state.waiting.insert(id, sender);
        }
        id
    }

    /// The events of a session so far that `select` makes something of.
    pub(super) fn events<T>(
        &self,
        session: &str,
        select: impl Fn(&str, &Value) -> Option<T>,
    ) -> Vec<T> {
        let state = self.state.lock().expect("the state");
        let own = state
            .events
            .iter()
            .filter(|event| event["sessionId"] == session);
        own.filter_map(|event| select(event["method"].as_str()?, &event["params"]))
            .collect()
    }
}

async fn read(output: impl AsyncRead + Unpin, state: Arc<Mutex<State>>) {
    let mut output = BufReader::new(output);
    let mut message = Vec::new();
    while let Ok(1..) = output.read_until(0, &mut message).await {
        message.pop();
        if let Ok(message) = serde_json::from_slice(&message) {
            state.lock().expect("the state").take_in(message);
        }
        message.clear();
    }
    let mut state = state.lock().expect("the state");
    state.ended = true;
    state.waiting.clear();
}

impl State {
    fn take_in(&mut self, message: Value) {
        let Some(id) = message["id"].as_u64() else {
            if self.events.len() == EVENTS_MAX {
                self.events.pop_front();
            }
            self.events.push_back(message);
            return;
        };
        if let Some(waiting) = self.waiting.remove(&id) {
            // The test may have given up on it.
            let _ = waiting.send(message);
        }
    }
}
