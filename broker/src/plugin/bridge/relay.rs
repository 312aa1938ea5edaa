//! What is under way between the two sides of an entry. Packets come in, packets go out; time is told, and
//! there is no socket.
//!
//! **The rule.** A message is acknowledged to its source when the target has acknowledged it, and in the order in
//! which it came (§4.6). Until then it lies here, and there are at most as many here as the source was
//! told in CONNECT that it may have under way.
//!
//! ```text
//!   PUBLISH from the source ─▶ waiting ─ window has room ─▶ sent ─ PUBACK or PUBCOMP ─▶ done ─ first in line ─▶
//!   acknowledged (QoS 1: PUBACK; QoS 2: PUBREC, and PUBCOMP when PUBREL comes)
//! ```
//!
//! When the target's connection is lost, everything that is not done waits again, in its order; when the
//! source's is lost, what waits is forgotten, because the source has it and sends it again. Either way a message
//! may come twice. QoS 2 has no more than that here: the two sides have no common memory.

use super::{
    mapping::{Ends, Message, Unforwarded},
    settings::Entry,
    tally::Tally,
};
use raftmq_mqtt::codec::{
    Ack, AckType, EncodeError, OutgoingPublish, Packet, PacketId, Publish, QoS, ReasonCode,
    RetainHandling, Subscribe, SubscribeFilter, SubscribeFilters, SubscriptionOptions, Version,
};
use std::{collections::VecDeque, sync::Arc, time::Instant};

/// Bytes for one side that are not sent yet, beyond which nothing is taken from the source.
const UNSENT_BYTES_MAX: usize = 1 << 20;
/// Bytes of messages that are under way, beyond which nothing is taken from the source.
const PENDING_BYTES_MAX: usize = 8 << 20;
/// Of the one SUBSCRIBE that a source ever gets.
const SUBSCRIBE_ID: PacketId = PacketId::MIN;

/// What the target said in CONNACK.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub version: Version,
    /// QoS 1 and 2 messages that it takes at a time.
    pub receive_maximum: u16,
    pub packet_bytes_max: u32,
    pub qos_max: QoS,
    pub retain_available: bool,
}

/// Why a connection is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub String);

struct Pending {
    /// How the source is told; `None`: it needs not be.
    answer: Option<(QoS, PacketId)>,
    /// `None`: nothing is to be forwarded.
    message: Option<Message>,
    taken_at: Instant,
    bytes: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Sent(PacketId),
    /// PUBREC has come.
    Released(PacketId),
    Done,
}

/// One entry's messages.
pub(super) struct Relay {
    entry: Arc<Entry>,
    pub ends: Ends,
    tally: Arc<Tally>,
    /// In the order in which they came.
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    /// How many of them are sent and not done.
    under_way: usize,
    target: Option<Target>,
    last_packet_id: u16,
    has_subscribed: bool,
    /// To be sent.
    pub to_source: Vec<u8>,
    pub to_target: Vec<u8>,
}

impl Relay {
    pub fn new(entry: Arc<Entry>, ends: Ends, tally: Arc<Tally>) -> Relay {
        Relay {
            entry,
            ends,
            tally,
            pending: VecDeque::new(),
            pending_bytes: 0,
            under_way: 0,
            target: None,
            last_packet_id: 0,
            has_subscribed: false,
            to_source: Vec::new(),
            to_target: Vec::new(),
        }
    }

    /// Whether the source may send more.
    pub fn wants_more(&self) -> bool {
        self.pending.len() < usize::from(self.entry.remote.receive_maximum)
            && self.pending_bytes < PENDING_BYTES_MAX
            && self.to_source.len() < UNSENT_BYTES_MAX
            && self.to_target.len() < UNSENT_BYTES_MAX
    }

    /// Messages that are not acknowledged to the source yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The source has accepted the connection. `session_present`: it has what was subscribed to before.
    pub fn source_is_up(&mut self, version: Version, session_present: bool) {
        let is_shared = self.entry.filter.starts_with("$share/");
        let filters = [SubscribeFilter {
            filter: &self.entry.filter,
            options: SubscriptionOptions {
                qos: self.entry.source_qos,
                no_local: !is_shared,
                retain_as_published: true,
                retain_handling: RetainHandling::SendIfNew,
            },
        }];
        // Before MQTT 5 every SUBSCRIBE makes the server send its retained messages once more. The first one
        // is for what the file says now.
        if self.has_subscribed && session_present && version != Version::V5 {
            return;
        }
        self.has_subscribed = true;
        let subscribe = Subscribe {
            packet_id: SUBSCRIBE_ID,
            subscription_identifier: None,
            user_properties: Default::default(),
            filters: SubscribeFilters::new(&filters),
        };
        // The filter has been checked: it fits.
        let _ = subscribe.encode(version, u32::MAX, &mut self.to_source);
    }

