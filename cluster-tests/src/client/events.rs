//! The task that reads rumqttc's events, the same for both versions of MQTT.

use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};

use super::settle::Ledger;
use super::{Closed, Message};

/// What both versions' events mean to a test.
pub(super) enum Seen {
    Message(Message),
    PublishSent(u16),
    PublishSettled(u16, u8),
    SubscribeSent(u16),
    SubscribeSettled(u16, Vec<u8>),
    UnsubscribeSent(u16),
    UnsubscribeSettled(u16, Vec<u8>),
    Nothing,
}

/// Where one version's events come from.
pub(super) trait Events: Send + 'static {
    /// The next event, or the end of the connection.
    fn next(&mut self) -> impl Future<Output = Result<Seen, Closed>> + Send;
}

/// Where the reader puts what it sees.
pub(super) struct Sinks {
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) messages: mpsc::UnboundedSender<Message>,
    pub(super) closed: watch::Sender<Option<Closed>>,
}

/// Reads until the connection ends. All that still waits for an acknowledgement then learns that it ended.
pub(super) async fn read(mut events: impl Events, sinks: Sinks) {
    let closed = loop {
        match events.next().await {
            Ok(seen) => sinks.take(seen),
            Err(closed) => break closed,
        }
    };
    sinks.closed.send_replace(Some(closed));
    *sinks.ledger.lock().expect("no panic under the lock") = Ledger::default();
}

impl Sinks {
    fn take(&self, seen: Seen) {
        let mut ledger = self.ledger.lock().expect("no panic under the lock");
        match seen {
            Seen::Message(message) => {
                let _receiver_left = self.messages.send(message);
            }
            Seen::PublishSent(id) => ledger.publish_sent(id),
            Seen::PublishSettled(id, code) => ledger.publish_settled(id, code),
            Seen::SubscribeSent(id) => ledger.subscribe_sent(id),
            Seen::SubscribeSettled(id, codes) => ledger.subscribe_settled(id, codes),
            Seen::UnsubscribeSent(id) => ledger.unsubscribe_sent(id),
            Seen::UnsubscribeSettled(id, codes) => ledger.unsubscribe_settled(id, codes),
            Seen::Nothing => {}
        }
    }
}
