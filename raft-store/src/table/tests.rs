use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use raftmq_proto::v1::{self, Batch, Entry, Message, Op, Will, op::Kind};

use super::*;

mod bans;
mod counted;
mod delayed;
mod drain;
mod listing;

/// A table with its log.
#[derive(Default)]
struct World {
    table: Table,
    index: u64,
    seq: std::collections::BTreeMap<u64, u64>,
    now_ms: u64,
}

impl World {
    fn with_nodes(nodes: &[u64]) -> World {
        let mut world = World::default();
        for node in nodes {
            assert_eq!(world.up(*node, 1), Outcome::NodeUp);
        }
        world
    }

    fn run(&mut self, node: u64, kind: Kind) -> (Outcome, Vec<TableEvent>) {
        let incarnation = match &kind {
            Kind::NodeUp(up) => up.incarnation,
            _ => self
                .table
                .nodes
                .get(&NodeId(node))
                .map_or(0, |n| n.incarnation),
        };
        let seq = self.seq.entry(node).or_default();
        *seq += 1;
        self.index += 1;
        let ops = vec![Op { kind: Some(kind) }];
        let batch = Batch {
            node_id: node,
            incarnation,
            first_seq: *seq,
            ops,
        };
        let mut applied = self.table.apply(
            self.index,
            &Entry {
                batches: vec![batch],
            },
        );
        (applied.outcomes.remove(0).remove(0), applied.events)
    }

    fn up(&mut self, node: u64, incarnation: u64) -> Outcome {
        let up = v1::NodeUp {
            node_id: node,
            incarnation,
            now_ms: self.now_ms,
            ..Default::default()
        };
        self.run(node, Kind::NodeUp(up)).0
    }

    fn down(&mut self, by: u64, node: u64) -> Vec<TableEvent> {
        let incarnation = self.table.nodes[&NodeId(node)].incarnation;
        let down = v1::NodeDown {
            node_id: node,
            incarnation,
            now_ms: self.now_ms,
            reason: String::new(),
        };
        self.run(by, Kind::NodeDown(down)).1
    }

    fn claim(
        &mut self,
        node: u64,
        client: &str,
        clean_start: bool,
        expiry: u32,
    ) -> (u64, bool, Vec<TableEvent>) {
        self.claim_with_will(node, client, clean_start, expiry, None)
    }

    fn claim_with_will(
        &mut self,
        node: u64,
        client: &str,
        clean_start: bool,
        expiry_seconds: u32,
        delay_seconds: Option<u32>,
    ) -> (u64, bool, Vec<TableEvent>) {
        let will = delay_seconds.map(|delay_seconds| Will {
            message: Some(message("will", "gone")),
            delay_seconds,
        });
        let claim = v1::ClaimSession {
            client_id: client.into(),
            node_id: node,
            clean_start,
            expiry_seconds,
            will,
            now_ms: self.now_ms,
            ..Default::default()
        };
        match self.run(node, Kind::ClaimSession(claim)) {
            (
                Outcome::Claimed {
                    epoch,
                    session_present,
                    ..
                },
                events,
            ) => (epoch.0, session_present, events),
            (other, _) => panic!("claim: {other:?}"),
        }
    }

    fn subscribe(
        &mut self,
        node: u64,
        client: &str,
        epoch: u64,
        filter: &str,
        share: &str,
    ) -> Outcome {
        let subscription = v1::Subscription {
            filter: filter.into(),
            share: share.into(),
            options: 1,
            id: 0,
        };
        let subscribe = v1::Subscribe {
            client_id: client.into(),
            epoch,
            subscriptions: vec![subscription],
            now_ms: 0,
        };
        self.run(node, Kind::Subscribe(subscribe)).0
    }

    fn release(
        &mut self,
        node: u64,
        client: &str,
        epoch: u64,
        discard_will: bool,
    ) -> (Outcome, Vec<TableEvent>) {
        let release = v1::ReleaseSession {
            client_id: client.into(),
            epoch,
            discard_will,
            now_ms: self.now_ms,
            ..Default::default()
        };
        self.run(node, Kind::ReleaseSession(release))
    }

    fn tick(&mut self, node: u64, now_ms: u64) -> Vec<TableEvent> {
        self.now_ms = now_ms;
        self.run(node, Kind::Tick(v1::Tick { now_ms })).1
    }

