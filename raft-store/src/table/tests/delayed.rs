//! Delayed messages: when they are due, who publishes them, and that none is lost or doubled.

use super::*;

impl World {
    fn delay_from(&mut self, node: u64, publisher: &str, payload: &'static str, due_ms: u64) {
        let message = Message {
            client_id: publisher.into(),
            ..message("later", payload)
        };
        let outcome = self.delay(node, message, due_ms, 100);
        assert_eq!(outcome, Outcome::Delayed);
    }

    fn delay(&mut self, node: u64, message: Message, due_ms: u64, messages_max: u64) -> Outcome {
        let delay = v1::DelayPublish {
            message: Some(message),
            due_ms,
            messages_max,
            by_api: false,
        };
        self.run(node, Kind::DelayPublish(delay)).0
    }

    fn end(&mut self, node: u64, ids: &[u64]) -> Vec<bool> {
        let end = v1::EndDelayed { ids: ids.to_vec() };
        match self.run(node, Kind::EndDelayed(end)).0 {
            Outcome::DelayedEnded { was_its_own } => was_its_own,
            other => panic!("end: {other:?}"),
        }
    }

    /// What a node is to publish: (id, payload).
    fn due_for(&self, node: u64) -> Vec<(u64, String)> {
        let due = self.table.delayed_due_for(NodeId(node));
        due.map(|delayed| {
            let payload = String::from_utf8_lossy(&delayed.message.payload);
            (delayed.id, payload.into_owned())
        })
        .collect()
    }

    fn due_payloads(&self, node: u64) -> Vec<String> {
        let due = self.due_for(node).into_iter();
        due.map(|(_, payload)| payload).collect()
    }

    fn count(&self) -> usize {
        self.table.counts(NodeId(1)).delayed
    }
}

#[test]
fn a_message_is_due_when_its_time_has_come_and_not_before() {
    let mut world = World::with_nodes(&[1]);
    world.delay_from(1, "p", "a", 1_000);
    assert_eq!(world.table.next_due_ms(), Some(1_000));
    assert_eq!(world.tick(1, 999), []);
    assert_eq!(world.due_payloads(1), [""; 0]);
    assert_eq!(world.tick(1, 1_000), [TableEvent::DelayedDue]);
    assert_eq!(world.due_payloads(1), ["a"]);
    assert_eq!(world.table.next_due_ms(), None, "time has done its part");
}

#[test]
fn those_of_one_publisher_are_one_node_s_in_the_order_of_their_times_and_then_of_the_log() {
    let mut world = World::with_nodes(&[1, 2, 3]);
    world.delay_from(1, "p", "third", 30);
    world.delay_from(2, "p", "first", 10);
    world.delay_from(3, "p", "second", 10);
    world.tick(1, 50);
    let due: Vec<_> = (1..=3).map(|node| world.due_payloads(node)).collect();
    let all: Vec<_> = due.iter().filter(|due| !due.is_empty()).collect();
    assert_eq!(all, [&["first", "second", "third"]]);
}

#[test]
fn publishers_are_spread_over_the_nodes_that_are_up() {
    let mut world = World::with_nodes(&[1, 2, 3]);
    world.down(1, 2);
    let names: Vec<_> = (0..30).map(|n| format!("p{n}")).collect();
    for name in &names {
        world.delay_from(1, name, "x", 10);
    }
    world.tick(1, 10);
    let shares = [1, 2, 3].map(|node| world.due_for(node).len());
    assert_eq!((shares[1], shares.iter().sum::<usize>()), (0, 30));
    assert!(shares[0] > 0 && shares[2] > 0, "{shares:?}");
}

#[test]
fn it_leaves_the_table_when_the_node_that_publishes_it_says_so_once() {
    let mut world = World::with_nodes(&[1]);
    world.delay_from(1, "p", "a", 10);
    world.tick(1, 10);
    let (id, _) = world.due_for(1)[0];
    assert!(world.table.is_delayed(id));
    assert_eq!(world.end(1, &[id, 7]), [true, false]);
    assert_eq!(world.end(1, &[id]), [false]);
    assert!(!world.table.is_delayed(id));
    assert_eq!(world.count(), 0);
}

#[test]
fn one_that_is_not_due_cannot_be_ended() {
    let mut world = World::with_nodes(&[1]);
    world.delay_from(1, "p", "a", 10);
    let id = Epoch::new(world.index, 0).0;
    assert!(world.table.is_delayed(id), "the id is the place in the log");
    assert_eq!(world.end(1, &[id]), [false]);
    assert_eq!(world.count(), 1);
}

