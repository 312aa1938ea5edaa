//! A test's MQTT client: rumqttc with answers that can be awaited.
//!
//! rumqttc hands out one mixed stream of events. A test asks "has *this* PUBLISH been
//! acknowledged, and with what code" and "what came next on my subscriptions"; so a task reads the
//! stream and settles the one or queues the other. A client never connects again by itself: what
//! happened to its one connection is what a test wants to see ([`Client::closed`]).

mod connect;
mod events;
mod settle;
mod v4;
mod v5;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

pub use connect::{Connect, Refused, Version, Will};
pub use settle::Acknowledged;
use settle::Ledger;

use crate::wait::within;

/// A message that a client has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// QoS of the delivery, 0 to 2.
    pub qos: u8,
    /// RETAIN flag.
    pub retain: bool,
    /// DUP flag.
    pub dup: bool,
    /// Subscription identifiers, MQTT 5 only.
    pub subscription_ids: Vec<usize>,
}

/// Why and how a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Reason code of the DISCONNECT that the broker sent (MQTT 5); absent when it sent none.
    pub code: Option<u8>,
    /// What rumqttc said.
    pub reason: String,
}

/// A filter with the options of a subscription (MQTT 5 §3.8.3.1); MQTT 3.1.1 uses the QoS only.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Topic filter.
    pub path: String,
    /// Maximum QoS, 0 to 2.
    pub qos: u8,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
}

impl Filter {
    /// A filter without further options.
    #[must_use]
    pub fn new(path: &str, qos: u8) -> Self {
        Self {
            path: path.into(),
            qos,
            no_local: false,
            retain_as_published: false,
        }
    }

    /// Sets No Local.
    #[must_use]
    pub fn no_local(mut self) -> Self {
        self.no_local = true;
        self
    }

    /// Sets Retain As Published.
    #[must_use]
    pub fn retain_as_published(mut self) -> Self {
        self.retain_as_published = true;
        self
    }
}

enum Requests {
    V4(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

/// One connection of one client. Dropping it cuts the connection without DISCONNECT, so a will fires.
pub struct Client {
    id: String,
    session_present: bool,
    requests: Requests,
    /// Held while a request is entered and sent, so that both happen in the same order.
    submitting: tokio::sync::Mutex<()>,
    ledger: Arc<Mutex<Ledger>>,
    messages: mpsc::UnboundedReceiver<Message>,
    closed: watch::Receiver<Option<Closed>>,
    reader: AbortHandle,
}

impl Client {
    /// The client identifier.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Session Present of the CONNACK.
    #[must_use]
    pub fn session_present(&self) -> bool {
        self.session_present
    }

    /// Publishes and waits for PUBACK or PUBCOMP (QoS 0: until it was written to the socket).
    ///
    /// # Errors
    /// The connection ended before: whether the broker has the message is unknown.
    pub async fn publish(
        &self,
        topic: &str,
        qos: u8,
        payload: impl Into<Bytes>,
    ) -> Result<u8, Closed> {
        self.submit(topic, qos, false, payload).await?.wait().await
    }

    /// As [`Client::publish`], with the RETAIN flag.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn publish_retained(
        &self,
        topic: &str,
        qos: u8,
        payload: impl Into<Bytes>,
    ) -> Result<u8, Closed> {
        self.submit(topic, qos, true, payload).await?.wait().await
    }

    /// Sends a PUBLISH and returns what will become its acknowledgement, so that many can be under way.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn submit(
        &self,
        topic: &str,
        qos: u8,
        retain: bool,
        payload: impl Into<Bytes>,
    ) -> Result<Acknowledged<u8>, Closed> {
        let _order = self.submitting.lock().await;
        let waiting = self.enter(|ledger| ledger.publish_entered());
        let sent = match &self.requests {
            Requests::V4(client) => v4::publish(client, topic, qos, retain, payload.into()).await,
            Requests::V5(client) => v5::publish(client, topic, qos, retain, payload.into()).await,
        };
        self.sent(sent, waiting).await
    }

    /// Subscribes and waits for SUBACK; one code for each filter.
    ///
    /// # Errors
    /// The connection ended before.
    pub async fn subscribe(&self, filters: &[Filter]) -> Result<Vec<u8>, Closed> {
        self.submit_subscribe(filters, None).await?.wait().await
    }

    /// As [`Client::subscribe`], with a subscription identifier (MQTT 5).
    ///
    /// # Errors
    /// As [`Client::subscribe`].
    pub async fn subscribe_with_id(
        &self,
        filters: &[Filter],
        id: usize,
    ) -> Result<Vec<u8>, Closed> {
        self.submit_subscribe(filters, Some(id)).await?.wait().await
    }