    fn routes(&self) -> Vec<(String, u64)> {
        self.table
            .routes_from(None)
            .map(|(filter, node)| (filter.to_string(), node.0))
            .collect()
    }
}

fn message(topic: &str, payload: &'static str) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.as_bytes().into(),
        ..Default::default()
    }
}

fn wills(events: &[TableEvent]) -> usize {
    events
        .iter()
        .filter(|event| matches!(event, TableEvent::WillDue(_)))
        .count()
}

#[test]
fn a_claim_elsewhere_takes_the_session_with_its_subscriptions_and_names_the_loser() {
    let mut world = World::with_nodes(&[1, 2]);
    let (first, ..) = world.claim(1, "c", false, 60);
    world.subscribe(1, "c", first, "a/#", "");
    let (second, present, events) = world.claim(2, "c", false, 60);
    assert!(present && second > first);
    assert_eq!(world.routes(), [("a/#".to_owned(), 2)]);
    assert!(matches!(
        &events[0],
        TableEvent::SessionTaken {
            previous_node: NodeId(1),
            node: NodeId(2),
            ..
        }
    ));
    assert_eq!(
        world.subscribe(1, "c", first, "b", ""),
        Outcome::Refused(Refusal::StaleEpoch),
        "the loser changes nothing any more"
    );
}

#[test]
fn the_latest_claim_says_whether_a_session_is_in_memory() {
    let mut world = World::with_nodes(&[1]);
    for in_memory in [true, false, true] {
        let claim = v1::ClaimSession {
            client_id: "c".into(),
            node_id: 1,
            expiry_seconds: 60,
            in_memory,
            ..Default::default()
        };
        world.run(1, Kind::ClaimSession(claim));
        let session = world.table.session("c").expect("a session");
        assert_eq!(
            (session.in_memory, session.is_durable()),
            (in_memory, !in_memory)
        );
    }
}

#[test]
fn clean_start_throws_the_old_session_away() {
    let mut world = World::with_nodes(&[1]);
    let (epoch, ..) = world.claim(1, "c", false, 60);
    world.subscribe(1, "c", epoch, "a", "");
    let (_, present, _) = world.claim(1, "c", true, 60);
    assert!(!present);
    assert_eq!(world.routes(), []);
}

/// §3.1.4
#[test]
fn a_session_that_ends_with_its_connection_is_not_resumed_by_a_takeover() {
    let mut world = World::with_nodes(&[1, 2]);
    let (epoch, ..) = world.claim(1, "c", true, 0);
    world.subscribe(1, "c", epoch, "a", "");
    let (_, present, _) = world.claim(2, "c", false, 60);
    assert!(!present);
    assert_eq!(world.routes(), []);
}

#[test]
fn a_session_that_has_expired_is_not_resumed_though_no_tick_has_come() {
    let mut world = World::with_nodes(&[1]);
    let (epoch, ..) = world.claim(1, "c", true, 2);
    world.release(1, "c", epoch, false);
    world.now_ms = 2_000;
    assert!(!world.claim(1, "c", false, 60).1);
}

#[test]
fn a_batch_that_comes_again_changes_nothing() {
    let mut world = World::with_nodes(&[1]);
    let (epoch, ..) = world.claim(1, "c", false, 60);
    let subscription = v1::Subscription {
        filter: "a".into(),
        ..Default::default()
    };
    let subscribe = v1::Subscribe {
        client_id: "c".into(),
        epoch,
        subscriptions: vec![subscription],
        now_ms: 0,
    };
    let ops = vec![Op {
        kind: Some(Kind::Subscribe(subscribe)),
    }];
    let batch = Batch {
        node_id: 1,
        incarnation: 1,
        first_seq: 3,
        ops,
    };
    let entry = Entry {
        batches: vec![batch],
    };
    assert_eq!(world.table.apply(10, &entry).outcomes[0].len(), 1);
    assert_eq!(world.table.apply(11, &entry).outcomes[0].len(), 0);
    assert_eq!(world.table.counts(NodeId(1)).subscriptions, 1);
}

