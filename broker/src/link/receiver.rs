//! The streams from peers: batches into the shards that have subscribers, acknowledgements back.

use crate::{
    engine::Engine,
    router::{ShardSet, TopicCache},
    shard::{
        ShardId, forget_session, hand_out_session, hear_out_client,
        mailbox::{Gate, Mail},
        shard_of,
    },
};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use raftmq_mqtt::publication::{FRAME_VERSION, Publication};
use raftmq_proto::v1::{self, link_reply, link_request, link_server};
use std::{
    collections::{BTreeSet, HashMap},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, Streaming};

/// A life of a peer.
type Sender = (u64, u64);

/// How often it is looked whether the table has got as far as a sender's.
const CATCH_UP_POLL: std::time::Duration = std::time::Duration::from_millis(1);

/// Takes links from peers.
#[derive(Clone)]
pub struct LinkService {
    engine: Arc<Engine>,
    /// What has come from each peer's current life.
    progress: Arc<Mutex<HashMap<Sender, Arc<Progress>>>>,
}

/// What has come from one life of a peer.
struct Progress {
    /// Highest sequence number put into mailboxes. Locked while a batch is put in, so that two
    /// streams of one sender (an old one that lingers, and its successor) cannot mix.
    received: tokio::sync::Mutex<u64>,
    taken: Mutex<Taken>,
    /// Highest sequence number up to which all is taken.
    acked: watch::Sender<u64>,
}

/// Batches are taken in any order by the shards, but acknowledged in theirs.
#[derive(Default)]
struct Taken {
    upto: u64,
    ahead: BTreeSet<u64>,
}

/// Waits for all shards that got a part of a batch.
pub struct BatchGate {
    seq: u64,
    parts: AtomicUsize,
    progress: Arc<Progress>,
}

impl BatchGate {
    /// One shard's sessions have taken its part.
    pub fn taken(&self) {
        if self.parts.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.progress.batch_taken(self.seq);
        }
    }
}

impl Progress {
    fn new() -> Progress {
        Progress {
            received: tokio::sync::Mutex::new(0),
            taken: Mutex::default(),
            acked: watch::Sender::new(0),
        }
    }

    fn batch_taken(&self, seq: u64) {
        let upto = {
            let mut taken = self.taken.lock();
            taken.ahead.insert(seq);
            while let Some(next) = taken
                .ahead
                .first()
                .copied()
                .filter(|next| *next == taken.upto + 1)
            {
                taken.ahead.remove(&next);
                taken.upto = next;
            }
            taken.upto
        };
        self.acked
            .send_if_modified(|acked| upto > std::mem::replace(acked, upto.max(*acked)));
    }

    /// Nothing before `seq` will come any more.
    fn begin_at(&self, received: &mut u64, seq: u64) {
        if seq <= *received + 1 {
            return;
        }
        *received = seq - 1;
        let mut taken = self.taken.lock();
        taken.upto = taken.upto.max(seq - 1);
        taken.ahead.retain(|ahead| *ahead >= seq);
    }
}

impl LinkService {
    fn expect_cluster(&self, cluster_id: &str) -> Result<(), Status> {
        if cluster_id == self.engine.cluster_id() {
            return Ok(());
        }
        Err(Status::failed_precondition(
            "this node belongs to another cluster",
        ))
    }

    /// For the peers of this engine.
    pub fn new(engine: Arc<Engine>) -> LinkService {
        LinkService {
            engine,
            progress: Arc::default(),
        }
    }

