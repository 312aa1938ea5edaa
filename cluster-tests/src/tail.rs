//! A reader of `GET /api/v1/tail`: the events of a cluster as a node tells them.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::Value;

use crate::wait::within;

/// An open stream of events.
pub struct Tail {
    response: Response,
    text: String,
}

impl Tail {
    /// Opens the stream of the node at `address`; `query` is empty or begins with `?`.
    ///
    /// # Panics
    /// When the answer is not 200.
    pub async fn open(address: SocketAddr, query: &str) -> Self {
        // No timeout: a stream has no end.
        let client = Client::builder()
            .no_proxy()
            .build()
            .expect("an HTTP client");
        let url = format!("http://{address}/api/v1/tail{query}");
        let response = client.get(url).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        Self {
            response,
            text: String::new(),
        }
    }

    /// As [`Tail::open`], and waits until so many nodes are listened to.
    ///
    /// # Panics
    /// When they are not before the deadline.
    pub async fn listening(address: SocketAddr, query: &str, nodes: usize) -> Self {
        let mut tail = Self::open(address, query).await;
        for _ in 0..nodes {
            tail.until("listening", crate::SOON, |event| {
                event["event"] == "listening"
            })
            .await;
        }
        tail
    }

    /// The next event; `None`: the stream has ended.
    ///
    /// # Panics
    /// When none came before the deadline, or it cannot be read.
    pub async fn next(&mut self, deadline: Duration) -> Option<Value> {
        within("an event", deadline, self.read()).await
    }

    async fn read(&mut self) -> Option<Value> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let data = block.lines().find_map(|line| line.strip_prefix("data: "));
                let event = data.map(|data| serde_json::from_str(data).expect("JSON"));
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
                continue;
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.text += &String::from_utf8_lossy(&chunk);
        }
    }

    /// Reads until an event fulfils the condition, and returns that.
    ///
    /// # Panics
    /// When none does before the deadline, or the stream ends.
    pub async fn until(
        &mut self,
        what: &str,
        deadline: Duration,
        fulfils: impl Fn(&Value) -> bool,
    ) -> Value {
        let found = async {
            loop {
                let event = self.read().await.expect("the stream goes on");
                if fulfils(&event) {
                    return event;
                }
            }
        };
        within(what, deadline, found).await
    }
}