#[test]
fn a_life_that_is_not_up_is_refused_and_an_older_life_does_not_come_back() {
    let mut world = World::with_nodes(&[1, 2]);
    world.down(1, 2);
    let tick = Kind::Tick(v1::Tick { now_ms: 0 });
    assert_eq!(world.run(2, tick).0, Outcome::Refused(Refusal::NodeNotUp));
    assert_eq!(world.up(2, 2), Outcome::NodeUp);
    world.seq.insert(2, 0);
    let old = v1::NodeUp {
        node_id: 2,
        incarnation: 1,
        ..Default::default()
    };
    assert_eq!(
        world.run(2, Kind::NodeUp(old)).0,
        Outcome::Refused(Refusal::StaleIncarnation)
    );
}

#[test]
fn a_node_that_goes_down_takes_its_sessions_and_routes_along_but_not_the_lasting_ones() {
    let mut world = World::with_nodes(&[1, 2]);
    for (client, expiry) in [("short", 0), ("long", 60)] {
        let (epoch, ..) = world.claim_with_will(2, client, true, expiry, Some(0));
        world.subscribe(2, client, epoch, &format!("{client}/t"), "");
    }
    let events = world.down(1, 2);
    assert_eq!(wills(&events), 2);
    assert_eq!(world.routes(), []);
    assert!(world.table.session("short").is_none());
    assert!(
        world
            .table
            .session("long")
            .is_some_and(|session| !session.connected)
    );
    world.up(2, 2);
    assert_eq!(
        world.routes(),
        [("long/t".to_owned(), 2)],
        "the lasting session waits at its node again"
    );
}

#[test]
fn a_will_waits_for_its_delay_and_is_taken_back_by_a_reconnect() {
    let mut world = World::with_nodes(&[1]);
    let (epoch, ..) = world.claim_with_will(1, "c", true, 60, Some(5));
    world.now_ms = 1_000;
    assert_eq!(wills(&world.release(1, "c", epoch, false).1), 0);
    assert_eq!(world.table.next_due_ms(), Some(6_000));
    let (epoch, ..) = world.claim_with_will(1, "c", false, 60, Some(5));
    assert_eq!(wills(&world.tick(1, 10_000)), 0);
    world.release(1, "c", epoch, false);
    assert_eq!(wills(&world.tick(1, 15_000)), 1);
    assert_eq!(wills(&world.tick(1, 16_000)), 0);
}

#[test]
fn a_will_is_published_when_its_session_ends_however_long_its_delay() {
    let mut world = World::with_nodes(&[1]);
    let (epoch, ..) = world.claim_with_will(1, "c", true, 2, Some(100));
    world.release(1, "c", epoch, false);
    assert_eq!(wills(&world.tick(1, 2_000)), 1);
    assert!(world.table.session("c").is_none());
}

#[test]
fn a_normal_disconnect_drops_the_will() {
    let mut world = World::with_nodes(&[1]);
    let (epoch, ..) = world.claim_with_will(1, "c", true, 0, Some(0));
    assert_eq!(wills(&world.release(1, "c", epoch, true).1), 0);
}

#[test]
fn a_takeover_publishes_an_undelayed_will_and_takes_a_delayed_one_back() {
    let mut world = World::with_nodes(&[1, 2]);
    world.claim_with_will(1, "a", true, 60, Some(0));
    world.claim_with_will(1, "b", true, 60, Some(9));
    assert_eq!(wills(&world.claim(2, "a", false, 60).2), 1);
    assert_eq!(wills(&world.claim(2, "b", false, 60).2), 0);
}

#[test]
fn the_last_retained_message_in_the_log_wins_and_an_empty_one_deletes() {
    let mut world = World::with_nodes(&[1, 2]);
    for (node, payload) in [(1, "x"), (2, "y")] {
        let set = v1::SetRetained {
            message: Some(message("t", payload)),
        };
        assert_eq!(world.run(node, Kind::SetRetained(set)).0, Outcome::Retained);
    }
    assert_eq!(
        world.table.retained("t").map(|m| m.payload.clone()),
        Some("y".into())
    );
    world.run(
        1,
        Kind::SetRetained(v1::SetRetained {
            message: Some(message("t", "")),
        }),
    );
    assert!(world.table.retained("t").is_none());
}

#[derive(Default)]
struct Seen {
    local: Vec<String>,
    remote: BTreeSet<u64>,
    groups: Vec<Vec<String>>,
}