    /// The source's connection is lost: what it has not been told, it will send again.
    pub fn source_is_down(&mut self) {
        self.to_source.clear();
        self.pending
            .retain(|pending| pending.state != State::Waiting);
        for pending in &mut self.pending {
            pending.answer = None;
        }
        self.pending_bytes = self.pending.iter().map(|pending| pending.bytes).sum();
        self.settle();
    }

    /// The target has accepted the connection.
    pub fn target_is_up(&mut self, target: Target, now: Instant) {
        self.target = Some(target);
        self.pump(now);
    }

    /// The target's connection is lost: what it has not acknowledged goes to the next one.
    pub fn target_is_down(&mut self) {
        self.target = None;
        self.to_target.clear();
        self.under_way = 0;
        for pending in &mut self.pending {
            if pending.state != State::Done {
                pending.state = State::Waiting;
            }
        }
    }

    /// A packet of the source.
    ///
    /// # Errors
    /// Its connection is of no use any more.
    pub fn source_says(&mut self, packet: &Packet<'_>, now: Instant) -> Result<(), Broken> {
        match packet {
            Packet::Publish(publish) => {
                self.take(publish, now)?;
                self.settle();
                self.pump(now);
            }
            Packet::PubRel(ack) => {
                Ack::encode_success(AckType::PubComp, ack.packet_id, &mut self.to_source);
            }
            Packet::SubAck(ack) => {
                let refused = ack.reason_codes.iter().find(|code| is_failure(*code));
                if let Some(code) = refused {
                    return Err(Broken(format!("the subscription is refused: {code:?}")));
                }
            }
            Packet::PingResp => {}
            other => return Err(unexpected(other)),
        }
        Ok(())
    }

