//! What listeners get, and what it costs to have none, or a slow one.

use super::*;
use raftmq_api::event::{EventClient, EventKind, EventName, Told};

fn event(client_id: &str, at_ms: u64) -> Event {
    let client = EventClient {
        client_id: client_id.into(),
        username: None,
        peer: None,
    };
    let kind = EventKind::Disconnected {
        reason: "gone".to_owned(),
        reason_code: None,
    };
    Event {
        node_id: 1,
        at_ms,
        client,
        kind,
    }
}

fn dropped(client_id: &str, count: u64) -> Event {
    let kind = EventKind::Dropped {
        reason: "offline".into(),
        topic: Some("t".to_owned()),
        count,
    };
    Event {
        kind,
        ..event(client_id, 0)
    }
}

fn terms() -> Terms {
    Terms {
        filter: EventFilter::default(),
        queue_events_max: 8,
        queue_bytes_max: 1 << 20,
        per_second_max: None,
    }
}

fn client_of(told: Option<Told>) -> String {
    match told {
        Some(Told::Event(event)) => event.client.client_id.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_known_whether_somebody_listens() {
    let sink = Arc::new(EventSink::default());
    assert!(!sink.is_heard());
    let one = sink.subscribe(terms()).expect("room");
    let other = sink.subscribe(terms()).expect("room");
    drop(one);
    assert!(sink.is_heard());
    drop(other);
    assert!(!sink.is_heard());
}

#[tokio::test]
async fn each_listener_gets_what_it_wants_in_order() {
    let sink = Arc::new(EventSink::default());
    let mut all = sink.subscribe(terms()).expect("room");
    let filter = EventFilter {
        client_id: Some("b".to_owned()),
        ..EventFilter::default()
    };
    let mut one = sink.subscribe(Terms { filter, ..terms() }).expect("room");
    for client_id in ["a", "b"] {
        sink.tell(event(client_id, 0));
    }
    assert_eq!(client_of(all.next().await), "a");
    assert_eq!(client_of(all.next().await), "b");
    assert_eq!(client_of(one.next().await), "b");
}

#[tokio::test]
async fn a_listener_that_does_not_read_loses_the_newest_and_is_told_how_many() {
    let sink = Arc::new(EventSink::default());
    let mut slow = sink.subscribe(terms()).expect("room");
    for number in 0..100 {
        sink.tell(event(&number.to_string(), 0));
    }
    let mut heard = Vec::new();
    let skipped = loop {
        match slow.next().await {
            Some(Told::Event(event)) => heard.push(event.client.client_id.to_string()),
            Some(Told::Skipped(count)) => break count,
            None => panic!("the sink is there"),
        }
    };
    assert_eq!(heard, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(skipped, 92);
}

#[tokio::test]
async fn a_rate_is_kept_and_the_rest_counted() {
    let sink = Arc::new(EventSink::default());
    let per_second_max = Some(2);
    let limited = Terms {
        per_second_max,
        ..terms()
    };
    let mut limited = sink.subscribe(limited).expect("room");
    for at_ms in [1_000, 1_001, 1_002, 2_000] {
        sink.tell(event(&at_ms.to_string(), at_ms));
    }
    for expected in ["1000", "1001", "2000"] {
        assert_eq!(client_of(limited.next().await), expected);
    }
    assert_eq!(limited.next().await, Some(Told::Skipped(1)));
}

#[test]
fn listeners_are_bounded() {
    let sink = Arc::new(EventSink::default());
    let listeners: Vec<_> = (0..LISTENERS_MAX)
        .map(|_| sink.subscribe(terms()).expect("room"))
        .collect();
    assert!(sink.subscribe(terms()).is_err());
    drop(listeners);
    assert!(sink.subscribe(terms()).is_ok());
}

#[test]
fn drops_of_a_second_are_added_up_by_client_topic_and_reason() {
    let mut tally = DropTally::default();
    for (client_id, count) in [("a", 1), ("b", 1), ("a", 4)] {
        tally.add(client_id, Some("t"), "offline", count, || {
            dropped(client_id, count)
        });
    }
    let (mut events, beyond) = tally.take();
    events.sort_by_key(|event| event.client.client_id.clone());
    assert_eq!(events, [dropped("a", 5), dropped("b", 1)]);
    assert_eq!(beyond, 0);
    assert!(tally.is_empty());
}

#[test]
fn a_flood_of_different_drops_is_bounded_and_counted() {
    let mut tally = DropTally::default();
    for number in 0..300 {
        let client_id = number.to_string();
        tally.add(&client_id, None, "offline", 2, || dropped(&client_id, 2));
    }
    let (events, beyond) = tally.take();
    assert_eq!((events.len(), beyond), (256, 88));
}

#[test]
fn a_kind_that_is_not_wanted_is_no_loss() {
    let sink = Arc::new(EventSink::default());
    let filter = EventFilter {
        names: Some(vec![EventName::Connected]),
        ..EventFilter::default()
    };
    let narrow = Terms {
        filter,
        queue_events_max: 1,
        ..terms()
    };
    let stream = sink.subscribe(narrow).expect("room");
    (0..10).for_each(|_| sink.tell(event("a", 0)));
    assert_eq!(stream.lost(), 0);
}

#[tokio::test]
async fn long_texts_fill_the_queue_before_there_are_many_events() {
    let sink = Arc::new(EventSink::default());
    let narrow = Terms {
        queue_bytes_max: 10_000,
        ..terms()
    };
    let mut stream = sink.subscribe(narrow).expect("room");
    let long = "x".repeat(6_000);
    for client_id in [&*long, &*long, "short"] {
        sink.tell(event(client_id, 0));
    }
    assert_eq!(client_of(stream.next().await), long);
    assert_eq!(client_of(stream.next().await), "short");
    sink.tell(event(&long, 0));
    assert_eq!(client_of(stream.next().await), long, "there is room again");
    assert_eq!(stream.next().await, Some(Told::Skipped(1)));
}