impl Visitor for Seen {
    fn local(&mut self, subscriber: Subscriber<'_>) {
        self.local.push(subscriber.client_id.to_string());
    }
    fn remote(&mut self, node: NodeId) {
        self.remote.insert(node.0);
    }
    fn group(&mut self, _share: &str, members: &mut dyn Iterator<Item = ShareMember<'_>>) {
        self.groups
            .push(members.map(|member| member.client_id.to_string()).collect());
    }
}

#[test]
fn a_topic_goes_to_own_subscribers_other_nodes_and_share_groups() {
    let mut world = World::with_nodes(&[1, 2, 3]);
    for (node, client, filter, share) in [
        (1, "a", "t/+", ""),
        (2, "b", "t/#", ""),
        (3, "c", "u", ""),
        (3, "d", "t/1", "g"),
        (1, "e", "t/1", "g"),
    ] {
        let (epoch, ..) = world.claim(node, client, true, 0);
        world.subscribe(node, client, epoch, filter, share);
    }
    let mut seen = Seen::default();
    world.table.resolve("t/1", NodeId(1), &mut seen);
    assert_eq!(seen.local, ["a"]);
    assert_eq!(seen.remote, BTreeSet::from([2]));
    assert_eq!(seen.groups, [["d", "e"]]);
}

#[test]
fn a_reader_forgets_exactly_the_filters_that_changed() {
    let shared = SharedTable::default();
    let mut world = World::with_nodes(&[1]);
    let (epoch, ..) = world.claim(1, "c", true, 0);
    shared.replace(world.table.clone());
    let before = shared.generation();
    let subscription = v1::Subscription {
        filter: "a/b".into(),
        ..Default::default()
    };
    let subscribe = v1::Subscribe {
        client_id: "c".into(),
        epoch,
        subscriptions: vec![subscription],
        now_ms: 0,
    };
    let ops = vec![Op {
        kind: Some(Kind::Subscribe(subscribe)),
    }];
    let batch = Batch {
        node_id: 1,
        incarnation: 1,
        first_seq: 3,
        ops,
    };
    shared.apply(
        9,
        &Entry {
            batches: vec![batch],
        },
    );
    let mut changed = vec![];
    let newest = shared.changes_since(before, |filter| changed.push(filter.to_owned()));
    assert_eq!(newest, Ok(shared.newest()));
    assert_eq!(shared.newest().index, 9);
    assert_eq!(changed, ["a/b"]);
    shared.replace(Table::new());
    assert!(
        shared.changes_since(before, |_| {}).is_err(),
        "another table: everything changed"
    );
    let now = shared.generation();
    assert_eq!(
        shared.changes_since(now, |_| panic!("nothing changed")),
        Ok(shared.newest())
    );
}

#[test]
fn a_damaged_or_truncated_snapshot_is_an_error() {
    let mut world = World::with_nodes(&[1]);
    let (epoch, ..) = world.claim(1, "c", true, 60);
    world.subscribe(1, "c", epoch, "a/b", "");
    let mut bytes = vec![];
    world.table.freeze().write_to(&mut bytes).expect("memory");
    for end in 0..bytes.len() {
        assert!(
            Table::read_from(&mut &bytes[..end]).is_err(),
            "cut at {end}"
        );
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(
            Table::read_from(&mut &damaged[..]).is_err(),
            "bit flipped at {at}"
        );
    }
}

#[test]
fn a_frozen_table_stays_as_it_was() {
    let mut world = World::with_nodes(&[1]);
    let (epoch, ..) = world.claim(1, "c", true, 60);
    let (frozen, hash) = (world.table.freeze(), world.table.hash());
    world.subscribe(1, "c", epoch, "a", "");
    let mut bytes = vec![];
    frozen.write_to(&mut bytes).expect("memory");
    let restored = Table::read_from(&mut &bytes[..]).expect("whole");
    assert_eq!(restored.hash(), hash);
    assert_ne!(world.table.hash(), hash);
}

