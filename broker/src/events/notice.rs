//! What plugins are told: every step of a client, its session and its messages, in full.
//!
//! The events of the HTTP API's tail are for people and travel between nodes; a notice is for a plugin of
//! the same node, and has all that a hook of RMQTT tells. Messages are copied for it, so a notice is made
//! only when a plugin wants this kind, with this topic ([`Interest`]).

use raftmq_api::event::EventClient;
use raftmq_mqtt::{
    codec::{ReasonCode, Version},
    publication::{Origin, Publication},
    topic,
};
use raftmq_proto::v1;
use std::sync::Arc;

/// The kinds of notices, under the names that users of RMQTT know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NoticeKind {
    /// A CONNECT has been read.
    ClientConnect,
    /// It is answered.
    ClientConnack,
    /// The client is connected.
    ClientConnected,
    /// The connection has ended.
    ClientDisconnected,
    /// A SUBSCRIBE asks for a topic filter; nobody has looked yet whether it may.
    ClientSubscribe,
    /// An UNSUBSCRIBE names a topic filter.
    ClientUnsubscribe,
    /// A session has begun.
    SessionCreated,
    /// A session is over.
    SessionTerminated,
    /// A session has a subscription.
    SessionSubscribed,
    /// A session has lost a subscription.
    SessionUnsubscribed,
    /// A message has been accepted, and is about to be routed.
    MessagePublish,
    /// A message has been sent to a subscriber for the first time.
    MessageDelivered,
    /// A subscriber has acknowledged it.
    MessageAcked,
    /// A message is lost to a subscriber.
    MessageDropped,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [NoticeKind; 14] = [
        Self::ClientConnect,
        Self::ClientConnack,
        Self::ClientConnected,
        Self::ClientDisconnected,
        Self::ClientSubscribe,
        Self::ClientUnsubscribe,
        Self::SessionCreated,
        Self::SessionTerminated,
        Self::SessionSubscribed,
        Self::SessionUnsubscribed,
        Self::MessagePublish,
        Self::MessageDelivered,
        Self::MessageAcked,
        Self::MessageDropped,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientConnect => "client_connect",
            Self::ClientConnack => "client_connack",
            Self::ClientConnected => "client_connected",
            Self::ClientDisconnected => "client_disconnected",
            Self::ClientSubscribe => "client_subscribe",
            Self::ClientUnsubscribe => "client_unsubscribe",
            Self::SessionCreated => "session_created",
            Self::SessionTerminated => "session_terminated",
            Self::SessionSubscribed => "session_subscribed",
            Self::SessionUnsubscribed => "session_unsubscribed",
            Self::MessagePublish => "message_publish",
            Self::MessageDelivered => "message_delivered",
            Self::MessageAcked => "message_acked",
            Self::MessageDropped => "message_dropped",
        }
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<NoticeKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether it is about a topic name or filter.
    pub fn has_topic(self) -> bool {
        self >= Self::MessagePublish
            || matches!(
                self,
                Self::ClientSubscribe
                    | Self::ClientUnsubscribe
                    | Self::SessionSubscribed
                    | Self::SessionUnsubscribed
            )
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// The node where it happened.
    pub node_id: u64,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// To whom; of a published message: who published it. `None`: a message that was lost before it was
    /// known for whom.
    pub client: Option<EventClient>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Connect(Introduction),
    Connack(Introduction, ReasonCode),
    Connected {
        introduction: Introduction,
        session_present: bool,
    },
    Disconnected {
        reason: String,
    },
    Subscribe(v1::Subscription),
    Unsubscribe(v1::Subscription),
    SessionCreated {
        created_at_ms: u64,
    },
    SessionTerminated {
        reason: String,
    },
    SessionSubscribed(v1::Subscription),
    SessionUnsubscribed(v1::Subscription),
    Publish(Copied),
    Delivered(Copied),
    Acked(Copied),
    Dropped {
        copy: Copied,
        reason: &'static str,
    },
}

