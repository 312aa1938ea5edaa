//! The sending end of a link, as the shards see it.

use super::vitals::Vitals;
use crate::shard::{
    ShardId,
    mailbox::{Mail, Mailbox},
};
use bytes::Bytes;
use parking_lot::Mutex;
use raftmq_proto::v1;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tonic::transport::Channel;

/// Bytes of one batch from which on no more chunks are added.
const BATCH_BYTES: usize = 256 * 1024;
/// How often it is looked whether everything has been taken.
const SETTLE_POLL: Duration = Duration::from_millis(1);

/// Publications that one shard staged in one turn.
pub struct Chunk {
    /// The shard.
    pub shard: ShardId,
    /// Number of its last publication, as the shard counts them.
    pub upto: u64,
    /// Index of the log entry up to which they were routed.
    pub routed_at: u64,
    /// The publications, back to back.
    pub frames: Vec<u8>,
}

/// Publications that a peer which is down has not said that it has.
pub struct Returned {
    /// The peer.
    pub peer: u64,
    /// As they were staged.
    pub chunk: Chunk,
    /// Sessions that have left the peer since some of that was sent, with the log entries by which they did.
    pub moved: Arc<[(Arc<str>, u64)]>,
}

impl Returned {
    /// Whether the client's session has left the peer after some of it was sent.
    pub fn has_moved(&self, client_id: &str) -> bool {
        let mut after = self
            .moved
            .iter()
            .filter(|(_, at)| *at > self.chunk.routed_at);
        after.any(|(moved, _)| **moved == *client_id)
    }
}

/// A batch on its way.
struct Batch {
    seq: u64,
    routed_at: u64,
    frames: Bytes,
    /// What its acknowledgement means to the shards: their numbers, and how many bytes of the frames are
    /// theirs, one behind the other.
    parts: Vec<Part>,
    /// When it was handed to the stream, the last time.
    sent_at: Instant,
}

/// One shard's part of a batch.
#[derive(Clone, Copy)]
struct Part {
    shard: ShardId,
    upto: u64,
    bytes: usize,
}

impl Part {
    fn of(chunk: &Chunk) -> Part {
        Part {
            shard: chunk.shard,
            upto: chunk.upto,
            bytes: chunk.frames.len(),
        }
    }
}

impl Batch {
    fn message(&self) -> v1::LinkBatch {
        v1::LinkBatch {
            seq: self.seq,
            frames: self.frames.clone(),
            routed_at: self.routed_at,
        }
    }
}

/// What is sent and not acknowledged.
pub(super) struct Unacknowledged {
    pub bytes: usize,
    pub batches: usize,
    /// Age of the oldest.
    pub oldest: Duration,
}

#[derive(Default)]
struct Queues {
    waiting: VecDeque<Chunk>,
    unacknowledged: VecDeque<Batch>,
    last_seq: u64,
}

/// The way to one peer.
pub struct Link {
    peer: u64,
    /// Where the peer is, and the connection to it; `None` until somebody needed it.
    way: Mutex<Option<(String, Channel)>>,
    /// The peer is not a member (any more).
    rests: AtomicBool,
    window_bytes: usize,
    queues: Mutex<Queues>,
    /// Bytes waiting or not acknowledged.
    held_bytes: AtomicUsize,
    /// Sessions that another node has claimed from the peer, with the claims' places in the log, as long as
    /// something is under way that was routed before.
    moved: Mutex<Vec<(Arc<str>, u64)>>,
    pub(super) wake: Notify,
    pub(super) vitals: Vitals,
    /// Per shard: number of its last publication that the peer has taken.
    acknowledged: Vec<AtomicU64>,
    /// Per shard: number of its last publication that was handed over.
    sent: Vec<AtomicU64>,
    /// Publications that were dropped because the peer went down.
    given_up: AtomicU64,
    mailboxes: Vec<Arc<Mailbox>>,
}

impl Link {
    /// A link to `peer` that holds at most about `window_bytes`.
    pub fn new(peer: u64, window_bytes: usize, mailboxes: Vec<Arc<Mailbox>>) -> Link {
        Link {
            peer,
            way: Mutex::default(),
            rests: AtomicBool::new(false),
            window_bytes,
            queues: Mutex::default(),
            held_bytes: AtomicUsize::new(0),
            moved: Mutex::default(),
            wake: Notify::new(),
            vitals: Vitals::default(),
            sent: mailboxes.iter().map(|_| AtomicU64::new(0)).collect(),
            acknowledged: mailboxes.iter().map(|_| AtomicU64::new(0)).collect(),
            given_up: AtomicU64::new(0),
            mailboxes,
        }
    }