fn any_op() -> impl Strategy<Value = (u64, Kind)> {
    let client = prop::sample::select(vec!["a", "b", "c", "d"]);
    let filter = prop::sample::select(vec!["t", "t/+", "t/#", "#", "+/1"]);
    let node = 1..=3u64;
    let epoch = 0..40u64;
    (
        node,
        0..11u32,
        client,
        filter,
        epoch,
        any::<bool>(),
        0..3u32,
    )
        .prop_map(|(node, what, client, filter, epoch, flag, n)| {
            let client_id = client.to_owned();
            let epoch = epoch << 12;
            let now_ms = epoch;
            let share = if flag && n == 1 { "g" } else { "" }.to_owned();
            let subscriptions = vec![v1::Subscription {
                filter: filter.into(),
                share,
                options: n,
                id: n,
            }];
            let kind = match what {
                0 | 1 => Kind::ClaimSession(v1::ClaimSession {
                    client_id,
                    node_id: node,
                    clean_start: flag,
                    expiry_seconds: n,
                    will: (n == 2).then(|| Will {
                        message: Some(message("w", "w")),
                        delay_seconds: n,
                    }),
                    attributes: None,
                    now_ms,
                    in_memory: !flag,
                }),
                2 => Kind::ReleaseSession(v1::ReleaseSession {
                    client_id,
                    epoch,
                    discard_will: flag,
                    now_ms,
                    ..Default::default()
                }),
                3 => Kind::EndSession(v1::EndSession {
                    client_id,
                    now_ms,
                    offline_epoch: None,
                }),
                4 | 5 => Kind::Subscribe(v1::Subscribe {
                    client_id,
                    epoch,
                    subscriptions,
                    now_ms,
                }),
                6 if flag => Kind::NodeDown(v1::NodeDown {
                    node_id: u64::from(n) + 1,
                    incarnation: 1,
                    now_ms,
                    reason: String::new(),
                }),
                6 => Kind::Tick(v1::Tick { now_ms }),
                8 if n == 0 => Kind::LiftBan(v1::LiftBan {
                    of: v1::BanOf::Client.into(),
                    who: client_id,
                }),
                8 => Kind::SetBan(v1::SetBan {
                    ban: Some(v1::Ban {
                        of: v1::BanOf::Client.into(),
                        who: client_id,
                        at_ms: now_ms,
                        until_ms: flag.then(|| now_ms + u64::from(n) * 9_000),
                        ..Default::default()
                    }),
                }),
                9 => Kind::DelayPublish(v1::DelayPublish {
                    message: Some(Message {
                        client_id,
                        ..message("later", "x")
                    }),
                    due_ms: now_ms + u64::from(n) * 9_000,
                    messages_max: 5,
                    by_api: flag,
                }),
                10 => Kind::EndDelayed(v1::EndDelayed {
                    ids: vec![epoch, epoch + (1 << 12)],
                }),
                _ => Kind::Unsubscribe(v1::Unsubscribe {
                    client_id,
                    epoch,
                    subscriptions,
                }),
            };
            (node, kind)
        })
}

/// Epochs in random commands are guesses; most of the time take the one that is right.
fn with_right_epoch(table: &Table, kind: Kind) -> Kind {
    let right = |client: &str, guess: u64| {
        table
            .session(client)
            .map_or(guess, |session| session.epoch.0)
    };
    match kind {
        Kind::Subscribe(mut op) => {
            op.epoch = right(&op.client_id, op.epoch);
            Kind::Subscribe(op)
        }
        Kind::Unsubscribe(mut op) => {
            op.epoch = right(&op.client_id, op.epoch);
            Kind::Unsubscribe(op)
        }
        Kind::ReleaseSession(mut op) => {
            op.epoch = right(&op.client_id, op.epoch);
            Kind::ReleaseSession(op)
        }
        other => other,
    }
}

/// Routes and counts, computed from the sessions alone.
fn check_against_sessions(table: &Table) -> Result<(), TestCaseError> {
    let mut routes = BTreeSet::new();
    let mut subscriptions = 0;
    for session in table.sessions_from(None) {
        for subscription in table.subscriptions_of(&session.client_id) {
            subscriptions += 1;
            if table.is_node_up(session.node) {
                routes.insert((subscription.filter.to_string(), session.node.0));
            }
        }
    }
    let listed: Vec<_> = table
        .routes_from(None)
        .map(|(filter, node)| (filter.to_string(), node.0))
        .collect();
    let expected: Vec<_> = routes.into_iter().collect();
    prop_assert_eq!(&listed, &expected);
    let counts: Vec<_> = (1..=3).map(|node| table.counts(NodeId(node))).collect();
    prop_assert_eq!(counts[0].routes, expected.len());
    prop_assert_eq!(
        counts.iter().map(|c| c.subscriptions).sum::<usize>(),
        subscriptions
    );
    prop_assert_eq!(
        counts.iter().map(|c| c.sessions).sum::<usize>(),
        table.session_count()
    );
    Ok(())
}