/// What a CONNECT asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Introduction {
    pub version: Version,
    pub clean_start: bool,
    pub keep_alive_seconds: u16,
}

/// A message, and what is special about one copy of it.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    pub message: Arc<NoticedMessage>,
    /// 0 to 2.
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    /// 0: none.
    pub packet_id: u16,
}

/// The message of a notice, shared by all notices about its copies.
#[derive(Debug)]
pub(crate) struct NoticedMessage {
    pub topic: String,
    pub payload: Vec<u8>,
    /// Client identifier; empty: none.
    pub publisher: String,
    /// When this node began to deal with it, Unix milliseconds.
    pub taken_at_ms: u64,
}

impl NoticedMessage {
    /// Copies a publication. `None`: the broker's own messages are nothing that plugins are told of, or
    /// they would answer themselves for ever.
    pub fn of(publication: &Publication<'_>, taken_at_ms: u64) -> Option<Arc<NoticedMessage>> {
        (publication.origin != Origin::System).then(|| {
            Arc::new(NoticedMessage {
                topic: publication.topic.to_owned(),
                payload: publication.payload.to_vec(),
                publisher: publication.publisher.to_owned(),
                taken_at_ms: publication
                    .expiry
                    .map_or(taken_at_ms, |expiry| expiry.received_at_ms),
            })
        })
    }
}

impl Notice {
    /// What kind it is.
    pub fn kind(&self) -> NoticeKind {
        match &self.what {
            What::Connect(_) => NoticeKind::ClientConnect,
            What::Connack(..) => NoticeKind::ClientConnack,
            What::Connected { .. } => NoticeKind::ClientConnected,
            What::Disconnected { .. } => NoticeKind::ClientDisconnected,
            What::Subscribe(_) => NoticeKind::ClientSubscribe,
            What::Unsubscribe(_) => NoticeKind::ClientUnsubscribe,
            What::SessionCreated { .. } => NoticeKind::SessionCreated,
            What::SessionTerminated { .. } => NoticeKind::SessionTerminated,
            What::SessionSubscribed(_) => NoticeKind::SessionSubscribed,
            What::SessionUnsubscribed(_) => NoticeKind::SessionUnsubscribed,
            What::Publish(_) => NoticeKind::MessagePublish,
            What::Delivered(_) => NoticeKind::MessageDelivered,
            What::Acked(_) => NoticeKind::MessageAcked,
            What::Dropped { .. } => NoticeKind::MessageDropped,
        }
    }

    /// The topic name or filter that it is about.
    pub fn topic(&self) -> Option<&str> {
        match &self.what {
            What::Subscribe(of)
            | What::Unsubscribe(of)
            | What::SessionSubscribed(of)
            | What::SessionUnsubscribed(of) => Some(&of.filter),
            _ => self.copy().map(|copy| &*copy.message.topic),
        }
    }

    /// The message that it is about.
    pub fn copy(&self) -> Option<&Copied> {
        match &self.what {
            What::Publish(copy)
            | What::Delivered(copy)
            | What::Acked(copy)
            | What::Dropped { copy, .. } => Some(copy),
            _ => None,
        }
    }

    /// About how much memory it takes, in bytes.
    pub fn size_bytes(&self) -> usize {
        let texts = match &self.what {
            What::Disconnected { reason } | What::SessionTerminated { reason } => reason.len(),
            _ => self.topic().map_or(0, str::len),
        };
        let payload = self.copy().map_or(0, |copy| copy.message.payload.len());
        let client = self.client.as_ref().map_or(0, |c| c.client_id.len());
        size_of::<Self>() + texts + payload + client
    }
}

/// What a plugin wants to be told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interest {
    kinds: u32,
    /// By kind; absent: whatever the topic is.
    topics: [Option<Vec<String>>; NoticeKind::ALL.len()],
}