    /// A packet of the target.
    ///
    /// # Errors
    /// As [`source_says`](Self::source_says).
    pub fn target_says(&mut self, packet: &Packet<'_>, now: Instant) -> Result<(), Broken> {
        match packet {
            Packet::PubAck(ack) => self.answered(ack, now),
            Packet::PubRec(ack) if is_failure(ack.reason_code) => self.answered(ack, now),
            Packet::PubRec(ack) => {
                let id = ack.packet_id;
                if let Some(pending) = self.find(id) {
                    pending.state = State::Released(id);
                }
                // Also for an identifier that is not known: the exchange has to end.
                Ack::encode_success(AckType::PubRel, id, &mut self.to_target);
                Ok(())
            }
            Packet::PubComp(ack) => {
                let done = Ack::new(ack.packet_id, ReasonCode::Success);
                self.answered(&done, now)
            }
            Packet::PingResp => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn take(&mut self, publish: &Publish<'_>, now: Instant) -> Result<(), Broken> {
        if publish.properties.topic_alias().is_some() {
            return Err(Broken(
                "it uses topic aliases, which it was not offered".into(),
            ));
        }
        let answer = publish.packet_id.map(|id| (publish.qos, id));
        let message = match self.entry.forwarded(publish, &self.ends) {
            Ok(_) if answer.is_none() && self.target.is_none() => Err(Unforwarded::NotConnected),
            found => found,
        };
        let message = message.map_err(|why| self.tally.dropped(why)).ok();
        if message.is_none() && answer.is_none() {
            return Ok(());
        }
        let size = |message: &Message| message.payload.len() + message.properties.len();
        let bytes = message.as_ref().map_or(0, size);
        self.pending_bytes += bytes;
        self.pending.push_back(Pending {
            answer,
            bytes,
            state: match message {
                Some(_) => State::Waiting,
                None => State::Done,
            },
            message,
            taken_at: now,
        });
        Ok(())
    }

    /// PUBACK, PUBCOMP, or a PUBREC that refuses.
    fn answered(&mut self, ack: &Ack<'_>, now: Instant) -> Result<(), Broken> {
        let is_full = ack.reason_code == ReasonCode::QuotaExceeded;
        let Some(pending) = self.find(ack.packet_id) else {
            return Ok(());
        };
        // A side without room may have some later. A retained message may be too large for ever.
        if is_full
            && pending
                .message
                .as_ref()
                .is_some_and(|message| !message.retain)
        {
            return Err(Broken("it has no room for more messages now".into()));
        }
        pending.state = State::Done;
        pending.message = None;
        self.under_way = self.under_way.saturating_sub(1);
        match is_failure(ack.reason_code) {
            true => self.tally.dropped(Unforwarded::Refused),
            false => self.tally.forwarded(),
        }
        self.settle();
        self.pump(now);
        Ok(())
    }

    fn find(&mut self, id: PacketId) -> Option<&mut Pending> {
        let is_it = |state| state == State::Sent(id) || state == State::Released(id);
        self.pending.iter_mut().find(|pending| is_it(pending.state))
    }

    /// Tells the source what is done, in the order in which it came.
    fn settle(&mut self) {
        while let Some(first) = self.pending.front() {
            if first.state != State::Done {
                return;
            }
            match first.answer {
                Some((QoS::ExactlyOnce, id)) => {
                    Ack::encode_success(AckType::PubRec, id, &mut self.to_source);
                }
                Some((_, id)) => Ack::encode_success(AckType::PubAck, id, &mut self.to_source),
                None => {}
            }
            self.pending_bytes -= first.bytes;
            self.pending.pop_front();
        }
    }

    /// Sends what waits, as far as the target takes more.
    fn pump(&mut self, now: Instant) {
        let Some(target) = self.target else { return };
        for place in 0..self.pending.len() {
            if self.under_way >= usize::from(target.receive_maximum) {
                break;
            }
            let is_waiting = self.pending[place].state == State::Waiting;
            if is_waiting {
                self.send(place, target, now);
            }
        }
        self.settle();
    }

    fn send(&mut self, place: usize, target: Target, now: Instant) {
        let packet_id = self.next_packet_id();
        let pending = &mut self.pending[place];
        let Some(message) = &pending.message else {
            pending.state = State::Done;
            return;
        };
        let age_seconds = now.saturating_duration_since(pending.taken_at).as_secs();
        let expiry = message.expiry_seconds.map(u64::from);
        if expiry.is_some_and(|expiry| expiry <= age_seconds) {
            pending.state = State::Done;
            self.tally.dropped(Unforwarded::Expired);
            return;
        }
        let qos = message.qos.min(target.qos_max);
        let left = expiry.and_then(|expiry| u32::try_from(expiry - age_seconds).ok());
        let mut packet = OutgoingPublish::new(&message.topic, &message.payload);
        packet.qos = qos;
        packet.retain = message.retain && target.retain_available;
        packet.packet_id = Some(packet_id);
        packet.forwardable = &message.properties;
        packet.message_expiry_interval = left;
        let encoded = packet.encode(target.version, target.packet_bytes_max, &mut self.to_target);
        pending.state = match (encoded, qos) {
            (Ok(()), QoS::AtMostOnce) => State::Done,
            (Ok(()), _) => State::Sent(packet_id),
            (Err(_), _) => State::Done,
        };
        match (encoded, qos) {
            (Ok(()), QoS::AtMostOnce) => self.tally.forwarded(),
            (Ok(()), _) => {
                self.under_way += 1;
                self.last_packet_id = packet_id.get();
            }
            (Err(EncodeError::FieldTooLong), _) => self.tally.dropped(Unforwarded::BadTopic),
            (Err(_), _) => self.tally.dropped(Unforwarded::TooLarge),
        }
    }

    /// Free: there are fewer messages here than identifiers, and they are given in turn.
    fn next_packet_id(&self) -> PacketId {
        PacketId::new(self.last_packet_id.wrapping_add(1)).unwrap_or(PacketId::MIN)
    }
}

fn is_failure(code: ReasonCode) -> bool {
    code as u8 >= 0x80
}

fn unexpected(packet: &Packet<'_>) -> Broken {
    match packet {
        Packet::Disconnect(disconnect) => Broken(format!(
            "it has closed the connection: {:?}",
            disconnect.reason_code
        )),
        other => Broken(format!("it has sent {:?}", other.packet_type())),
    }
}
