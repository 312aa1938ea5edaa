//! Files, mappings, marks, echoes, and who acknowledges what to whom.

use super::{
    echoes::Echoes,
    mapping::{Ends, HOPS_MAX, MARK, Retain, Unforwarded},
    relay::{Broken, Relay, Target},
    settings::{Direction, Entry, Settings},
    tally::Tally,
};
use raftmq_mqtt::codec::{
    self, Ack, OutgoingPublish, Packet, PacketId, Property, QoS, ReasonCode, SubAck, Version,
};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const INGRESS: &str = "[[bridges]]\nname = 'b'\nserver = 'remote:1883'\n";

fn ingress(keys: &str, entry: &str) -> Result<Settings, String> {
    let text = format!("{INGRESS}{keys}\n[[bridges.entries]]\n{entry}\n");
    Settings::read(Direction::Ingress, &text)
}

fn egress(keys: &str, entry: &str) -> Result<Settings, String> {
    let text = format!("{INGRESS}{keys}\n[[bridges.entries]]\n{entry}\n");
    Settings::read(Direction::Egress, &text)
}

fn in_from(filter: &str, topic: &str) -> String {
    format!("remote.topic = '{filter}'\nlocal.topic = '{topic}'")
}

fn out_to(filter: &str, topic: &str) -> String {
    format!("local.topic_filter = '{filter}'\nremote.topic = '{topic}'")
}

fn entry_of(settings: Result<Settings, String>) -> Arc<Entry> {
    settings.expect("good settings").entries[0].clone()
}

fn outgoing(entry: &str) -> Arc<Entry> {
    entry_of(egress("", entry))
}

#[test]
fn a_file_of_rmqtt_is_read() {
    let entry = entry_of(ingress(
        "enable = true\nclient_id_prefix = 'p'\nusername = 'u'\npassword = 'x'\nconcurrent_client_limit = 1\n\
         connect_timeout = '20s'\nkeepalive = '60s'\nreconnect_interval = '5s'\nexpiry_interval = '5m'\n\
         mqtt_ver = 'v4'\nv4.clean_session = true",
        "remote.qos = 1\nremote.topic = '$share/g/a/#'\nlocal.qos = 2\nlocal.topic = 'x/${remote.topic}'\n\
         local.retain = true",
    ));
    assert_eq!(entry.remote.version, Version::V4);
    assert!(entry.remote.clean_start);
    assert_eq!(
        (entry.source_qos, entry.qos),
        (QoS::AtLeastOnce, Some(QoS::ExactlyOnce))
    );
    assert_eq!(
        (entry.retain, entry.expiry_seconds),
        (Retain::Always, Some(300))
    );
    assert!(entry.local_client_id().starts_with("$bridge:ingress:b:"));
    assert!(entry.remote_client_id("c").starts_with("p:ingress:b:"));
    let entry = entry_of(egress(
        "message_channel_capacity = 5\nmqtt_ver = 'v5'\nv5.clean_start = true\n\
         v5.session_expiry_interval = '0s'\nv5.receive_maximum = 16\nv5.maximum_packet_size = '1M'\n\
         v5.topic_alias_maximum = 0\n\
         v5.last_will = {qos = 1, retain = true, topic = 'w', message = 'aGk=', encoding = 'base64'}",
        "local.topic_filter = 'a/#'\nremote.qos = 1\nremote.retain = false\n\
         remote.topic = 'x/${local.topic}'\nremote.skip_levels = 1",
    ));
    assert_eq!(entry.queue_messages_max, 5);
    assert_eq!(entry.remote.receive_maximum, 16);
    let will = entry.remote.will.as_ref().expect("a will");
    assert_eq!((&*will.payload, will.qos), (&b"hi"[..], QoS::AtLeastOnce));
}

