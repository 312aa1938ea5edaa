//! Bans: whom they keep out and send away, from when, until when, and that they outlive a snapshot.

use super::*;

impl World {
    fn set_ban(&mut self, of: BanOf, who: &str, until_ms: Option<u64>) -> Outcome {
        self.set_ban_with_events(of, who, until_ms).0
    }

    fn set_ban_with_events(
        &mut self,
        of: BanOf,
        who: &str,
        until_ms: Option<u64>,
    ) -> (Outcome, Vec<TableEvent>) {
        let ban = v1::Ban {
            of: of.stored().into(),
            who: who.into(),
            by: "the test".into(),
            reason: "because".into(),
            at_ms: self.now_ms,
            until_ms,
        };
        self.run(1, Kind::SetBan(v1::SetBan { ban: Some(ban) }))
    }

    fn lift(&mut self, of: BanOf, who: &str) -> Outcome {
        let lift = v1::LiftBan {
            of: of.stored().into(),
            who: who.into(),
        };
        self.run(2, Kind::LiftBan(lift)).0
    }

    /// CONNECT with a session that lives on for so many seconds.
    fn connect(&mut self, client_id: &str, user: &str, address: &str, expiry: u32) -> Outcome {
        let claim = v1::ClaimSession {
            client_id: client_id.into(),
            node_id: 2,
            clean_start: false,
            expiry_seconds: expiry,
            will: Some(Will {
                message: Some(message("will", "gone")),
                delay_seconds: 0,
            }),
            attributes: Some(v1::ClientAttributes {
                username: user.into(),
                peer_address: address.into(),
                ..Default::default()
            }),
            now_ms: self.now_ms,
            in_memory: false,
        };
        self.run(2, Kind::ClaimSession(claim)).0
    }

    fn comes_in(&mut self, client_id: &str, user: &str, address: &str) -> bool {
        match self.connect(client_id, user, address, 60) {
            Outcome::Claimed { .. } => true,
            Outcome::Refused(Refusal::Banned) => false,
            other => panic!("{other:?}"),
        }
    }

    fn bans(&self) -> Vec<String> {
        let bans = self.table.bans_behind(None);
        bans.map(|ban| ban.who.to_string()).collect()
    }
}

#[test]
fn a_client_a_user_and_an_address_are_kept_out_and_nobody_else() {
    let mut world = World::with_nodes(&[1, 2]);
    for (of, who) in [
        (BanOf::Client, "evil"),
        (BanOf::User, "mallory"),
        (BanOf::Address, "10.0.0.7"),
        (BanOf::Address, "192.168.5.77/16"),
        (BanOf::Address, "2001:db8::/32"),
    ] {
        assert_eq!(world.set_ban(of, who, None), Outcome::BanSet);
    }
    for (client_id, user, address, expected) in [
        ("evil", "", "1.1.1.1:1", false),
        ("a", "mallory", "1.1.1.1:1", false),
        ("a", "", "10.0.0.7:1", false),
        ("a", "", "192.168.200.1:1", false),
        ("a", "", "[2001:db8:1::1]:1", false),
        // The same address, as sockets for both families show it.
        ("a", "", "[::ffff:10.0.0.7]:1", false),
        ("mallory", "evil", "10.0.0.8:1", true),
        ("a", "", "192.169.0.1:1", true),
        ("a", "", "[2001:db9::1]:1", true),
        ("a", "", "", true),
    ] {
        let comes_in = world.comes_in(client_id, user, address);
        assert_eq!(comes_in, expected, "{client_id} {user} {address}");
    }
    let shown = [
        "evil",
        "mallory",
        "10.0.0.7",
        "192.168.0.0/16",
        "2001:db8::/32",
    ];
    assert_eq!(world.bans(), shown);
    assert_eq!(
        world.lift(BanOf::Address, "192.168.0.0/16"),
        Outcome::BanLifted { existed: true }
    );
    assert!(world.comes_in("a", "", "192.168.200.1:1"));
    assert!(!world.comes_in("a", "", "10.0.0.7:1"));
    let again = world.lift(BanOf::Address, "192.168.0.0/16");
    assert_eq!(again, Outcome::BanLifted { existed: false });
}

