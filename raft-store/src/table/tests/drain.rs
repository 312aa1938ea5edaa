//! Orders over nodes: who may drain, and what outlives what.

use super::*;

const ORDER: v1::Drain = v1::Drain {
    clients_per_second: 10,
    since_ms: 5,
};

impl World {
    fn drain(&mut self, by: u64, node_id: u64, drain: Option<v1::Drain>) -> Outcome {
        let set = v1::SetDrain { node_id, drain };
        self.run(by, Kind::SetDrain(set)).0
    }

    fn drain_of(&self, node: u64) -> Option<Drain> {
        self.table.nodes[&NodeId(node)].drain
    }
}

#[test]
fn any_node_orders_it_for_any_node_and_takes_it_back() {
    let mut world = World::with_nodes(&[1, 2, 3]);
    assert_eq!(world.drain(1, 3, Some(ORDER)), Outcome::DrainSet);
    let order = Drain {
        clients_per_second: 10,
        since_ms: 5,
    };
    assert_eq!(world.drain_of(3), Some(order));
    assert_eq!(world.drain(3, 3, None), Outcome::DrainSet);
    assert_eq!(world.drain_of(3), None);
    assert_eq!(world.drain(3, 3, None), Outcome::DrainSet, "again");
}

#[test]
fn a_second_order_changes_the_pace_and_not_the_beginning() {
    let mut world = World::with_nodes(&[1, 2]);
    world.drain(1, 2, Some(ORDER));
    let faster = v1::Drain {
        clients_per_second: 99,
        since_ms: 500,
    };
    assert_eq!(world.drain(1, 2, Some(faster)), Outcome::DrainSet);
    let order = Drain {
        clients_per_second: 99,
        since_ms: 5,
    };
    assert_eq!(world.drain_of(2), Some(order));
}

#[test]
fn the_last_node_that_takes_clients_stays() {
    let refused = Outcome::Refused(Refusal::NoOtherNode);
    let mut world = World::with_nodes(&[1, 2, 3]);
    world.down(1, 3);
    assert_eq!(world.drain(1, 1, Some(ORDER)), Outcome::DrainSet);
    assert_eq!(
        world.drain(1, 2, Some(ORDER)),
        refused,
        "1 drains, 3 is down"
    );
    assert_eq!(
        world.drain(1, 3, Some(ORDER)),
        Outcome::DrainSet,
        "2 is there"
    );
    assert_eq!(World::with_nodes(&[1]).drain(1, 1, Some(ORDER)), refused);
    let unknown = Outcome::Refused(Refusal::UnknownNode);
    assert_eq!(world.drain(1, 9, Some(ORDER)), unknown);
    assert_eq!(world.drain(1, 9, None), unknown);
}

#[test]
fn an_order_outlives_the_lives_of_its_node_and_a_snapshot() {
    let mut world = World::with_nodes(&[1, 2]);
    world.drain(1, 2, Some(ORDER));
    world.down(1, 2);
    assert!(world.drain_of(2).is_some());
    assert_eq!(world.up(2, 2), Outcome::NodeUp);
    assert!(world.drain_of(2).is_some());
    let before = world.table.hash();
    let mut file = Vec::new();
    world.table.freeze().write_to(&mut file).expect("in memory");
    let read = Table::read_from(&mut &file[..]).expect("a snapshot");
    assert_eq!(read.nodes[&NodeId(2)], world.table.nodes[&NodeId(2)]);
    world.drain(1, 2, None);
    assert_ne!(world.table.hash(), before, "it shows in the hash");
}
