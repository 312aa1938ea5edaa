//! Lists in pieces: the same rows as at once, whatever the size of a piece.

use super::*;

/// Three clients on two nodes, one with many subscribers beside them on `many`.
fn world() -> World {
    let mut world = World::with_nodes(&[1, 2]);
    for (client, node) in [("a", 1), ("b", 2), ("c", 1)] {
        let (epoch, ..) = world.claim(node, client, true, 60);
        for (filter, share) in [("x/+", ""), ("x/1", ""), ("x/1", "g"), ("y", ""), ("#", "")] {
            world.subscribe(node, client, epoch, filter, share);
        }
    }
    world.claim(1, "quiet", true, 60);
    for number in 0..40 {
        let client = format!("m{number:02}");
        let (epoch, ..) = world.claim(1 + number % 2, &client, true, 60);
        world.subscribe(1 + number % 2, &client, epoch, "many", "");
    }
    world
}

fn line(listed: &Listed<'_>) -> String {
    let subscription = listed.subscription;
    let share = subscription.share.as_deref().unwrap_or("-");
    format!(
        "{} {} {share}",
        listed.session.client_id, subscription.filter
    )
}

/// All rows, read in pieces of `count`.
fn read(table: &Table, scope: Scope<'_>, count: usize) -> Vec<String> {
    let (mut lines, mut after) = (Vec::new(), None);
    loop {
        let piece = table.subscriptions_listed(scope, after.as_ref(), count);
        assert!(piece.rows.len() <= count);
        lines.extend(piece.rows.iter().map(line));
        let Some(next) = piece.next else {
            return lines;
        };
        after = Some(next);
    }
}

/// All rows that a condition on the filter keeps, by looking at every session.
fn scanned(table: &Table, keeps: impl Fn(&str) -> bool) -> Vec<String> {
    let of_session = |session| {
        let all = Session::subscriptions(session).iter();
        all.map(move |subscription| Listed {
            session,
            subscription,
        })
    };
    let all = table.sessions_from(None).flat_map(of_session);
    all.filter(|listed| keeps(&listed.subscription.filter))
        .map(|listed| line(&listed))
        .collect()
}

#[test]
fn every_scope_lists_what_a_scan_finds_whatever_the_size_of_a_piece() {
    let world = world();
    for count in [1, 2, 3, 7, 100] {
        let table = &world.table;
        assert_eq!(read(table, Scope::All, count), scanned(table, |_| true));
        for filter in ["x/1", "many", "nothing"] {
            assert_eq!(
                read(table, Scope::Filter(filter), count),
                scanned(table, |f| f == filter)
            );
        }
        for topic in ["x/1", "x/2", "many", "z"] {
            assert_eq!(
                read(table, Scope::Matching(topic), count),
                scanned(table, |f| raftmq_mqtt::topic::matches(f, topic))
            );
        }
        let of_b: Vec<_> = scanned(table, |_| true)
            .into_iter()
            .filter(|line| line.starts_with("b "))
            .collect();
        assert_eq!(read(table, Scope::Client("b"), count), of_b);
    }
}

#[test]
fn sessions_without_subscriptions_end_a_piece_too() {
    let mut world = World::with_nodes(&[1]);
    for number in 0..5 {
        world.claim(1, &format!("c{number}"), true, 60);
    }
    let piece = world.table.subscriptions_listed(Scope::All, None, 3);
    assert!(piece.rows.is_empty());
    assert_eq!(
        piece.next.map(|next| next.client_id.to_string()),
        Some("c2".to_owned())
    );
}

#[test]
fn a_client_that_goes_between_two_pieces_hides_no_other() {
    let mut world = World::with_nodes(&[1]);
    for client in ["a", "b", "c"] {
        let (epoch, ..) = world.claim(1, client, true, 0);
        world.subscribe(1, client, epoch, "t", "");
        world.subscribe(1, client, epoch, "u", "");
    }
    let first = world.table.subscriptions_listed(Scope::All, None, 3);
    let next = first.next;
    assert_eq!(next.as_ref().map(|next| &*next.client_id), Some("b"));
    let end = v1::EndSession {
        client_id: "b".into(),
        now_ms: 0,
        offline_epoch: None,
    };
    world.run(1, Kind::EndSession(end));
    let second = world
        .table
        .subscriptions_listed(Scope::All, next.as_ref(), 3);
    assert_eq!(
        second.rows.iter().map(line).collect::<Vec<_>>(),
        ["c t -", "c u -"]
    );
}

#[test]
fn routes_of_a_topic_are_read_in_pieces() {
    let world = world();
    let all = world.table.routes_matching("x/1", None, 100);
    let mut read: Vec<(Arc<str>, NodeId)> = Vec::new();
    loop {
        let after = read.last().map(|(filter, node)| (&**filter, *node));
        let piece = world.table.routes_matching("x/1", after, 1);
        if piece.is_empty() {
            break;
        }
        read.extend(piece);
    }
    assert_eq!(read, all);
    assert_eq!(all.len(), 6);
}
