//! What is counted, and by whom: each thing once in the cluster, by a node that is up.

use super::*;

/// "node: what", in order.
fn counted(events: &[TableEvent]) -> Vec<String> {
    let line = |event: &TableEvent| match event {
        TableEvent::Counted { by, what } => Some(match what {
            Countable::SessionCreated(_) => format!("{by}: created"),
            Countable::SessionResumed => format!("{by}: resumed"),
            Countable::SessionTerminated { .. } => format!("{by}: terminated"),
            Countable::WillPublished(_) => format!("{by}: will"),
        }),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

#[test]
fn a_session_is_created_once_and_resumed_by_each_later_claim() {
    let mut world = World::with_nodes(&[1, 2]);
    assert_eq!(counted(&world.claim(1, "c", false, 60).2), ["1: created"]);
    assert_eq!(counted(&world.claim(2, "c", false, 60).2), ["2: resumed"]);
}

#[test]
fn a_clean_start_ends_the_session_at_the_node_that_had_it() {
    let mut world = World::with_nodes(&[1, 2]);
    world.claim(1, "c", false, 60);
    let (.., events) = world.claim(2, "c", true, 60);
    assert_eq!(counted(&events), ["1: terminated", "2: created"]);
}

#[test]
fn the_end_of_a_connection_and_expiry_end_a_session_at_its_node() {
    let mut world = World::with_nodes(&[1, 2]);
    let (short, ..) = world.claim(2, "short", true, 0);
    assert_eq!(
        counted(&world.release(2, "short", short, true).1),
        ["2: terminated"]
    );
    let (long, ..) = world.claim(2, "long", true, 60);
    assert_eq!(counted(&world.release(2, "long", long, true).1), [""; 0]);
    assert_eq!(counted(&world.tick(1, 60_000)), ["2: terminated"]);
}

#[test]
fn a_node_that_is_up_counts_for_one_that_is_down() {
    let mut world = World::with_nodes(&[1, 2, 3]);
    world.claim_with_will(1, "c", true, 0, Some(0));
    world.claim(1, "waits", false, 60);
    assert_eq!(counted(&world.down(3, 1)), ["2: will", "2: terminated"]);
    assert_eq!(counted(&world.tick(3, 60_000)), ["2: terminated"]);
}

#[test]
fn what_ends_with_a_life_that_nobody_declared_over_is_counted_by_another_node() {
    let mut world = World::with_nodes(&[1, 2]);
    world.claim(1, "c", true, 0);
    let up = v1::NodeUp {
        node_id: 1,
        incarnation: 2,
        ..Default::default()
    };
    let events = world.run(1, Kind::NodeUp(up)).1;
    assert_eq!(counted(&events), ["2: terminated"]);
}

#[test]
fn a_will_is_counted_where_its_client_was() {
    let mut world = World::with_nodes(&[1, 2]);
    let (epoch, ..) = world.claim_with_will(2, "c", true, 60, Some(5));
    assert_eq!(counted(&world.release(2, "c", epoch, false).1), [""; 0]);
    assert_eq!(counted(&world.tick(1, 5_000)), ["2: will"]);
}