#[test]
fn the_death_of_a_node_gives_what_it_was_to_publish_to_another_and_its_late_word_is_not_heard() {
    let mut world = World::with_nodes(&[1, 2]);
    world.delay_from(1, "p", "a", 10);
    world.tick(1, 10);
    let (first, other) = match world.due_for(1).is_empty() {
        false => (1, 2),
        true => (2, 1),
    };
    let (id, _) = world.due_for(first)[0];
    assert_eq!(world.end(other, &[id]), [false], "it is not its own");
    let events = world.down(other, first);
    assert!(events.contains(&TableEvent::DelayedDue));
    assert_eq!(world.due_payloads(first), [""; 0]);
    assert_eq!(world.due_payloads(other), ["a"]);
    world.up(first, 2);
    assert_eq!(world.end(first, &[id]), [false]);
    assert_eq!(world.end(other, &[id]), [true]);
}

#[test]
fn a_node_that_is_started_anew_goes_on_with_what_it_was_to_publish() {
    let mut world = World::with_nodes(&[1]);
    world.delay_from(1, "p", "a", 10);
    world.tick(1, 10);
    world.up(1, 2);
    assert_eq!(world.due_payloads(1), ["a"]);
}

#[test]
fn what_no_node_was_up_to_publish_is_the_next_one_s() {
    let mut world = World::with_nodes(&[1, 2]);
    world.down(1, 2);
    world.delay_from(1, "p", "a", 10);
    world.tick(1, 10);
    world.down(1, 1);
    assert_eq!(world.due_payloads(1), [""; 0]);
    assert_eq!(world.count(), 1);
    world.up(2, 2);
    assert_eq!(world.due_payloads(2), ["a"]);
}

#[test]
fn beyond_the_proposer_s_limit_one_is_refused() {
    let mut world = World::with_nodes(&[1]);
    let mut delay = |max| world.delay(1, message("later", "x"), 10, max);
    assert_eq!(delay(2), Outcome::Delayed);
    assert_eq!(delay(2), Outcome::Delayed);
    assert_eq!(delay(2), Outcome::Refused(Refusal::TooMany));
    assert_eq!(delay(0), Outcome::Refused(Refusal::TooMany));
    assert_eq!(delay(3), Outcome::Delayed);
    assert_eq!(world.count(), 3);
}

#[test]
fn one_without_a_topic_name_is_refused() {
    let mut world = World::with_nodes(&[1]);
    for topic in ["", "a/#"] {
        let outcome = world.delay(1, message(topic, "x"), 10, 100);
        assert_eq!(outcome, Outcome::Refused(Refusal::InvalidTopic), "{topic}");
    }
}

#[test]
fn a_snapshot_and_the_hash_have_those_that_wait_and_those_that_are_due() {
    let mut world = World::with_nodes(&[1, 2]);
    let empty = world.table.hash();
    world.delay_from(1, "p", "due", 10);
    world.delay_from(1, "p", "waits", 99);
    let before = world.table.hash();
    world.tick(1, 10);
    assert_ne!(before, empty);
    assert_ne!(world.table.hash(), before, "that it is due shows");

    let mut file = Vec::new();
    world.table.freeze().write_to(&mut file).unwrap();
    let restored = Table::read_from(&mut file.as_slice()).unwrap();
    assert_eq!(restored.hash(), world.table.hash());
    let mut again = Vec::new();
    restored.freeze().write_to(&mut again).unwrap();
    assert_eq!(again, file);

    let due = [1, 2].map(|node| world.due_for(node));
    world.table = restored;
    assert_eq!([1, 2].map(|node| world.due_for(node)), due);
    assert_eq!(world.count(), 2);
    assert_eq!(world.table.next_due_ms(), Some(99));
}

#[test]
fn a_frozen_table_keeps_what_is_published_meanwhile() {
    let mut world = World::with_nodes(&[1]);
    world.delay_from(1, "p", "a", 10);
    world.tick(1, 10);
    let (frozen, hash) = (world.table.freeze(), world.table.hash());
    let (id, _) = world.due_for(1)[0];
    world.end(1, &[id]);
    assert_eq!(frozen.hash(), hash);
    assert_ne!(world.table.hash(), hash);
}

#[test]
fn a_table_without_delayed_messages_is_written_as_it_was_before_there_were_any() {
    let written = |world: &World| {
        let mut file = Vec::new();
        world.table.freeze().write_to(&mut file).unwrap();
        file
    };
    let (mut with, mut without) = (World::with_nodes(&[1]), World::with_nodes(&[1]));
    with.delay_from(1, "p", "a", 10);
    with.tick(1, 10);
    let (id, _) = with.due_for(1)[0];
    with.end(1, &[id]);
    for _ in 0..3 {
        without.tick(1, 10);
    }
    assert_eq!(written(&with), written(&without));
}
