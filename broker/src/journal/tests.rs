//! The journal as a whole: what was said to be on the disk is found again, whatever happened to the end.

use super::{
    Image, Journal, JournalError, Owner, Waker, batch,
    disk::Disk,
    record::{KeptDelivery, Name, Record, Role, State},
    recovery::{self, Recovered},
    segment,
};
use crate::shard::ShardId;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

fn owner() -> Owner {
    Owner {
        node_id: 1,
        disk_id: "disk".into(),
    }
}

fn begun(session: u64) -> Record<'static> {
    Record::State(State {
        session,
        name: Name {
            client_id: "client",
            epoch: 5,
            created_at_ms: 6,
        },
        role: Role::Session,
        last_packet_id: 0,
        last_number: 0,
        received: Vec::new(),
        deliveries: Vec::new(),
    })
}

fn kept(session: u64, number: u64, frame: &[u8]) -> Record<'_> {
    Record::Kept {
        kept_at_ms: 1,
        frame,
        deliveries: vec![KeptDelivery {
            session,
            number,
            packet_id: 0,
            qos: 1,
            retain: false,
            subscription_ids: Box::default(),
        }],
    }
}

fn bytes(records: &[Record<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records
        .iter()
        .for_each(|record| record.append_to(&mut bytes));
    bytes
}

fn write(disk: &mut Disk, records: &[Record<'_>]) {
    let bytes = bytes(records);
    disk.append([&bytes[..]].into_iter()).expect("room");
}

fn new_disk(dir: &Path) -> Disk {
    Disk::open(dir, owner(), Vec::new(), 0).expect("a disk")
}

fn numbers(image: &Image) -> Vec<u64> {
    image.deliveries.keys().copied().collect()
}

fn only(recovered: &Recovered) -> &Image {
    assert_eq!(recovered.sessions.len(), 1);
    &recovered.sessions[0]
}

#[test]
fn deliveries_are_found_as_they_stood() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut disk = new_disk(dir.path());
    write(&mut disk, &[begun(1), kept(1, 1, b"a"), kept(1, 2, b"b")]);
    let (session, packet_id) = (1, 9);
    write(
        &mut disk,
        &[
            Record::Sent {
                session,
                number: 2,
                packet_id,
            },
            Record::Released { session, number: 2 },
            Record::Done { session, number: 1 },
            Record::Received {
                session,
                packet_id: 77,
            },
            kept(1, 3, b"c"),
        ],
    );
    let recovered = recovery::recover(dir.path(), &owner()).expect("a whole journal");
    let image = only(&recovered);
    assert_eq!(numbers(image), [2, 3]);
    assert_eq!(image.deliveries[&2].delivery.packet_id, packet_id);
    assert!(image.deliveries[&2].message.is_none(), "released");
    let message = image.deliveries[&3].message.as_ref();
    assert_eq!(message.map(|m| &m.frame[..]), Some(&b"c"[..]));
    assert_eq!((image.last_packet_id, image.last_number), (9, 3));
    assert!(image.received.contains(&77));
    assert_eq!((recovered.last_session, recovered.last_batch), (1, 2));
}

/// A crash can cut the last batch anywhere. What was flushed before it stays, and the journal goes on.
#[test]
fn an_end_that_is_torn_at_any_byte_is_cut_off() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut disk = new_disk(dir.path());
    write(&mut disk, &[begun(1), kept(1, 1, b"first")]);
    let before = disk.bytes() as usize;
    write(&mut disk, &[kept(1, 2, b"second")]);
    let path = segment::path_of(dir.path(), 1);
    let whole = std::fs::read(&path).expect("a segment");
    for end in before..whole.len() {
        std::fs::write(&path, &whole[..end]).expect("written");
        let recovered = recovery::recover(dir.path(), &owner()).expect("a torn end is no damage");
        assert_eq!(numbers(only(&recovered)), [1], "cut at {end}");
        let segments = recovered.segments.clone();
        assert_eq!(segments, [(1, before as u64)], "cut at {end}");
        let mut next = Disk::open(dir.path(), owner(), segments, recovered.last_batch);
        write(next.as_mut().expect("a disk"), &[kept(1, 3, b"third")]);
        let again = recovery::recover(dir.path(), &owner()).expect("it goes on");
        assert_eq!(numbers(only(&again)), [1, 3], "cut at {end}");
        std::fs::remove_file(segment::path_of(dir.path(), 2)).expect("removed");
    }
}

/// A crash can also leave the room of the last batch filled with something else.
#[test]
fn an_end_of_garbage_is_cut_off() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut disk = new_disk(dir.path());
    write(&mut disk, &[begun(1), kept(1, 1, b"first")]);
    let path = segment::path_of(dir.path(), 1);
    let mut garbage = std::fs::read(&path).expect("a segment");
    garbage.extend_from_slice(&[0; 300]);
    std::fs::write(&path, garbage).expect("written");
    let recovered = recovery::recover(dir.path(), &owner()).expect("a torn end is no damage");
    assert_eq!(numbers(only(&recovered)), [1]);
}

#[test]
fn a_segment_that_was_not_finished_is_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut disk = new_disk(dir.path());
    write(&mut disk, &[begun(1), kept(1, 1, b"first")]);
    for torn in [&b""[..], b"RMQS\x01\0"] {
        std::fs::write(segment::path_of(dir.path(), 2), torn).expect("written");
        let recovered = recovery::recover(dir.path(), &owner()).expect("a torn end is no damage");
        assert_eq!(numbers(only(&recovered)), [1]);
        assert_eq!(segment::numbers(dir.path()).expect("readable"), [1]);
    }
}

