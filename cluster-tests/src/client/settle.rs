//! Which acknowledgement belongs to which request.
//!
//! rumqttc chooses the packet identifiers and tells them in the order in which it sends requests.
//! So requests wait in that order for their identifier, and then under it for their acknowledgement.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::Closed;

/// An acknowledgement under way.
pub struct Acknowledged<T> {
    answer: oneshot::Receiver<T>,
    closed: Option<watch::Receiver<Option<Closed>>>,
}

impl<T> Acknowledged<T> {
    pub(super) fn of_connection(mut self, closed: watch::Receiver<Option<Closed>>) -> Self {
        self.closed = Some(closed);
        self
    }

    /// Waits for it: a reason code for PUBLISH, a list of them for SUBSCRIBE and UNSUBSCRIBE.
    ///
    /// # Errors
    /// The connection ended before, so the outcome is unknown.
    pub async fn wait(mut self) -> Result<T, Closed> {
        match (&mut self.answer).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.why_closed().await),
        }
    }

    /// The acknowledgement if it came before the deadline; afterwards the outcome is unknown.
    pub async fn within(self, deadline: Duration) -> Option<Result<T, Closed>> {
        tokio::time::timeout(deadline, self.wait()).await.ok()
    }

    pub(super) async fn why_closed(self) -> Closed {
        let unknown = || Closed {
            code: None,
            reason: "the client was dropped".into(),
        };
        let Some(mut closed) = self.closed else {
            return unknown();
        };
        match closed.wait_for(Option::is_some).await {
            Ok(closed) => closed.clone().unwrap_or_else(unknown),
            Err(_) => unknown(),
        }
    }
}

struct Requests<T> {
    entered: VecDeque<oneshot::Sender<T>>,
    under_way: HashMap<u16, oneshot::Sender<T>>,
}

impl<T> Requests<T> {
    fn enter(&mut self) -> Acknowledged<T> {
        let (sender, answer) = oneshot::channel();
        self.entered.push_back(sender);
        Acknowledged {
            answer,
            closed: None,
        }
    }

    fn sent(&mut self, packet_id: u16) {
        if let Some(sender) = self.entered.pop_front() {
            self.under_way.insert(packet_id, sender);
        }
    }

    /// A second acknowledgement of the same request finds nobody, nor does one whose waiter has left.
    fn settle(&mut self, packet_id: u16, answer: T) {
        if let Some(sender) = self.under_way.remove(&packet_id) {
            let _left = sender.send(answer);
        }
    }
}

impl<T> Default for Requests<T> {
    fn default() -> Self {
        Self {
            entered: VecDeque::new(),
            under_way: HashMap::new(),
        }
    }
}

/// All requests of a connection that are not acknowledged yet.
#[derive(Default)]
pub(super) struct Ledger {
    publishes: Requests<u8>,
    subscribes: Requests<Vec<u8>>,
    unsubscribes: Requests<Vec<u8>>,
}

impl Ledger {
    pub(super) fn publish_entered(&mut self) -> Acknowledged<u8> {
        self.publishes.enter()
    }

    pub(super) fn subscribe_entered(&mut self) -> Acknowledged<Vec<u8>> {
        self.subscribes.enter()
    }

    pub(super) fn unsubscribe_entered(&mut self) -> Acknowledged<Vec<u8>> {
        self.unsubscribes.enter()
    }

    /// QoS 0 has packet identifier 0 and is settled by having been sent.
    pub(super) fn publish_sent(&mut self, packet_id: u16) {
        self.publishes.sent(packet_id);
        if packet_id == 0 {
            self.publishes.settle(0, 0);
        }
    }

    pub(super) fn publish_settled(&mut self, packet_id: u16, code: u8) {
        self.publishes.settle(packet_id, code);
    }

    pub(super) fn subscribe_sent(&mut self, packet_id: u16) {
        self.subscribes.sent(packet_id);
    }

    pub(super) fn subscribe_settled(&mut self, packet_id: u16, codes: Vec<u8>) {
        self.subscribes.settle(packet_id, codes);
    }

    pub(super) fn unsubscribe_sent(&mut self, packet_id: u16) {
        self.unsubscribes.sent(packet_id);
    }

    pub(super) fn unsubscribe_settled(&mut self, packet_id: u16, codes: Vec<u8>) {
        self.unsubscribes.settle(packet_id, codes);
    }
}