    /// The gRPC service.
    pub fn into_server(self) -> link_server::LinkServer<LinkService> {
        link_server::LinkServer::new(self)
            .max_decoding_message_size(super::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(super::MESSAGE_BYTES_MAX)
    }

    fn check(&self, hello: &v1::LinkHello) -> Result<(), Status> {
        if Some(&hello.cluster_id) != self.engine.store.identity().cluster_id.as_ref() {
            return Err(Status::failed_precondition(
                "this node belongs to another cluster",
            ));
        }
        if hello.to_node_id != self.engine.node_id {
            return Err(Status::failed_precondition("this is another node"));
        }
        if hello.frame_version != FRAME_VERSION {
            return Err(Status::failed_precondition(
                "this node reads another version of frames",
            ));
        }
        self.check_alive((hello.from_node_id, hello.from_incarnation))
    }

    /// A life that the cluster has given up forwards nothing more.
    fn check_alive(&self, (node, incarnation): Sender) -> Result<(), Status> {
        let table = self.engine.store.table().read();
        let alive = table.is_up(node.into(), incarnation.into());
        if alive {
            Ok(())
        } else {
            Err(Status::unavailable("the sender is not up in the table"))
        }
    }

    fn progress_of(&self, sender: Sender) -> Arc<Progress> {
        let mut progress = self.progress.lock();
        progress.retain(|(node, incarnation), _| *node != sender.0 || *incarnation == sender.1);
        progress
            .entry(sender)
            .or_insert_with(|| Arc::new(Progress::new()))
            .clone()
    }

    async fn receive(
        self,
        sender: Sender,
        progress: Arc<Progress>,
        mut requests: Streaming<v1::LinkRequest>,
    ) -> Result<(), Status> {
        let mut topics = TopicCache::new(self.engine.store.table().clone());
        while let Some(request) = requests.message().await? {
            let Some(link_request::Kind::Batch(batch)) = request.kind else {
                continue;
            };
            self.check_alive(sender)?;
            let mut received = progress.received.lock().await;
            if batch.seq <= *received {
                continue;
            }
            if batch.seq != *received + 1 {
                return Err(Status::data_loss("a batch is missing"));
            }
            self.catch_up(batch.routed_at).await;
            self.distribute(&batch, &progress, &mut topics)?;
            *received = batch.seq;
        }
        Ok(())
    }

    /// The sender may have seen a session move here before this node has: waits until it has, too.
    async fn catch_up(&self, routed_at: u64) {
        while self.engine.store.table().read().applied_index() < routed_at {
            tokio::time::sleep(CATCH_UP_POLL).await;
        }
    }

    /// Gives each shard the publications that it has subscribers for.
    fn distribute(
        &self,
        batch: &v1::LinkBatch,
        progress: &Arc<Progress>,
        topics: &mut TopicCache<ShardSet>,
    ) -> Result<(), Status> {
        let parts = self.sort(batch, topics)?;
        let count = parts.iter().filter(|part| !part.is_empty()).count();
        if count == 0 {
            progress.batch_taken(batch.seq);
            return Ok(());
        }
        let gate = Arc::new(BatchGate {
            seq: batch.seq,
            parts: AtomicUsize::new(count),
            progress: progress.clone(),
        });
        for (mailbox, frames) in self.engine.mailboxes.iter().zip(parts) {
            if !frames.is_empty() {
                mailbox.put(Mail::Publications {
                    frames,
                    routed_at: batch.routed_at,
                    gate: Some(Gate::Link(gate.clone())),
                });
            }
        }
        Ok(())
    }

    fn sort(
        &self,
        batch: &v1::LinkBatch,
        topics: &mut TopicCache<ShardSet>,
    ) -> Result<Vec<Vec<u8>>, Status> {
        let shards = self.engine.mailboxes.len();
        let resolver = self.engine.resolver();
        let mut parts = vec![Vec::new(); shards];
        let mut rest = &batch.frames[..];
        while !rest.is_empty() {
            let (publication, behind) = Publication::parse(rest)
                .map_err(|error| Status::invalid_argument(error.to_string()))?;
            let frame = &rest[..rest.len() - behind.len()];
            rest = behind;
            if let Some(target) = publication.target {
                parts[shard_of(target.client_id, shards).index()].extend_from_slice(frame);
                continue;
            }
            let topic = publication.topic;
            let wanted = match topics.get(topic) {
                Some(wanted) => wanted,
                None => topics.resolve(topic, |table| resolver.local_shards(table, topic)),
            };
            if batch.routed_at < topics.routed_at() {
                // The sender's table was an older one: a session that it meant may have moved away
                // since, and only its shard knows.
                parts
                    .iter_mut()
                    .for_each(|part| part.extend_from_slice(frame));
                continue;
            }
            for (ShardId(shard), _) in wanted.iter() {
                parts[usize::from(shard)].extend_from_slice(frame);
            }
        }
        Ok(parts)
    }
}

type Replies = Pin<Box<dyn Stream<Item = Result<v1::LinkReply, Status>> + Send>>;

#[tonic::async_trait]
impl link_server::Link for LinkService {
    type ForwardStream = Replies;

