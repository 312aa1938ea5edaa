//! Ends: of a connection, of a session on this node, of the whole node.

use super::{
    Shard, connection::Connection, noticing::client_of, slots::SlotKey, telling::ended_because,
};
use crate::transport::Transport;
use raftmq_api::counters::Metric;
use raftmq_mqtt::codec::{Diagnostics, Disconnect, ReasonCode, Version};
use raftmq_proto::v1;
use raftmq_store::table::{Outcome, Refusal};
use std::{rc::Rc, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Why a connection ends.
pub(super) enum End {
    /// The socket failed or was closed without DISCONNECT.
    Lost { why: String },
    /// The client said DISCONNECT.
    Goodbye {
        discard_will: bool,
        expiry_seconds: Option<u32>,
    },
    /// The broker ends it and says why.
    Broker { reason: ReasonCode, why: String },
    /// The node is draining: the client is to go to another one.
    SentAway { server_reference: Option<String> },
}

/// How long a closed connection's last bytes may take to be fetched by the client.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that a client may still send meanwhile.
const LINGER_BYTES_MAX: usize = 64 * 1024;
/// Pause before a release is proposed again.
const RELEASE_RETRY: Duration = Duration::from_millis(100);

/// Closes our side and waits a little for the client's: closing a socket that holds unread bytes
/// would reset the connection and with it destroy what the client has not read yet.
pub(super) async fn linger(stream: &Transport) {
    let mut discarded = [0; 1024];
    let mut total = 0;
    let _ = timeout(LINGER, async {
        if stream.close_writing().await.is_err() {
            return;
        }
        while total < LINGER_BYTES_MAX && stream.discardable().await.is_ok() {
            match stream.try_discard(&mut discarded) {
                Ok(0) => return,
                Ok(n) => total += n,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    })
    .await;
}

impl Shard {
    /// The socket is gone.
    pub(super) fn lost(&mut self, key: SlotKey, why: &str) {
        self.end_connection(
            key,
            End::Lost {
                why: why.to_owned(),
            },
        );
    }

    /// The client said DISCONNECT.
    pub(super) fn goodbye(
        &mut self,
        key: SlotKey,
        discard_will: bool,
        expiry_seconds: Option<u32>,
    ) {
        self.end_connection(
            key,
            End::Goodbye {
                discard_will,
                expiry_seconds,
            },
        );
    }

    /// Ends the connection and releases the session in the table.
    /// [MQTT-3.1.2-23], [MQTT-4.1.0-1]
    pub(super) fn end_connection(&mut self, key: SlotKey, end: End) {
        let Some(connection) = self.slots.disconnect(key) else {
            return;
        };
        self.counters.add(Metric::ClientDisconnected, 1);
        let (discard_will, expiry_seconds, reason) = match end {
            End::Lost { why } => {
                self.watch_flapping(key);
                self.tell_disconnected(key, &connection, &why, None);
                (false, None, why)
            }
            End::Goodbye {
                discard_will,
                expiry_seconds,
            } => {
                let why = "disconnected by the client".to_owned();
                self.tell_disconnected(key, &connection, &why, None);
                self.finish(*connection);
                (discard_will, expiry_seconds, why)
            }
            End::Broker { reason, why } => {
                self.watch_flapping_after(key, reason);
                self.tell_disconnected(key, &connection, &why, Some(reason));
                self.say_why(*connection, reason, &why);
                (false, None, why)
            }
            End::SentAway { server_reference } => {
                let reason = ReasonCode::UseAnotherServer;
                let why = ended_because(reason);
                self.tell_disconnected(key, &connection, why, Some(reason));
                let server_reference = server_reference.as_deref();
                self.say(
                    *connection,
                    &Disconnect {
                        server_reference,
                        ..Disconnect::new(reason)
                    },
                );
                (false, None, why.to_owned())
            }
        };
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.session.inbound.connection_lost();
        slot.expiry_seconds = expiry_seconds.unwrap_or(slot.expiry_seconds);
        let client_id = slot.client_id.clone();
        let release = v1::ReleaseSession {
            client_id: slot.client_id.to_string(),
            epoch: slot.epoch,
            discard_will,
            expiry_seconds,
            reason,
            now_ms: self.clock.unix_ms(),
        };
        if slot.expiry_seconds == 0 && slot.claims == 0 {
            self.discard(key);
        }
        self.release(&client_id, release);
    }

    /// Proposes the release until it is decided. It is given up when the node's life in the cluster
    /// ends: then the cluster has released all its sessions itself.
    fn release(&mut self, client_id: &Arc<str>, release: v1::ReleaseSession) {
        let engine = self.engine.clone();
        let life = engine.life();
        let under_way = self.releasing(client_id);
        tokio::task::spawn_local(async move {
            let _under_way = under_way;
            let op = v1::Op {
                kind: Some(v1::op::Kind::ReleaseSession(release)),
            };
            while engine.life() == life && !*engine.stopping.borrow() {
                match engine.propose(op.clone()).await {
                    Ok(Outcome::Refused(Refusal::NodeNotUp)) | Err(_) => {
                        tokio::time::sleep(RELEASE_RETRY).await;
                    }
                    Ok(_) => return,
                }
            }
        });
    }

    /// Sends what is left, then DISCONNECT where the version has one from the server, and closes.
    /// [MQTT-3.14.4-1], [MQTT-3.14.4-2], [MQTT-4.13.2-1]
    pub(super) fn say_goodbye(&self, connection: Connection, reason: ReasonCode) {
        self.say_why(connection, reason, ended_because(reason));
    }

    /// The same, with a reason for people where the client wants one.
    fn say_why(&self, connection: Connection, reason: ReasonCode, why: &str) {
        let goodbye = Disconnect {
            diagnostics: Diagnostics {
                reason_string: connection.reason_string(why),
                ..Diagnostics::default()
            },
            ..Disconnect::new(reason)
        };
        self.say(connection, &goodbye);
    }

    fn say(&self, mut connection: Connection, goodbye: &Disconnect<'_>) {
        connection.drop_held(self.ledger.durable());
        if connection.version == Version::V5 {
            let max_packet_size = connection.max_packet_size;
            let _ = goodbye.encode(Version::V5, max_packet_size, &mut connection.out);
        }
        self.finish(connection);
    }

    /// Sends what is left and closes.
    fn finish(&self, mut connection: Connection) {
        let _ = connection.write(self.ledger.durable());
        // The connection's own task ends when it finds its place taken.
        connection.wake();
        let stream: Rc<Transport> = connection.stream;
        tokio::task::spawn_local(async move { linger(&stream).await });
    }

    /// This node was declared down while it was alive: the cluster has already released its
    /// sessions, so connections end without a proposal, and sessions that ended with them are gone.
    pub(super) fn lost_life(&mut self) {
        self.is_reconciled = false;
        for key in self.slots.keys() {
            self.drop_connection(key, ReasonCode::ServerBusy);
            let Some(slot) = self.slots.get(key) else {
                continue;
            };
            if slot.expiry_seconds == 0 && slot.claims == 0 {
                self.discard(key);
            }
        }
    }

    /// The session is over on this node, with everything that it was still owed.
    pub(super) fn discard(&mut self, key: SlotKey) {
        if let Some(slot) = self.slots.remove(key) {
            self.record_ended(slot.journaled);
            self.count_discarded(client_of(&slot), &slot.session);
        }
    }

    /// The node stops: everybody is told; the node's good-bye to the cluster releases the sessions.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        self.flush();
        for key in self.slots.keys() {
            self.drop_connection(key, ReasonCode::ServerShuttingDown);
        }
    }

    /// Ends a connection whose session the table has already dealt with.
    pub(super) fn drop_connection(&mut self, key: SlotKey, reason: ReasonCode) {
        let Some(connection) = self.slots.disconnect(key) else {
            return;
        };
        self.counters.add(Metric::ClientDisconnected, 1);
        self.watch_flapping_after(key, reason);
        self.tell_disconnected(key, &connection, ended_because(reason), Some(reason));
        self.say_goodbye(*connection, reason);
        if let Some(slot) = self.slots.get_mut(key) {
            slot.session.inbound.connection_lost();
        }
    }
}