#[test]
fn who_is_connected_is_sent_away_and_a_session_that_outlives_it_waits() {
    for (of, who) in [
        (BanOf::Client, "c"),
        (BanOf::User, "u"),
        (BanOf::Address, "10.0.0.0/8"),
    ] {
        for expiry in [0, 60] {
            let mut world = World::with_nodes(&[1, 2]);
            world.connect("c", "u", "10.1.1.1:5", expiry);
            world.connect("other", "", "11.1.1.1:5", expiry);
            let (_, events) = world.set_ban_with_events(of, who, None);
            assert_eq!(wills(&events), 1, "its connection was not ended by itself");
            let ended = events.iter().find_map(|event| match event {
                TableEvent::Disconnected { client_id, .. } if expiry > 0 => Some(client_id.clone()),
                TableEvent::SessionEnded {
                    client_id,
                    reason: EndReason::Administrator,
                    ..
                } if expiry == 0 => Some(client_id.clone()),
                _ => None,
            });
            assert_eq!(ended.as_deref(), Some("c"), "{events:?}");
            let session = world.table.session("c");
            let waits = session.map(|session| session.connected);
            assert_eq!(waits, (expiry > 0).then_some(false));
            assert!(world.table.session("other").is_some_and(|s| s.connected));
        }
    }
}

#[test]
fn a_ban_ends_at_its_time_and_is_gone_with_the_next_tick() {
    let mut world = World::with_nodes(&[1, 2]);
    world.set_ban(BanOf::Client, "c", Some(5_000));
    world.set_ban(BanOf::Client, "d", None);
    assert_eq!(world.table.next_due_ms(), Some(5_000));
    world.now_ms = 4_999;
    assert!(!world.comes_in("c", "", ""));
    world.now_ms = 5_000;
    assert!(world.comes_in("c", "", ""));
    assert_eq!(world.bans(), ["c", "d"], "time passes by entries alone");
    world.tick(1, 5_000);
    assert_eq!(world.bans(), ["d"]);
    // What is replaced takes its time with it.
    world.set_ban(BanOf::Client, "d", Some(9_000));
    world.set_ban(BanOf::Client, "d", None);
    world.tick(1, 10_000);
    assert_eq!(world.bans(), ["d"]);
}

#[test]
fn bans_outlive_a_snapshot_and_are_part_of_the_hash() {
    let mut world = World::with_nodes(&[1, 2]);
    let before = world.table.hash();
    world.set_ban(BanOf::Address, "10.0.0.0/8", Some(5_000));
    world.set_ban(BanOf::User, "u", None);
    assert_ne!(world.table.hash(), before);
    let mut bytes = vec![];
    world.table.freeze().write_to(&mut bytes).expect("memory");
    let restored = Table::read_from(&mut &bytes[..]).expect("whole");
    assert_eq!(restored.hash(), world.table.hash());
    let bans = |table: &Table| table.bans_behind(None).cloned().collect::<Vec<_>>();
    assert_eq!(bans(&restored), bans(&world.table));
    world.table = restored;
    assert!(!world.comes_in("c", "", "10.9.9.9:1"));
    world.tick(1, 5_000);
    assert!(world.comes_in("c", "", "10.9.9.9:1"));
}

#[test]
fn what_names_nobody_or_has_ended_already_is_refused() {
    let mut world = World::with_nodes(&[1, 2]);
    let malformed = Outcome::Refused(Refusal::Malformed);
    for (of, who) in [
        (BanOf::Client, ""),
        (BanOf::Address, "localhost"),
        (BanOf::Address, "10.0.0.0/33"),
    ] {
        assert_eq!(world.set_ban(of, who, None), malformed, "{who}");
    }
    world.now_ms = 100;
    assert_eq!(world.set_ban(BanOf::Client, "c", Some(100)), malformed);
    let unknown = v1::SetBan {
        ban: Some(v1::Ban::default()),
    };
    assert_eq!(world.run(1, Kind::SetBan(unknown)).0, malformed);
    assert!(world.bans().is_empty());
}

#[test]
fn there_is_a_bound_and_a_known_one_can_still_be_changed() {
    let mut world = World::with_nodes(&[1, 2]);
    for number in 0..BANS_MAX {
        let set = world.set_ban(BanOf::Client, &number.to_string(), None);
        assert_eq!(set, Outcome::BanSet);
    }
    let refused = Outcome::Refused(Refusal::TooMany);
    assert_eq!(world.set_ban(BanOf::User, "one more", None), refused);
    let changed = world.set_ban(BanOf::Client, "7", Some(9));
    assert_eq!(changed, Outcome::BanSet);
    world.tick(1, 9);
    assert_eq!(
        world.set_ban(BanOf::User, "one more", None),
        Outcome::BanSet
    );
}

#[test]
fn a_list_is_read_on_behind_any_ban() {
    let mut world = World::with_nodes(&[1, 2]);
    for (of, who) in [
        (BanOf::Client, "b"),
        (BanOf::Address, "10.0.0.1"),
        (BanOf::Client, "a"),
        (BanOf::User, "a"),
    ] {
        world.set_ban(of, who, None);
    }
    let all: Vec<_> = world.table.bans_behind(None).cloned().collect();
    for at in 0..all.len() {
        let after = Some((all[at].of, &*all[at].who));
        let rest: Vec<_> = world.table.bans_behind(after).cloned().collect();
        assert_eq!(rest, all[at + 1..]);
    }
}