    async fn forward(
        &self,
        request: Request<Streaming<v1::LinkRequest>>,
    ) -> Result<Response<Replies>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|request| request.kind);
        let Some(link_request::Kind::Hello(hello)) = first else {
            return Err(Status::invalid_argument("the first message is not a hello"));
        };
        self.check(&hello)?;
        let sender = (hello.from_node_id, hello.from_incarnation);
        let progress = self.progress_of(sender);
        let last_seq = {
            let mut received = progress.received.lock().await;
            progress.begin_at(&mut received, hello.first_seq);
            *received
        };
        let acked = progress.acked.subscribe();
        let receiving = self.clone().receive(sender, progress, requests);
        let incarnation = self.engine.store.identity().incarnation;
        Ok(Response::new(replies(
            incarnation,
            last_seq,
            acked,
            receiving,
        )))
    }

    async fn settle(
        &self,
        request: Request<v1::SettleRequest>,
    ) -> Result<Response<v1::SettleReply>, Status> {
        let request = request.into_inner();
        self.expect_cluster(&request.cluster_id)?;
        self.engine.flush_shards().await;
        // Without a link nothing has been sent there yet.
        if let Some(link) = self.engine.links.find(request.from_node_id) {
            link.settled().await;
        }
        Ok(Response::new(v1::SettleReply {}))
    }

    async fn take_session(
        &self,
        request: Request<v1::TakeSessionRequest>,
    ) -> Result<Response<v1::TakeSessionReply>, Status> {
        let request = request.into_inner();
        self.expect_cluster(&request.cluster_id)?;
        self.engine.settle_all().await;
        let reply = hand_out_session(&self.engine, request).await;
        reply
            .map(Response::new)
            .ok_or_else(|| Status::unavailable("this node stops"))
    }

    async fn confirm_session(
        &self,
        request: Request<v1::ConfirmSessionRequest>,
    ) -> Result<Response<v1::ConfirmSessionReply>, Status> {
        let request = request.into_inner();
        self.expect_cluster(&request.cluster_id)?;
        forget_session(&self.engine, request);
        Ok(Response::new(v1::ConfirmSessionReply {}))
    }

    async fn hear_out(
        &self,
        request: Request<v1::HearOutRequest>,
    ) -> Result<Response<v1::HearOutReply>, Status> {
        let request = request.into_inner();
        self.expect_cluster(&request.cluster_id)?;
        hear_out_client(&self.engine, request).await;
        Ok(Response::new(v1::HearOutReply {}))
    }
}

/// Welcome, then acknowledgements as they move on; ends when receiving ends.
fn replies(
    incarnation: u64,
    last_seq: u64,
    acked: watch::Receiver<u64>,
    receiving: impl Future<Output = Result<(), Status>> + Send + 'static,
) -> Replies {
    let reply = |kind| Ok(v1::LinkReply { kind: Some(kind) });
    let welcome = v1::LinkWelcome {
        incarnation,
        last_seq,
    };
    let welcome = futures::stream::once(async move { reply(link_reply::Kind::Welcome(welcome)) });
    let acks =
        WatchStream::from_changes(acked).map(move |seq| reply(link_reply::Kind::AckedSeq(seq)));
    let (end, ended) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let _ = end.send(receiving.await);
    });
    let until_end = acks.take_until(async move {
        // The stream's end says nothing of its own; the sender opens it again.
        if let Ok(Err(status)) = ended.await {
            tracing::debug!(%status, "a link from a peer ended");
        }
    });
    Box::pin(welcome.chain(until_end))
}