    /// Subscribes to one filter and checks that the QoS asked for was granted.
    ///
    /// # Panics
    /// When it was not granted or the connection ended.
    pub async fn subscribed(&self, filter: &str, qos: u8) {
        let codes = within(
            "SUBACK",
            crate::SOON,
            self.subscribe(&[Filter::new(filter, qos)]),
        )
        .await;
        assert_eq!(
            codes,
            Ok(vec![qos]),
            "subscription of {} to {filter}",
            self.id
        );
    }

    /// Sends a SUBSCRIBE without waiting for the SUBACK.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn submit_subscribe(
        &self,
        filters: &[Filter],
        id: Option<usize>,
    ) -> Result<Acknowledged<Vec<u8>>, Closed> {
        let _order = self.submitting.lock().await;
        let waiting = self.enter(|ledger| ledger.subscribe_entered());
        let sent = match &self.requests {
            Requests::V4(client) => v4::subscribe(client, filters).await,
            Requests::V5(client) => v5::subscribe(client, filters, id).await,
        };
        self.sent(sent, waiting).await
    }

    /// Unsubscribes and waits for UNSUBACK; the codes are empty with MQTT 3.1.1.
    ///
    /// # Errors
    /// The connection ended before.
    pub async fn unsubscribe(&self, filter: &str) -> Result<Vec<u8>, Closed> {
        let waiting = {
            let _order = self.submitting.lock().await;
            let waiting = self.enter(|ledger| ledger.unsubscribe_entered());
            let sent = match &self.requests {
                Requests::V4(client) => client.unsubscribe(filter).await.is_ok(),
                Requests::V5(client) => client.unsubscribe(filter).await.is_ok(),
            };
            self.sent(sent, waiting).await?
        };
        waiting.wait().await
    }

    /// The next message.
    ///
    /// # Panics
    /// When none came before the deadline, or the connection ended.
    pub async fn next_message(&mut self, deadline: Duration) -> Message {
        let what = format!("a message for {}", self.id);
        match within(&what, deadline, self.messages.recv()).await {
            Some(message) => message,
            None => panic!("no message for {}: {:?}", self.id, self.closed.borrow()),
        }
    }

    /// The next message if one came before the deadline.
    pub async fn message_within(&mut self, deadline: Duration) -> Option<Message> {
        tokio::time::timeout(deadline, self.messages.recv())
            .await
            .ok()
            .flatten()
    }

    /// Messages that have arrived already.
    pub fn arrived(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.messages.try_recv().ok()).collect()
    }

    /// Checks that nothing came that was not awaited. `fence` must be a topic that the client
    /// subscribes to and on which nothing else is published: a message on it, published by
    /// `publisher` *after* everything else, tells that what could come before it has come.
    ///
    /// # Panics
    /// When another message than the fence arrives.
    pub async fn expect_no_more(&mut self, publisher: &Client, fence: &str) {
        publisher
            .publish(fence, 1, "fence")
            .await
            .expect("the fence is taken");
        let message = self.next_message(crate::SOON).await;
        assert_eq!(
            message.topic, fence,
            "unexpected message for {}: {message:?}",
            self.id
        );
    }

    /// Whether and how the connection has ended.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.closed.borrow().clone()
    }

    /// Waits for the end of the connection.
    ///
    /// # Panics
    /// When it has not ended before the deadline.
    pub async fn wait_closed(&mut self, deadline: Duration) -> Closed {
        let what = format!("the end of the connection of {}", self.id);
        let closed = within(&what, deadline, self.closed.wait_for(Option::is_some)).await;
        closed
            .expect("the reader tells before it ends")
            .clone()
            .expect("just checked")
    }

    /// Sends DISCONNECT (so that no will fires) and waits for the end of the connection.
    pub async fn disconnect(mut self) {
        let sent = match &self.requests {
            Requests::V4(client) => client.disconnect().await.is_ok(),
            Requests::V5(client) => client.disconnect().await.is_ok(),
        };
        if sent {
            self.wait_closed(crate::SOON).await;
        }
    }

    /// Cuts the connection without DISCONNECT.
    pub fn abort(self) {
        drop(self);
    }

    fn enter<T>(&self, enter: impl FnOnce(&mut Ledger) -> Acknowledged<T>) -> Acknowledged<T> {
        enter(&mut self.ledger.lock().expect("no panic under the lock"))
    }

    async fn sent<T>(
        &self,
        sent: bool,
        waiting: Acknowledged<T>,
    ) -> Result<Acknowledged<T>, Closed> {
        let waiting = waiting.of_connection(self.closed.clone());
        if sent {
            Ok(waiting)
        } else {
            Err(waiting.why_closed().await)
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
