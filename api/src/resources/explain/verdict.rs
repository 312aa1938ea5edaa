//! What would become of a publication at one subscriber: the same rules as the session's own
//! (`broker/mqtt/src/session/outbound`), applied to what is known of it from outside.

use schemars::JsonSchema;
use serde::Serialize;

use crate::node::{ExplainedSubscriber, LinkState, LiveSubscriber};

/// Bits of the subscription options (MQTT 5 §3.8.3.1).
const QOS_BITS: u32 = 0b11;
pub(super) const NO_LOCAL: u32 = 1 << 2;
pub(super) const RETAIN_AS_PUBLISHED: u32 = 1 << 3;

/// The QoS that the subscription was granted.
pub(super) fn granted_qos(options: u32) -> u8 {
    u8::try_from(options & QOS_BITS).unwrap_or(0)
}

/// What would become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It would be sent at once.
    Sent,
    /// It would wait in the session's queue.
    Queued,
    /// The subscriber would not get it.
    NotDelivered,
    /// The subscriber's node does not answer.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    /// Stable: scripts may rely on it.
    pub(super) reason: &'static str,
    /// For people.
    pub(super) why: String,
    /// QoS of the delivery.
    pub(super) qos: u8,
}

/// What would be published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Publication<'a> {
    pub(super) qos: u8,
    /// Empty: nobody in particular.
    pub(super) publisher: &'a str,
    /// Access rules keep the publisher from publishing it.
    pub(super) is_denied: bool,
}

/// Whether somebody else gets it instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// An ordinary subscription: everybody gets it.
    Everybody,
    /// The member of a share group whose turn it is.
    ThisMember,
    /// Another member gets it.
    AnotherMember,
}

impl Choice {
    pub(super) fn of(picked: Option<&str>, client_id: &str) -> Self {
        match picked == Some(client_id) {
            true => Self::ThisMember,
            false => Self::AnotherMember,
        }
    }
}

/// What is known of one subscriber.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscriber<'a> {
    pub(super) table: &'a ExplainedSubscriber,
    /// From its own node; `None`: that node did not answer, or does not know the session yet.
    pub(super) live: Option<&'a LiveSubscriber>,
    /// The link from the publisher's node to its node.
    pub(super) link: Option<&'a LinkState>,
    /// Its node is not the publisher's.
    pub(super) is_elsewhere: bool,
    pub(super) choice: Choice,
}

type Reason = (Outcome, &'static str, String);

impl Publication<'_> {
    pub(super) fn verdict(&self, subscriber: &Subscriber<'_>) -> Verdict {
        let qos = self.qos.min(granted_qos(subscriber.table.options));
        let (outcome, reason, why) = self
            .not_meant(subscriber)
            .or_else(|| self.not_forwarded(subscriber))
            .unwrap_or_else(|| taken(subscriber.live, qos));
        Verdict {
            outcome,
            reason,
            why,
            qos,
        }
    }

    /// Why the router leaves the subscriber out.
    fn not_meant(&self, subscriber: &Subscriber<'_>) -> Option<Reason> {
        let table = subscriber.table;
        if self.is_denied {
            let why = "the publisher may not publish on this topic".to_owned();
            return Some((Outcome::NotDelivered, "publish_denied", why));
        }
        if !table.node_is_up && subscriber.is_elsewhere {
            let why = format!(
                "node {} is down in the replicated table; QoS 1 and 2 wait on the publisher's node until it is \
                 back or its client comes elsewhere (not for share groups, and not with \
                 mqtt.sessions = \"memory\")",
                table.node_id
            );
            return Some((Outcome::NotDelivered, "node_down", why));
        }
        if subscriber.choice == Choice::AnotherMember {
            let why = "another member of the share group is picked".to_owned();
            return Some((Outcome::NotDelivered, "other_member", why));
        }
        // A shared subscription cannot have No Local [MQTT-3.8.3-4].
        let is_own = !self.publisher.is_empty() && self.publisher == table.client_id;
        if is_own && table.options & NO_LOCAL != 0 && subscriber.choice == Choice::Everybody {
            let why = "it is the publisher, and its subscription has No Local".to_owned();
            return Some((Outcome::NotDelivered, "no_local", why));
        }
        None
    }

    /// Why it does not get as far as the subscriber's node.
    fn not_forwarded(&self, subscriber: &Subscriber<'_>) -> Option<Reason> {
        if !subscriber.is_elsewhere {
            return None;
        }
        let node = subscriber.table.node_id;
        let Some(link) = subscriber.link else {
            let why = format!(
                "the publisher's node has no link to node {node}: it is not in its cluster.peers"
            );
            return Some((Outcome::NotDelivered, "no_link", why));
        };
        // What is dropped goes by the QoS of the publication, whatever was granted.
        if self.qos == 0
            && link.queued_bytes.saturating_add(link.in_flight_bytes) > link.window_bytes
        {
            let why = format!("the link to node {node} is full: QoS 0 is dropped");
            return Some((Outcome::NotDelivered, "link_full", why));
        }
        if !link.up {
            let why =
                format!("the link to node {node} is down; it is sent when the link is up again");
            return Some((Outcome::Unknown, "link_down", why));
        }
        None
    }
}