impl Interest {
    /// Adds a kind, with any topic (`None`) or with one that one of these topic filters matches. A
    /// subscribed topic filter counts as if it were a topic name.
    pub fn add(&mut self, kind: NoticeKind, filters: Option<&[String]>) {
        let is_new = !self.has(kind);
        self.kinds |= bit(kind);
        let wanted = &mut self.topics[kind as usize];
        match (filters, wanted.as_mut()) {
            (None, _) => *wanted = None,
            (Some(more), None) if is_new => *wanted = Some(more.to_vec()),
            (Some(more), Some(wanted)) => wanted.extend_from_slice(more),
            (Some(_), None) => {}
        }
    }

    /// Whether any notices of this kind are wanted.
    pub fn has(&self, kind: NoticeKind) -> bool {
        self.kinds & bit(kind) != 0
    }

    /// Whether a notice of this kind with this topic is wanted.
    pub fn wants(&self, kind: NoticeKind, name: Option<&str>) -> bool {
        let matches = |filters: &Vec<String>| {
            name.is_some_and(|name| filters.iter().any(|filter| topic::matches(filter, name)))
        };
        self.has(kind) && self.topics[kind as usize].as_ref().is_none_or(matches)
    }
}

fn bit(kind: NoticeKind) -> u32 {
    1 << kind as u32
}

/// A plugin that is told.
pub(crate) trait NoticeListener: Send + Sync {
    /// What it wants to be told.
    fn interest(&self) -> &Interest;

    /// Takes the notices of one turn of one shard, with some among them that others wanted. Called on the
    /// shard's thread: it must neither wait nor do the work itself.
    fn hear(&self, notices: &[Arc<Notice>]);
}

/// All plugins that are told.
#[derive(Clone, Default)]
pub(crate) struct NoticeListeners {
    kinds: u32,
    all: Vec<Arc<dyn NoticeListener>>,
}

impl NoticeListeners {
    /// Adds a plugin, unless it wants nothing.
    pub fn add(&mut self, listener: Arc<dyn NoticeListener>) {
        let kinds = listener.interest().kinds;
        if kinds != 0 {
            self.kinds |= kinds;
            self.all.push(listener);
        }
    }

    /// Whether any notices of this kind are wanted: one comparison.
    pub fn have(&self, kind: NoticeKind) -> bool {
        self.kinds & bit(kind) != 0
    }

    /// Whether a notice of this kind with this topic is wanted.
    pub fn want(&self, kind: NoticeKind, topic: Option<&str>) -> bool {
        self.have(kind) && self.all.iter().any(|l| l.interest().wants(kind, topic))
    }

    /// Tells all of them.
    pub fn tell(&self, notices: &[Arc<Notice>]) {
        self.all.iter().for_each(|listener| listener.hear(notices));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_wanted_with_the_topics_of_all_rules_together() {
        let mut interest = Interest::default();
        let kind = NoticeKind::MessagePublish;
        assert!(!interest.wants(kind, Some("a/b")));
        interest.add(kind, Some(&["a/#".to_owned()]));
        interest.add(kind, Some(&["b".to_owned()]));
        for (name, wanted) in [("a/b", true), ("b", true), ("c", false)] {
            assert_eq!(interest.wants(kind, Some(name)), wanted, "{name}");
        }
        interest.add(kind, None);
        interest.add(kind, Some(&["a/#".to_owned()]));
        assert!(interest.wants(kind, Some("c")));
        assert!(!interest.wants(NoticeKind::MessageAcked, Some("c")));
    }

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in NoticeKind::ALL {
            assert_eq!(NoticeKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(NoticeKind::parse("client"), None);
    }

    #[test]
    fn what_the_broker_itself_publishes_makes_no_notice() {
        let system = Publication {
            topic: "$SYS/brokers",
            payload: b"",
            properties: b"",
            qos: raftmq_mqtt::codec::QoS::AtMostOnce,
            retain: false,
            expiry: None,
            origin: Origin::System,
            publisher: "",
            target: None,
        };
        assert!(NoticedMessage::of(&system, 0).is_none());
        let of_client = Publication {
            origin: Origin::Client,
            ..system
        };
        assert!(NoticedMessage::of(&of_client, 0).is_some());
    }
}