#[test]
fn a_mistake_is_told_with_its_line() {
    let good = in_from("a", "b");
    for (keys, entry, line, word) in [
        ("kepalive = '1s'", good.clone(), 4, "kepalive"),
        ("keepalive = 'soon'", good.clone(), 1, "keepalive"),
        (
            "reconnect_interval = '0s'",
            good.clone(),
            1,
            "reconnect_interval",
        ),
        ("concurrent_client_limit = 5", good.clone(), 1, "order"),
        (
            "message_channel_capacity = 5",
            good.clone(),
            1,
            "remote broker",
        ),
        ("v5.topic_alias_maximum = 5", good.clone(), 1, "aliases"),
        ("v5.receive_maximum = 0", good.clone(), 1, "receive_maximum"),
        ("root_cert = '/nowhere'", good.clone(), 1, "tls://"),
        ("client_id_prefix = 5", good.clone(), 4, "expected a string"),
        ("", in_from("a/#/b", "b"), 5, "a/#/b"),
        ("", in_from("a", "b/#"), 5, "b/#"),
        ("", in_from("a", "${local.topic}"), 5, "placeholder"),
        (
            "",
            "remote.topic = 'a'\nlocal.topic = 'b'\nlocal.qos = 3".into(),
            5,
            "local.qos",
        ),
        (
            "",
            "remote.topic = 'a'\nlocal.topic = 'b'\nlocal.retain = 'x'".into(),
            8,
            "as_received",
        ),
    ] {
        let wrong = ingress(keys, &entry)
            .err()
            .unwrap_or_else(|| panic!("{keys} {entry}"));
        assert!(wrong.contains(&format!("line {line}")), "{wrong}");
        assert!(wrong.contains(word), "{wrong}");
    }
    let twice = format!("{INGRESS}{INGRESS}");
    let wrong = Settings::read(Direction::Egress, &twice)
        .err()
        .expect("twice");
    assert!(wrong.starts_with("line 4: "), "{wrong}");
    let same = format!(
        "{}\n[[bridges.entries]]\n{}",
        out_to("a", "b"),
        out_to("a", "c")
    );
    let wrong = egress("", &same).err().expect("twice");
    assert!(wrong.contains("entry at line 8"), "{wrong}");
    let shared = egress("", &out_to("$share/g/a", "b"))
        .err()
        .expect("shared");
    assert!(shared.contains("nothing to share"), "{shared}");
}

#[test]
fn secrets_are_not_shown() {
    let settings = egress(
        "username = 'u'\npassword = 's3cret'\nv4.last_will = {topic = 'w', message = 's3cret'}",
        &out_to("a", "b"),
    );
    let shown = settings.expect("good").shown;
    assert_eq!(shown["bridges"][0]["password"], Value::from("hidden"));
    assert!(!shown.to_string().contains("s3cret"), "{shown}");
}

#[test]
fn an_entry_keeps_its_name_wherever_it_stands() {
    let (one, other) = (out_to("a", "b"), out_to("c", "d"));
    let two = |first: &str, second: &str| {
        let text = format!("{first}\n[[bridges.entries]]\n{second}");
        egress("", &text).expect("good").entries
    };
    let (forth, back) = (two(&one, &other), two(&other, &one));
    assert_eq!(forth[0].id, back[1].id);
    assert_eq!(forth[0].fingerprint, back[1].fingerprint);
    assert_ne!(forth[0].id, forth[1].id);
    let changed = outgoing(&out_to("a", "e"));
    assert_eq!(forth[0].id, changed.id);
    assert_ne!(forth[0].fingerprint, changed.fingerprint);
}

#[test]
fn a_disabled_bridge_rests() {
    let settings = egress("enable = false", &out_to("a", "b")).expect("good");
    assert!(settings.entries.is_empty());
    assert_eq!(settings.resting.len(), 1);
}

#[test]
fn topics_are_mapped() {
    for (template, skip, topic, expected) in [
        ("x/${local.topic}", 0, "a/b", Some("x/a/b")),
        ("${local.topic}/x", 0, "a", Some("a/x")),
        ("fixed", 0, "a/b", Some("fixed")),
        ("x/${local.topic}", 1, "a/b/c", Some("x/b/c")),
        ("x/${local.topic}", 2, "a/b", None),
        ("${local.topic}", 1, "a/", None),
    ] {
        let text = format!("{}\nremote.skip_levels = {skip}", out_to("#", template));
        let entry = outgoing(&text);
        assert_eq!(
            entry.topic_of(topic).as_deref(),
            expected,
            "{template} {topic}"
        );
    }
}