    /// Node at the other end.
    pub fn peer(&self) -> u64 {
        self.peer
    }

    /// Its address as it was last known, "host:port"; empty: nobody has needed it.
    pub fn address(&self) -> String {
        let way = self.way.lock();
        way.as_ref().map_or_else(String::new, |(at, _)| at.clone())
    }

    /// The connection to the peer at `address`; another one than before when it has moved. `None`: that
    /// is no address.
    pub(super) fn channel_to(
        &self,
        address: &str,
        make: impl FnOnce(&str) -> Result<Channel, tonic::transport::Error>,
    ) -> Option<Channel> {
        let mut way = self.way.lock();
        if way.as_ref().is_none_or(|(at, _)| at != address) {
            *way = Some((address.to_owned(), make(address).ok()?));
        }
        way.as_ref().map(|(_, channel)| channel.clone())
    }

    /// Whether the peer is not a member.
    pub fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    pub(super) fn set_rests(&self, rests: bool) {
        self.rests.store(rests, Ordering::Relaxed);
    }

    /// Whether QoS 0 is to be dropped and QoS 1 and 2 are to wait.
    pub fn is_full(&self) -> bool {
        self.held_bytes.load(Ordering::Relaxed) > self.window_bytes
    }

    /// Bytes waiting or not acknowledged.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Publications that were handed over and that the peer has not taken yet.
    pub fn under_way(&self) -> u64 {
        let shards = self.sent.iter().zip(&self.acknowledged);
        let under_way = shards.map(|(sent, taken)| {
            // What is taken is read first: it never overtakes what was sent.
            let taken = taken.load(Ordering::Acquire);
            sent.load(Ordering::Acquire).saturating_sub(taken)
        });
        under_way.sum()
    }

    /// Publications that were dropped because the peer went down before it had said that it has them.
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Bytes from which on it is full.
    pub fn window_bytes(&self) -> usize {
        self.window_bytes
    }

    /// Number of the shard's last publication that the peer has taken.
    pub fn acknowledged(&self, shard: ShardId) -> &AtomicU64 {
        &self.acknowledged[shard.index()]
    }

    /// Takes the publications of one turn of a shard.
    pub fn send(&self, chunk: Chunk) {
        self.held_bytes
            .fetch_add(chunk.frames.len(), Ordering::Relaxed);
        self.sent[chunk.shard.index()].store(chunk.upto, Ordering::Release);
        self.queues.lock().waiting.push_back(chunk);
        self.wake.notify_one();
    }

    /// Waits until the peer's sessions have taken everything that was sent until now.
    pub async fn settled(&self) {
        let sent: Vec<_> = self
            .sent
            .iter()
            .map(|sent| sent.load(Ordering::Acquire))
            .collect();
        let is_settled = || {
            let taken = self.acknowledged.iter().zip(&sent);
            taken
                .into_iter()
                .all(|(taken, sent)| taken.load(Ordering::Acquire) >= *sent)
        };
        while !is_settled() {
            tokio::time::sleep(SETTLE_POLL).await;
        }
    }

    /// The next batch, made of what waits and was routed alike, up to a size. `None`: nothing waits.
    pub(super) fn next_batch(&self) -> Option<v1::LinkBatch> {
        let mut queues = self.queues.lock();
        let first = queues.waiting.pop_front()?;
        let routed_at = first.routed_at;
        let mut parts = vec![Part::of(&first)];
        let mut frames = first.frames;
        while frames.len() < BATCH_BYTES {
            let next = queues.waiting.front();
            if next.is_none_or(|next| next.routed_at != routed_at) {
                break;
            }
            let Some(chunk) = queues.waiting.pop_front() else {
                break;
            };
            frames.extend_from_slice(&chunk.frames);
            parts.push(Part::of(&chunk));
        }
        queues.last_seq += 1;
        let batch = Batch {
            seq: queues.last_seq,
            routed_at,
            frames: Bytes::from(frames),
            parts,
            sent_at: Instant::now(),
        };
        let message = batch.message();
        queues.unacknowledged.push_back(batch);
        Some(message)
    }

    /// A batch without publications, to see how the link is. `None`: something is under way that shows it.
    pub(super) fn probe(&self) -> Option<v1::LinkBatch> {
        let mut queues = self.queues.lock();
        if !queues.unacknowledged.is_empty() || !queues.waiting.is_empty() {
            return None;
        }
        queues.last_seq += 1;
        let batch = Batch {
            seq: queues.last_seq,
            routed_at: 0,
            frames: Bytes::new(),
            parts: Vec::new(),
            sent_at: Instant::now(),
        };
        let message = batch.message();
        queues.unacknowledged.push_back(batch);
        Some(message)
    }