/// What the session does with it.
fn taken(live: Option<&LiveSubscriber>, qos: u8) -> Reason {
    let Some(live) = live else {
        let why = "its node does not say how the session is".to_owned();
        return (Outcome::Unknown, "node_silent", why);
    };
    let (queue, most) = (live.queue, live.queue_max);
    if qos == 0 {
        return match (live.connected, live.slow) {
            (false, _) => (
                Outcome::NotDelivered,
                "offline_qos0",
                "the client is offline, and QoS 0 is not queued".to_owned(),
            ),
            (true, true) => (
                Outcome::NotDelivered,
                "slow_reader",
                "the client reads slower than its messages arrive: QoS 0 is dropped".to_owned(),
            ),
            (true, false) => (
                Outcome::Sent,
                "online",
                "the client is connected".to_owned(),
            ),
        };
    }
    let goes_at_once =
        live.connected && !live.slow && queue == 0 && live.inflight < live.inflight_max;
    if goes_at_once {
        return (
            Outcome::Sent,
            "online",
            "the client is connected".to_owned(),
        );
    }
    if queue >= most {
        let why = format!("the queue of the session is full: {queue} of {most}");
        return (Outcome::NotDelivered, "queue_full", why);
    }
    let (reason, what) = match live.connected {
        false => ("offline", "the client is offline"),
        true => ("busy", "the client has as much in flight as it takes"),
    };
    (
        Outcome::Queued,
        reason,
        format!("{what}; {queue} of {most} are queued"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(options: u32) -> ExplainedSubscriber {
        ExplainedSubscriber {
            client_id: "c".into(),
            node_id: 2,
            options,
            node_is_up: true,
            ..Default::default()
        }
    }

    fn live() -> LiveSubscriber {
        LiveSubscriber {
            connected: true,
            inflight_max: 10,
            queue_max: 5,
            ..Default::default()
        }
    }

    fn link() -> LinkState {
        LinkState {
            up: true,
            window_bytes: 100,
            ..Default::default()
        }
    }

    /// A publication to a connected subscriber with QoS 1 on another node, the parts changed.
    struct Case {
        qos: u8,
        publisher: &'static str,
        is_denied: bool,
        table: ExplainedSubscriber,
        live: Option<LiveSubscriber>,
        link: Option<LinkState>,
        is_elsewhere: bool,
        choice: Choice,
    }

    fn case(change: impl FnOnce(&mut Case)) -> (Outcome, &'static str, u8) {
        let mut case = Case {
            qos: 1,
            publisher: "p",
            is_denied: false,
            table: table(1),
            live: Some(live()),
            link: Some(link()),
            is_elsewhere: true,
            choice: Choice::Everybody,
        };
        change(&mut case);
        let publication = Publication {
            qos: case.qos,
            publisher: case.publisher,
            is_denied: case.is_denied,
        };
        let verdict = publication.verdict(&Subscriber {
            table: &case.table,
            live: case.live.as_ref(),
            link: case.link.as_ref(),
            is_elsewhere: case.is_elsewhere,
            choice: case.choice,
        });
        assert!(!verdict.why.is_empty());
        (verdict.outcome, verdict.reason, verdict.qos)
    }

    fn with_live(qos: u8, change: impl FnOnce(&mut LiveSubscriber)) -> (Outcome, &'static str) {
        let mut state = live();
        change(&mut state);
        let (outcome, reason, _) = case(|c| (c.qos, c.live) = (qos, Some(state)));
        (outcome, reason)
    }

    #[test]
    fn the_delivery_has_the_lower_qos() {
        assert_eq!(case(|_| {}), (Outcome::Sent, "online", 1));
        assert_eq!(case(|c| c.qos = 2), (Outcome::Sent, "online", 1));
        assert_eq!(case(|c| c.qos = 0), (Outcome::Sent, "online", 0));
    }

    #[test]
    fn an_offline_client_gets_no_qos_0_and_the_rest_waits_for_it() {
        let offline = |live: &mut LiveSubscriber| live.connected = false;
        assert_eq!(
            with_live(0, offline),
            (Outcome::NotDelivered, "offline_qos0")
        );
        assert_eq!(with_live(1, offline), (Outcome::Queued, "offline"));
    }

    #[test]
    fn a_full_queue_takes_nothing_more() {
        let full = |live: &mut LiveSubscriber| (live.connected, live.queue) = (false, 5);
        assert_eq!(with_live(1, full), (Outcome::NotDelivered, "queue_full"));
        let full_and_online = |live: &mut LiveSubscriber| live.queue = 5;
        assert_eq!(
            with_live(1, full_and_online),
            (Outcome::NotDelivered, "queue_full")
        );
    }

    #[test]
    fn behind_a_full_window_it_waits() {
        assert_eq!(
            with_live(1, |live| live.inflight = 10),
            (Outcome::Queued, "busy")
        );
        assert_eq!(
            with_live(0, |live| live.inflight = 10),
            (Outcome::Sent, "online")
        );
    }

    #[test]
    fn a_slow_reader_loses_qos_0_and_queues_the_rest() {
        assert_eq!(
            with_live(0, |live| live.slow = true),
            (Outcome::NotDelivered, "slow_reader")
        );
        assert_eq!(
            with_live(1, |live| live.slow = true),
            (Outcome::Queued, "busy")
        );
    }

    #[test]
    fn a_publisher_with_no_local_does_not_hear_itself() {
        let own = |options| case(|c| (c.publisher, c.table) = ("c", table(options)));
        assert_eq!(own(1 | NO_LOCAL).1, "no_local");
        assert_eq!(own(1).1, "online");
        assert_eq!(case(|c| c.table = table(1 | NO_LOCAL)).1, "online");
        let nobody = |c: &mut Case| {
            c.publisher = "";
            c.table = ExplainedSubscriber {
                client_id: String::new(),
                ..table(1 | NO_LOCAL)
            };
        };
        assert_eq!(case(nobody).1, "online");
    }

    #[test]
    fn what_may_not_be_published_reaches_nobody() {
        assert_eq!(
            case(|c| c.is_denied = true),
            (Outcome::NotDelivered, "publish_denied", 1)
        );
    }

    #[test]
    fn another_member_gets_it_instead() {
        assert_eq!(case(|c| c.choice = Choice::AnotherMember).1, "other_member");
        assert_eq!(case(|c| c.choice = Choice::ThisMember).1, "online");
    }

    #[test]
    fn nothing_is_kept_for_the_sessions_of_a_node_that_is_down() {
        assert_eq!(case(|c| c.table.node_is_up = false).1, "node_down");
    }

    #[test]
    fn a_full_link_drops_qos_0_alone() {
        let full = |qos| {
            case(|c| {
                c.qos = qos;
                c.link = Some(LinkState {
                    queued_bytes: 101,
                    ..link()
                });
            })
        };
        assert_eq!(full(0).1, "link_full");
        assert_eq!(full(1).1, "online");
    }

    #[test]
    fn a_link_that_is_down_or_missing_is_told() {
        let down = LinkState {
            up: false,
            ..link()
        };
        assert_eq!(case(|c| c.link = Some(down)).0, Outcome::Unknown);
        assert_eq!(case(|c| c.link = None).1, "no_link");
        assert_eq!(
            case(|c| (c.link, c.is_elsewhere) = (None, false)).1,
            "online"
        );
    }

    #[test]
    fn a_node_that_does_not_answer_leaves_it_unknown() {
        assert_eq!(
            case(|c| c.live = None),
            (Outcome::Unknown, "node_silent", 1)
        );
    }
}