#[test]
fn where_messages_go_is_known_from_the_filter() {
    for (filter, template, skip, expected) in [
        ("a/#", "${local.topic}", 0, "a/#"),
        ("a/+", "x/${local.topic}", 0, "x/a/+"),
        ("a/#", "x/y", 0, "x/y"),
        ("a/b/#", "${local.topic}", 1, "b/#"),
        ("a/#", "x/${local.topic}", 2, "x/#"),
        ("a/#", "x/${local.topic}/z", 0, "x/#"),
        ("a", "x/y-${local.topic}", 0, "x/#"),
    ] {
        let text = format!("{}\nremote.skip_levels = {skip}", out_to(filter, template));
        assert_eq!(
            outgoing(&text).topics_there(),
            expected,
            "{filter} {template}"
        );
    }
}

fn ends(cluster: Option<&str>) -> Ends {
    Ends {
        own: "here".into(),
        remote_place: "remote:1883".into(),
        remote_cluster: cluster.map(str::to_owned),
    }
}

/// A PUBLISH as it arrives.
struct Arriving {
    qos: QoS,
    id: u16,
    retain: bool,
    marks: Vec<String>,
    expiry: Option<u32>,
    bytes: usize,
}

impl Arriving {
    fn new(id: u16) -> Arriving {
        Arriving {
            qos: if id == 0 {
                QoS::AtMostOnce
            } else {
                QoS::AtLeastOnce
            },
            id,
            retain: false,
            marks: Vec::new(),
            expiry: None,
            bytes: 1,
        }
    }

    fn marked(marks: &[&str]) -> Arriving {
        Arriving {
            marks: marks.iter().map(|mark| (*mark).to_owned()).collect(),
            ..Arriving::new(1)
        }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut properties = Vec::new();
        for mark in &self.marks {
            let mark = Property::UserProperty(MARK, mark);
            mark.encode(&mut properties).expect("short");
        }
        let payload = vec![b'x'; self.bytes];
        let mut packet = OutgoingPublish::new("a/b", &payload);
        packet.qos = self.qos;
        packet.retain = self.retain;
        packet.packet_id = PacketId::new(self.id);
        packet.forwardable = &properties;
        packet.message_expiry_interval = self.expiry;
        let mut bytes = Vec::new();
        packet
            .encode(Version::V5, u32::MAX, &mut bytes)
            .expect("good");
        bytes
    }
}