    /// Bytes that wait to be sent, and what is sent and not acknowledged.
    pub(super) fn waiting(&self) -> (usize, Unacknowledged) {
        let queues = self.queues.lock();
        let queued = queues.waiting.iter().map(|chunk| chunk.frames.len()).sum();
        let batches = &queues.unacknowledged;
        let unacknowledged = Unacknowledged {
            bytes: batches.iter().map(|batch| batch.frames.len()).sum(),
            batches: batches.len(),
            oldest: batches
                .front()
                .map_or(Duration::ZERO, |batch| batch.sent_at.elapsed()),
        };
        (queued, unacknowledged)
    }

    /// The lowest sequence number that may still be sent.
    pub(super) fn first_seq(&self) -> u64 {
        let queues = self.queues.lock();
        queues
            .unacknowledged
            .front()
            .map_or(queues.last_seq + 1, |batch| batch.seq)
    }

    /// Batches to be sent again to a receiver that has taken everything up to `last_seq`.
    pub(super) fn unacknowledged_after(&self, last_seq: u64) -> Vec<v1::LinkBatch> {
        let mut queues = self.queues.lock();
        let now = Instant::now();
        let batches = queues.unacknowledged.iter_mut();
        let again = batches.filter(|batch| batch.seq > last_seq).map(|batch| {
            batch.sent_at = now;
            batch.message()
        });
        again.collect()
    }

    /// The peer has taken everything up to `seq`. How long ago the last batch of that was sent, if it was
    /// not known before.
    pub(super) fn acknowledge(&self, seq: u64) -> Option<Duration> {
        let mut moved = Vec::new();
        let mut latest = None;
        {
            let mut queues = self.queues.lock();
            while queues
                .unacknowledged
                .front()
                .is_some_and(|batch| batch.seq <= seq)
            {
                let Some(batch) = queues.unacknowledged.pop_front() else {
                    break;
                };
                self.held_bytes
                    .fetch_sub(batch.frames.len(), Ordering::Relaxed);
                latest = Some(batch.sent_at);
                moved.extend(batch.parts.iter().map(|part| (part.shard, part.upto)));
            }
        }
        self.advance(&moved);
        self.tell(&moved);
        latest.map(|sent_at| sent_at.elapsed())
    }

    /// The peer is no longer part of the cluster's life: what was for it goes back to the shards, which keep
    /// it for the peer's sessions and then call [`Link::give_up`].
    pub fn peer_is_down(&self) {
        let returned = self.take_back();
        let moved: Arc<[_]> = std::mem::take(&mut *self.moved.lock()).into();
        for chunk in returned {
            self.mailboxes[chunk.shard.index()].put(Mail::Returned(Box::new(Returned {
                peer: self.peer,
                chunk,
                moved: moved.clone(),
            })));
        }
    }

    /// A session has gone from the peer to another node, by the log entry `index`.
    pub fn session_left(&self, client_id: &Arc<str>, index: u64) {
        let oldest = {
            let queues = self.queues.lock();
            let sent = queues.unacknowledged.front().map(|batch| batch.routed_at);
            sent.or_else(|| queues.waiting.front().map(|chunk| chunk.routed_at))
        };
        let mut moved = self.moved.lock();
        // Whatever is under way was routed when that was known.
        moved.retain(|(_, at)| oldest.is_some_and(|oldest| *at > oldest));
        if oldest.is_some_and(|oldest| index > oldest) {
            moved.push((client_id.clone(), index));
        }
    }

    /// What is not acknowledged, as the shards had staged it.
    fn take_back(&self) -> Vec<Chunk> {
        let mut returned = Vec::new();
        let mut queues = self.queues.lock();
        for batch in queues.unacknowledged.drain(..) {
            let mut rest = &batch.frames[..];
            for part in batch.parts {
                let (frames, behind) = rest.split_at(part.bytes);
                returned.push(Chunk {
                    shard: part.shard,
                    upto: part.upto,
                    routed_at: batch.routed_at,
                    frames: frames.to_vec(),
                });
                rest = behind;
            }
        }
        returned.extend(queues.waiting.drain(..));
        let dropped = returned.iter().map(|chunk| chunk.frames.len()).sum();
        self.held_bytes.fetch_sub(dropped, Ordering::Relaxed);
        returned
    }

    /// Nothing that the shard has sent up to `upto` is waited for any more.
    pub fn give_up(&self, shard: ShardId, upto: u64) {
        let given_up = self.advance(&[(shard, upto)]);
        self.given_up.fetch_add(given_up, Ordering::Relaxed);
    }