proptest! {
    #[test]
    fn two_tables_stay_equal_through_any_commands_and_a_snapshot(
        ops in prop::collection::vec(any_op(), 1..60),
        cut in 0..60usize,
    ) {
        let mut world = World::with_nodes(&[1, 2, 3]);
        let mut twin = world.table.clone();
        for (at, (node, kind)) in ops.into_iter().enumerate() {
            if at == cut {
                let mut bytes = vec![];
                twin.freeze().write_to(&mut bytes).expect("memory");
                twin = Table::read_from(&mut &bytes[..]).expect("a whole snapshot");
            }
            let kind = with_right_epoch(&world.table, kind);
            let seq = world.seq[&node] + 1;
            world.seq.insert(node, seq);
            world.index += 1;
            let batch = Batch { node_id: node, incarnation: 1, first_seq: seq, ops: vec![Op { kind: Some(kind) }] };
            let entry = Entry { batches: vec![batch] };
            let (mine, theirs) = (world.table.apply(world.index, &entry), twin.apply(world.index, &entry));
            prop_assert_eq!(mine.outcomes, theirs.outcomes);
            prop_assert_eq!(mine.events, theirs.events);
            check_against_sessions(&world.table)?;
        }
        prop_assert_eq!(world.table.hash(), twin.hash());
    }

    #[test]
    fn arbitrary_bytes_as_an_entry_or_a_snapshot_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        use prost::Message as _;
        if let Ok(entry) = Entry::decode(&bytes[..]) {
            World::with_nodes(&[1]).table.apply(9, &entry);
        }
        let _ = Table::read_from(&mut &bytes[..]);
    }
}

#[test]
fn a_clients_subscriptions_are_paged_without_repeating_or_skipping() {
    let mut world = World::with_nodes(&[1]);
    let (epoch, ..) = world.claim(1, "c", true, 0);
    for filter in ["a", "b", "c"] {
        world.subscribe(1, "c", epoch, filter, "");
    }
    let mut after: Option<Arc<str>> = None;
    let mut seen = vec![];
    loop {
        let from = after.as_deref().map(|filter| (filter, None));
        let next = world
            .table
            .subscriptions_behind("c", from)
            .next()
            .map(|s| s.filter.clone());
        let Some(next) = next else { break };
        seen.push(next.to_string());
        after = Some(next);
    }
    assert_eq!(seen, ["a", "b", "c"]);
}

#[test]
fn only_the_offline_session_that_was_meant_is_ended() {
    let mut world = World::with_nodes(&[1, 2]);
    let (epoch, ..) = world.claim(1, "c", false, 100);
    let end = |epoch: u64| {
        Kind::EndSession(v1::EndSession {
            client_id: "c".into(),
            now_ms: 0,
            offline_epoch: Some(epoch),
        })
    };
    let refused = Outcome::Refused(Refusal::StaleEpoch);
    assert_eq!(world.run(2, end(epoch)).0, refused, "connected");
    world.release(1, "c", epoch, true);
    assert_eq!(world.run(2, end(epoch + 1)).0, refused, "another claim");
    assert!(matches!(world.run(2, end(epoch)).0, Outcome::Ended(_)));
    assert!(world.table.session("c").is_none());
}

#[test]
fn retained_messages_are_read_in_the_order_of_their_topics() {
    let mut world = World::with_nodes(&[1]);
    for (topic, payload) in [("b", "x"), ("a/b", "x"), ("c", "x"), ("a", "x"), ("c", "")] {
        let set = v1::SetRetained {
            message: Some(message(topic, payload)),
        };
        world.run(1, Kind::SetRetained(set));
    }
    let topics = |after| -> Vec<&str> {
        let messages = world.table.retained_from(after);
        messages.map(|message| message.topic.as_str()).collect()
    };
    assert_eq!(topics(None), ["a", "a/b", "b"]);
    assert_eq!(topics(Some("a")), ["a/b", "b"]);
    assert_eq!(topics(Some("aa")), ["b"]);
    assert!(topics(Some("b")).is_empty());
}