fn with_packet<T>(bytes: &[u8], read: impl FnOnce(&Packet<'_>) -> T) -> T {
    let frame = codec::frame(bytes, u32::MAX).expect("MQTT").expect("whole");
    read(&codec::decode(Version::V5, &frame).expect("a packet"))
}

fn forwarded(entry: &Entry, ends: &Ends, marks: &[&str]) -> Result<Vec<String>, Unforwarded> {
    with_packet(&Arriving::marked(marks).encoded(), |packet| {
        let Packet::Publish(publish) = packet else {
            panic!("{packet:?}")
        };
        let message = entry.forwarded(publish, ends)?;
        let properties = codec::PublishProperties::parse(&message.properties).expect("good");
        let pairs = properties.user_properties();
        Ok(pairs.iter().map(|(_, value)| value.to_owned()).collect())
    })
}

#[test]
fn a_message_gets_the_mark_of_where_it_was_and_does_not_go_there_again() {
    let out = outgoing(&out_to("#", "${local.topic}"));
    assert_eq!(
        forwarded(&out, &ends(None), &["far"]),
        Ok(vec!["far".into(), "here".into()])
    );
    for (cluster, mark) in [(None, "remote:1883"), (Some("there"), "there")] {
        let looping = forwarded(&out, &ends(cluster), &["far", mark]);
        assert_eq!(looping, Err(Unforwarded::Loop), "{mark}");
    }
    let inward = entry_of(ingress("", &in_from("#", "${remote.topic}")));
    assert_eq!(
        forwarded(&inward, &ends(None), &[]),
        Ok(vec!["remote:1883".into()])
    );
    assert_eq!(
        forwarded(&inward, &ends(Some("there")), &[]),
        Ok(vec!["there".into()])
    );
    assert_eq!(
        forwarded(&inward, &ends(None), &["here"]),
        Err(Unforwarded::Loop)
    );
}

#[test]
fn a_message_that_has_been_in_too_many_brokers_goes_no_further() {
    let out = outgoing(&out_to("#", "${local.topic}"));
    let marks = ["m"; HOPS_MAX];
    assert!(forwarded(&out, &ends(None), &marks[1..]).is_ok());
    assert_eq!(forwarded(&out, &ends(None), &marks), Err(Unforwarded::Loop));
}

#[test]
fn settings_by_which_messages_would_come_back_are_refused_with_the_line() {
    let v4 = "mqtt_ver = 'v4'";
    for (keys, out, back, is_refused) in [
        (
            v4,
            ("a/#", "${local.topic}"),
            ("a/#", "${remote.topic}"),
            true,
        ),
        (
            "",
            ("a/#", "${local.topic}"),
            ("a/#", "${remote.topic}"),
            false,
        ),
        (
            v4,
            ("a/#", "${local.topic}"),
            ("a/#", "in/${remote.topic}"),
            false,
        ),
        (
            v4,
            ("a/#", "out/${local.topic}"),
            ("a/#", "${remote.topic}"),
            false,
        ),
        (
            v4,
            ("#", "out/${local.topic}"),
            ("out/#", "in/${remote.topic}"),
            true,
        ),
        (v4, ("#", "x"), ("$share/g/+", "${remote.topic}"), true),
    ] {
        let echoes = Echoes::default();
        let out = egress(keys, &out_to(out.0, out.1)).expect("good");
        let back = ingress(v4, &in_from(back.0, back.1)).expect("good");
        let back = match keys {
            "" => ingress("", &in_from("a/#", "${remote.topic}")).expect("good"),
            _ => back,
        };
        let first = echoes.take_stance(Direction::Egress, &out).expect("alone");
        let second = echoes.take_stance(Direction::Ingress, &back);
        assert_eq!(second.is_err(), is_refused, "{keys}");
        if let Err(wrong) = second {
            assert!(
                wrong.starts_with("line 5: ") && wrong.contains("line 5 of rmqtt-bridge-egress")
            );
        }
        // What is out of work, or has never been put to it, is nobody's concern.
        first.ended();
        assert!(echoes.take_stance(Direction::Ingress, &back).is_ok());
    }
}

const TARGET: Target = Target {
    version: Version::V5,
    receive_maximum: 2,
    packet_bytes_max: 200,
    qos_max: QoS::ExactlyOnce,
    retain_available: true,
};

/// A relay between two ends that are played here.
struct Played {
    relay: Relay,
    tally: Arc<Tally>,
    entry: Arc<Entry>,
    now: Instant,
}

impl Played {
    fn new() -> Played {
        Played::of(&out_to("#", "${local.topic}"))
    }

    fn of(entry: &str) -> Played {
        let entry = entry_of(egress("v5.receive_maximum = 4", entry));
        let tally = Arc::new(Tally::default());
        Played {
            relay: Relay::new(entry.clone(), ends(None), tally.clone()),
            tally,
            entry,
            now: Instant::now(),
        }
    }

    fn up(mut self) -> Played {
        self.relay.target_is_up(TARGET, self.now);
        self
    }

    fn take(&mut self, arriving: &Arriving) {
        let bytes = arriving.encoded();
        let (relay, now) = (&mut self.relay, self.now);
        let taken = with_packet(&bytes, |packet| relay.source_says(packet, now));
        assert_eq!(taken, Ok(()));
    }

    fn target_says(&mut self, packet: &Packet<'_>) -> Result<(), Broken> {
        self.relay.target_says(packet, self.now)
    }

    fn acknowledged(&mut self, id: u16) {
        let done = self.target_says(&Packet::PubAck(ack(id, ReasonCode::Success)));
        assert_eq!(done, Ok(()));
    }

    /// Types and packet identifiers of what was sent since it was asked last.
    fn sent(bytes: &mut Vec<u8>) -> Vec<(codec::PacketType, u16)> {
        let mut sent = Vec::new();
        let mut rest = &bytes[..];
        while let Some(frame) = codec::frame(rest, u32::MAX).expect("MQTT") {
            let packet = codec::decode(Version::V5, &frame).expect("a packet");
            let id = match packet {
                Packet::Publish(publish) => publish.packet_id,
                Packet::PubAck(ack)
                | Packet::PubRec(ack)
                | Packet::PubRel(ack)
                | Packet::PubComp(ack) => Some(ack.packet_id),
                _ => None,
            };
            sent.push((packet.packet_type(), id.map_or(0, PacketId::get)));
            rest = &rest[frame.total_len..];
        }
        bytes.clear();
        sent
    }

    fn source_gets(&mut self) -> Vec<(codec::PacketType, u16)> {
        Self::sent(&mut self.relay.to_source)
    }

    fn target_gets(&mut self) -> Vec<(codec::PacketType, u16)> {
        Self::sent(&mut self.relay.to_target)
    }

    fn shown(&self, pointer: &str) -> u64 {
        let shown = self.tally.shown(&self.entry);
        let found = shown.pointer(pointer).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("{pointer} in {shown}"))
    }
}