    /// Moves the shards' positions on; by how many publications.
    fn advance(&self, moved: &[(ShardId, u64)]) -> u64 {
        let by = |(shard, upto): &(ShardId, u64)| {
            let before = self.acknowledged[shard.index()].fetch_max(*upto, Ordering::AcqRel);
            upto.saturating_sub(before)
        };
        moved.iter().map(by).sum()
    }

    fn tell(&self, moved: &[(ShardId, u64)]) {
        for (index, mailbox) in self.mailboxes.iter().enumerate() {
            if moved.iter().any(|(shard, _)| shard.index() == index) {
                mailbox.put(Mail::LinksMoved);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        let mailboxes = vec![Arc::new(Mailbox::default())];
        Link::new(2, 100, mailboxes)
    }

    fn chunk(bytes: usize, upto: u64, routed_at: u64) -> Chunk {
        Chunk {
            shard: ShardId(0),
            upto,
            routed_at,
            frames: vec![0; bytes],
        }
    }

    #[tokio::test]
    async fn a_batch_holds_only_what_was_routed_by_the_same_table() {
        let link = link();
        link.send(chunk(1, 1, 7));
        link.send(chunk(1, 2, 8));
        assert_eq!(link.next_batch().map(|batch| batch.routed_at), Some(7));
        assert_eq!(link.next_batch().map(|batch| batch.routed_at), Some(8));
    }

    #[tokio::test]
    async fn a_link_is_settled_when_everything_sent_is_acknowledged() {
        let link = link();
        link.send(chunk(1, 1, 7));
        let seq = link.next_batch().expect("a batch").seq;
        let waiting = tokio::time::timeout(Duration::from_millis(5), link.settled());
        assert!(waiting.await.is_err());
        link.acknowledge(seq);
        link.settled().await;
    }

    #[tokio::test]
    async fn an_acknowledgement_frees_the_window_and_moves_the_shards_position() {
        let link = link();
        link.send(chunk(60, 3, 7));
        link.send(chunk(60, 5, 7));
        assert!(link.is_full());
        let batch = link.next_batch().expect("a batch");
        assert_eq!(
            (batch.seq, batch.frames.len(), batch.routed_at),
            (1, 120, 7)
        );
        assert!(link.next_batch().is_none());
        link.acknowledge(1);
        assert!(!link.is_full());
        assert_eq!(link.acknowledged(ShardId(0)).load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn an_idle_link_is_probed_once_and_a_busy_one_not() {
        let link = link();
        let probe = link.probe().expect("a probe");
        assert!(probe.frames.is_empty());
        assert!(link.probe().is_none(), "one is under way");
        assert_eq!(link.status().in_flight_batches, 1);
        assert!(link.acknowledge(probe.seq).is_some());
        assert!(link.acknowledge(probe.seq).is_none(), "known already");
        link.send(chunk(1, 1, 7));
        assert!(link.probe().is_none(), "a batch waits");
        assert_eq!(
            link.next_batch().map(|batch| batch.seq),
            Some(probe.seq + 1)
        );
    }

    #[tokio::test]
    async fn the_status_tells_what_waits_and_what_is_under_way() {
        let link = link();
        link.send(chunk(60, 1, 7));
        link.next_batch();
        link.send(chunk(30, 2, 7));
        let status = link.status();
        assert_eq!((status.queued_bytes, status.in_flight_bytes), (30, 60));
        assert_eq!((status.in_flight_batches, status.up), (1, false));
        assert_eq!(status.round_trip, None);
    }

    #[tokio::test]
    async fn what_the_receiver_has_not_taken_is_sent_again_in_order() {
        let link = link();
        for upto in 1..=3 {
            link.send(chunk(1, upto, 7));
            link.next_batch();
        }
        let again: Vec<_> = link
            .unacknowledged_after(1)
            .into_iter()
            .map(|batch| batch.seq)
            .collect();
        assert_eq!(again, [2, 3]);
    }

    #[tokio::test]
    async fn what_a_peer_that_is_down_had_not_taken_comes_back_and_is_then_not_waited_for() {
        let link = link();
        link.send(chunk(200, 1, 7));
        link.next_batch();
        link.send(chunk(200, 2, 7));
        let returned = link.take_back();
        let chunks: Vec<_> = returned.iter().map(|c| (c.upto, c.frames.len())).collect();
        assert_eq!(chunks, [(1, 200), (2, 200)]);
        assert_eq!((link.held_bytes(), link.under_way()), (0, 2));
        link.give_up(ShardId(0), 2);
        assert_eq!(link.acknowledged(ShardId(0)).load(Ordering::Relaxed), 2);
        assert_eq!((link.under_way(), link.given_up()), (0, 2));
    }
}
