//! Enhanced authentication (MQTT 5 §4.12): AUTH packets between CONNECT and CONNACK, and again whenever
//! an established connection wants to prove itself anew.
//!
//! The method (a plugin) keeps the state of an exchange and knows nothing of packets; here are packets,
//! their order, and their time. Before CONNACK the whole exchange has `mqtt.connect_timeout`; later an
//! exchange has as long, while everything else on the connection goes on by the old authentication.

use super::{
    Shard, ShardRef,
    connection::Connection,
    handshake::receive,
    packets::Next,
    permission::ClientIdentity,
    screening::{Refusal, refused_by_plugin},
    slots::SlotKey,
};
use crate::{
    connect::ConnectRequest,
    listener::Listener,
    plugin::{AuthenticationMethod, Denial, Exchange, Proven, Step},
    transport::Transport,
};
use raftmq_api::counters::Metric;
use raftmq_mqtt::codec::{self, Auth, Packet, ReasonCode, Version};
use std::sync::Arc;
use tokio::time::timeout;

/// The socket of a CONNECT, with the bytes that came behind it.
pub(super) struct Line<'a> {
    pub stream: &'a Transport,
    pub listener: &'a Listener,
    pub rest: &'a mut Vec<u8>,
}

/// How an established connection has authenticated itself, and does again.
pub(super) struct Authentication {
    /// Name of the method, the same for the whole connection [MQTT-4.12.0-5].
    method: &'static str,
    again: Option<Again>,
}

/// A re-authentication under way.
struct Again {
    exchange: Box<dyn Exchange>,
    /// When it began, in seconds of the shard's clock.
    since: u32,
}

impl Authentication {
    pub fn new(method: &'static str) -> Authentication {
        Authentication {
            method,
            again: None,
        }
    }

    /// Whether the client takes longer than it may to prove itself again.
    pub fn is_overdue(&self, now: u32, seconds_max: u32) -> bool {
        let since = self.again.as_ref().map(|again| again.since);
        since.is_some_and(|since| now.saturating_sub(since) > seconds_max)
    }
}

/// The method of a CONNECT, and who the client has proved to be.
pub(super) struct Outcome {
    pub method: &'static str,
    pub proven: Proven,
}

/// Runs the exchange that a CONNECT begins.
pub(super) async fn authenticate(
    shard: &ShardRef,
    request: &ConnectRequest,
    name: &str,
    line: Line<'_>,
) -> Result<Outcome, Refusal> {
    let (method, deadline) = {
        let mut shard = shard.borrow_mut();
        shard.begin_turn();
        let deadline = shard.engine.settings.connect_timeout;
        (shard.method(name), deadline)
    };
    let Some(method) = method else {
        let why = "the authentication method is not offered [MQTT-4.12.0-1]";
        return Err(Refusal::new(ReasonCode::BadAuthenticationMethod, why));
    };
    let exchange = exchange(request, &*method, line);
    match timeout(deadline, exchange).await {
        Ok(proven) => Ok(Outcome {
            method: method.name(),
            proven: proven?,
        }),
        Err(_) => {
            let counters = shard.borrow().counters.clone();
            counters.add(Metric::ClientHandshakingTimeout, 1);
            let why = "the authentication took too long";
            Err(Refusal::new(ReasonCode::NotAuthorized, why))
        }
    }
}

async fn exchange(
    request: &ConnectRequest,
    method: &dyn AuthenticationMethod,
    line: Line<'_>,
) -> Result<Proven, Refusal> {
    let max_packet_size = line.listener.settings.max_packet_size;
    let mut exchange = method.begin();
    let data = request.authentication_data.as_ref();
    let mut step = exchange.step(data.map(|data| &*data.0));
    loop {
        let data = match step {
            // [MQTT-4.12.0-2]
            Step::Continue(data) => data,
            Step::Done(proven) => return Ok(proven),
            // CONNACK says so, and the connection ends [MQTT-4.12.0-4].
            Step::Failed(denial) => return Err(refused_by_plugin(denial)),
        };
        let auth = answer(method.name(), ReasonCode::ContinueAuthentication, &data);
        let mut out = Vec::new();
        let sent = match auth.encode(request.maximum_packet_size, &mut out) {
            Ok(()) => send(line.stream, &out).await,
            Err(_) => None,
        };
        if sent.is_none() {
            return Err(Refusal::hung_up());
        }
        let len = loop {
            match codec::frame(line.rest, max_packet_size) {
                Ok(Some(frame)) => break frame.total_len,
                Ok(None) => {
                    let received = receive(line.stream, line.rest).await;
                    received.ok_or_else(Refusal::hung_up)?;
                }
                Err(error) => return Err(Refusal::new(error.reason_code(), error.to_string())),
            }
        };
        let packet: Vec<u8> = line.rest.drain(..len).collect();
        step = next_step(&packet, max_packet_size, method.name(), &mut *exchange)?;
    }
}

