//! The list of clients: every filter, limits, pages; kicking and asking whether one is online.

use std::sync::Arc;

use crate::world::{CONNECTED_AT_MS, Setup, TestNode, World, row, serve_peer, session};

/// Three clients here, two on a peer.
async fn world() -> World {
    let mut one = row(1, "sensor/1");
    one.username = "alice".into();
    one.queue = 10;
    let mut two = row(2, "sensor/2");
    two.protocol_version = 5;
    two.peer_address = "[fe80::1]:99".into();
    two.clean_start = false;
    two.session_present = true;
    let mut three = row(1, "tablet");
    three.connected = false;
    three.created_at_ms = CONNECTED_AT_MS - 100_000;
    three.connected_at_ms = CONNECTED_AT_MS - 50_000;
    let four = row(2, "umlaut \u{fc}");
    let rows = [one, two, three, four];
    let on = |id: u64| {
        rows.iter()
            .filter(|row| row.node_id == id)
            .cloned()
            .collect()
    };
    let peer = serve_peer(2, Arc::new(TestNode::with_rows(on(2)))).await;
    let local = Arc::new(TestNode::with_rows(on(1)));
    let setup = Setup {
        local,
        peers: vec![(2, peer)],
        ..Setup::default()
    };
    for row in rows {
        setup
            .view
            .sessions
            .lock()
            .unwrap()
            .insert(row.client_id.clone(), session(row));
    }
    setup.start().await
}

#[tokio::test]
async fn every_filter_works_across_nodes_and_all_are_anded() {
    let world = world().await;
    let at = CONNECTED_AT_MS / 1000;
    let all: &[&str] = &["sensor/1", "sensor/2", "tablet", "umlaut \u{fc}"];
    let recent: &[&str] = &["sensor/1", "sensor/2", "umlaut \u{fc}"];
    for (query, expected) in [
        (String::new(), all),
        ("clientid=sensor%2F2".into(), &["sensor/2"]),
        ("clientid=sensor".into(), &[]),
        ("username=alice".into(), &["sensor/1"]),
        (
            "username=undefined".into(),
            &["sensor/2", "tablet", "umlaut \u{fc}"],
        ),
        ("ip_address=fe80::1".into(), &["sensor/2"]),
        (
            "ip_address=10.0.0.9&connected=true".into(),
            &["sensor/1", "umlaut \u{fc}"],
        ),
        ("connected=false".into(), &["tablet"]),
        ("clean_start=false".into(), &["sensor/2"]),
        ("session_present=true".into(), &["sensor/2"]),
        ("proto_ver=5".into(), &["sensor/2"]),
        ("_like_clientid=ensor".into(), &["sensor/1", "sensor/2"]),
        ("_like_clientid=%C3%BC".into(), &["umlaut \u{fc}"]),
        ("_like_username=lic".into(), &["sensor/1"]),
        (format!("_gte_created_at={at}"), recent),
        (format!("_lte_created_at={}", at - 100), &["tablet"]),
        (
            format!("_gte_connected_at={}&_lte_connected_at={at}", at - 50),
            all,
        ),
        (format!("_lte_connected_at={}", at - 51), &[]),
        ("_gte_mqueue_len=10".into(), &["sensor/1"]),
        (
            "_lte_mqueue_len=9".into(),
            &["sensor/2", "tablet", "umlaut \u{fc}"],
        ),
        ("_like_clientid=sensor&proto_ver=4".into(), &["sensor/1"]),
        ("unknown_parameter=1".into(), all),
    ] {
        let reply = world.get(&format!("/api/v1/clients?{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.body);
        assert_eq!(reply.column("clientid"), expected, "{query}");
    }
}

#[tokio::test]
async fn times_are_taken_as_they_are_shown() {
    let world = world().await;
    let shown = world.get("/api/v1/clients/tablet").await.json()["connected_at"].clone();
    let shown = shown.as_str().unwrap().replace(' ', "%20");
    let reply = world
        .get(&format!("/api/v1/clients?_lte_connected_at={shown}"))
        .await;
    assert_eq!(reply.column("clientid"), ["tablet"]);
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_and_end() {
    let world = world().await;
    for limit in 1..=5 {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let reply = world
                .get(&format!("/api/v1/clients?_limit={limit}{cursor}"))
                .await;
            let rows = reply.column("clientid");
            assert!(rows.len() <= limit);
            seen.extend(rows);
            pages += 1;
            let Some(next) = reply.header("x-next-cursor") else {
                break;
            };
            cursor = format!("&_cursor={next}");
        }
        assert_eq!(seen, ["sensor/1", "sensor/2", "tablet", "umlaut \u{fc}"]);
        assert_eq!(pages, 4_usize.div_ceil(limit));
    }
}

#[tokio::test]
async fn online_is_true_or_false_also_for_the_unknown() {
    let world = world().await;
    for (client, online) in [
        ("sensor%2F2", "true"),
        ("tablet", "false"),
        ("nobody", "false"),
    ] {
        let reply = world.get(&format!("/api/v1/clients/{client}/online")).await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (200, online),
            "{client}"
        );
        reply.json();
    }
}

#[tokio::test]
async fn a_kick_ends_the_session_and_answers_the_connection_id() {
    let world = world().await;
    let reply = world.delete("/api/v1/clients/sensor%2F1").await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.text(),
        "1@10.0.0.1:1883/10.0.0.9:10839/sensor/1/alice"
    );
    assert_eq!(world.delete("/api/v1/clients/sensor%2F1").await.status, 404);
    let offline = world.delete("/api/v1/clients/tablet").await;
    assert_eq!(
        offline.text(),
        "1@10.0.0.1:1883/10.0.0.9:10839/tablet/undefined"
    );
}