fn damage(dir: &Path) -> String {
    match recovery::recover(dir, &owner()) {
        Err(error @ JournalError::Damaged { .. }) => error.to_string(),
        other => panic!("damage was not seen: {other:?}"),
    }
}

/// Every bit before the last batch was acknowledged: none may be wrong.
#[test]
fn damage_anywhere_but_at_the_end_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut disk = new_disk(dir.path());
    write(&mut disk, &[begun(1), kept(1, 1, b"first")]);
    let end = disk.bytes() as usize;
    write(&mut disk, &[kept(1, 2, b"second")]);
    let path = segment::path_of(dir.path(), 1);
    let whole = std::fs::read(&path).expect("a segment");
    for at in 0..end {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, damaged).expect("written");
        damage(dir.path());
        assert_eq!(std::fs::read(&path).expect("untouched").len(), whole.len());
    }
}

#[test]
fn a_segment_that_is_missing_is_noticed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut disk = new_disk(dir.path());
    write(&mut disk, &[begun(1)]);
    for number in 1..=2 {
        disk.begin_segment().expect("room");
        write(&mut disk, &[kept(1, number, b"kept")]);
    }
    std::fs::rename(segment::path_of(dir.path(), 2), dir.path().join("away")).expect("moved");
    assert!(damage(dir.path()).contains("no predecessor"));
    std::fs::rename(dir.path().join("away"), segment::path_of(dir.path(), 2)).expect("moved");
    std::fs::remove_file(segment::path_of(dir.path(), 1)).expect("removed");
    assert!(damage(dir.path()).contains("beginning is missing"));
}

#[test]
fn the_journal_of_another_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    write(&mut new_disk(dir.path()), &[begun(1)]);
    let other = Owner {
        disk_id: "disc".into(),
        ..owner()
    };
    let refused = recovery::recover(dir.path(), &other).expect_err("another's");
    assert!(
        refused.to_string().contains("belongs to another"),
        "{refused}"
    );
}

#[test]
fn a_batch_within_garbage_is_found() {
    let mut sealed = vec![0; batch::HEADER_BYTES];
    sealed.extend_from_slice(b"records");
    batch::seal(3, &mut sealed);
    assert!(!batch::is_anywhere_in(&sealed[1..]));
    let mut behind = b"RMQBgarbage".to_vec();
    behind.extend_from_slice(&sealed);
    assert!(batch::is_anywhere_in(&behind));
}

/// A shard that only counts what it is told.
#[derive(Default)]
struct Told {
    moved: AtomicUsize,
    checkpoints: AtomicUsize,
}

impl Waker for Told {
    fn journal_moved(&self) {
        self.moved.fetch_add(1, Ordering::SeqCst);
    }

    fn checkpoint(&self) {
        self.checkpoints.fetch_add(1, Ordering::SeqCst);
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_a_shard_hands_over_is_durable_when_it_is_told_and_found_after_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let told: Arc<Told> = Arc::default();
    let opened = Journal::open(dir.path(), owner(), vec![told.clone()]);
    let (journal, images) = opened.expect("a new journal");
    assert!(images.is_empty());
    let session = journal.next_session();
    journal.put(ShardId(0), 1, bytes(&[begun(session)]));
    journal.put(ShardId(0), 2, bytes(&[kept(session, 1, b"kept")]));
    until("durable", || journal.durable(ShardId(0)) == 2);
    assert!(told.moved.load(Ordering::SeqCst) > 0);
    // Not closed: read as after a crash.
    let recovered = recovery::recover(dir.path(), &owner()).expect("whole");
    assert_eq!(numbers(only(&recovered)), [1]);
    journal.close();
    let (next, images) = Journal::open(dir.path(), owner(), vec![told]).expect("again");
    assert_eq!(numbers(&images[0]), [1]);
    assert!(next.next_session() > session, "numbers are not used twice");
    next.close();
}

/// When the log is long its shards write their states once more, and everything older is removed: so the
/// disk that it takes is bounded by what the sessions hold, not by what went through them.
#[test]
fn a_checkpoint_makes_old_segments_superfluous() {
    let dir = tempfile::tempdir().expect("a folder");
    let told: Arc<Told> = Arc::default();
    let opened = Journal::open(dir.path(), owner(), vec![told.clone()]);
    let (journal, _) = opened.expect("a new journal");
    let session = journal.next_session();
    let frame = vec![7; 1 << 20];
    let mut position = 0;
    let mut put = |records: &[Record<'_>]| {
        position += 1;
        journal.put(ShardId(0), position, bytes(records));
        until("durable", || journal.durable(ShardId(0)) == position);
    };
    put(&[begun(session)]);
    let mut number = 0;
    while told.checkpoints.load(Ordering::SeqCst) == 0 {
        number += 1;
        put(&[
            kept(session, number, &frame),
            Record::Done { session, number },
        ]);
        assert!(number < 100, "no checkpoint");
    }
    let before = journal.bytes();
    // What the shard does then.
    put(&[begun(session), kept(session, number + 1, b"alive")]);
    journal.checkpointed();
    until("removal", || journal.bytes() < 20 << 20);
    println!("{before} bytes before, {} after", journal.bytes());
    let recovered = recovery::recover(dir.path(), &owner()).expect("whole");
    assert_eq!(numbers(only(&recovered)), [number + 1]);
    journal.close();
}