fn ack(id: u16, reason: ReasonCode) -> Ack<'static> {
    Ack::new(PacketId::new(id).expect("not 0"), reason)
}

use codec::PacketType::{PubAck, PubComp, PubRec, PubRel, Publish};

#[test]
fn the_source_is_told_in_its_order_and_only_what_the_target_has() {
    let mut played = Played::new().up();
    played.take(&Arriving::new(7));
    played.take(&Arriving::new(8));
    assert_eq!(played.target_gets(), [(Publish, 1), (Publish, 2)]);
    assert_eq!(played.source_gets(), []);
    played.acknowledged(2);
    assert_eq!(played.source_gets(), [], "the first one is not done");
    played.acknowledged(1);
    assert_eq!(played.source_gets(), [(PubAck, 7), (PubAck, 8)]);
    assert_eq!(played.shown("/forwarded"), 2);
}

#[test]
fn the_window_of_the_target_holds_and_that_of_the_source_ends_reading() {
    let mut played = Played::new().up();
    for id in 1..=4 {
        assert!(played.relay.wants_more());
        played.take(&Arriving::new(id));
    }
    assert!(!played.relay.wants_more());
    assert_eq!(played.target_gets(), [(Publish, 1), (Publish, 2)]);
    played.acknowledged(1);
    assert_eq!(played.target_gets(), [(Publish, 3)]);
    assert!(played.relay.wants_more());
}

#[test]
fn qos_2_is_done_when_pubcomp_has_come() {
    let mut played = Played::new().up();
    played.take(&Arriving {
        qos: QoS::ExactlyOnce,
        ..Arriving::new(9)
    });
    played.target_gets();
    let released = played.target_says(&Packet::PubRec(ack(1, ReasonCode::Success)));
    assert_eq!(released, Ok(()));
    assert_eq!(played.target_gets(), [(PubRel, 1)]);
    assert_eq!(played.source_gets(), []);
    let done = played.target_says(&Packet::PubComp(ack(1, ReasonCode::Success)));
    assert_eq!(done, Ok(()));
    assert_eq!(played.source_gets(), [(PubRec, 9)]);
    let (relay, now) = (&mut played.relay, played.now);
    let release = Packet::PubRel(ack(9, ReasonCode::Success));
    assert_eq!(relay.source_says(&release, now), Ok(()));
    assert_eq!(played.source_gets(), [(PubComp, 9)]);
}

#[test]
fn what_the_target_has_not_acknowledged_goes_to_its_next_connection_in_order() {
    let mut played = Played::new().up();
    for id in 1..=3 {
        played.take(&Arriving::new(id));
    }
    played.target_gets();
    played.acknowledged(2);
    played.relay.target_is_down();
    assert_eq!(played.target_gets(), []);
    played.relay.target_is_up(TARGET, played.now);
    assert_eq!(
        played.target_gets(),
        [(Publish, 4), (Publish, 5)],
        "1 and 3 anew"
    );
    played.acknowledged(4);
    played.acknowledged(5);
    assert_eq!(
        played.source_gets(),
        [(PubAck, 1), (PubAck, 2), (PubAck, 3)]
    );
}

#[test]
fn a_lost_source_sends_again_what_waits_and_is_not_answered_on_its_old_connection() {
    let mut played = Played::new().up();
    for id in 1..=3 {
        played.take(&Arriving::new(id));
    }
    played.relay.source_is_down();
    assert_eq!(played.relay.pending(), 2, "those that are on their way");
    played.acknowledged(1);
    played.acknowledged(2);
    assert_eq!(played.source_gets(), []);
    assert_eq!(played.relay.pending(), 0);
}