/// Takes the client's next packet, which has to go on with the exchange [MQTT-3.1.2-30], [MQTT-4.12.0-3].
fn next_step(
    packet: &[u8],
    max_packet_size: u32,
    method: &str,
    exchange: &mut dyn Exchange,
) -> Result<Step, Refusal> {
    let broken = |why: &str| Refusal::new(ReasonCode::ProtocolError, why);
    let Ok(Some(frame)) = codec::frame(packet, max_packet_size) else {
        return Err(broken("an AUTH packet was expected"));
    };
    let auth = match codec::decode(Version::V5, &frame) {
        Ok(Packet::Auth(auth)) => auth,
        Ok(Packet::Disconnect(_)) => return Err(Refusal::hung_up()),
        Ok(_) => {
            let why = "only AUTH and DISCONNECT may come before CONNACK [MQTT-3.1.2-30]";
            return Err(broken(why));
        }
        Err(error) => return Err(Refusal::new(error.reason_code(), error.to_string())),
    };
    if auth.reason_code != ReasonCode::ContinueAuthentication {
        return Err(broken("AUTH has to continue the exchange [MQTT-4.12.0-3]"));
    }
    if auth.authentication_method != Some(method) {
        let why = "AUTH with another method than CONNECT [MQTT-4.12.0-5]";
        return Err(broken(why));
    }
    Ok(exchange.step(auth.authentication_data))
}

fn answer<'a>(method: &'a str, reason_code: ReasonCode, data: &'a Option<Vec<u8>>) -> Auth<'a> {
    Auth {
        reason_code,
        authentication_method: Some(method),
        authentication_data: data.as_deref(),
        ..Auth::default()
    }
}

async fn send(stream: &Transport, mut bytes: &[u8]) -> Option<()> {
    while !bytes.is_empty() {
        stream.writable().await.ok()?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
    Some(())
}

impl Shard {
    fn method(&self, name: &str) -> Option<Arc<dyn AuthenticationMethod>> {
        let methods = &self.extensions.get().methods;
        methods.iter().find(|method| method.name() == name).cloned()
    }

    /// AUTH on an established connection: the client proves itself again [MQTT-4.12.1-1].
    pub(super) fn auth_packet(&mut self, key: SlotKey, auth: &Auth<'_>) -> Next {
        let now = self.clock.seconds();
        let Some(connection) = self.connected(key) else {
            return Next::More;
        };
        let Some(authentication) = connection.authentication.as_deref_mut() else {
            return broken("AUTH without enhanced authentication in CONNECT [MQTT-4.12.0-7]");
        };
        let method = authentication.method;
        if auth.authentication_method != Some(method) {
            return broken("AUTH with another method than CONNECT [MQTT-4.12.1-1]");
        }
        let mut again = match (auth.reason_code, authentication.again.take()) {
            (ReasonCode::ContinueAuthentication, Some(again)) => again,
            (ReasonCode::ReAuthenticate, None) => match self.method(method) {
                Some(method) => Again {
                    exchange: method.begin(),
                    since: now,
                },
                None => {
                    let why = "the authentication method is not offered any more";
                    return Next::Close(ReasonCode::BadAuthenticationMethod, why.to_owned());
                }
            },
            _ => return broken("AUTH that neither begins nor continues an exchange (§4.12.1)"),
        };
        match again.exchange.step(auth.authentication_data) {
            Step::Continue(data) => self.send_auth(
                key,
                method,
                ReasonCode::ContinueAuthentication,
                &data,
                Some(again),
            ),
            Step::Done(proven) => self.proved_again(key, method, proven),
            // DISCONNECT knows no word for wrong credentials [MQTT-4.12.1-2].
            Step::Failed(Denial::Unavailable | Denial::Busy) => Next::Close(
                ReasonCode::ServerBusy,
                "nobody could be asked whether it may stay".to_owned(),
            ),
            Step::Failed(_) => not_proved(),
        }
    }

    fn proved_again(&mut self, key: SlotKey, method: &str, proven: Proven) -> Next {
        let Some(connection) = self.connected(key) else {
            return Next::More;
        };
        // Topics, subscriptions and rules of the session are the first user's.
        if connection.identity.user_name.as_deref() != Some(&*proven.user_name) {
            return not_proved();
        }
        let peer = connection.identity.peer;
        let identity = ClientIdentity::new(Some(&proven.user_name), peer, proven.grant);
        *connection.identity = identity;
        self.send_auth(key, method, ReasonCode::Success, &Some(proven.data), None)
    }

    fn send_auth(
        &mut self,
        key: SlotKey,
        method: &str,
        reason_code: ReasonCode,
        data: &Option<Vec<u8>>,
        again: Option<Again>,
    ) -> Next {
        let Some(connection) = self.connected(key) else {
            return Next::More;
        };
        if let Some(authentication) = connection.authentication.as_deref_mut() {
            authentication.again = again;
        }
        let auth = answer(method, reason_code, data);
        let written = auth.encode(connection.max_packet_size, &mut connection.out);
        self.mark_dirty(key);
        match written {
            Ok(()) => Next::More,
            Err(error) => Next::Close(ReasonCode::PacketTooLarge, error.to_string()),
        }
    }

    fn connected(&mut self, key: SlotKey) -> Option<&mut Connection> {
        self.slots.get_mut(key)?.connection.as_deref_mut()
    }
}

fn broken(rule: &str) -> Next {
    Next::Close(ReasonCode::ProtocolError, rule.to_owned())
}

fn not_proved() -> Next {
    let why = "the client has not proved again who it is [MQTT-4.12.1-2]";
    Next::Close(ReasonCode::NotAuthorized, why.to_owned())
}