#[test]
fn qos_0_is_not_kept_for_a_target_that_is_away() {
    let mut played = Played::new();
    played.take(&Arriving::new(0));
    assert_eq!(played.relay.pending(), 0);
    assert_eq!(played.shown("/dropped/not_connected"), 1);
    played = played.up();
    played.take(&Arriving::new(0));
    assert_eq!(played.target_gets(), [(Publish, 0)]);
}

#[test]
fn what_cannot_be_forwarded_is_acknowledged_and_counted() {
    let mut played = Played::new().up();
    played.take(&Arriving::marked(&["remote:1883"]));
    assert_eq!(played.source_gets(), [(PubAck, 1)]);
    assert_eq!(played.shown("/dropped/loop"), 1);
    played.take(&Arriving {
        bytes: 300,
        ..Arriving::new(2)
    });
    assert_eq!(played.source_gets(), [(PubAck, 2)]);
    assert_eq!(played.shown("/dropped/too_large"), 1);
    played.take(&Arriving::new(3));
    let refused = ack(1, ReasonCode::NotAuthorized);
    assert_eq!(played.target_says(&Packet::PubAck(refused)), Ok(()));
    assert_eq!(played.source_gets(), [(PubAck, 3)]);
    assert_eq!(played.shown("/dropped/refused"), 1);
    assert_eq!(played.shown("/forwarded"), 0);
}

#[test]
fn a_target_without_room_is_tried_again() {
    let mut played = Played::new().up();
    played.take(&Arriving::new(1));
    let full = ack(1, ReasonCode::QuotaExceeded);
    assert!(played.target_says(&Packet::PubAck(full)).is_err());
    assert_eq!(played.source_gets(), []);
    assert_eq!(played.relay.pending(), 1);
}

#[test]
fn a_message_whose_time_is_over_is_not_sent() {
    let mut played = Played::new();
    played.take(&Arriving {
        expiry: Some(10),
        ..Arriving::new(1)
    });
    played.now += Duration::from_secs(10);
    played = played.up();
    assert_eq!(played.target_gets(), []);
    assert_eq!(played.source_gets(), [(PubAck, 1)]);
    assert_eq!(played.shown("/dropped/expired"), 1);
}

#[test]
fn the_time_that_a_message_has_waited_is_taken_from_what_it_has() {
    let mut played = Played::new();
    played.take(&Arriving {
        expiry: Some(10),
        ..Arriving::new(1)
    });
    played.now += Duration::from_secs(4);
    played = played.up();
    let expiry = with_packet(&played.relay.to_target, |packet| match packet {
        Packet::Publish(publish) => publish.properties.message_expiry_interval(),
        other => panic!("{other:?}"),
    });
    assert_eq!(expiry, Some(6));
}

#[test]
fn retain_is_as_the_entry_says() {
    for (setting, expected) in [("true", true), ("false", false), ("'as_received'", true)] {
        let entry = format!("{}\nremote.retain = {setting}", out_to("#", "x"));
        let mut played = Played::of(&entry).up();
        played.take(&Arriving {
            retain: true,
            ..Arriving::new(1)
        });
        let retain = with_packet(&played.relay.to_target, |packet| match packet {
            Packet::Publish(publish) => publish.retain,
            other => panic!("{other:?}"),
        });
        assert_eq!(retain, expected, "{setting}");
    }
}

#[test]
fn a_source_that_refuses_the_subscription_is_of_no_use() {
    let mut played = Played::new();
    played.relay.source_is_up(Version::V5, false);
    assert!(!played.relay.to_source.is_empty());
    let codes = [ReasonCode::NotAuthorized];
    let refusal = Packet::SubAck(SubAck {
        packet_id: PacketId::MIN,
        diagnostics: Default::default(),
        reason_codes: codec::ReasonCodes::new(&codes),
    });
    let refused = played.relay.source_says(&refusal, played.now);
    assert!(refused.is_err_and(|Broken(why)| why.contains("NotAuthorized")));
}

#[test]
fn before_mqtt_5_a_session_that_is_there_is_not_subscribed_to_again() {
    let mut played = Played::new();
    let mut subscribes = |version, session_present| {
        played.relay.to_source.clear();
        played.relay.source_is_up(version, session_present);
        !played.relay.to_source.is_empty()
    };
    assert!(subscribes(Version::V4, true), "the file may have changed");
    assert!(!subscribes(Version::V4, true));
    assert!(subscribes(Version::V4, false));
    assert!(subscribes(Version::V5, true));
}
